"""The commands about features: embed, cluster and neighbors."""

import json
import shlex
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from spectral_ssl.cli.options import (
    EncoderOption,
    JsonOption,
    OverwriteOption,
    QuietOption,
    RunOption,
    WorkspaceOption,
    load_verb,
)
from spectral_ssl.cli.tables import print_table
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.terminal import show
from spectral_ssl.ground.workspace import write_option
from spectral_ssl.planning.run_options import EmbedOptions

LISTED_CLUSTERS = 20


def embed(options: EmbedOptions, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Compute features of files and folders, without training."""
    result = load_verb("embed")(**vars(options))
    if as_json:
        print(json.dumps(result, indent=1))
        return
    count, failed = result["objects"], len(result["failures"])
    what = f"{count} object{'s' * (count != 1)}, {result['dimensions']} features each"
    show(f"{result['path']}: {what}, encoder {result['encoder']}, failed objects: {failed}")
    for line in _suggest_after_embed(result, options):
        say(line)


def _suggest_after_embed(result: dict[str, Any], options: EmbedOptions) -> list[str]:
    """List commands that use a new feature file."""
    count, classes = result["objects"], result["classes"]
    if result["format"] != "hdf5" or count < 2:
        return []
    path = shlex.quote(result["path"])
    workspace = write_option(options.workspace)
    lines = ["next:", f"  spectral-ssl neighbors {shlex.quote(result['first'])} --data {path}{workspace}"]
    clusters = "" if 2 <= classes <= count else f" --clusters {min(5, count)}"
    lines.append(f"  spectral-ssl cluster {path}{clusters}{workspace}")
    paths = list(map(str, options.paths)) if not isinstance(options.paths, str | Path) else [str(options.paths)]
    if classes > 1 and len(paths) == 1:
        lines.append(f"  spectral-ssl probe --target {shlex.quote(paths[0])} {result['option']}{workspace}")
    return lines


def cluster(
    features: Annotated[Path, typer.Argument(help="A feature file, a map file, or a folder of your files.")],
    clusters: Annotated[int | None, typer.Option(help="Number of clusters [the number of classes].")] = None,
    how: Annotated[str, typer.Option(help="kmeans or spectral.")] = "kmeans",
    split: Annotated[str | None, typer.Option(help="Only these samples, e.g. test [all].")] = None,
    neighbours: Annotated[
        bool, typer.Option("--neighbours", help="Print how many 1st, 2nd and 5th neighbours have the sample's class.")
    ] = False,
    metric: Annotated[str, typer.Option(help="Distance of these neighbours: l1 or l2.")] = "l1",
    seed: Annotated[int, typer.Option(help="Seed of the clustering.")] = 0,
    run: RunOption = None,
    encoder: EncoderOption = None,
    out: Annotated[Path | None, typer.Option(help="HDF5 file to write [FEATURES-clusters.h5].")] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Cluster features, or the features of files. The clusters are compared with the classes."""
    # the function itself refuses other names of a clustering or a distance
    result = load_verb("cluster")(
        features, clusters=clusters, how=cast(Any, how), split=split, neighbours=neighbours, metric=cast(Any, metric),
        seed=seed, run=run, encoder=encoder, out=out, overwrite=overwrite, workspace=workspace,
    )  # fmt: skip
    if as_json:
        print(json.dumps(result, indent=1))
        return
    show(f"{result['samples']} samples in {result['clusters']} clusters ({result['how']})")
    for group in result["groups"][:LISTED_CLUSTERS]:
        more = ", ..." if group["samples"] > len(group["examples"]) else ""
        samples = f"{group['samples']} sample{'s' * (group['samples'] != 1)}"
        show(f"  cluster {group['cluster']}: {samples}, {', '.join(group['examples'])}{more}")
    if len(result["groups"]) > LISTED_CLUSTERS:
        show(f"  and {len(result['groups']) - LISTED_CLUSTERS} smaller ones; --json lists all")
    for name, value in result["scores"].items():
        show(f"  {name:6} {value:.3f}")
    for order, share in result.get("neighbours", {}).items():
        show(f"  neighbour {order} of the same class: {share:.3f}")
    show(f"written to {result['path']}")


def neighbors(
    query: Annotated[str, typer.Argument(help="Id of an object of the data, or a file: a mesh, a cloud or an image.")],
    run: RunOption = None,
    encoder: EncoderOption = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of files, feature file of embed, or map file to search [the run's].")
    ] = None,
    count: Annotated[int, typer.Option(help="Number of neighbours.")] = 8,
    metric: Annotated[
        str, typer.Option(help="cosine (similarity of standardised features) or l2 (distance).")
    ] = "cosine",
    split: Annotated[str | None, typer.Option(help="Only neighbours in this split, e.g. train [all].")] = None,
    layer: Annotated[
        str, typer.Option(help="Layer of the network: a name of `list layers`, or several joined by +.")
    ] = "default",
    up: Annotated[str | None, typer.Option(help="Up axis of the file, e.g. +y [that of the data].")] = None,
    out: Annotated[Path | None, typer.Option(help="Image to write [RUN/samples/neighbors-QUERY.png].")] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Find the objects most similar to an object or a file. The file need not belong to the data."""
    # the function itself refuses other distances
    result = load_verb("neighbors")(
        query, run=run, encoder=encoder, data=data, count=count, metric=cast(Any, metric), split=split, layer=layer,
        up=up, out=out, overwrite=overwrite, workspace=workspace,
    )  # fmt: skip
    if as_json:
        print(json.dumps(result, indent=1))
        return
    measure = result["measure"]
    rows = [
        [str(each["rank"]), each["id"], each["class"] or "-", each["split"], f"{each[measure]:.3f}"]
        for each in result["answers"]
    ]
    print_table(f"most similar to {query}", ["rank", "id", "class", "split", measure], rows)
    if result["picture"]:
        show(f"image: {result['picture']}")
