"""The commands about answers: complete and evaluate."""

from pathlib import Path
from typing import Annotated

import typer

import spectral_ssl
from spectral_ssl.cli.options import JsonOption, OverwriteOption, QuietOption, RunOption, WorkspaceOption
from spectral_ssl.cli.tables import print_scores
from spectral_ssl.ground.terminal import process_place, show


def complete(
    run: RunOption = None,
    data: Annotated[Path | None, typer.Option(help="Map file [the run's].")] = None,
    modes: Annotated[int, typer.Option(help="Answers for each map.")] = 4,
    count: Annotated[int, typer.Option(help="Maps answered.")] = 64,
    seed: Annotated[int, typer.Option(help="Seed of the corruption and the latents.")] = 0,
    like: Annotated[
        str | None, typer.Option(help="Only this one: an id of the data, or (task from-code) an image file.")
    ] = None,
    path: Annotated[bool, typer.Option("--path", help="Draw also how answers form while the latent moves.")] = False,
    out: Annotated[Path | None, typer.Option(help="HDF5 file to write [RUN/completions.h5].")] = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Answer corrupted maps several times each."""
    written = spectral_ssl.complete(
        run,
        data=data,
        modes=modes,
        count=count,
        seed=seed,
        like=like,
        out=out,
        path=path,
        overwrite=overwrite,
        workspace=workspace,
    )
    show(f"{written} and {written.with_suffix('.png')}")


def evaluate(
    run: RunOption = None,
    beside: Annotated[
        list[Path] | None, typer.Option(help="Another run to score on the same inputs; repeatable.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Map file [the run's].")] = None,
    count: Annotated[int, typer.Option(help="Maps answered.")] = 256,
    modes: Annotated[int, typer.Option(help="Answers to each.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of the corruption and the latents.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value over the task's settings, e.g. share=0.25; repeatable."),
    ] = None,
    second: Annotated[
        Path | None, typer.Option(help="Spectral maps of the same objects from other points: the noise floor.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Folder with the weights of LPIPS or FID, see docs/metrics.md.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Score a run's answers to corrupted maps, beside other runs."""
    result = spectral_ssl.evaluate(
        run,
        beside=beside or (),
        data=data,
        count=count,
        modes=modes,
        seed=seed,
        settings=settings or (),
        second=second,
        weights=weights,
        workspace=workspace,
    )
    if process_place() != 0:
        return
    if as_json:
        print(Path(result["path"]).read_text(encoding="utf-8"), end="")
        return
    print_scores(result)
    show(f"written to {result['path']}")
