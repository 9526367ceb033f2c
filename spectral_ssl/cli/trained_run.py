"""The commands that use a trained run: complete, evaluate, probe, export and report."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from spectral_ssl.cli.options import EncoderOption, JsonOption, QuietOption, RunOption, WorkspaceOption, load_verb
from spectral_ssl.cli.tables import print_probe, print_scores
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.terminal import process_rank, show
from spectral_ssl.planning.run_options import CompleteOptions, EvaluateOptions, ExportOptions, ProbeOptions


def complete(
    options: CompleteOptions,
    file: Annotated[Path | None, typer.Argument(help="An image, or a scan: a mesh or a cloud.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Complete corrupted maps, or a file of yours, several times each."""
    if file is not None:
        if options.like is not None:
            raise UserError("two samples", f"{file} and --like {options.like}", "give one of them")
        options = replace(options, like=file)
    written = load_verb("complete")(**vars(options))
    # the surfaces of shapes first, which a person reads; their coefficients are for the experienced
    figures = [written.with_name(f"{written.stem}{ending}.png") for ending in ("-shapes", "", "-moments", "-path")]
    show(f"{written} and {', '.join(str(figure) for figure in figures if figure.exists())}")


def evaluate(options: EvaluateOptions, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Evaluate a run's predictions for corrupted maps. Other runs can be evaluated on the same inputs."""
    result = load_verb("evaluate")(**vars(options))
    if process_rank() != 0:
        return
    if as_json:
        print(Path(result["path"]).read_text(encoding="utf-8"), end="")
        return
    print_scores(result)
    show(f"written to {result['path']}")


def probe(options: ProbeOptions, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Probe the features of a run or an encoder. The table compares them with baselines that need no training."""
    result = load_verb("probe")(**vars(options))
    if process_rank() != 0:
        return
    if as_json:
        print(Path(result["path"]).read_text(encoding="utf-8"), end="")
        return
    print_probe(result)
    show(f"written to {result['path']}")


def export(options: ExportOptions, quiet: QuietOption = False) -> None:
    """Write features, or the encoder, to a file."""
    show(load_verb("export")(**vars(options)))


def report(
    runs: Annotated[list[Path] | None, typer.Argument(help="With --compare: the run folders.")] = None,
    run: RunOption = None,
    encoder: EncoderOption = None,
    data: Annotated[Path | None, typer.Option(help="Map file or folder of files to show [the run's data].")] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Compare several runs side by side.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="HTML file to write [RUN/report.html, RUN/comparison.html of the first].")
    ] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="First probe runs that were not probed since their last step.")
    ] = False,
    open_it: Annotated[bool, typer.Option("--open/--no-open", help="Open the report in the browser.")] = False,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Write everything about a run or an encoder into one HTML file."""
    if runs and not compare:
        one = runs[0]
        do = f"write --run {shlex.quote(str(one))} for one run, or --compare RUN RUN for several"
        raise UserError("run folders without --compare", " ".join(map(str, runs)), do)
    if compare and not runs:
        raise UserError("--compare without run folders", "none", "write --compare RUN RUN")
    path = load_verb("report")(
        run, encoder=encoder, data=data, compare=runs or (), out=out, probe=probe, open_it=open_it, workspace=workspace
    )
    show(path)
