"""A few steps of every method, as any number of processes trains them: started by ``test_processes`` with torchrun."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

import spectral_ssl
from data_prep.map_store import MapFile, open_maps
from pretext.methods import METHODS
from pretext.processes import together
from pretext.runs import load_run
from spectral_ssl.ground.launch import process_count

SMALL = ("width=4", "code=8")
# 48 training maps: batches of 20, 20 and 8
BATCHES = ("batch_size=20", "watch=0")
# name: (data, method, task, settings); every method of METHODS at least once
CASES: dict[str, tuple[str, str, str | None, tuple[str, ...]]] = {
    "bicycle-gan": ("random", "bicycle-gan", None, SMALL),
    "cgml": ("random", "cgml", None, (*SMALL, "steps=3", "hidden=8")),
    "cgml, all its terms": (
        "random", "cgml", None,
        (*SMALL, "steps=3", "hidden=8", "latent_updates=whole-path", "inferred_weight=1", "decay=cosine", "skips=true"),
    ),
    "cgml in two stages, pictures": (
        "pictures", "cgml", "corrupted", (*SMALL, "steps=3", "hidden=8", "schedule=two-stage", "first_stage=3")
    ),
    "regression": ("random", "regression", None, SMALL),
    "regression, a process without rows": ("random", "regression", None, (*SMALL, "train.batch_size=47")),
    "context-encoder": ("random", "context-encoder", None, SMALL),
    "joint-embedding": ("random", "joint-embedding", "denoise", ("width=4", "code=8", "projector=16", "grid=8")),
    "joint-embedding, a process without rows": (
        "pictures", "joint-embedding", "picture-views",
        ("width=4", "code=8", "projector=16", "filters=4", "train.batch_size=47"),
    ),
    "joint-embedding, pictures": (
        "pictures", "joint-embedding", "picture-views", ("width=4", "code=8", "projector=16", "filters=4")
    ),
    "joint-cgml": ("random", "joint-cgml", None, (*SMALL, "steps=2", "hidden=8", "projector=16")),
    "lsc-gan": ("random", "lsc-gan", None, ("width=4", "latent=4", "conditioning=code", "features=labels")),
    "lsc-gan, neighbours of the batch": (
        "pictures", "lsc-gan", None, ("width=4", "latent=4", "features=labels", "nearest=batch", "farthest=batch")
    ),
    "mr-gan": ("random", "mr-gan", None, (*SMALL, "samples=3", "predictor_steps=2", "generator_updates=2")),
    "mr-gan, pictures": (
        "pictures", "mr-gan", "inpaint", ("width=4", "code=8", "variant=laplace-mr1", "samples=3", "base=latent")
    ),
    "pix2pix": ("random", "pix2pix", None, SMALL),
    "rotation-prediction": ("pictures", "rotation-prediction", None, ("width=4",)),
}  # fmt: skip
assert {method for _, method, _, _ in CASES.values()} == set(METHODS)


def train_all(folder: Path, data: dict[str, MapFile], more: tuple[str, ...] = ()) -> None:
    """Two epochs of each case, a run folder for each, and the features of one of them."""
    for name, (kind, method, task, settings) in CASES.items():
        settings = (*(() if any("batch_size" in each for each in settings) else BATCHES[:1]), "watch=0", *settings)
        spectral_ssl.pretrain(
            data[kind], method=method, task=task, epochs=2, settings=(*settings, *more), out=folder / name
        )
    spectral_ssl.export(folder / "joint-embedding", data=data["random"], out=folder / "features.h5")
    spectral_ssl.evaluate(folder / "cgml", data=data["random"], count=10, modes=2)


def arguments(folder: Path) -> dict[str, Any]:
    """What the processes are told."""
    return {"data": {kind: open_maps(folder / f"{kind}.h5") for kind in ("random", "pictures")}}


if __name__ == "__main__":
    given = Path(sys.argv[1])
    with together() as processes:
        assert processes.count == process_count() > 1
        train_all(given / "several", **arguments(given))
        # what each of them holds in the end is what the first has written
        run = load_run(given / "several" / "cgml")
        np.save(given / f"process-{processes.place}.npy", run.encode(run.plan and open_maps(run.plan.data).read()))
