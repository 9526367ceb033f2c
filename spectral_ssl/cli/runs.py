"""The commands about runs: runs list, show, compare, rm."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

import spectral_ssl
from spectral_ssl.cli.options import JsonOption, QuietOption, WorkspaceOption, complete_run
from spectral_ssl.cli.tables import print_comparison, print_run, print_runs
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.terminal import show
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.verbs.runs.show import tabulate_runs

runs_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="List, show, compare and remove runs.")

RunArgument = Annotated[
    Path | None, typer.Argument(help="Run folder, or its name [the latest].", autocompletion=complete_run)
]
RunsArgument = Annotated[list[Path], typer.Argument(help="Run folders, or their names.", autocompletion=complete_run)]


@runs_app.command("list")
def list_runs(as_json: JsonOption = False, quiet: QuietOption = False, workspace: WorkspaceOption = None) -> None:
    """List the runs of the workspace: training, progress, score."""
    runs = spectral_ssl.list_runs(workspace=workspace)
    if as_json:
        print(json.dumps(runs, indent=1))
        return
    folder = Workspace.find(workspace).root / "runs"
    if not runs:
        say(f"no run in {folder} yet: `spectral-ssl pretrain` makes one")
        return
    print_runs(f"runs in {folder}", tabulate_runs(workspace))


@runs_app.command("show")
def show_command(
    run: RunArgument = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Write the curves of the run for TensorBoard into this folder.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="With --tensorboard: follow the run until its training ends.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show a run: state, settings, last metrics, probes."""
    if follow:
        if tensorboard is None:
            raise UserError("--follow", "no --tensorboard", "give the folder: --tensorboard DIR")
        from spectral_ssl.verbs.runs.tensorboard import find_run_to_follow

        run = find_run_to_follow(run, Workspace.find(workspace))
    result = spectral_ssl.show_run(run, workspace=workspace)
    if as_json:
        print(json.dumps(result, indent=1))
    else:
        print_run(result)
    if tensorboard is not None:
        sys.stdout.flush()  # the lines above can be read while the run is followed
        written = tensorboard / result["name"]
        try:
            # by its folder: the latest run may be another one now
            spectral_ssl.to_tensorboard(result["folder"], tensorboard, follow=follow, workspace=workspace)
        except KeyboardInterrupt:
            if not follow:
                raise
            say(f"no longer following {result['name']}; its training continues")
        if not written.exists():  # Ctrl-C came before the first curve
            return
        say(f"curves in {written}; look at them with: tensorboard --logdir {tensorboard}")


@runs_app.command()
def compare(
    runs: RunsArgument, as_json: JsonOption = False, quiet: QuietOption = False, workspace: WorkspaceOption = None
) -> None:
    """Compare runs side by side: settings that differ, metrics, probes."""
    result = spectral_ssl.compare_runs(runs, workspace=workspace)
    if as_json:
        print(json.dumps(result, indent=1))
    else:
        print_comparison(result)


@runs_app.command("rm")
def remove(
    runs: RunsArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Remove runs of the workspace, after a prompt. Runs in training and folders elsewhere are refused."""
    from spectral_ssl.verbs.runs.remove import removable_run

    folders = [removable_run(run, workspace=workspace) for run in runs]  # checks all runs before it removes the first
    if not yes:
        for folder in folders:
            size = spectral_ssl.show_run(folder, workspace=workspace)["megabytes"]
            show(f"{folder} ({size:g} MB)")
        typer.confirm(f"Remove {len(folders)} run{'s' * (len(folders) > 1)} for good?", abort=True)
    for folder in dict.fromkeys(folders):
        show(f"removed {spectral_ssl.remove_run(folder, workspace=workspace)}")
