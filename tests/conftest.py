"""Shared by all tests: small map files made once, and no reading of the user's own workspace."""

import os
import resource
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

# the tests run in several processes: more than one native thread in each would only fight for the same cores
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

from data_prep.basis import Basis, zernike_basis
from data_prep.layout import find_valid_cells
from data_prep.maps.reader import MapFile, open_maps
from data_prep.maps.writer import MapWriter


@pytest.fixture(autouse=True)
def _own_workspace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPECTRAL_SSL_HOME", str(tmp_path / "workspace"))


def write_random_maps(
    path: Path, basis: Basis, *, train: int = 48, test: int = 24, classes: int = 3, seed: int = 0, labelled: bool = True
) -> MapFile:
    """Maps of noise around a centre for each class, in rows that alternate between classes."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(classes, *basis.shape))
    labels = np.arange(train + test) % classes
    maps = (centres[labels] + generator.normal(size=(train + test, *basis.shape))).astype(np.float32)
    names = [f"class{number}" for number in range(classes)]
    with MapWriter(
        path, basis, source="made-up", source_digest="0", classes=names, count=train + test, created_by="test"
    ) as writer:
        writer.append(
            maps * find_valid_cells(basis),
            [f"object-{row}" for row in range(train + test)],
            (labels if labelled else np.full_like(labels, -1)).tolist(),
            ["train"] * train + ["test"] * test,
        )
    return open_maps(path)


@pytest.fixture
def random_maps(tmp_path: Path) -> MapFile:
    """72 labelled maps of a small triangular Zernike basis."""
    return write_random_maps(tmp_path / "random.h5", zernike_basis(8))


@pytest.fixture
def little_memory() -> Iterator[None]:
    """The test fails when the process comes to hold 256 MiB more than it ever held."""
    for library in ("torch", "trimesh", "PIL.Image", "pretext.runs.trained_run", "data_prep.sources"):
        import_module(library)  # what they take when they load is not the test's
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    assert grown < 256, f"{grown} MiB more"
