"""What came out of a study: who and what is left out and why, and the numbers of the rest."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downstream.study.answers import Answer, read_answers
from downstream.study.design import REAL, SPOILT
from downstream.study.folder import Study, describe
from downstream.study.scores import Estimate, krippendorff_alpha, rate, realism_score
from spectral_ssl.ground.errors import UserError

CHECKS_TO_PASS = 0.75  # of the attention checks
TRIALS_TO_KEEP = 0.5  # of all trials, answered and not marked
FEWEST_FOR_A_HABIT = 10  # trials, all answered by the same button
SAYS_REAL, SAYS_MADE = 0, 1  # the buttons of a realism study


@dataclass(frozen=True)
class Participant:
    """What is known of one participant.

    Attributes
    ----------
    number : int
    answers : tuple of Answer
        To trials that count: no checks, nothing marked.
    checks_passed, checks : int
        Attention checks.
    given, asked : int
        Answers and trials of the schedule in all, checks too.
    left_out : dict
        Number of marked answers by mark.
    excluded : tuple of str
        Why the participant is left out; empty if not.
    """

    number: int
    answers: tuple[Answer, ...]
    checks_passed: int
    checks: int
    given: int
    asked: int
    left_out: dict[str, int]
    excluded: tuple[str, ...]


def study_results(study: Study) -> dict[str, Any]:
    """All numbers of a study, ready for JSON.

    Returns
    -------
    dict
        "scores" of those who are not left out, "scores_of_everyone" beside them; "participants", "excluded", "trials";
        "agreement" (Krippendorff's alpha).

    Raises
    ------
    UserError
        When nobody has answered yet.
    """
    everyone = [judge(study, *found) for found in read_answers(study.answers)]
    everyone = [each for each in everyone if each.given]
    if not everyone:
        raise UserError("no answers yet", str(study.folder), "serve it first: `spectral-ssl study serve`")
    kept = [each for each in everyone if not each.excluded]
    marks: Counter[str] = Counter()
    for each in everyone:
        marks.update(each.left_out)
    units = _units(study, kept)
    return {
        **describe(study),
        "participants": len(everyone),
        "finished": sum(each.given == each.asked for each in everyone),
        "excluded": [
            {"participant": each.number, "reasons": list(each.excluded)} for each in everyone if each.excluded
        ],
        "answers": sum(each.given for each in everyone),
        "answers_that_count": sum(len(each.answers) for each in kept),
        "answers_left_out": dict(sorted(marks.items())),
        "attention_checks": {
            "passed": sum(each.checks_passed for each in everyone),
            "given": sum(each.checks for each in everyone),
        },
        "scores": scores(study, kept),
        "scores_of_everyone": scores(study, everyone),
        "agreement": {"krippendorff_alpha": krippendorff_alpha(units), "items": len(units)},
        "habits": _habits(kept),
        "response_seconds": _median([answer.response / 1000 for each in kept for answer in each.answers]),
    }


def judge(study: Study, number: int, asked: int, answers: Sequence[Answer]) -> Participant:
    """What of a participant's answers counts, and whether the participant does."""
    marked: Counter[str] = Counter()
    counted, passed, checks = [], 0, 0
    for answer in answers:
        marked.update(answer.marks)
        if answer.marks:
            continue
        if answer.trial.check:
            checks += 1
            passed += _passes(answer)
        else:
            counted.append(answer)
    reasons = []
    if checks and passed < CHECKS_TO_PASS * checks:
        reasons.append(f"passed {passed} of {checks} attention checks")
    if len(counted) < TRIALS_TO_KEEP * study.config.trials:
        reasons.append(f"{len(counted)} of {study.config.trials} trials answered as they should be")
    if len(counted) >= FEWEST_FOR_A_HABIT and len({answer.choice for answer in counted}) == 1:
        reasons.append("always the same button")
    return Participant(number, tuple(counted), passed, checks, len(answers), asked, dict(marked), tuple(reasons))


def _passes(answer: Answer) -> bool:
    shown = answer.trial.shown
    return answer.choice == SAYS_MADE if shown == (SPOILT,) else shown[answer.choice] == REAL


def scores(study: Study, participants: Sequence[Participant]) -> list[dict[str, Any]]:
    """One row for each method: its number of answers, and the rates that belong to the kind of study."""
    measure = {"psychophysical": _preference, "turing": _fooling, "realism": _realism}[study.config.kind]
    return [
        {"method": method.name, **measure(str(place), participants, study)}
        for place, method in enumerate(study.methods)
    ]


def _preference(method: str, participants: Sequence[Participant], study: Study) -> dict[str, Any]:
    picked = _count(participants, lambda answer: answer.trial.shown[answer.choice] == method)
    shown = _count(participants, lambda answer: True)
    estimate = rate(picked, shown, study.config.seed)
    return {"answers": int(shown.sum()), "preference": _json(estimate), "chance": 1 / len(study.methods)}


def _fooling(method: str, participants: Sequence[Participant], study: Study) -> dict[str, Any]:
    fooled = _count(participants, lambda answer: answer.trial.shown[answer.choice] == method)
    shown = _count(participants, lambda answer: method in answer.trial.shown)
    return {"answers": int(shown.sum()), "fooling": _json(rate(fooled, shown, study.config.seed)), "chance": 0.5}


def _realism(method: str, participants: Sequence[Participant], study: Study) -> dict[str, Any]:
    def counts(source: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        shown = _count(participants, lambda answer: answer.trial.shown == (source,))
        called = _count(participants, lambda answer: answer.trial.shown == (source,) and answer.choice == SAYS_MADE)
        return called, shown

    (found, fakes), (alarms, reals) = counts(method), counts(REAL)
    seed = study.config.seed
    return {
        "answers": int(fakes.sum()),
        "realism": _json(realism_score(found, fakes, alarms, reals, seed)),
        "fooling": _json(rate(fakes - found, fakes, seed)),
        "real_taken_for_made": _json(rate(alarms, reals, seed)),
        "chance": 1.0,
    }


def _count(participants: Sequence[Participant], holds: Any) -> NDArray[np.int64]:
    return np.array([sum(map(holds, each.answers)) for each in participants], np.int64)


def _json(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else estimate.to_json()


def _units(study: Study, participants: Sequence[Participant]) -> dict[Hashable, list[Hashable]]:
    """What was judged, and the judgements: the same images, whatever their order on the screen."""
    units: dict[Hashable, list[Hashable]] = defaultdict(list)
    for each in participants:
        for answer in each.answers:
            shown = answer.trial.shown
            judgement = str(answer.choice) if study.config.kind == "realism" else shown[answer.choice]
            units[(answer.trial.row, *sorted(shown))].append(judgement)
    return {unit: judgements for unit, judgements in units.items() if len(judgements) > 1}


def _habits(participants: Sequence[Participant]) -> list[float]:
    """How often each button was pressed, from left to right: far from equal, people have a favourite side."""
    pressed = Counter(answer.choice for each in participants for answer in each.answers)
    total = sum(pressed.values())
    return [pressed[button] / total for button in range(max(pressed) + 1)] if total else []


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if len(values) else None
