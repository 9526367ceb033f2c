"""The command line: options to the verbs of the same names, results to the screen.

Nothing heavy is imported here: each command loads its verb when it runs.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

import spectral_ssl
from spectral_ssl.cli.completions import complete, evaluate
from spectral_ssl.cli.features import cluster, export, neighbors
from spectral_ssl.cli.options import (
    JsonOption,
    OverwriteOption,
    QuietOption,
    RunOption,
    WorkspaceOption,
    complete_dataset,
    complete_method,
    complete_recipe,
    complete_run,
    complete_task,
)
from spectral_ssl.cli.runs import runs_app
from spectral_ssl.cli.studies import study_app
from spectral_ssl.cli.tables import print_prep_estimate, print_pretrain_estimate, print_probe
from spectral_ssl.ground.errors import Interrupted, ReportedElsewhere, UserError
from spectral_ssl.ground.terminal import printable, process_rank, show

app = typer.Typer(
    rich_markup_mode=None,  # else [brackets] in help texts would be taken for styles and vanish
    help="Self-supervised features for images and for 3D shapes seen as spectral maps.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(study_app, name="study")


ReportOption = Annotated[bool, typer.Option("--report/--no-report", help="Leave a short report.html in the run.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would be done and how long it takes, measured on a little.")
]


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(spectral_ssl.__version__)
        raise typer.Exit


@app.command()
def prep(
    dataset: Annotated[
        str, typer.Option(help="A name of `list datasets`, or folder:PATH.", autocompletion=complete_dataset)
    ] = "shapes",
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
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Turn raw data into a map file."""
    arguments = {
        "dataset": dataset,
        "root": root,
        "download": download,
        "out": out,
        "basis": basis,
        "degree": degree,
        "radial": radial,
        "sphere": sphere,
        "points": points,
        "up": up,
        "size": size,
        "side": side,
        "sampling": sampling,
        "centre": centre,
        "reach": reach,
        "keep_points": keep_points,
        "workers": workers,
        "scheduler": scheduler,
        "seed": seed,
        "overwrite": overwrite,
        "workspace": workspace,
    }
    if dry_run:
        estimate = spectral_ssl.estimate_prep(**arguments)
        print(json.dumps(estimate, indent=1)) if as_json else print_prep_estimate(estimate)
        return
    maps = spectral_ssl.prep(**arguments)
    counts = {split: len(maps.rows(split)) for split in ("train", "val", "test") if len(maps.rows(split))}
    if as_json:
        found = {"path": str(maps.path), "maps": counts, "shape": maps.basis.shape, "not_used": dict(maps.failures)}
        print(json.dumps(found, indent=1))
        return
    splits = ", ".join(f"{count} {split}" for split, count in counts.items())
    show(f"{maps.path}: {len(maps)} maps ({splits}) of shape {maps.basis.shape}, {len(maps.failures)} objects not used")


