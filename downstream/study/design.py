"""Settings of a study, and the schedule of each participant: balanced, shuffled, no row twice.

Every participant sees the same rows of the data, each row once, in a random order. The method shown
for a row rotates from participant to participant (a Latin square). After a full rotation each row
has been shown equally often for each method. Within one schedule, the counts of the methods differ
by at most one. So do the counts of the sides on which the real image, or a method, appears.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from spectral_ssl.ground.config import check_ranges, within
from spectral_ssl.ground.errors import UserError, unknown_name

Kind = Literal["psychophysical", "turing", "realism"]
KINDS: tuple[Kind, ...] = get_args(Kind)
REAL, SPOILT = "real", "spoilt"
MOST_METHODS = {"psychophysical": 4, "turing": 8, "realism": 8}  # four images still fit next to each other on a phone
SHOWN_FOR = {"psychophysical": 5.0, "turing": 1.0, "realism": 1.0}  # seconds, as in the papers


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """Settings of a study.

    Attributes
    ----------
    kind : {"psychophysical", "turing", "realism"}
        "psychophysical": the predictions of all methods for one input; participants pick the most
        realistic one. "turing": a real image next to a prediction; they pick the real one.
        "realism": one image; they say whether it is real or fake.
    trials : int
        Number of trials for each participant, without attention checks.
    checks : int
        Number of attention checks among them: an image with shuffled pixels, which every attentive
        person recognises.
    exposure : float
        Seconds for which the images are shown.
    seed : int
        Seed of everything random: rows and schedules.
    """

    kind: Kind = "turing"
    trials: int = field(default=60, metadata=within(1, 10_000))
    checks: int = field(default=6, metadata=within(0, 1000))
    exposure: float = field(default=1.0, metadata=within(0.03, 60.0))
    seed: int = field(default=0, metadata=within(0, 2**63 - 1))

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown_name("kind of study", str(self.kind), KINDS)
        check_ranges(self, "study")


@dataclass(frozen=True)
class Trial:
    """One trial of one participant.

    Attributes
    ----------
    row : int
        Index in the study's list of rows, or in its list of rows for checks.
    shown : tuple of str
        The sources of the images from left to right: "real", "spoilt", or the index of a method as
        text.
    check : bool
        Whether the trial is an attention check.
    """

    row: int
    shown: tuple[str, ...]
    check: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the trial as a dict that is ready for JSON."""
        return {"row": self.row, "shown": list(self.shown), "check": self.check}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Trial":
        """Make a trial from the output of ``to_json``."""
        return Trial(int(value["row"]), tuple(value["shown"]), bool(value["check"]))


def check_methods(kind: Kind, methods: int) -> None:
    """Raise a UserError unless a study of this kind can compare that many methods."""
    least = 2 if kind == "psychophysical" else 1
    if not least <= methods <= MOST_METHODS[kind]:
        what_to_do = f"give --from {least} to {MOST_METHODS[kind]} times"
        raise UserError(f"number of runs for a study of kind {kind}", methods, what_to_do)


def schedule(config: StudyConfig, methods: int, participant: int) -> list[Trial]:
    """Make the trials of a participant in the order in which they are shown.

    Parameters
    ----------
    config : StudyConfig
        Settings of the study.
    methods : int
        Number of methods to compare.
    participant : int
        Number of the participant, from 0 in the order of joining. The schedule depends on it and
        the settings only.

    Returns
    -------
    list of Trial
        ``config.trials`` trials and ``config.checks`` checks.
    """
    check_methods(config.kind, methods)
    generator = np.random.default_rng([config.seed, 1, participant])
    build = {"psychophysical": _side_by_side, "turing": _pairs, "realism": _single}[config.kind]
    trials = [*build(config.trials, methods, participant, generator), *_checks(config, methods, generator)]
    return [trials[index] for index in generator.permutation(len(trials))]


def _side_by_side(count: int, methods: int, participant: int, generator: np.random.Generator) -> list[Trial]:
    orders = _balanced_orders(count, methods, generator)
    return [Trial(row, tuple(str(method) for method in order)) for row, order in enumerate(orders)]


def _pairs(count: int, methods: int, participant: int, generator: np.random.Generator) -> list[Trial]:
    assigned = [(row + participant) % methods for row in range(count)]
    first = int(generator.integers(2))
    trials = []
    # in the order of the methods the sides alternate: this balances them for each method too
    for number, row in enumerate(sorted(range(count), key=lambda row: (assigned[row], row))):
        pair = (REAL, str(assigned[row]))
        trials.append(Trial(row, pair if (number + first) % 2 else pair[::-1]))
    return trials


def _single(count: int, methods: int, participant: int, generator: np.random.Generator) -> list[Trial]:
    # every other slot is the real image, so that half of the shown images are real
    slots = [source for method in range(methods) for source in (REAL, str(method))]
    return [Trial(row, (slots[(row + participant) % len(slots)],)) for row in range(count)]


def _checks(config: StudyConfig, methods: int, generator: np.random.Generator) -> list[Trial]:
    if config.kind == "realism":
        return [Trial(row, (SPOILT,), check=True) for row in range(config.checks)]
    width = methods if config.kind == "psychophysical" else 2
    orders = _balanced_orders(config.checks, width, generator)
    return [
        Trial(row, tuple(REAL if number == 0 else SPOILT for number in order), check=True)
        for row, order in enumerate(orders)
    ]


def _balanced_orders(count: int, width: int, generator: np.random.Generator) -> list[list[int]]:
    """Draw orders of ``range(width)`` with each number in each position equally often (to within one)."""
    orders: list[list[int]] = []
    while len(orders) < count:
        base = generator.permutation(width).tolist()
        orders += [base[shift:] + base[:shift] for shift in range(width)]
    return [orders[index] for index in generator.permutation(count)]
