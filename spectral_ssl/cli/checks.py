"""The commands that check files and this machine: verify and doctor."""

import json
from pathlib import Path
from typing import Annotated

import typer

from spectral_ssl.cli.options import JsonOption, QuietOption, WorkspaceOption, load_verb
from spectral_ssl.ground.terminal import show


def verify(
    path: Annotated[Path, typer.Argument(help="A map file or a feature file.")],
    dataset: Annotated[
        str | None, typer.Option(help="Data set from which some maps are made again [the one that the file names].")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of its raw data [WS/raw/DATASET].")] = None,
    size: Annotated[int | None, typer.Option(help="Size to which images were scaled [the file's].")] = None,
    side: Annotated[str | None, typer.Option(help="Side of paired images that was used [the file's].")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Check that a file is sound. Some of its maps are made again from the raw data."""
    findings = load_verb("verify")(path, dataset=dataset, root=root, size=size, side=side, workspace=workspace)
    if as_json:
        print(json.dumps({"path": str(path), "sound": not findings, "findings": findings}, indent=1))
        raise typer.Exit(1 if findings else 0)
    for finding in findings:
        show(finding)
    count = f"{len(findings)} finding{'s' * (len(findings) != 1)}"
    show(f"{path}: {count if findings else 'sound'}")
    if findings:
        raise typer.Exit(1)


def doctor(
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Check that machine, versions and workspace are sound. The exit status is 1 if something fails."""
    result = load_verb("doctor")(workspace=workspace)
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
