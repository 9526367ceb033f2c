"""Make the encoders that ship with the package: train the recipe of that name, save it, write the card.

    python benchmarks/make_encoders.py universe-upright --workspace WS
    python benchmarks/make_encoders.py --workspace WS              # all of them: `make encoders`
    python benchmarks/make_encoders.py --cards                     # cards anew, with newer scores

An interrupted training resumes when the command is repeated. A finished run is not trained again.
The folders are pretext/pretrained/NAME. Golden features for the test of an encoder are computed
again too (tests/pretext/pretrained/golden.json).

Scores come from benchmarks/results/encoders.json, where it exists: name -> {"rows": [{column: text}],
"note": text}. Measure them first, then write the cards.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

import spectral_ssl
from data_prep.pipeline.shape_to_map import clouds_to_maps
from data_prep.sources.universe import universe_clouds
from pretext.pretrained.card import write_card
from pretext.pretrained.facts import FACTS, read_facts, write_facts
from pretext.pretrained.find import SHIPPED, find_encoder
from pretext.pretrained.folder import CARD, WEIGHTS, save_encoder
from pretext.runs.trained_run import TrainedRun, load_run
from spectral_ssl.ground.errors import UserError, unknown_name
from spectral_ssl.ground.files import write_text
from spectral_ssl.ground.workspace import Workspace

ROOT = Path(__file__).parent.parent
SCORES = ROOT / "benchmarks" / "results" / "encoders.json"
GOLDEN = ROOT / "tests" / "pretext" / "pretrained" / "golden.json"
LARGEST = 3 << 20  # bytes of an encoder's folder
LICENCE = "Apache-2.0; trained on shapes that this project makes, no third-party data"
# name -> number of whitened features; 0 for features as they are
WHITENED = {"universe-upright": 0, "universe-any-pose": 0}
WHITENING_SHAPES = 4096  # of the universe, of a seed that no training uses
WHITENING_SEED = 1


def make_encoder(name: str, workspace: Workspace) -> Path:
    """Train the recipe of a name, or resume or take its run, and save its encoder."""
    folder = workspace.root / "runs" / name
    if (folder / "status.json").is_file():
        run = load_run(folder)
        if run.checkpoint["place"]["epoch"] < run.plan.train.epochs:
            run = spectral_ssl.pretrain(resume=folder, workspace=workspace.root)
    else:
        run = spectral_ssl.pretrain("universe", recipe=name, out=folder, workspace=workspace.root)
    return save_shipped(run, name)


def save_shipped(run: TrainedRun, name: str) -> Path:
    """Save the encoder of a run under a name that ships."""
    if WHITENED[name]:
        clouds = universe_clouds(range(WHITENING_SHAPES), seed=WHITENING_SEED, points=run.basis.points)
        run = run.whiten(clouds_to_maps(clouds, run.basis), WHITENED[name])
    recipe = f"python benchmarks/make_encoders.py {name}"
    target = find_encoder(name)
    save_encoder(run, target, name=name, recipe=recipe, licence=LICENCE, scores=read_scores(name), overwrite=True)
    size = sum(path.stat().st_size for path in target.iterdir())
    if size > LARGEST:
        raise UserError("an encoder that is too large to ship", f"{size} bytes", f"at most {LARGEST}")
    return target


def read_scores(name: str) -> dict[str, object]:
    """Read the measured scores of an encoder; empty where there are none."""
    return json.loads(SCORES.read_text(encoding="utf-8")).get(name, {}) if SCORES.is_file() else {}


def write_cards() -> None:
    """Write description and card of every encoder anew, with the newest scores."""
    for name in SHIPPED:
        folder = find_encoder(name)
        facts = replace(read_facts(folder), scores=read_scores(name))
        write_text(folder / FACTS, write_facts(facts))
        write_text(folder / CARD, write_card(facts, (folder / WEIGHTS).stat().st_size))
        print(folder)


def golden_clouds() -> np.ndarray:
    """Compute clouds from formulas alone, (4, 500, 3): a sphere, a cylinder, a saddle and a helix."""
    turn = np.arange(500) * np.pi * (3 - np.sqrt(5))
    height = np.linspace(-1, 1, 500)
    ring = np.sqrt(1 - height**2)
    sphere = np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)
    cylinder = np.stack([0.4 * np.cos(turn), 0.4 * np.sin(turn), height], axis=1)
    x, y = height, np.sin(turn)
    saddle = np.stack([x, y, 0.5 * (x**2 - y**2)], axis=1)
    helix = np.stack([np.cos(12 * height), np.sin(12 * height), 1.5 * height], axis=1)
    return np.stack([sphere, cylinder, saddle, helix])


def write_golden() -> None:
    """Write the features of the golden clouds by every encoder that ships."""
    values = {}
    for name in SHIPPED:
        encoder = spectral_ssl.load(name)
        features = encoder.encode(golden_clouds())
        values[name] = {"digest": encoder.checkpoint_digest, "features": features.astype(np.float64).round(3).tolist()}
    write_text(GOLDEN, json.dumps(values) + "\n")
    print(GOLDEN)


def main() -> None:
    """Make the encoders that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SHIPPED)}; all by default")
    parser.add_argument("--workspace", default=None)
    parser.add_argument("--run", default=None, help="save this finished run under the one NAME, without training")
    parser.add_argument("--cards", action="store_true", help="write the cards anew, nothing else")
    options = parser.parse_args()
    try:
        for name in options.names:
            if name not in SHIPPED:
                raise unknown_name("encoder", name, SHIPPED)
        if options.cards:
            write_cards()
            return
        if options.run is not None:
            if len(options.names) != 1:
                raise UserError("--run saves one encoder", f"{len(options.names)} names", "give one NAME")
            print(save_shipped(load_run(options.run), options.names[0]))
        else:
            for name in options.names or SHIPPED:
                print(make_encoder(name, Workspace.find(options.workspace)))
        write_golden()
    except UserError as error:
        sys.exit(f"make_encoders: {error}")


if __name__ == "__main__":
    main()
