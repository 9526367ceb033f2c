"""The results of a study: which participants and answers are excluded and why, and the scores from the others."""

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

CHECKS_TO_PASS = 0.75  # share of the attention checks
TRIALS_NEEDED = 0.5  # share of the trials with a valid answer
FEWEST_FOR_A_HABIT = 10  # trials: always the same button can be chance in fewer
SAYS_REAL, SAYS_FAKE = 0, 1  # the buttons of a realism study


@dataclass(frozen=True)
class Participant:
    """One participant: valid answers, attention checks, and reasons for exclusion.

    Attributes
    ----------
    number : int
        Number of the participant, in the order of joining.
    answers : tuple of Answer
        Valid answers: to trials that are no attention checks, without marks.
    checks_passed, checks : int
        Attention checks that were passed, and those that were answered without a mark.
    answered, scheduled : int
        Answers and trials in all, including attention checks.
    marked : dict
        Number of marked answers for each mark.
    excluded : tuple of str
        Reasons to exclude the participant; empty if there are none.
    """

    number: int
    answers: tuple[Answer, ...]
    checks_passed: int
    checks: int
    answered: int
    scheduled: int
    marked: dict[str, int]
    excluded: tuple[str, ...]


def study_results(study: Study) -> dict[str, Any]:
    """Compute all numbers of a study, ready for JSON.

    Returns
    -------
    dict
        "scores" from the participants who are not excluded, and "scores_of_everyone";
        "participants", "excluded", "answers", "attention_checks"; "agreement" (Krippendorff's
        alpha).

    Raises
    ------
    UserError
        If nobody has answered yet.
    """
    everyone = [evaluate_participant(study, *stored) for stored in read_answers(study.answers)]
    everyone = [each for each in everyone if each.answered]
    if not everyone:
        raise UserError("no answers yet", str(study.folder), "serve it first: `spectral-ssl study serve`")
    included = [each for each in everyone if not each.excluded]
    marks: Counter[str] = Counter()
    for each in everyone:
        marks.update(each.marked)
    units = _collect_ratings(study, included)
    return {
        **describe(study),
        "participants": len(everyone),
        "finished": sum(each.answered == each.scheduled for each in everyone),
        "excluded": [
            {"participant": each.number, "reasons": list(each.excluded)} for each in everyone if each.excluded
        ],
        "answers": sum(each.answered for each in everyone),
        "answers_that_count": sum(len(each.answers) for each in included),
        "answers_left_out": dict(sorted(marks.items())),
        "attention_checks": {
            "passed": sum(each.checks_passed for each in everyone),
            "given": sum(each.checks for each in everyone),
        },
        "scores": score_methods(study, included),
        "scores_of_everyone": score_methods(study, everyone),
        "agreement": {"krippendorff_alpha": krippendorff_alpha(units), "items": len(units)},
        "habits": _count_buttons(included),
        "response_seconds": _median([answer.response / 1000 for each in included for answer in each.answers]),
    }


def evaluate_participant(study: Study, number: int, scheduled: int, answers: Sequence[Answer]) -> Participant:
    """Find the valid answers of a participant, and the reasons to exclude the participant."""
    marked: Counter[str] = Counter()
    valid, passed, checks = [], 0, 0
    for answer in answers:
        marked.update(answer.marks)
        if answer.marks:
            continue
        if answer.trial.check:
            checks += 1
            passed += _passes(answer)
        else:
            valid.append(answer)
    reasons = []
    if checks and passed < CHECKS_TO_PASS * checks:
        reasons.append(f"passed {passed} of {checks} attention checks")
    if len(valid) < TRIALS_NEEDED * study.config.trials:
        reasons.append(f"valid answers to {len(valid)} of {study.config.trials} trials")
    if len(valid) >= FEWEST_FOR_A_HABIT and len({answer.choice for answer in valid}) == 1:
        reasons.append("always the same button")
    return Participant(number, tuple(valid), passed, checks, len(answers), scheduled, dict(marked), tuple(reasons))


def _passes(answer: Answer) -> bool:
    shown = answer.trial.shown
    return answer.choice == SAYS_FAKE if shown == (SPOILT,) else shown[answer.choice] == REAL


def score_methods(study: Study, participants: Sequence[Participant]) -> list[dict[str, Any]]:
    """Compute one row for each method: its number of answers, and the rates of the kind of study."""
    measure = {"psychophysical": _preference, "turing": _fooling, "realism": _realism}[study.config.kind]
    return [
        {"method": method.name, **measure(str(index), participants, study)}
        for index, method in enumerate(study.methods)
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
        called_fake = _count(
            participants, lambda answer: answer.trial.shown == (source,) and answer.choice == SAYS_FAKE
        )
        return called_fake, shown

    (hits, fakes), (alarms, reals) = counts(method), counts(REAL)
    seed = study.config.seed
    return {
        "answers": int(fakes.sum()),
        "realism": _json(realism_score(hits, fakes, alarms, reals, seed)),
        "fooling": _json(rate(fakes - hits, fakes, seed)),
        "real_taken_for_made": _json(rate(alarms, reals, seed)),
        "chance": 1.0,
    }


def _count(participants: Sequence[Participant], condition: Any) -> NDArray[np.int64]:
    """Count for each participant the answers that meet a condition."""
    return np.array([sum(map(condition, each.answers)) for each in participants], np.int64)


def _json(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else estimate.to_json()


def _collect_ratings(study: Study, participants: Sequence[Participant]) -> dict[Hashable, list[Hashable]]:
    """Collect the ratings of each unit; a unit is a set of images, whatever their order on the screen."""
    units: dict[Hashable, list[Hashable]] = defaultdict(list)
    for each in participants:
        for answer in each.answers:
            shown = answer.trial.shown
            rating = str(answer.choice) if study.config.kind == "realism" else shown[answer.choice]
            units[(answer.trial.row, *sorted(shown))].append(rating)
    return {unit: ratings for unit, ratings in units.items() if len(ratings) > 1}


def _count_buttons(participants: Sequence[Participant]) -> list[float]:
    """Compute how often each button was pressed, from left to right: unequal shares show a preference for a side."""
    pressed = Counter(answer.choice for each in participants for answer in each.answers)
    total = sum(pressed.values())
    return [pressed[button] / total for button in range(max(pressed) + 1)] if total else []


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if len(values) else None
