"""The kinds of error that are not bugs."""

from collections.abc import Iterable
from difflib import get_close_matches

from spectral_ssl.ground.terminal import one_line


class UserError(Exception):
    """A mistake the user can mend: the command line prints it as one line and exits with status 2.

    Parameters
    ----------
    what : str
        What was wrong, e.g. ``"unknown dataset"``.
    got : object
        What was found instead.
    do : str
        What to do about it.
    """

    def __init__(self, what: str, got: object, do: str) -> None:
        self.what, self.got, self.do = what, got, do
        super().__init__(what, got, do)

    def __str__(self) -> str:
        return one_line(f"{self.what}: got {self.got}; {self.do}")  # one line, whatever the parts hold


class NoRawData(UserError):
    """A data set is not where it was looked for: who can fetch it, or knows another place, goes on from here."""


class SaidByAnother(UserError):
    """A mistake that the first of several processes says: this one ends with the same exit status and says nothing."""


class Stopped(Exception):
    """Ctrl-C or SIGTERM came and everything is saved: the message is one line on how to go on.

    Parameters
    ----------
    line : str
        That line.
    status : int
        The exit status: 130 after Ctrl-C, 143 after SIGTERM.
    """

    def __init__(self, line: str, status: int = 130) -> None:
        super().__init__(line)
        self.status = status


class ObjectError(Exception):
    """One object of many cannot be used. It becomes a row of ``/failures`` with this reason; the rest goes on."""

    def __str__(self) -> str:
        return one_line(super().__str__())


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not in a list, naming the nearest one that is.

    Parameters
    ----------
    kind : str
        What the name stands for, e.g. ``"dataset"``.
    name : str
        The name given.
    known : iterable of str
        The names there are.

    Returns
    -------
    UserError
        To be raised by the caller.
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UserError(f"unknown {kind}", repr(name), f"{hint}choose one of: {', '.join(names)}")
