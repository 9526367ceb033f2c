"""The commands about data: prep and list."""

import json
from contextlib import nullcontext
from dataclasses import replace
from typing import Annotated

import typer

import spectral_ssl
from spectral_ssl.cli.options import (
    DryRunOption,
    EncoderOption,
    JsonOption,
    QuietOption,
    RunOption,
    WorkspaceOption,
    announce,
    complete_dataset,
)
from spectral_ssl.cli.tables import print_entries, print_prep_estimate
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.terminal import show
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.prep_options import PrepOptions


def prep(
    options: PrepOptions,
    name: Annotated[
        str | None,
        typer.Argument(metavar="DATASET", help="The same as --dataset.", autocompletion=complete_dataset),
    ] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Turn raw data into a map file."""
    if name is not None:
        if options.dataset not in (PrepOptions().dataset, name):
            raise UserError("two data sets", f"{name} and --dataset {options.dataset}", "give one of them")
        options = replace(options, dataset=name)
    # The first line, because the imports that follow take seconds.
    say(f"prep {options.dataset}")
    if dry_run:
        estimate = spectral_ssl.estimate_prep(**vars(options))
        print(json.dumps(estimate, indent=1)) if as_json else print_prep_estimate(estimate)
        return
    maps = spectral_ssl.prep(**vars(options))
    counts = {split: len(maps.rows(split)) for split in ("train", "val", "test") if len(maps.rows(split))}
    if as_json:
        result = {"path": str(maps.path), "maps": counts, "shape": maps.basis.shape, "not_used": dict(maps.failures)}
        result["notes"] = [list(pair) for pair in maps.notes]
        print(json.dumps(result, indent=1))
        return
    splits = ", ".join(f"{count} {split}" for split, count in counts.items())
    made = "1 map" if len(maps) == 1 else f"{len(maps)} maps"
    show(f"{maps.path}: {made} ({splits}) of shape {maps.basis.shape}, failed objects: {len(maps.failures)}")


def list_command(
    what: Annotated[
        str | None, typer.Argument(help="datasets, encoders, methods, tasks, recipes, runs, maps or layers.")
    ] = None,
    name: Annotated[
        str | None, typer.Argument(help="With datasets: a name; prints its source, its terms and its layouts.")
    ] = None,
    run: RunOption = None,
    encoder: EncoderOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List the names to choose from."""
    if name is not None:
        if what != "datasets":
            raise UserError("a name goes with datasets only", f"{what} {name}", "write `list datasets NAME`")
        from data_prep.sources.catalogue import build_help_text

        print(json.dumps({name: build_help_text(name)}) if as_json else build_help_text(name))
        return
    with announce("list") if what == "layers" else nullcontext():  # what imports torch
        listed = spectral_ssl.list_names(what, run=run, encoder=encoder, workspace=workspace)
    if as_json:
        print(json.dumps(listed, indent=1))
        return
    for kind, names in listed.items():
        if kind in ("runs", "maps") and names:  # the folder stands in the title, once
            folder = Workspace.find(workspace).root / kind
            short = {name: text.removeprefix(str(folder / name)).strip(" ()") for name, text in names.items()}
            print_entries(f"{kind} in {folder}", short)
        else:
            print_entries(kind, names)
