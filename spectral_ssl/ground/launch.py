"""Whether this is one of several processes that a launcher (``torchrun``) started for one run, as the launcher says.

Only the first of them writes files and speaks to the user.
"""

import os


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
