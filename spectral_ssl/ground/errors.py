"""Errors that are not bugs: mistakes of the user, interruptions, and objects that cannot be used."""

from collections.abc import Iterable
from difflib import SequenceMatcher

from spectral_ssl.ground.terminal import one_line


class UserError(Exception):
    """A mistake that the user can correct: the command line prints it as one line and exits with status 2.

    Parameters
    ----------
    what : str
        What is wrong, e.g. ``"unknown dataset"``.
    got : object
        The value that was found.
    do : str
        What the user can do about it.

    Examples
    --------
    >>> from spectral_ssl import UserError
    >>> print(UserError("unknown dataset", "'shape'", "did you mean 'shapes'?"))
    unknown dataset: got 'shape'; did you mean 'shapes'?
    """

    def __init__(self, what: str, got: object, do: str) -> None:
        self.what, self.got, self.do = what, got, do
        super().__init__(what, got, do)

    def __str__(self) -> str:
        return one_line(f"{self.what}: got {self.got}; {self.do}")  # the parts may hold line ends


class NoRawData(UserError):
    """The raw data of a data set is missing: a caller that can download it, or knows another folder, catches this."""


class ReportedElsewhere(UserError):
    """A mistake that another process reports: this one exits with the same status and prints nothing."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM arrived and everything is saved: the message is one line on how to resume.

    Parameters
    ----------
    line : str
        The message.
    status : int
        The exit status: 130 after Ctrl-C, 143 after SIGTERM.
    """

    def __init__(self, line: str, status: int = 130) -> None:
        super().__init__(line)
        self.status = status


# the reason of an object that does not fit into the memory of its process
TOO_LARGE = "needs too much memory; repeat with --overwrite and fewer --workers, or leave it out"


class ObjectError(Exception):
    """One object of many cannot be used: it becomes a row of ``/failures`` with this reason, and work continues."""

    def __str__(self) -> str:
        return one_line(super().__str__())


# Measured on pairs of names of this project: typing errors reach 0.66 and keep the first letter ("svn",
# "svm"), or reach 0.8. Other names reach 0.57 ("foo", "root"), or 0.67 with another letter first ("tpu", "cpu").
NEAR, VERY_NEAR = 0.65, 0.8
SHORTEST_PREFIX = 3


def find_near_name(name: str, known: Iterable[str]) -> str | None:
    """Find the known name that a mistyped name probably means.

    Parameters
    ----------
    name : str
        The unknown name.
    known : iterable of str
        The known names.

    Returns
    -------
    str or None
        The first path that ends with ``/name``, or else the most similar name, or else the first that
        begins with ``name``; None if none is near.

    Examples
    --------
    >>> find_near_name("modelnet", ["modelnet10", "digits"]), find_near_name("foo", ["root"])
    ('modelnet10', None)
    >>> find_near_name("1.off", ["set/v1/chair/1.off"])
    'set/v1/chair/1.off'
    """
    best, score = None, 0.0
    typed = name.lower()
    for each in known:
        if each.lower().endswith(f"/{typed}"):
            return each
        ratio = SequenceMatcher(None, typed, each.lower()).ratio()
        needed = NEAR if each[:1].lower() == typed[:1] else VERY_NEAR
        if ratio >= needed and ratio > score:
            best, score = each, ratio
    if best is None and len(typed) >= SHORTEST_PREFIX:
        best = next((each for each in known if each.lower().startswith(typed)), None)
    return best


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Make the error for a name that is not in a list; the error suggests the nearest name.

    Parameters
    ----------
    kind : str
        What the name stands for, e.g. ``"dataset"``.
    name : str
        The unknown name.
    known : iterable of str
        The known names.

    Returns
    -------
    UserError
        The error, for the caller to raise.
    """
    names = sorted(known)
    near = find_near_name(name, names)
    hint = f"did you mean {near!r}? " if near else ""
    return UserError(f"unknown {kind}", repr(name), f"{hint}choose one of: {', '.join(names)}")
