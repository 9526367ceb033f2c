"""Errors that are not bugs: mistakes of the user, interruptions, and objects that cannot be used."""

from collections.abc import Iterable
from difflib import get_close_matches

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


class ObjectError(Exception):
    """One object of many cannot be used: it becomes a row of ``/failures`` with this reason, and work continues."""

    def __str__(self) -> str:
        return one_line(super().__str__())


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
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UserError(f"unknown {kind}", repr(name), f"{hint}choose one of: {', '.join(names)}")
