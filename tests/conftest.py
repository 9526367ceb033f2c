"""Shared by all tests: small map files made once, and no reading of the user's own workspace."""

import fcntl
import os
import resource
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

# the tests run in several processes: more than one native thread in each would only fight for the same cores
os.environ.setdefault("OMP_NUM_THREADS", "1")

import h5py
import numpy as np
import pytest

from data_prep.basis import Basis, zernike_basis
from data_prep.layout import find_valid_cells
from data_prep.maps.reader import MapFile, open_maps
from data_prep.maps.row_checksums import CHECKSUMS
from data_prep.maps.writer import MapWriter
from data_prep.pipeline.image_survey import find_image_basis
from data_prep.pipeline.prepare import prepare_maps
from data_prep.sources.catalogue import open_source

# 1024 shapes of the universe instead of 4096: twice as many as the features of the encoders have dimensions
FEW_TO_WHITEN = ("pretext.runs.whitening.UNIVERSE_SHAPES", 1024)
# 72 objects instead of 720: of each class 4 to train with and 2 to test with
FEW_SHAPES = ("data_prep.sources.built_in.shapes.COUNTS", {"train": 4, "test": 2})


@pytest.fixture(autouse=True)
def _own_workspace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPECTRAL_SSL_HOME", str(tmp_path / "workspace"))


@pytest.fixture(autouse=True)
def _keeps_denormal_numbers() -> None:
    """Undo what trainings of earlier tests have set in this process: hypothesis refuses to draw floats then."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture(autouse=True)
def _whitens_to_few_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*FEW_TO_WHITEN)


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


def forget_checksums(file: h5py.File) -> None:
    """Delete the checksums of the rows, which files of earlier versions do not have."""
    for name, _ in CHECKSUMS.values():
        if name in file:
            del file[name]


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that ``make`` has filled, once for all the processes that run these tests.

    Tests only read what is in it. A test that writes into such a folder copies it first.
    """
    base = factory.getbasetemp()
    # a worker of pytest-xdist has a folder of its own within that of the session
    session = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = session / "shared" / name
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a worker that comes second waits here
        done = folder.with_suffix(".done")
        if not done.exists():
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def shapes_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map file of 72 built-in shapes with their clouds, of degree 6; tests only read it."""

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(*FEW_SHAPES)
            shapes = open_source("shapes")
        prepare_maps(shapes, zernike_basis(6, points=64), folder / "shapes.h5", workers=0, keep_points=True)

    return make_once(tmp_path_factory, "shapes", make) / "shapes.h5"


@pytest.fixture(scope="session")
def digits_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map file of the 1797 digits; tests only read it."""

    def make(folder: Path) -> None:
        source = open_source("digits")
        prepare_maps(source, find_image_basis(source), folder / "digits.h5", workers=0)

    return make_once(tmp_path_factory, "digits", make) / "digits.h5"


@pytest.fixture
def few_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in shapes are 72 objects, for whatever is not about their number."""
    monkeypatch.setattr(*FEW_SHAPES)


@pytest.fixture
def quick_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes try few regularisations, folds and draws, for whatever is not about their scores."""
    for name, value in {
        "few_shot.DRAWS": 2,
        "cross_validation.FOLDS": 2,
        "classifiers.logistic.STRENGTHS": (1e-3, 1e-1),
        "classifiers.svm.SVM_STRENGTHS": (1e-3, 1e-1),
        "classifiers.adam_layer.WEIGHT_DECAYS": (0.1, 0.0),
        "classifiers.adam_layer.EPOCHS": 2,
        "classifiers.adam_layer.FEWEST_STEPS": 2,
    }.items():
        monkeypatch.setattr(f"downstream.probes.{name}", value)


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