@app.command()
def pretrain(
    data: Annotated[Path | None, typer.Option(help="Map file [the newest].")] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="A name of `list methods` [joint-embedding, cgml without clouds].", autocompletion=complete_method
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="A name of `list tasks` [views, denoise without clouds].", autocompletion=complete_task),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="A name of `list recipes`, or a TOML file.", autocompletion=complete_recipe)
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training split.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Stop cleanly after this time.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    variant: Annotated[str | None, typer.Option(help="Of mr-gan, e.g. laplace-mr1 [gaussian-proxy-mr2].")] = None,
    features: Annotated[
        str | None, typer.Option(help="Of the task from-code: a feature file, a run, labels or none.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="Of the layers in training: auto, fp32, bf16, fp16 [auto, or the recipe's].")
    ] = None,
    compile_networks: Annotated[
        bool | None, typer.Option("--compile", help="Let torch's compiler make kernels of the networks first.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where it is trained: cpu, cuda, mps, or auto.")] = "cpu",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value, any setting of the method, task or training; repeatable."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Run to go on with, exactly where it stopped.", autocompletion=complete_run),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to make [WS/runs/DATE-METHOD-TASK].")] = None,
    report: ReportOption = True,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Train a pretext task on a map file."""
    arguments = {
        "data": data,
        "method": method,
        "task": task,
        "recipe": recipe,
        "epochs": epochs,
        "max_minutes": max_minutes,
        "seed": seed,
        "variant": variant,
        "features": features,
        "precision": precision,
        "compile": compile_networks,
        "settings": settings or (),
        "out": out,
        "workspace": workspace,
    }
    if dry_run:
        if resume is not None:
            raise UserError("--dry-run with --resume", str(resume), "leave one of them out")
        estimate = spectral_ssl.estimate_pretrain(**arguments)
        print(json.dumps(estimate, indent=1)) if as_json else print_pretrain_estimate(estimate)
        return
    run = spectral_ssl.pretrain(**arguments, device=device, resume=resume, report=report)
    if as_json and process_rank() == 0:
        print(json.dumps(spectral_ssl.show_run(run.folder, workspace=workspace), indent=1))
    elif not as_json:
        show(f"{run.folder}: trained to epoch {run.checkpoint['place']['epoch']}, pictures in {run.folder / 'samples'}")


app.command()(complete)
app.command()(evaluate)


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
    report: ReportOption = True,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
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
        report=report,
        workspace=workspace,
    )
    if as_json and process_rank() == 0:
        print(Path(result["path"]).read_text(encoding="utf-8"), end="")
    elif process_rank() == 0:
        print_probe(result)
        show(f"written to {result['path']}")


app.command()(export)
app.command()(cluster)
app.command()(neighbors)


@app.command()
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


@app.command("list")
def list_command(
    what: Annotated[str | None, typer.Argument(help="datasets, methods, tasks, recipes, runs, maps or layers.")] = None,
    name: Annotated[
        str | None, typer.Argument(help="With datasets: a name; says where it is to be had, its terms and its layouts.")
    ] = None,
    run: RunOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Say what there is to choose from."""
    if name is not None:
        if what != "datasets":
            raise UserError("a name goes with datasets only", f"{what} {name}", "write `list datasets NAME`")
        from data_prep.sources.catalogue import build_help_text

        print(json.dumps({name: build_help_text(name)}) if as_json else build_help_text(name))
        return
    listed = spectral_ssl.list_names(what, run=run, workspace=workspace)
    if as_json:
        print(json.dumps(listed, indent=1))
        return
    for kind, names in listed.items():
        show(f"{kind}:" if names else f"{kind}: none")
        widest = max((len(name) for name in names), default=0)
        for name, description in names.items():
            show(f"  {name:{widest}} {description}")


app.add_typer(runs_app, name="runs")


@app.command()
def verify(
    path: Annotated[Path, typer.Argument(help="A map file or a feature file.")],
    dataset: Annotated[
        str | None, typer.Option(help="Data set to make some objects again from [the one the file names, if at hand].")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Where its raw data lies [WS/raw/DATASET].")] = None,
    size: Annotated[int | None, typer.Option(help="Size to which images were brought [the file's].")] = None,
    side: Annotated[str | None, typer.Option(help="Side of paired images that was taken [the file's].")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Check that a file is sound. Some of its maps are made again from the raw data."""
    findings = spectral_ssl.verify(path, dataset=dataset, root=root, size=size, side=side, workspace=workspace)
    if as_json:
        print(json.dumps({"path": str(path), "sound": not findings, "findings": findings}, indent=1))
        raise typer.Exit(1 if findings else 0)
    for finding in findings:
        show(finding)
    show(f"{path}: {f'{len(findings)} findings' if findings else 'sound'}")
    if findings:
        raise typer.Exit(1)


@app.command()
def doctor(
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Check that machine, versions and workspace are sound. Exit status 1 when something fails."""
    result = spectral_ssl.doctor(workspace=workspace)
    if as_json:
        print(json.dumps(result, indent=1))
    else:
        for finding in result["findings"]:
            rest = f"; {finding['do']}" if finding["do"] else ""
            show(f"{finding['state']:5} {finding['name']}: {finding['found']}{rest}")
        failing = sum(finding["state"] == "FAILS" for finding in result["findings"])
        show(f"{f'{failing} fail' if failing else 'all well'}, in {result['seconds']:.1f} s")
    if not result["well"]:
        raise typer.Exit(1)


@app.command()
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


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and exit status 2."""
    try:
        app()
    except UserError as error:
        who = f" (process {process_rank()})" if process_rank() else ""
        if not isinstance(error, ReportedElsewhere):
            print(printable(f"spectral-ssl{who}: {error}"), file=sys.stderr, flush=True)
        sys.exit(2)
    except Interrupted as error:
        _say_anyway(f"spectral-ssl: {error}")
        sys.exit(error.status)
    except (KeyboardInterrupt, SystemExit) as error:
        # typer makes an exit with status 130 of Ctrl-C
        if isinstance(error, SystemExit) and error.code != 130:
            raise
        _say_anyway(
            "spectral-ssl: stopped; prep goes on when the command is repeated, a run with `pretrain --resume RUN`"
        )
        sys.exit(130)
    except BrokenPipeError:
        # the reader of our output went away (`| head`): nothing is wrong
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        # a full disk, a folder that cannot be read, a name too long: the system says what, and no traceback helps
        _say_anyway(f"spectral-ssl: {error.strerror or error}: got {error.filename or 'no file name'}")
        sys.exit(2)


def _say_anyway(line: str) -> None:
    """How it ended, on stderr, also with --quiet; of several processes the first speaks."""
    if process_rank() == 0:
        print(printable(line), file=sys.stderr, flush=True)
