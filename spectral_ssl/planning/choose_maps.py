"""Choose the map file of a workspace that ``pretrain`` takes if the user names none, and say which.

The rule:

1. Files with fewer than a tenth of the training maps of the largest file are never taken, e.g. the
   file of a single object that was prepared for a query. The file of ``demo`` and those of the
   universe are taken only if there is no other.
2. If the files left are of one data set, e.g. with two bases, the newest is taken.
3. Otherwise there is no main set. The user is asked to name the file.
"""

from data_prep.maps.reader import MapFile, open_maps
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.new_run.universe import holds_universe

SMALL = 0.1  # share of the largest file's training maps
DEMO = "demo.h5"
LISTED = 5


def choose_maps(workspace: Workspace) -> MapFile | None:
    """Choose the main map file of a workspace; one line says which file it is and why.

    Parameters
    ----------
    workspace : Workspace
        The workspace.

    Returns
    -------
    MapFile or None
        The map file; None if the workspace has none.

    Raises
    ------
    UserError
        If files of several data sets could be meant, or none can be read.
    """
    opened = _open_all(workspace)
    if not opened:
        return None
    others = [maps for maps in opened if maps.path.name != DEMO and not holds_universe(maps)] or opened
    largest = max(_count(maps) for maps in others)
    main = [maps for maps in others if _count(maps) >= SMALL * largest]
    if len({_name_set(maps) for maps in main}) > 1:
        listed = ", ".join(_describe(maps) for maps in main[:LISTED])
        more = f" and {len(main) - LISTED} more" if len(main) > LISTED else ""
        raise UserError("map files of several data sets", f"{listed}{more}", "name the one to train on: --data FILE")
    chosen = main[0]
    say(f"data: {_describe(chosen)}, {_explain(chosen, opened, main)}")
    return chosen


def _open_all(workspace: Workspace) -> list[MapFile]:
    """Open all map files of a workspace, the newest first; say which cannot be read."""
    opened, errors = [], []
    for path in workspace.map_files():
        try:
            opened.append(open_maps(path))
        except UserError as error:
            errors.append(error)
    if errors and not opened:
        raise errors[0]
    for problem in errors:
        say(f"left out: {problem}")
    return opened


def _explain(chosen: MapFile, opened: list[MapFile], main: list[MapFile]) -> str:
    """Write why this file was chosen, in a few words."""
    if len(opened) == 1:
        return "the only map file"
    if chosen is opened[0]:
        return f"the newest of {len(opened)} map files; --data names another"
    newest = opened[0]
    which = f"the newest of {len(main)} files of this data set" if len(main) > 1 else "the main data set"
    return f"{which}, not the newest file {_describe(newest)}; --data names another"


def _describe(maps: MapFile) -> str:
    count = _count(maps)
    return f"{maps.path} ({maps.source}, {count} training map{'s' * (count != 1)})"


def _count(maps: MapFile) -> int:
    return len(maps.rows("train"))


def _name_set(maps: MapFile) -> str:
    """Return the name of the data set, which both sides of paired images share."""
    return maps.source.partition(" side ")[0]
