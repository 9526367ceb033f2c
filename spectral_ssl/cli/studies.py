"""``spectral-ssl study``: the options of its three commands, and their results on the screen."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

import spectral_ssl
from spectral_ssl.cli.options import JsonOption, QuietOption, WorkspaceOption
from spectral_ssl.ground.terminal import show

study_app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Ask people how real a run's answers look. A page to click through.",
)

FolderArgument = Annotated[Path | None, typer.Argument(help="Folder of the study [the newest].")]


@study_app.command()
def create(
    kind: Annotated[
        Literal["psychophysical", "turing", "realism"],
        typer.Option(help="Pick the most realistic of several; pick the real one of two; real or made?"),
    ] = "turing",
    runs: Annotated[
        list[Path] | None, typer.Option("--from", help="Run whose answers are shown; repeatable [the latest].")
    ] = None,
    real: Annotated[Path | None, typer.Option(help="Map file of the real images [the first run's].")] = None,
    trials: Annotated[int, typer.Option(help="Trials of each participant, checks not counted.")] = 60,
    checks: Annotated[int | None, typer.Option(help="Attention checks [one for ten trials, at least 6].")] = None,
    exposure: Annotated[float | None, typer.Option(help="Seconds images are seen [5, 1, 1 by kind].")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value over the task's settings, e.g. share=0.25; repeatable."),
    ] = None,
    consent: Annotated[Path | None, typer.Option(help="Text file of what participants agree to [ours].")] = None,
    seed: Annotated[int, typer.Option(help="Seed of rows, answers and schedules.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder to make [WS/studies/DATE-KIND].")] = None,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Sample real and generated images into a study folder."""
    study = spectral_ssl.create_study(
        runs or (), kind=kind, real=real, trials=trials, checks=checks, exposure=exposure, settings=settings or (),
        consent=consent, seed=seed, out=out, workspace=workspace,
    )  # fmt: skip
    names = ", ".join(method.name for method in study.methods)
    show(f"{study.folder}: {kind} study of {names}, {study.config.trials} trials and {study.config.checks} checks")
    if study.about["left_out"]:
        show(f"{len(study.about['left_out'])} rows left out: an answer to them cannot be drawn")


@study_app.command()
def serve(
    study: FolderArgument = None,
    address: Annotated[
        str, typer.Option(help="IP address of this machine; others than 127.0.0.1 open it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 for any that is free.")] = 8765,
    most: Annotated[int, typer.Option(help="Participants that may join.")] = 1000,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show a study to people and take their answers, until Ctrl-C."""
    spectral_ssl.serve_study(study, address=address, port=port, most=most, workspace=workspace)


@study_app.command()
def results(
    study: FolderArgument = None,
    note: Annotated[str, typer.Option(help="A line on picture and page, e.g. who took part.")] = "",
    into_runs: Annotated[
        bool, typer.Option("--into-runs", help="Put numbers and picture into the folders of the runs too.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Rates and scores so far. With intervals; who is left out, and why."""
    found = spectral_ssl.study_results(study, note=note, into_runs=into_runs, workspace=workspace)
    if as_json:
        print(Path(found["path"]).read_text(encoding="utf-8"), end="")
        return
    _print_results(found)
    show(f"written to {found['path']}")


def _print_results(found: dict[str, Any]) -> None:
    from downstream.study.results_page import COLUMNS, format_estimate

    show(
        f"{found['kind']} study of {found['data']}: {found['participants']} participants, {found['answers']} answers, "
        f"{found['answers_that_count']} count; 95 % intervals over participants"
    )
    for row in found["scores"]:
        show(f"  {row['method']}")
        for name, title in COLUMNS.items():
            if name in row:
                show(f"    {title:26} {format_estimate(row[name])}")
    alpha = found["agreement"]["krippendorff_alpha"]
    show(
        f"  guessing: {found['scores'][0]['chance']:.3f}; agreement (alpha): {'-' if alpha is None else f'{alpha:.3f}'}"
    )
    for each in found["excluded"]:
        show(f"  participant {each['participant']} left out: {'; '.join(each['reasons'])}")
    for mark, count in found["answers_left_out"].items():
        show(f"  {count} answers left out: {mark}")
