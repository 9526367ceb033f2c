"""Text from files, such as names of objects, made fit for a screen: one line, and nothing that commands a terminal."""

import os


def printable(text: object) -> str:
    """A text on one line, with escapes in place of what cannot be seen.

    Parameters
    ----------
    text : object
        Anything; ``str`` is taken of it.

    Returns
    -------
    str
        Ends of lines and tabs are spaces; control characters, marks that turn the direction of writing, and halves of
        characters (of file names that are no UTF-8) are written as backslash, x or u, and their number.
    """
    line = str(text)
    if line.isprintable():
        return line
    return "".join(
        sign
        if sign.isprintable()
        else " "
        if sign.isspace()
        else sign.encode("unicode_escape", "surrogatepass").decode("ascii")
        for sign in line
    )


def one_line(text: object) -> str:
    """As ``printable``, with a single space wherever there are several."""
    return " ".join(printable(text).split())


def show(line: object) -> None:
    """Print one line of results, on stdout; of several processes the first speaks."""
    if process_place() == 0:
        print(printable(line))


def process_place() -> int:
    """The process's place among those of the run, 0 where it is alone."""
    return int(os.environ.get("RANK", "0")) if process_count() > 1 else 0


def process_count() -> int:
    """How many processes work on the run."""
    count = os.environ.get("WORLD_SIZE", "1")
    return int(count) if count.isdigit() and "RANK" in os.environ else 1


def restarts() -> int:
    """How often the launcher has started the processes again after one of them had died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
