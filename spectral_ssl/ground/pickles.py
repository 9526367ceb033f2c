"""A check of a pickle that does not run it, made before a restricted reader loads it.

Restricted readers build known types only. A pickle of a few bytes can still harm them. It can take
all memory (a memo number of two thousand million) or crash the process (a million nested tuples,
used as a key). It can also keep the process busy for ever (tuples that hold the one before twice).
The check allows what files of arrays and tensors need.
"""

import pickletools  # nosec B403  # it parses pickles and runs nothing
from collections.abc import Collection
from typing import IO, Any

# The size of a tuple is 1 plus the sizes of the tuples in it.
# Tuples of tensors (shape, strides, storage) reach about 30.
LARGEST_TUPLE = 1000
MOST_OPERATIONS = 20_000_000

Names = Collection[tuple[str, str]]
# The operations that call a value or make an object of it, with its place on the stack.
CALLS = {"REDUCE": -2, "NEWOBJ": -2, "NEWOBJ_EX": -3}


class _NamedValue(int):
    """The size of a value, 0, that is also the value of a name; ``pair`` is the name."""

    pair: tuple[str, str]


def check_pickle(stream: IO[bytes], size: int, admitted: Names | None = None, uncalled: Names = ()) -> None:
    """Check one pickle operation by operation, without running it.

    Parameters
    ----------
    stream : file
        Open file at the first byte of the pickle; afterwards it is at the end of the pickle.
    size : int
        Bytes of the whole file: no memo number can be larger.
    admitted : collection of (module, name), optional
        Names that the pickle may hold; by default all, because the reader checks them.
    uncalled : collection of (module, name), optional
        Names that it may hold and not call. A storage that is called takes as much memory as its
        argument says.

    Raises
    ------
    ValueError
        If it holds any other name, is damaged, or would harm its reader.
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
                    raise ValueError(f"{module}.{of_module} is not allowed in it")
            if name in ("PERSID", "EXT1", "EXT2", "EXT4", "INST", "OBJ", "NEXT_BUFFER", "READONLY_BUFFER"):
                raise ValueError(f"the operation {name} is not allowed in it")
            called = stack[CALLS[name]] if name in CALLS else None
            if isinstance(called, _NamedValue) and called.pair in uncalled:
                raise ValueError(f"a call of {'.'.join(called.pair)} is not allowed in it")
            if name in ("PUT", "BINPUT", "LONG_BINPUT"):
                if not 0 <= argument <= size:
                    raise ValueError(f"a value with the memo number {argument}")
                memo[argument] = _get_size(stack[-1])
            elif name == "MEMOIZE":
                memo[len(memo)] = _get_size(stack[-1])
            elif name in ("GET", "BINGET", "LONG_BINGET"):
                stack.append(memo[argument])
            elif name == "DUP":
                stack.append(stack[-1])
            elif name in ("POP", "POP_MARK"):
                _pop(stack, name == "POP_MARK" or stack[-1] is None, 1 if name == "POP" else 0)
            else:
                _apply(stack, opcode)
            if name == "GLOBAL":
                module, _, of_module = str(argument).partition(" ")
                named = _NamedValue(0)
                named.pair = (module, of_module)
                stack[-1] = named
    except (IndexError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a damaged pickle: {type(error).__name__} {error}") from error


def _get_size(value: int | None) -> int:
    """Return the size of a value, which keeps its name if it has one, or 0 for a mark."""
    return 0 if value is None else value


def _apply(stack: list[int | None], opcode: pickletools.OpcodeInfo) -> None:
    """Apply any other operation to the stack, by the table of the standard library."""
    before, after = opcode.stack_before, opcode.stack_after
    marked = pickletools.markobject in before
    single = before.index(pickletools.markobject) if marked else len(before)
    popped = _pop(stack, marked, single)
    if pickletools.markobject in after:
        stack.append(None)
        return
    size = 1 + sum(popped) if opcode.name.startswith(("TUPLE", "FROZENSET")) else 1
    if size > LARGEST_TUPLE:
        raise ValueError(f"more than {LARGEST_TUPLE} nested tuples")
    stack.extend([size] * len(after))


def _pop(stack: list[int | None], marked: bool, count: int) -> list[int]:
    """Pop all values down to the last mark if ``marked``, and then ``count`` values."""
    popped: list[int] = []
    while marked:
        value = stack.pop()
        if value is None:
            break
        popped.append(value)
    for _ in range(count):
        popped.append(stack.pop() or 0)
    return popped
