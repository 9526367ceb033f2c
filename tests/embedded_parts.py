"""Parts in class folders and an encoder of them, for the tests of what is embedded."""

import shutil
from pathlib import Path

import pytest
import trimesh

import spectral_ssl
from spectral_ssl.ground.progress import quiet

SETTINGS = ("grid=10", "width=8", "code=16", "projector=16")


def write_boxes_and_balls(folder: Path, count: int, endings: tuple[str, ...] = ("obj",)) -> None:
    """So many boxes and balls in folders of classes; the endings of their names take turns."""
    for number in range(count):
        for name, mesh in (
            ("boxes", trimesh.creation.box((1, 1 + 0.1 * number, 3))),
            ("balls", trimesh.creation.icosphere(2, 1 + number)),
        ):
            (folder / name).mkdir(parents=True, exist_ok=True)
            mesh.export(folder / name / f"{number}.{endings[number % len(endings)]}")


def make_parts(folder: Path) -> Path:
    """Boxes and balls in folders of classes, and an encoder of maps of degree 6 in the folder ``tiny``."""
    write_boxes_and_balls(folder / "parts", 4, ("obj", "stl"))
    with quiet():
        maps = spectral_ssl.prep(str(folder / "parts"), degree=6, points=256, out=folder / "parts.h5")
        run = spectral_ssl.pretrain(
            maps, method="joint-embedding", epochs=0, settings=SETTINGS, out=folder / "run", report=False
        )
    run.save(folder / "tiny")
    return folder


def enter_place(parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with a link to the encoder and a copy of the parts."""
    (tmp_path / "tiny").symlink_to(parts / "tiny")
    shutil.copytree(parts / "parts", tmp_path / "parts")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPECTRAL_SSL_HOME", str(tmp_path / "ws"))
    return tmp_path
