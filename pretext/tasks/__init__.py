"""Pretext tasks: each takes clean maps and gives what the network sees, what it shall give, and where that counts.

To add one: a file here with a frozen config dataclass and a function like ``denoise``, a line in ``TASKS``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pretext.tasks.denoise import DenoiseConfig, denoise
from spectral_ssl.ground.errors import unknown_name


@dataclass(frozen=True)
class TaskEntry:
    """A task, its config type and one line about it."""

    config: type
    apply: Callable[..., Any]
    description: str


TASKS: dict[str, TaskEntry] = {
    "denoise": TaskEntry(DenoiseConfig, denoise, "a block of the map is hidden or noised; recover the map"),
}


def find_task(name: str) -> TaskEntry:
    """The task of that name.

    Raises
    ------
    UserError
        When there is none.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]
