"""Run folders: making and describing them, finding interrupted runs and a run's data.

=================  =============================================================
config.toml        the resolved config: run, train, method and task sections
environment.json   machine, versions, commit, command
metrics.jsonl      one row an epoch, more with train.log_every
checkpoints/       last.pt and previous.pt
samples/           images
status.json        how far it is
lock               held by the process that trains here
report.html        the report, by ``downstream.report``
=================  =============================================================
"""

import json
import shlex
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from data_prep.maps.reader import MapFile, open_maps
from pretext.runs.plan import Plan
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import write_text
from spectral_ssl.ground.provenance import environment
from spectral_ssl.ground.run_folder import lock_run

FOLDER_EXISTS = "output exists already"
PREPARED_AGAIN = "the map file was prepared again since this run"


def describe_run(folder: Path, plan: Plan) -> None:
    """Write the resolved config and the environment of a run, replacing earlier ones."""
    write_text(folder / "config.toml", plan.to_toml())
    write_text(folder / "environment.json", json.dumps(environment(), indent=1) + "\n")


def make_run_folder(folder: Path, plan: Plan, locks: ExitStack) -> None:
    """Make a run folder with its config and environment, and lock it before it can be taken for a run.

    Parameters
    ----------
    folder : Path
        The folder, which must not exist.
    plan : Plan
        What will be trained.
    locks : ExitStack
        Holds the lock of the folder until it is closed.

    Raises
    ------
    UserError
        If the folder exists already or cannot be made.
    """
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise UserError(FOLDER_EXISTS, str(folder), "choose another --out") from error
    except OSError as error:
        raise UserError(
            "cannot write there", f"{folder} ({error.strerror})", "choose another --out or --workspace"
        ) from error
    try:
        (folder / "checkpoints").mkdir()
        (folder / "samples").mkdir()
        locks.enter_context(lock_run(folder))
        describe_run(folder, plan)
    except BaseException:  # e.g. a full disk: the same command must not find its own remains
        shutil.rmtree(folder, ignore_errors=True)
        raise


def read_plan(folder: Path) -> Plan:
    """Read the plan of a run that has no checkpoint yet from its ``config.toml``.

    Raises
    ------
    UserError
        If the file is missing or not what was written.
    """
    path = folder / "config.toml"
    try:
        return Plan.from_toml(path.read_text(encoding="utf-8"))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError("unreadable run", f"{path} ({error})", "train again in another folder") from error


def refuse_existing_run(folder: Path, runs: Path) -> None:
    """Raise a UserError if the path of a new run exists; it says what can be done with what is there.

    ``runs`` is the folder of the workspace whose runs ``runs rm`` removes.
    """
    if not folder.exists():
        return
    do = "choose another --out"
    if (folder / "config.toml").is_file():
        name = shlex.quote(str(folder))
        do += f", or continue that run: --resume {name}"
        if folder.resolve().parent == runs.resolve():
            do += f", or remove it: `spectral-ssl runs rm {name}`"
    raise UserError(FOLDER_EXISTS, str(folder), do)


def find_interrupted_run(plan: Plan, folders: Sequence[Path]) -> Path | None:
    """Find the first folder in which a run of this very plan was in progress when its processes died.

    A run that was interrupted by the user or by its time limit has stopped, and does not count.
    """
    for folder in folders:
        try:
            is_same = Plan.from_toml((folder / "config.toml").read_text(encoding="utf-8")) == plan
            state = json.loads((folder / "status.json").read_text(encoding="utf-8"))["state"]
            if is_same and state in ("running", "failed", "killed"):
                return folder
        except (OSError, ValueError, KeyError, TypeError, RecursionError, UserError):
            continue
    return None


def find_run_data(data: Path | str | MapFile | None, plan: Plan, option: str = "--data") -> MapFile:
    """Open the map file ``data``, or by default the one the run was trained on.

    Parameters
    ----------
    data : path or MapFile, optional
        The map file.
    plan : Plan
        The plan of the run.
    option : str
        The option with which the user names the map file, for the message.

    Raises
    ------
    UserError
        If the file is gone, or if the run's own file has changed since.
    """
    if isinstance(data, MapFile):
        return data
    if data is not None:
        return open_maps(data)
    if not plan.data:
        raise UserError("an encoder comes without the maps it was trained on", "no map file", f"name one with {option}")
    maps = open_maps(plan.data)
    if maps.digest != plan.data_digest:
        do = f"train anew, or name it with {option} {shlex.quote(plan.data)} to use it all the same"
        raise UserError(PREPARED_AGAIN, f"{plan.data}, whose old maps are gone", do)
    return maps
