"""Which map file is taken if the user names none, and what is said about it."""

import os
from pathlib import Path

import pytest
from command_line import call
from conftest import write_random_maps

from data_prep.basis import pixel_basis
from data_prep.maps.reader import open_maps
from data_prep.maps.writer import MapWriter
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.choose_maps import choose_maps
from spectral_ssl.planning.find_data import find_maps


def write(home: Path, name: str, source: str, count: int, age: int) -> Path:
    """Write a map file; a lower age is newer."""
    path, basis = home / "maps" / name, pixel_basis(1, 2, 2)
    path.parent.mkdir(exist_ok=True)
    with MapWriter(
        path, basis, source=source, source_digest="0", classes=["a"], count=count, created_by="test"
    ) as writer:
        maps = open_maps(write_random_maps(home / "random.h5", basis, train=count, test=0).path)
        writer.append(maps.read(maps.rows()), [str(row) for row in range(count)], [0] * count, ["train"] * count)
    (home / "random.h5").unlink()
    os.utime(path, (10_000 - age, 10_000 - age))
    return path


def chosen(home: Path) -> Path:
    maps = choose_maps(Workspace(home))
    assert maps is not None
    return maps.path


def test_a_newer_file_of_one_object_is_not_the_main_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert choose_maps(Workspace(tmp_path)) is None
    main = write(tmp_path, "main.h5", "shapes", 30, age=9)
    assert chosen(tmp_path) == main
    assert capsys.readouterr().err == f"data: {main} (shapes, 30 training maps), the only map file\n"
    one = write(tmp_path, "one.h5", "folder one", 1, age=1)
    assert chosen(tmp_path) == main
    said = capsys.readouterr().err
    assert f"data: {main} (shapes, 30 training maps), the main data set, not the newest file {one}" in said
    assert "1 training map)" in said
    assert find_maps(None, Workspace(tmp_path)).path == main
    assert find_maps(one, Workspace(tmp_path)).path == one


def test_of_one_data_set_the_newest_file_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "a.h5", "pairs side A", 20, age=5)
    newest = write(tmp_path, "b.h5", "pairs side B", 20, age=2)
    assert chosen(tmp_path) == newest
    assert "the newest of 2 map files; --data names another" in capsys.readouterr().err
    write(tmp_path, "demo.h5", "shapes", 900, age=0)  # what demo leaves is nobody's main set
    assert chosen(tmp_path) == newest


def test_several_data_sets_are_a_question(tmp_path: Path) -> None:
    write(tmp_path, "cars.h5", "folder cars", 20, age=5)
    write(tmp_path, "boats.h5", "folder boats", 10, age=1)
    with pytest.raises(UserError, match=r"several data sets: got .*boats.h5 .*10 training maps.*cars.h5.*--data FILE"):
        choose_maps(Workspace(tmp_path))
    for more in ([], ["--dry-run"]):
        ended = call("pretrain", *more, workspace=tmp_path)
        assert ended.returncode == 2
        assert "--data FILE" in ended.stderr.splitlines()[-1]
    assert not (tmp_path / "runs").exists()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "maps" / "broken.h5"
    broken.parent.mkdir()
    broken.write_text("no maps")
    with pytest.raises(UserError, match="not a readable HDF5 file"):
        choose_maps(Workspace(tmp_path))
    main = write(tmp_path, "main.h5", "shapes", 3, age=0)
    assert chosen(tmp_path) == main
    assert f"left out: not a readable HDF5 file: got {broken}" in capsys.readouterr().err
