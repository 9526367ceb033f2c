"""A few steps of every method, as any number of processes trains them; ``test_distributed`` starts it with torchrun."""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import torch
from conftest import write_random_maps
from universe_maps import FRESH_TINY, write_universe

import spectral_ssl
from data_prep.basis import pixel_basis, zernike_basis
from pretext.data.standardise import Standardiser
from pretext.methods.catalogue import METHODS
from pretext.runs import plan as run_plan
from pretext.training.distributed import join_processes
from spectral_ssl.verbs import pretrain as pretrain_verb

SMALL = ("width=4", "code=8")
# By default the joint embedding of images has 400 filters and half precision.
EXACT = ("filters=8", "train.precision=fp32")
# an epoch of the 48 training maps is batches of 20, 20 and 8; of 47 and 1 where the case says so;
# of new shapes 8, 8 and 4
# name: (data, method, task, settings); every method of METHODS at least once
CASES: dict[str, tuple[str, str, str | None, tuple[str, ...]]] = {
    "bicycle-gan": ("random", "bicycle-gan", None, SMALL),
    "cgml": ("random", "cgml", None, (*SMALL, "steps=3", "hidden=8")),
    "cgml, all its terms": (
        "random", "cgml", None,
        (*SMALL, "steps=3", "hidden=8", "latent_updates=whole-path", "inferred_weight=1", "decay=cosine", "skips=true"),
    ),
    "cgml, flow": ("random", "cgml", None, (*SMALL, "steps=3", "hidden=8", "dynamics=flow", "candidates=2")),
    "cgml, flow and all ways through G": (
        "random", "cgml", None, (*SMALL, "steps=2", "hidden=8", "dynamics=flow", "modulate=true", "residual=true")
    ),
    "cgml in two stages, pictures": (
        "pictures", "cgml", "corrupted", (*SMALL, "steps=3", "hidden=8", "schedule=two-stage", "first_stage=2")
    ),
    "cgml, altered pictures": (
        "pictures", "cgml", "inpaint", (*SMALL, "steps=2", "hidden=8", "train.enlarge=0.2", "train.flip=true")
    ),
    "regression": ("random", "regression", None, SMALL),
    "regression, a process without rows": (
        "random", "regression", None, (*SMALL, "train.batch_size=47", "residual=true")
    ),
    "context-encoder": ("random", "context-encoder", None, SMALL),
    "joint-embedding": ("random", "joint-embedding", "denoise", ("width=4", "code=8", "projector=16", "grid=8")),
    "joint-embedding, a process without rows": (
        "pictures", "joint-embedding", "picture-views",
        ("width=4", "code=8", "projector=16", "train.batch_size=47", *EXACT),
    ),
    "joint-embedding, pictures": (
        "pictures", "joint-embedding", "picture-views", ("width=4", "code=8", "projector=16", *EXACT)
    ),
    "joint-embedding, new shapes": ("universe", "joint-embedding", "views", FRESH_TINY),
    "joint-cgml": ("random", "joint-cgml", None, (*SMALL, "steps=2", "hidden=8", "projector=16")),
    "lsc-gan": ("random", "lsc-gan", None, ("width=4", "latent=4", "conditioning=code", "features=labels")),
    "lsc-gan, averaged": (
        "random", "lsc-gan", None,
        ("width=4", "latent=4", "features=labels", "nearest=batch", "farthest=batch", "average=0.5",
         "reconstruction_weight=2", "modulated=true"),
    ),
    "lsc-gan, neighbours of the batch": (
        "pictures", "lsc-gan", None, ("width=4", "latent=4", "features=labels", "nearest=batch", "farthest=batch")
    ),
    "mr-gan": ("random", "mr-gan", None, (*SMALL, "samples=3", "predictor_steps=1", "generator_updates=2")),
    "mr-gan, pictures": (
        "pictures", "mr-gan", "inpaint",
        ("width=4", "code=8", "variant=laplace-mr1", "samples=3", "base=latent", "average=0.5"),
    ),
    "pix2pix": ("random", "pix2pix", None, SMALL),
    "rotation-prediction": ("pictures", "rotation-prediction", None, ("width=4",)),
}  # fmt: skip
assert {method for _, method, _, _ in CASES.values()} == set(METHODS)


# methods whose loss is a mean over samples: a batch in parts gives the same step
IN_PARTS = [
    name for name, (_, method, _, _) in CASES.items() if method not in ("joint-embedding", "joint-cgml", "lsc-gan")
]


@contextmanager
def without_completions() -> Iterator[None]:
    """The completions and figures after a training take longer than these trainings."""
    with patch.object(pretrain_verb, "_finish", lambda *_: None):
        yield


@contextmanager
def in_double() -> Iterator[None]:
    """Everything is computed in float64: what remains of a difference is a mistake and no rounding."""
    standardise, build = Standardiser.__call__, run_plan.build_seeded
    torch.set_default_dtype(torch.float64)
    try:
        with (
            patch.object(Standardiser, "__call__", lambda self, maps: standardise(self, maps).double()),
            patch.object(run_plan, "build_seeded", lambda *given: build(*given).double()),
        ):
            yield
    finally:
        torch.set_default_dtype(torch.float32)


def write_data(folder: Path) -> Path:
    """The map files of the cases."""
    write_random_maps(folder / "random.h5", zernike_basis(8))
    write_random_maps(folder / "pictures.h5", pixel_basis(1, 16, 16))
    write_universe(folder / "universe.h5")
    return folder


def train_some(folder: Path, names: Iterable[str], *more: str, device: str = "cpu") -> None:
    """An epoch of each of the cases, a run folder for each beside the map files."""
    for name in names:
        data, method, task, settings = CASES[name]
        settings = (*(() if any("batch_size" in each for each in settings) else ("batch_size=20",)), *settings)
        with without_completions():
            spectral_ssl.pretrain(
                folder.parent / f"{data}.h5",
                method=method,
                task=task,
                epochs=1,
                settings=("watch=0", *settings, *more),
                device=device,
                out=folder / name,
            )


def main(folder: Path) -> None:
    """What the processes do."""
    with join_processes() as processes:
        assert processes.world_size == int(os.environ["WORLD_SIZE"]) > 1
        with in_double():
            train_some(folder / "several", CASES)
            spectral_ssl.pretrain(resume=folder / "stopped", max_minutes=0)
        train_some(folder / "several32", ("cgml", "joint-embedding"))
        spectral_ssl.export(folder / "one32" / "joint-embedding", out=folder / "several.h5")
        spectral_ssl.export(folder / "one32" / "joint-embedding", components=3, out=folder / "several-pca.h5")
        spectral_ssl.evaluate(folder / "one32" / "cgml", count=10, modes=2)
        scores = spectral_ssl.probe(run=folder / "one32" / "joint-embedding", seeds=1)
        (folder / f"probe-{processes.rank}.json").write_text(json.dumps([row["mean"] for row in scores["rows"]]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
