"""Looking through a pickle without running it, before a restricted reader is let loose on it.

Restricted readers build only what they know, yet a pickle of a few bytes can still make them take all memory (a memo
number of two thousand million), end the process (a million tuples inside each other, used as a key) or keep it busy for
ever (tuples that hold the one before twice). What is allowed here is what files of arrays and tensors consist of.
"""

import pickletools  # nosec B403  # it takes pickles apart and runs nothing
from collections.abc import Collection
from typing import IO, Any

# A tuple counts as one and the tuples in it: those of tensors (shape, strides, what they are made of) have about 30.
LARGEST_TUPLE = 1000
MOST_OPERATIONS = 20_000_000

Names = Collection[tuple[str, str]]


def check_pickle(stream: IO[bytes], size: int, admitted: Names | None = None) -> None:
    """Go through one pickle.

    Parameters
    ----------
    stream : file
        At the pickle's beginning; afterwards at its end.
    size : int
        Bytes of the whole file: no number of memo can be larger.
    admitted : collection of (module, name), optional
        What the pickle may name; by default the reader sees to that.

    Raises
    ------
    ValueError
        When it names anything else, is damaged, or is made to do harm.
    """
    memo: dict[int, int] = {}
    stack: list[int | None] = []  # the size of each value, None for a mark
    try:
        argument: Any
        for number, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if number > MOST_OPERATIONS:
                raise ValueError(f"more than {MOST_OPERATIONS} operations")
            name = opcode.name
            if name in ("GLOBAL", "INST") and admitted is not None:
                module, _, of_module = str(argument).partition(" ")
                if (module, of_module) not in admitted:
                    raise ValueError(f"{module}.{of_module} has no place in it")
            if name in ("PERSID", "EXT1", "EXT2", "EXT4", "INST", "OBJ", "NEXT_BUFFER", "READONLY_BUFFER"):
                raise ValueError(f"the operation {name} has no place in it")
            if name in ("PUT", "BINPUT", "LONG_BINPUT"):
                if not 0 <= argument <= size:
                    raise ValueError(f"a value kept as number {argument}")
                memo[argument] = stack[-1] or 0
            elif name == "MEMOIZE":
                memo[len(memo)] = stack[-1] or 0
            elif name in ("GET", "BINGET", "LONG_BINGET"):
                stack.append(memo[argument])
            elif name == "DUP":
                stack.append(stack[-1])
            elif name in ("POP", "POP_MARK"):
                _take(stack, name == "POP_MARK" or stack[-1] is None, 1 if name == "POP" else 0)
            else:
                _step(stack, opcode)
    except (IndexError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a damaged pickle: {type(error).__name__} {error}") from error


def _step(stack: list[int | None], opcode: pickletools.OpcodeInfo) -> None:
    """What any other operation takes from the stack and leaves there, by the table of the standard library."""
    before, after = opcode.stack_before, opcode.stack_after
    marked = pickletools.markobject in before
    single = before.index(pickletools.markobject) if marked else len(before)
    taken = _take(stack, marked, single)
    if pickletools.markobject in after:
        stack.append(None)
        return
    size = 1 + sum(taken) if opcode.name.startswith(("TUPLE", "FROZENSET")) else 1
    if size > LARGEST_TUPLE:
        raise ValueError(f"tuples inside tuples, more than {LARGEST_TUPLE}")
    stack.extend([size] * len(after))


def _take(stack: list[int | None], marked: bool, count: int) -> list[int]:
    """Take all down to the last mark, and then ``count`` values."""
    taken: list[int] = []
    while marked:
        value = stack.pop()
        if value is None:
            break
        taken.append(value)
    for _ in range(count):
        taken.append(stack.pop() or 0)
    return taken
