"""The command line: options to the verbs of the same names, results to the screen.

Nothing heavy is imported here: each command loads its verb when it runs.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

import spectral_ssl
from spectral_ssl.ground.errors import Stopped, UserError
from spectral_ssl.study_commands import study_app
from spectral_ssl.tables import print_probe, print_scores

app = typer.Typer(
    rich_markup_mode=None,  # else [brackets] in help texts would be taken for styles and vanish
    help="Self-supervised features for images and for 3D shapes seen as spectral maps.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(study_app, name="study")

WorkspaceOption = Annotated[
    Path | None, typer.Option(help="Folder of raw data, maps, runs and features [$SPECTRAL_SSL_HOME or ./workspace].")
]
RunOption = Annotated[Path | None, typer.Option(help="Run folder [the latest].")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")]


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(spectral_ssl.__version__)
        raise typer.Exit


@app.command()
def prep(
    dataset: Annotated[str, typer.Option(help="A name of `list datasets`, or folder:PATH.")] = "shapes",
    root: Annotated[Path | None, typer.Option(help="Where the raw data lies [WS/raw/DATASET].")] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch the raw data if it is not there (sets that may be fetched).")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Map file to write [WS/maps/DATASET-BASIS.h5].")] = None,
    basis: Annotated[str, typer.Option(help="zernike or sh (spherical harmonics in shells).")] = "zernike",
    degree: Annotated[int | None, typer.Option(help="Highest degree [zernike 20, sh 15, radial 63].")] = None,
    radial: Annotated[
        int | None, typer.Option(help="Radial channels: rectangular truncation of zernike; shells of sh [8].")
    ] = None,
    sphere: Annotated[str, typer.Option(help="For sh: points in shells, or radial (rays; needs embreex).")] = "shells",
    points: Annotated[int, typer.Option(help="Points drawn from each object.")] = 2048,
    up: Annotated[str | None, typer.Option(help="Up axis of the raw data, e.g. +y [the source's own].")] = None,
    size: Annotated[
        int | None, typer.Option(help="Pixels on a side of images: middle square, scaled [as they are].")
    ] = None,
    side: Annotated[str | None, typer.Option(help="Of paired images only the left (A) or the right (B) one.")] = None,
    sampling: Annotated[
        str | None, typer.Option(help="Points of a mesh: area, farthest, quadrature, solid [area].")
    ] = None,
    centre: Annotated[str, typer.Option(help="The origin: mean of the points, or area (centroid of a mesh).")] = "mean",
    reach: Annotated[float, typer.Option(help="Part of the points within the unit ball, e.g. 0.999.")] = 1.0,
    keep_points: Annotated[
        bool | None,
        typer.Option(
            "--keep-points/--no-keep-points", help="Store the clouds beside the maps [where clouds are drawn]."
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes, 0 for none [all cores].")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Dask scheduler whose workers do the work, e.g. tcp://10.0.0.1:8786.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the drawing of points.")] = 0,
    overwrite: OverwriteOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Turn raw data into a map file."""
    maps = spectral_ssl.prep(
        dataset,
        root=root,
        download=download,
        out=out,
        basis=basis,
        degree=degree,
        radial=radial,
        sphere=sphere,
        points=points,
        up=up,
        size=size,
        side=side,
        sampling=sampling,
        centre=centre,
        reach=reach,
        keep_points=keep_points,
        workers=workers,
        scheduler=scheduler,
        seed=seed,
        overwrite=overwrite,
        workspace=workspace,
    )
    splits = ", ".join(
        f"{len(maps.rows(split))} {split}" for split in ("train", "val", "test") if len(maps.rows(split))
    )
    print(
        f"{maps.path}: {len(maps)} maps ({splits}) of shape {maps.basis.shape}, {len(maps.failures)} objects not used"
    )


