"""Who is shown what, and in which order: balanced, shuffled for each participant, nothing twice.

Every participant sees the same rows of the data, each row once, in an order of their own. Which method stands for a row
goes round from participant to participant (a Latin square), so that after a full round each row was judged of each
method equally often; for one participant the numbers of the methods, and of the sides on which the real image or a
method stands, differ by one at most.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import UserError, unknown_name

Kind = Literal["psychophysical", "turing", "realism"]
KINDS: tuple[Kind, ...] = get_args(Kind)
REAL, SPOILT = "real", "spoilt"
MOST_METHODS = {"psychophysical": 4, "turing": 8, "realism": 8}  # four pictures still fit side by side on a phone
SHOWN_FOR = {"psychophysical": 5.0, "turing": 1.0, "realism": 1.0}  # seconds, as the papers have it


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """Settings of a study.

    Attributes
    ----------
    kind : {"psychophysical", "turing", "realism"}
        The methods' answers to one question side by side, pick the most realistic; the real image beside an answer,
        pick the real one; one image, real or fake?
    trials : int
        Trials of each participant, attention checks not counted.
    checks : int
        Attention checks mixed in: an image whose pixels are shuffled, which nobody who looks takes for real.
    exposure : float
        Seconds for which the images are seen.
    seed : int
        Of everything random: rows, schedules.
    """

    kind: Kind = "turing"
    trials: int = 60
    checks: int = 6
    exposure: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown_name("kind of study", str(self.kind), KINDS)
        check_range("number of trials", self.trials, 1, 10_000)
        check_range("number of attention checks", self.checks, 0, 1000)
        check_range("exposure in seconds", self.exposure, 0.03, 60.0)


@dataclass(frozen=True)
class Trial:
    """One trial of one participant.

    Attributes
    ----------
    row : int
        Place in the study's list of rows; of the rows for checks, if it is one.
    shown : tuple of str
        What stands where, from left to right: "real", "spoilt", or the place of a method as text.
    check : bool
        Whether it is an attention check.
    """

    row: int
    shown: tuple[str, ...]
    check: bool = False

    def to_json(self) -> dict[str, Any]:
        """The trial as JSON has it."""
        return {"row": self.row, "shown": list(self.shown), "check": self.check}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Trial":
        """Read what ``to_json`` gave."""
        return Trial(int(value["row"]), tuple(value["shown"]), bool(value["check"]))


def check_methods(kind: Kind, methods: int) -> None:
    """Raise a UserError unless a study of that kind can have so many methods."""
    least = 2 if kind == "psychophysical" else 1
    if not least <= methods <= MOST_METHODS[kind]:
        what_to_do = f"give --from {least} to {MOST_METHODS[kind]} times"
        raise UserError(f"number of runs for a study of kind {kind}", methods, what_to_do)


def schedule(config: StudyConfig, methods: int, participant: int) -> list[Trial]:
    """All trials of a participant, in order.

    Parameters
    ----------
    config : StudyConfig
        Settings.
    methods : int
        How many methods are compared.
    participant : int
        Their number, from 0 in the order of joining. The schedule is a function of the settings and this number.

    Returns
    -------
    list of Trial
        ``config.trials`` trials and ``config.checks`` checks.
    """
    check_methods(config.kind, methods)
    generator = np.random.default_rng([config.seed, 1, participant])
    build = {"psychophysical": _side_by_side, "turing": _pairs, "realism": _single}[config.kind]
    trials = [*build(config.trials, methods, participant, generator), *_checks(config, methods, generator)]
    return [trials[place] for place in generator.permutation(len(trials))]


def _side_by_side(count: int, methods: int, participant: int, generator: np.random.Generator) -> list[Trial]:
    orders = _places(count, methods, generator)
    return [Trial(row, tuple(str(method) for method in order)) for row, order in enumerate(orders)]


def _pairs(count: int, methods: int, participant: int, generator: np.random.Generator) -> list[Trial]:
    assigned = [(row + participant) % methods for row in range(count)]
    first = int(generator.integers(2))
    trials = []
    # rows in the order of their methods, the real one to the left and to the right in turn
    for place, row in enumerate(sorted(range(count), key=lambda row: (assigned[row], row))):
        pair = (REAL, str(assigned[row]))
        trials.append(Trial(row, pair if (place + first) % 2 else pair[::-1]))
    return trials


def _single(count: int, methods: int, participant: int, generator: np.random.Generator) -> list[Trial]:
    # every other place of the round is the real image, so that half of what is seen is real
    slots = [source for method in range(methods) for source in (REAL, str(method))]
    return [Trial(row, (slots[(row + participant) % len(slots)],)) for row in range(count)]


def _checks(config: StudyConfig, methods: int, generator: np.random.Generator) -> list[Trial]:
    if config.kind == "realism":
        return [Trial(row, (SPOILT,), check=True) for row in range(config.checks)]
    beside = methods if config.kind == "psychophysical" else 2
    sides = _places(config.checks, beside, generator)
    return [
        Trial(row, tuple(REAL if place == 0 else SPOILT for place in order), check=True)
        for row, order in enumerate(sides)
    ]


def _places(count: int, width: int, generator: np.random.Generator) -> list[list[int]]:
    """Orders of ``range(width)``, each member in each place equally often (to one)."""
    orders: list[list[int]] = []
    while len(orders) < count:
        base = generator.permutation(width).tolist()
        orders += [base[shift:] + base[:shift] for shift in range(width)]
    return [orders[place] for place in generator.permutation(count)]
