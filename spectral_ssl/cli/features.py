"""The commands about features: probe, export, cluster and neighbors."""

import json
from pathlib import Path
from typing import Annotated

import typer

import spectral_ssl
from spectral_ssl.cli.options import JsonOption, OverwriteOption, QuietOption, RunOption, WorkspaceOption
from spectral_ssl.cli.tables import print_probe, print_table
from spectral_ssl.ground.terminal import process_rank, show
from spectral_ssl.planning.run_options import ExportOptions, ProbeOptions


def export(options: ExportOptions, quiet: QuietOption = False) -> None:
    """Write features, or the encoder, to a file."""
    show(spectral_ssl.export(**vars(options)))


def probe(options: ProbeOptions, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Score a run's features. Baselines that need no training are scored with them."""
    result = spectral_ssl.probe(**vars(options))
    if process_rank() != 0:
        return
    if as_json:
        print(Path(result["path"]).read_text(encoding="utf-8"), end="")
        return
    print_probe(result)
    show(f"written to {result['path']}")


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
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Cluster a feature file. Clusters are compared with the classes."""
    result = spectral_ssl.cluster(
        features, clusters=clusters, how=how, split=split, neighbours=neighbours, metric=metric, seed=seed, out=out,
        overwrite=overwrite,
    )  # fmt: skip
    if as_json:
        print(json.dumps(result, indent=1))
        return
    show(f"{result['samples']} samples in {result['clusters']} clusters ({result['how']})")
    for name, value in result["scores"].items():
        show(f"  {name:6} {value:.3f}")
    for order, share in result.get("neighbours", {}).items():
        show(f"  neighbour {order} of the same class: {share:.3f}")
    show(f"written to {result['path']}")


def neighbors(
    query: Annotated[str, typer.Argument(help="Id of an object of the data, or a file: a mesh, a cloud or an image.")],
    run: RunOption = None,
    data: Annotated[Path | None, typer.Option(help="Map file in which is searched [the run's].")] = None,
    count: Annotated[int, typer.Option(help="Number of answers.")] = 8,
    metric: Annotated[
        str, typer.Option(help="cosine (of standardised features) or l2 (of features as they are).")
    ] = "cosine",
    split: Annotated[str | None, typer.Option(help="Only answers of this split, e.g. train [all].")] = None,
    layer: Annotated[
        str, typer.Option(help="What of the network: a name of `list layers`, or several joined by +.")
    ] = "default",
    up: Annotated[str | None, typer.Option(help="Up axis of the file, e.g. +y [that of the data].")] = None,
    out: Annotated[Path | None, typer.Option(help="Picture to write [RUN/samples/neighbors-QUERY.png].")] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Find the objects most alike to an object or a file. The file need never have been seen."""
    result = spectral_ssl.neighbors(
        query, run=run, data=data, count=count, metric=metric, split=split, layer=layer, up=up, out=out,
        overwrite=overwrite, workspace=workspace,
    )  # fmt: skip
    if as_json:
        print(json.dumps(result, indent=1))
        return
    rows = [
        [str(answer["rank"]), answer["id"], answer["class"] or "-", answer["split"], f"{answer['distance']:.3f}"]
        for answer in result["answers"]
    ]
    print_table(f"most alike to {query}", ["rank", "id", "class", "split", metric], rows)
    show(f"picture: {result['picture']}")
