"""Make the encoders that ship with the package: train the recipe of that name, save it, write the card.

    python benchmarks/make_encoders.py universe-upright --workspace WS
    python benchmarks/make_encoders.py --workspace WS              # all of them: `make encoders`
    python benchmarks/make_encoders.py --cards                     # cards anew, with newer scores

An interrupted training resumes when the command is repeated. A finished run is not trained again, and
encoders of one recipe have one run. A training may have several legs, each a run that starts from the
weights of the leg before it. ``MAKING`` says how each encoder is made.
The folders are pretext/pretrained/NAME. Golden features for the test of an encoder are computed
again too (tests/pretext/pretrained/golden.json).

Scores come from benchmarks/results/encoders-modelnet10.json (benchmarks/shipped_encoders.py). Only
those of exactly these weights, by their digest, go to a card.
"""

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import spectral_ssl
from pretext.pretrained.facts import read_facts
from pretext.pretrained.find import SHIPPED, find_encoder
from pretext.pretrained.folder import save_encoder, write_description
from pretext.runs.trained_run import TrainedRun, load_run
from pretext.runs.whitening import sample_universe_maps
from spectral_ssl.ground.errors import UserError, unknown_name
from spectral_ssl.ground.files import write_text
from spectral_ssl.ground.workspace import Workspace

ROOT = Path(__file__).parent.parent
SCORES = ROOT / "benchmarks" / "results" / "encoders-modelnet10.json"
GOLDEN = ROOT / "tests" / "pretext" / "pretrained" / "golden.json"
LARGEST = 3 << 20  # bytes of an encoder's folder
LICENCE = "Apache-2.0; trained on shapes that this project makes, no third-party data"
LATER_RATE = 1e-3  # highest learning rate of all legs but the first


@dataclass(frozen=True)
class Making:
    """How an encoder is made.

    Attributes
    ----------
    recipe : str
        The recipe of its training.
    legs : int
        Number of trainings by this recipe. Each starts from the weights of the one before it, with
        a new projector and the learning rate ``LATER_RATE``.
    settings : tuple of str
        Settings of the task for inference, in place of those of the training.
    components : int
        Number of whitened features of each orientation.
    """

    recipe: str
    legs: int
    settings: tuple[str, ...] = ()
    components: int = 512


MAKING = {
    "universe-upright": Making("universe-upright", legs=2),
    "universe-any-turn": Making("universe-upright", legs=2, settings=("pose=principal-upright",), components=384),
    "universe-any-pose": Making("universe-any-pose", legs=1),
}


def make_encoder(name: str, workspace: Workspace) -> Path:
    """Train the recipe of a name, or resume or take its run, and save its encoder."""
    making = MAKING[name]
    run = train(making.recipe, making.recipe, workspace)
    for leg in range(1, making.legs):
        start = run.save(workspace.root / "encoders" / f"{making.recipe}-{leg}", overwrite=True)
        rate = f"method.optimisation.learning_rate={LATER_RATE}"
        run = train(making.recipe, f"{making.recipe}-{leg + 1}", workspace, init_from=start, settings=[rate])
    return save_shipped(run, name)


def train(recipe: str, name: str, workspace: Workspace, **options: Any) -> TrainedRun:
    """Train a recipe, resume its run, or take it if it is finished."""
    folder = workspace.root / "runs" / name
    if not folder.is_dir():
        return spectral_ssl.pretrain("universe", recipe=recipe, out=folder, workspace=workspace.root, **options)
    if not (folder / "checkpoints" / "last.pt").is_file():  # interrupted before the first checkpoint
        return spectral_ssl.pretrain(resume=folder, workspace=workspace.root)
    run = load_run(folder)
    if run.checkpoint["place"]["epoch"] < run.plan.train.epochs:
        return spectral_ssl.pretrain(resume=folder, workspace=workspace.root)
    return run


def save_shipped(run: TrainedRun, name: str) -> Path:
    """Save the encoder of a run under a name that ships."""
    making = MAKING[name]
    run = run.with_task_settings(making.settings)
    run = count_legs(run, making.legs).whiten(sample_universe_maps(run.basis), making.components)
    recipe = f"python benchmarks/make_encoders.py {name}"
    if making.legs > 1:
        recipe += f", {making.legs} trainings by the recipe {making.recipe}, each from the weights of the one before"
    target = find_encoder(name)
    save_encoder(run, target, name=name, recipe=recipe, licence=LICENCE, overwrite=True)
    write_card_of(name)
    size = sum(path.stat().st_size for path in target.iterdir())
    if size > LARGEST:
        raise UserError("an encoder that is too large to ship", f"{size} bytes", f"at most {LARGEST}")
    return target


def count_legs(run: TrainedRun, legs: int) -> TrainedRun:
    """Return a run whose progress is that of all legs, and whose plan names no weights to start from.

    All legs have equally many steps. The first one starts from random weights.
    """
    place = run.checkpoint["place"]
    total = {**place, **{key: legs * place[key] for key in ("step", "epoch")}}
    plan = replace(run.plan, init_from="", init_digest="")
    return replace(run, plan=plan, checkpoint={**run.checkpoint, "place": total})


def read_scores(digest: str) -> dict[str, object]:
    """Read the measured scores of weights with this digest, for their card; empty if there are none."""
    from shipped_encoders import COLUMNS, NAMES, TRAINED, write_score  # imports scikit-learn

    if not SCORES.is_file():
        return {}
    measured = json.loads(SCORES.read_text(encoding="utf-8"))["rows"]
    rows = []
    for row in (row for row in measured if row["weights_digest"] == digest and not row["held_out"]):
        own = next(each for each in row["rows"] if each["features"] == TRAINED)
        pose = NAMES[row["pose"]]
        rows.append({"objects": pose} | {title: write_score(own, probe) for probe, title in COLUMNS.items()})
        if "verdicts" in row:
            cells = {title: write_difference(row["verdicts"][probe]) for probe, title in COLUMNS.items()}
            rows.append({"objects": f"{pose}: difference to the best baseline, points"} | cells)
    if not rows:
        return {}
    note = (
        f"ModelNet10, {row['train']} objects to fit the probes and {row['test']} test objects, none of "
        "them used in training. In parentheses: 95 % intervals. Baselines need no training."
    )
    return {"rows": rows, "note": note}


def write_difference(verdict: dict[str, Any]) -> str:
    """Write the difference to a baseline with its interval, in points."""
    low, high = (100 * limit for limit in verdict["interval"])
    return f"{100 * verdict['difference']:+.1f} ({low:+.1f} to {high:+.1f}), {verdict['baseline']}"


def write_card_of(name: str) -> None:
    """Write description and card of an encoder anew, with the newest scores."""
    folder = find_encoder(name)
    facts = read_facts(folder)
    write_description(folder, replace(facts, scores=read_scores(facts.digest)))


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
            for name in options.names or SHIPPED:
                write_card_of(name)
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