@app.command()
def pretrain(
    data: Annotated[Path | None, typer.Option(help="Map file [the newest].")] = None,
    method: Annotated[
        str | None, typer.Option(help="A name of `list methods` [joint-embedding, cgml without clouds].")
    ] = None,
    task: Annotated[str | None, typer.Option(help="A name of `list tasks` [views, denoise without clouds].")] = None,
    recipe: Annotated[str | None, typer.Option(help="A name of `list recipes`, or a TOML file.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training split.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Stop cleanly after this time.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    variant: Annotated[str | None, typer.Option(help="Of mr-gan, e.g. laplace-mr1 [gaussian-proxy-mr2].")] = None,
    features: Annotated[
        str | None, typer.Option(help="Of the task from-code: a feature file, a run, labels or none.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value, any setting of the method, task or training; repeatable."),
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Run folder to go on with, exactly where it stopped.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to make [WS/runs/DATE-METHOD-TASK].")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Train a pretext task on a map file."""
    run = spectral_ssl.pretrain(
        data,
        method=method,
        task=task,
        recipe=recipe,
        epochs=epochs,
        max_minutes=max_minutes,
        seed=seed,
        variant=variant,
        features=features,
        settings=settings or (),
        resume=resume,
        out=out,
        workspace=workspace,
    )
    print(f"{run.folder}: trained to epoch {run.checkpoint['place']['epoch']}, pictures in {run.folder / 'samples'}")


@app.command()
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
    print(f"{written} and {written.with_suffix('.png')}")


@app.command()
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
    print_scores(result)
    print(f"written to {result['path']}")


@app.command()
def probe(
    target: Annotated[str | None, typer.Option(help="A data set's name or a map file [the run's data].")] = None,
    run: RunOption = None,
    seeds: Annotated[int, typer.Option(help="Number of seeds.")] = 3,
    probes: Annotated[
        str, typer.Option(help="Of linear, svm, layer, neighbours, few-shot, retrieval, fine-tune; by commas.")
    ] = "linear,neighbours",
    layer: Annotated[
        str, typer.Option(help="What of the network: a name of `list layers`, several joined by +, auto, or all.")
    ] = "default",
    pose: Annotated[
        str, typer.Option(help="Turn all objects at random: aligned (not), vertical, so3 (any rotation).")
    ] = "aligned",
    references: Annotated[
        bool, typer.Option("--references", help="Images: add features learnt with ImageNet's labels, an upper mark.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of the table.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Score a run's features, and what costs nothing beside them."""
    names = [name.strip() for name in probes.split(",") if name.strip()]
    result = spectral_ssl.probe(
        target,
        run=run,
        seeds=seeds,
        probes=names,
        pose=pose,
        layer=layer,
        references=references,
        workspace=workspace,
    )
    if as_json:
        print(Path(result["path"]).read_text(encoding="utf-8"), end="")
        return
    print_probe(result)
    print(f"written to {result['path']}")


@app.command()
def export(
    run: RunOption = None,
    data: Annotated[Path | None, typer.Option(help="Map file [the run's].")] = None,
    layer: Annotated[
        str, typer.Option(help="What of the network: a name of `list layers`, or several joined by +.")
    ] = "default",
    out: Annotated[Path | None, typer.Option(help="Feature file to write [WS/features/RUN-DATA.h5].")] = None,
    overwrite: OverwriteOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Write features to HDF5."""
    print(spectral_ssl.export(run, data=data, layer=layer, out=out, overwrite=overwrite, workspace=workspace))


@app.command()
def cluster(
    features: Annotated[Path, typer.Argument(help="A feature file, see export.")],
    clusters: Annotated[int | None, typer.Option(help="How many [as many as classes].")] = None,
    how: Annotated[str, typer.Option(help="kmeans or spectral.")] = "kmeans",
    split: Annotated[str | None, typer.Option(help="Only these samples, e.g. test [all].")] = None,
    neighbours: Annotated[
        bool, typer.Option("--neighbours", help="Say how many 1st, 2nd, 5th neighbours have the sample's class.")
    ] = False,
    metric: Annotated[str, typer.Option(help="Distance of these neighbours: l1 or l2.")] = "l1",
    seed: Annotated[int, typer.Option(help="Seed of the clustering.")] = 0,
    out: Annotated[Path | None, typer.Option(help="HDF5 file to write [FEATURES-clusters.h5].")] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Cluster a feature file and compare the clusters with the classes."""
    result = spectral_ssl.cluster(
        features, clusters=clusters, how=how, split=split, neighbours=neighbours, metric=metric, seed=seed, out=out,
        overwrite=overwrite,
    )  # fmt: skip
    print(f"{result['samples']} samples in {result['clusters']} clusters ({result['how']})")
    for name, value in result["scores"].items():
        print(f"  {name:6} {value:.3f}")
    for order, share in result.get("neighbours", {}).items():
        print(f"  neighbour {order} of the same class: {share:.3f}")
    print(f"written to {result['path']}")


@app.command("list")
def list_command(
    what: Annotated[str | None, typer.Argument(help="datasets, methods, tasks, recipes, runs, maps or layers.")] = None,
    name: Annotated[
        str | None, typer.Argument(help="With datasets: a name; says where it is to be had, its terms and its layouts.")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="With layers: run folder [the latest].")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Say what there is to choose from."""
    if name is not None:
        if what != "datasets":
            raise UserError("a name goes with datasets only", f"{what} {name}", "write `list datasets NAME`")
        from data_prep.sources import help_text

        print(help_text(name))
        return
    for kind, names in spectral_ssl.list_names(what, run=run, workspace=workspace).items():
        print(f"{kind}:" if names else f"{kind}: none")
        for name, description in names.items():
            print(f"  {name:14} {description}")


@app.command()
def verify(
    path: Annotated[Path, typer.Argument(help="A map file or a feature file.")],
    dataset: Annotated[
        str | None, typer.Option(help="Data set to make some objects again from [the one the file names, if at hand].")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Where its raw data lies [WS/raw/DATASET].")] = None,
    size: Annotated[int | None, typer.Option(help="Size to which images were brought [the file's].")] = None,
    side: Annotated[str | None, typer.Option(help="Side of paired images that was taken [the file's].")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Check that a file is sound, and that its maps are those of the raw data."""
    findings = spectral_ssl.verify(path, dataset=dataset, root=root, size=size, side=side, workspace=workspace)
    for finding in findings:
        print(finding)
    print(f"{path}: {f'{len(findings)} findings' if findings else 'sound'}")
    if findings:
        raise typer.Exit(1)


@app.command()
def demo(
    max_minutes: Annotated[float, typer.Option(help="Most time for the training.")] = 1.5,
    workspace: WorkspaceOption = None,
) -> None:
    """Run everything once on the built-in data."""
    result = spectral_ssl.demo(workspace=workspace, max_minutes=max_minutes)
    print_probe(result)
    for what, path in result["paths"].items():
        print(f"{what:9} {path}")


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and exit status 2."""
    try:
        app()
    except UserError as error:
        print(f"spectral-ssl: {error}", file=sys.stderr)
        sys.exit(2)
    except Stopped as error:
        print(f"spectral-ssl: {error}", file=sys.stderr)
        sys.exit(130)
    except KeyboardInterrupt:
        print(
            "spectral-ssl: stopped; prep goes on when the command is repeated, a run with `pretrain --resume RUN`",
            file=sys.stderr,
        )
        sys.exit(130)
    except BrokenPipeError:
        # the reader of our output went away (`| head`): nothing is wrong
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        # a full disk, a folder that cannot be read, a name too long: the system says what, and no traceback helps
        print(f"spectral-ssl: {error.strerror or error}: got {error.filename or 'no file name'}", file=sys.stderr)
        sys.exit(2)
