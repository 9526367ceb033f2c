"""Shared by the tests of pretext: runs that are trained once, devices, and no figures unless a test asks for them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import make_once, write_random_maps
from figures_off import figures, figures_off, no_figures

import spectral_ssl
from data_prep.basis import zernike_basis
from pretext.runs.trained_run import TrainedRun, load_run

__all__ = ["figures", "no_figures"]

TINY = ("width=4", "code=8", "batch_size=16")
MORE = {
    "cgml": ("steps=2", "hidden=8"),
    "joint-cgml": ("steps=2", "hidden=8"),
    "joint-embedding": ("projector=16", "grid=8"),
}
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, needs_cuda])])
def device(request: pytest.FixtureRequest) -> str:
    """The device of a training: the CPU, and a GPU where there is one."""
    return str(request.param)


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., TrainedRun]:
    """Train a method on ``random_maps`` when a test first wants this run of the session; tests only read it."""

    def train(method: str, *settings: str, epochs: int = 1, seed: int = 0) -> TrainedRun:
        def make(folder: Path) -> None:
            maps = write_random_maps(folder / "random.h5", zernike_basis(8))
            with figures_off():
                spectral_ssl.pretrain(
                    maps, method=method, task="denoise", epochs=epochs, seed=seed,
                    settings=(*TINY, *MORE.get(method, ()), *settings), out=folder / "run",
                )  # fmt: skip

        name = "-".join([method, *settings, f"epochs={epochs}", f"seed={seed}"]).replace(".", "_")
        return load_run(make_once(tmp_path_factory, name, make) / "run")

    return train
