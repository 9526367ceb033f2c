"""The commands about human studies: study create, serve, results."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

import spectral_ssl
from spectral_ssl.cli.options import JsonOption, QuietOption, WorkspaceOption, load_verb
from spectral_ssl.ground.terminal import show

study_app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Ask people how real a run's samples look. They use a page in the browser.",
)

FolderArgument = Annotated[Path | None, typer.Argument(help="Folder of the study [the newest].")]


@study_app.command()
def create(
    kind: Annotated[
        Literal["psychophysical", "turing", "realism"],
        typer.Option(help="Pick the most realistic of several; pick the real one of two; real or made?"),
    ] = "turing",
    runs: Annotated[
        list[Path] | None, typer.Option("--from", help="Run whose samples are shown; repeatable [the latest].")
    ] = None,
    real: Annotated[Path | None, typer.Option(help="Map file of the real images [the first run's].")] = None,
    trials: Annotated[int, typer.Option(help="Trials of each participant, without the checks.")] = 60,
    checks: Annotated[int | None, typer.Option(help="Attention checks [one for ten trials, at least 6].")] = None,
    exposure: Annotated[
        float | None, typer.Option(help="Seconds for which images are visible [5, 1, 1 by kind].")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value over the task's settings, e.g. share=0.25; repeatable."),
    ] = None,
    consent: Annotated[
        Path | None, typer.Option(help="Text file of what participants agree to [a built-in text].")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of rows, samples and schedules.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder to make [WS/studies/DATE-KIND].")] = None,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Collect real and generated images in a study folder."""
    study = load_verb("create_study")(
        runs or (), kind=kind, real=real, trials=trials, checks=checks, exposure=exposure, settings=settings or (),
        consent=consent, seed=seed, out=out, workspace=workspace,
    )  # fmt: skip
    names = ", ".join(method.name for method in study.methods)
    show(f"{study.folder}: {kind} study of {names}, {study.config.trials} trials and {study.config.checks} checks")
    if study.about["left_out"]:
        show(f"{len(study.about['left_out'])} rows left out: their samples cannot be drawn")


@study_app.command()
def serve(
    study: FolderArgument = None,
    address: Annotated[
        str, typer.Option(help="IP address of this machine to listen on; all but 127.0.0.1 open the page to others.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for any free one.")] = 8765,
    most: Annotated[int, typer.Option(help="Largest number of participants.")] = 1000,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Serve a study to participants until Ctrl-C."""
    spectral_ssl.serve_study(study, address=address, port=port, most=most, workspace=workspace)


@study_app.command()
def results(
    study: FolderArgument = None,
    note: Annotated[str, typer.Option(help="A line for the figure and the page, e.g. who took part.")] = "",
    into_runs: Annotated[
        bool, typer.Option("--into-runs", help="Copy numbers and figure into the folders of the runs too.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Compute rates and scores so far, with intervals. Tells who is left out, and why."""
    result = load_verb("study_results")(study, note=note, into_runs=into_runs, workspace=workspace)
    if as_json:
        print(Path(result["path"]).read_text(encoding="utf-8"), end="")
        return
    _print_results(result)
    show(f"written to {result['path']}")


def _print_results(result: dict[str, Any]) -> None:
    """Print what `study_results` returns."""
    from downstream.study.results_page import COLUMNS, format_estimate

    show(
        f"{result['kind']} study of {result['data']}: {result['participants']} participants, "
        f"{result['answers']} answers, {result['answers_that_count']} count; 95 % intervals over participants"
    )
    for row in result["scores"]:
        show(f"  {row['method']}")
        for name, title in COLUMNS.items():
            if name in row:
                show(f"    {title:26} {format_estimate(row[name])}")
    alpha = result["agreement"]["krippendorff_alpha"]
    agreement = "-" if alpha is None else f"{alpha:.3f}"
    show(f"  guessing: {result['scores'][0]['chance']:.3f}; agreement (alpha): {agreement}")
    for each in result["excluded"]:
        show(f"  participant {each['participant']} left out: {'; '.join(each['reasons'])}")
    for mark, count in result["answers_left_out"].items():
        show(f"  {count} answers left out: {mark}")
