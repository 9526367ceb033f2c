"""Shared by the tests of training: the data of the cases, and an uninterrupted run of one of them."""

from pathlib import Path

import pytest
from conftest import make_once
from faults import Resume, child
from method_cases import ONE_CASE, resume, start, write_data


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the map files of the cases; tests only read it."""
    return make_once(tmp_path_factory, "method-cases", write_data)


@pytest.fixture(scope="session")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run of ``ONE_CASE``; tests only read it."""

    def make(folder: Path) -> None:
        log = folder / "log"
        assert child(lambda: start(ONE_CASE, data, folder / "run"), log) == 0, log.read_text()

    return make_once(tmp_path_factory, "uninterrupted", make) / "run"


@pytest.fixture
def resume_in_child(data: Path, tmp_path: Path) -> Resume:
    """Resume a run of ``ONE_CASE`` in a process of its own, and check that it ends well."""

    def resume_run(run: Path) -> None:
        log = tmp_path / "log"
        assert child(lambda: resume(ONE_CASE, data, run), log) == 0, log.read_text()

    return resume_run
