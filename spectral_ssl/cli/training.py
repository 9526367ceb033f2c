"""The commands that train a run and report on it: pretrain, report and demo."""

import json
from pathlib import Path
from typing import Annotated

import typer

import spectral_ssl
from spectral_ssl.cli.options import DryRunOption, JsonOption, QuietOption, RunOption, WorkspaceOption
from spectral_ssl.cli.tables import print_pretrain_estimate, print_probe
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.terminal import process_rank, show
from spectral_ssl.planning.pretrain_options import PretrainOptions


def pretrain(
    options: PretrainOptions,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a pretext task on a map file."""
    if dry_run:
        estimate = spectral_ssl.estimate_pretrain(**vars(options))
        print(json.dumps(estimate, indent=1)) if as_json else print_pretrain_estimate(estimate)
        return
    run = spectral_ssl.pretrain(**vars(options))
    if as_json and process_rank() == 0:
        print(json.dumps(spectral_ssl.show_run(run.folder, workspace=options.workspace), indent=1))
    elif not as_json:
        show(f"{run.folder}: trained to epoch {run.checkpoint['place']['epoch']}, images in {run.folder / 'samples'}")


def report(
    runs: Annotated[list[Path] | None, typer.Argument(help="With --compare: the run folders.")] = None,
    run: RunOption = None,
    compare: Annotated[bool, typer.Option("--compare", help="Lay several runs side by side.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="HTML file to write [RUN/report.html, RUN/comparison.html of the first].")
    ] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Probe first what was not probed since its last step.")
    ] = False,
    open_it: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = False,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Write all there is to see of a run into one HTML file."""
    if compare != bool(runs):
        raise UserError(
            "--compare and run folders go together", f"{len(runs or ())} folders", "write --compare RUN RUN"
        )
    path = spectral_ssl.report(run, compare=runs or (), out=out, probe=probe, open_it=open_it, workspace=workspace)
    show(path)


def demo(
    max_minutes: Annotated[float, typer.Option(help="Most time for the training.")] = 1.5,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Run everything once on the built-in data."""
    result = spectral_ssl.demo(workspace=workspace, max_minutes=max_minutes)
    if as_json:
        print(Path(result["path"]).read_text(encoding="utf-8"), end="")
        return
    print_probe(result)
    for what, path in result["paths"].items():
        show(f"{what:9} {path}")
