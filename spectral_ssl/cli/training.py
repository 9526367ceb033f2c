"""The commands that train a run: pretrain and demo."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

import spectral_ssl
from spectral_ssl.cli.options import DryRunOption, EncoderOption, JsonOption, QuietOption, WorkspaceOption, load_verb
from spectral_ssl.cli.tables import print_pretrain_estimate, print_probe
from spectral_ssl.ground.terminal import process_rank, show
from spectral_ssl.ground.workspace import write_option
from spectral_ssl.planning.pretrain_options import PretrainOptions


def pretrain(
    options: PretrainOptions,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a pretext task on a map file."""
    if dry_run:
        estimate = load_verb("estimate_pretrain")(**vars(options))
        print(json.dumps(estimate, indent=1)) if as_json else print_pretrain_estimate(estimate)
        return
    run = load_verb("pretrain")(**vars(options))
    if as_json and process_rank() == 0:
        print(json.dumps(spectral_ssl.show_run(run.folder, workspace=options.workspace), indent=1))
    elif not as_json:
        trained = f"trained to epoch {run.checkpoint['place']['epoch']} of {run.plan.train.epochs}"
        show(f"{run.folder}: {trained}, images in {run.folder / 'samples'}")


def demo(
    max_minutes: Annotated[float, typer.Option(help="Longest time for the training, in minutes.")] = 0.5,
    encoder: EncoderOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Embed the built-in shapes, find neighbours, score, and train."""
    result = load_verb("demo")(workspace=workspace, max_minutes=max_minutes, encoder=encoder)
    if as_json:
        print(Path(result["path"]).read_text(encoding="utf-8"), end="")
        return
    print_probe(result)
    for name, path in result["paths"].items():
        show(f"{name:9} {path}")
    show("next: spectral-ssl embed FOLDER, with a folder of your files; or other neighbours of these shapes:")
    searched = shlex.quote(result["paths"]["features"])
    show(f"  spectral-ssl neighbors mug/test-001 --data {searched}{write_option(workspace)}")
    show(result["result"])
