"""A small study that is served, and a participant who has joined it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from study_client import GENEROUS, SHORT, Client, write_study

from downstream.study.design import StudyConfig
from downstream.study.folder import Study
from downstream.study.serving import ServedStudy, listen


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return write_study(tmp_path / "study", StudyConfig(trials=6, checks=2, exposure=SHORT))


@pytest.fixture
def served(study: Study) -> Iterator[ServedStudy]:
    with listen(study, port=0, limits=GENEROUS).in_background() as started:
        yield started


@pytest.fixture
def client(served: ServedStudy) -> Client:
    joined = Client(served.link)
    joined.join()
    return joined
