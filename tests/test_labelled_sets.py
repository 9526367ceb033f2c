"""Benchmarks of encoders that ship: sets of other packages' files, small tasks, and their tables."""

import argparse
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import package_sets
import pytest
import shipped_encoders
import small_tasks

from data_prep.maps.reader import MapFile
from data_prep.readers.shape import read_shape
from downstream.probes.compared_features import TRAINED, is_training_free
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import ObjectError
from tests.untrained_runs import make_run

# Two sets of faces, as KiCad writes them.
PART = """#VRML V2.0 utf8
Shape {{ geometry IndexedFaceSet
{{ creaseAngle 0.50 coordIndex [0,1,2,-1,0,2,3,-1]
coord Coordinate {{ point [{first}]
}}}}
appearance Appearance{{material USE PIN-01 }}
}}
Shape {{ geometry IndexedFaceSet
{{ creaseAngle 0.50 coordIndex [2,1,0,-1]
coord Coordinate {{ point [0 0 0,0 0 {height},0 1 0]
}}}}
}}
"""


def write_part(height: float, scale: float = 1.0) -> str:
    """Write the text of a part, a square with a triangle on it."""
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]) * scale
    text = PART.format(first=",".join(" ".join(f"{value:g}" for value in row) for row in corners), height=height)
    return text.replace("0 1 0]", f"0 {scale:g} 0]")


@pytest.fixture
def run(random_maps: MapFile) -> TrainedRun:
    """An untrained network for the random maps."""
    return make_run(basis=random_maps.basis)


@pytest.fixture
def arguments(
    random_maps: MapFile, tmp_path: Path, run: TrainedRun, monkeypatch: pytest.MonkeyPatch
) -> argparse.Namespace:
    """The arguments of a measurement of that network."""
    for script in (small_tasks, shipped_encoders):
        monkeypatch.setattr(script, "load_encoder", lambda name: run)
    return argparse.Namespace(
        data=[random_maps.path], encoder="made-up", run=None, tasks=3, seed=0, pose="aligned", held_out=False,
        encoder_only=False, seeds=2, workspace=tmp_path,
    )  # fmt: skip


def test_a_part_of_kicad_is_read() -> None:
    vertices, faces = package_sets.parse_vrml(write_part(2.0))
    assert vertices.tolist()[-2:] == [[0, 0, 2], [0, 1, 0]]
    assert faces.tolist() == [[0, 1, 2], [0, 2, 3], [6, 5, 4]]


@pytest.mark.parametrize("text", ["Shape {}", "Transform { translation 1 0 0 }" + write_part(1.0)])
def test_other_vrml_is_refused(text: str) -> None:
    with pytest.raises(ObjectError):
        package_sets.parse_vrml(text)


def test_repeated_parts_and_small_classes_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {"Fuse/a": write_part(1), "Fuse/b": write_part(2), "Fuse/c": write_part(2, 2), "Fuse/b2": write_part(2)}
    texts |= {"Relay/a": write_part(3), "Crystal/a": write_part(4), "Crystal/b": write_part(5)}
    for name, text in texts.items():
        path = tmp_path / "usr/share/kicad/3dmodels" / f"{name.replace('/', '.3dshapes/')}.wrl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    out = tmp_path / "electronics"
    command = ["x", "electronics", "--root", str(tmp_path), "--out", str(out), "--fewest", "2", "--most", "2"]
    monkeypatch.setattr("sys.argv", command)
    package_sets.main()
    counts = json.loads((tmp_path / "electronics.json").read_text())["classes"]
    assert counts == {"Crystal": 2, "Fuse": 2}
    assert not (out / "Relay").exists()
    assert {len(read_shape(path).points) for path in out.rglob("*.off")} == {7}


def write_pmd(height: float, version: int = 4) -> bytes:
    """Write a triangle with two kinds of texture coordinates in the format of 0 A.D.'s meshes."""
    vertices = np.zeros(3, [("position", "<f4", 3), ("other", "u1", 48)])
    vertices["position"] = [[0, 0, 0], [1, 0, 0], [0, height, 3]]
    vertices["other"] = 7
    header = struct.pack("<4s4I", b"PSMD", version, 0, 3, 2)
    return header + vertices.tobytes() + struct.pack("<I3H2I", 1, 0, 1, 2, 0, 0)


def test_a_mesh_of_0ad_is_read() -> None:
    vertices, faces = package_sets.parse_pmd(write_pmd(2.0))
    assert vertices.tolist() == [[0, 0, 0], [1, 0, 0], [0, 2, 3]]
    assert faces.tolist() == [[0, 1, 2]]
    with pytest.raises(ObjectError):
        package_sets.parse_pmd(write_pmd(2.0, version=3))


def test_meshes_of_0ad_have_the_class_of_their_building_or_folder(tmp_path: Path) -> None:
    template = "<Entity><VisualActor><Actor>{}</Actor></VisualActor></Entity>"
    actor = "<actor><variant><mesh>{}.dae</mesh></variant><variant><mesh> {}.dae </mesh></variant></actor>"
    files: dict[str, str | bytes] = {
        "simulation/templates/structures/rome/wall_gate.xml": template.format("structures/gate.xml"),
        "simulation/templates/structures/rome/market.xml": template.format("structures/market.xml"),
        "simulation/templates/structures/gaul/market.xml": template.format("structures/missing.xml"),
        "art/actors/structures/gate.xml": actor.format("gate_1", "shared"),
        "art/actors/structures/market.xml": actor.format("shared", "missing"),
        "art/actors/flora/trees/oak.xml": actor.format("oak-1", "oak-2"),
        "art/actors/flora/bushes/box.xml": actor.format("box", "box"),
    }
    files |= {
        f"art/meshes/{name}.dae.cached.pmd": write_pmd(2) for name in ("gate_1", "shared", "oak-1", "oak-2", "box")
    }
    path = tmp_path / "usr/share/games/0ad/mods/public/public.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    models = [read() for _, read in package_sets.list_antiquity(tmp_path)]
    assert sorted((model.label, model.name) for model in models) == [
        ("tree", "oak-1"), ("tree", "oak-2"), ("wall-gate", "gate_1"),
    ]  # fmt: skip
    assert models[0].vertices.tolist()[2] == [0, 3, 2]


def test_every_other_object_of_a_task_is_scored(
    arguments: argparse.Namespace, random_maps: MapFile, quick_probes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_tasks, "DRAWS", 2)
    monkeypatch.setattr(small_tasks, "CLASSES", (2, 3))
    monkeypatch.setattr(small_tasks, "LABELS", (3, 4))
    result = small_tasks.measure(arguments)
    assert result["summary"]["tasks"] == len(result["tasks"]) == 3
    assert sum(result["summary"][name] for name in ("wins", "ties", "losses")) == 3
    for task in result["tasks"]:
        rows = np.isin(random_maps.labels, [random_maps.classes.index(name) for name in task["classes"]])
        assert task["objects"] == (rows & (random_maps.splits == "test")).sum()
        assert task["scored"] == task["objects"] - len(task["classes"]) * task["labels"]
        baselines = [score for name, score in task["scores"].items() if is_training_free(name)]
        assert task["difference"] == pytest.approx(task["scores"][TRAINED] - max(baselines))
    assert "| all | 3 |" in small_tasks.write_tables(result)


def test_held_out_tasks_have_no_test_objects(random_maps: MapFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_tasks, "CLASSES", (2, 3))
    monkeypatch.setattr(small_tasks, "LABELS", (3, 4))
    first, again = (small_tasks.draw_tasks([random_maps], 4, 1, held_out=True)[0] for _ in range(2))
    assert [task.rows.tolist() for task in first] == [task.rows.tolist() for task in again]
    assert {str(split) for task in first for split in random_maps.splits[task.rows]} == {"train"}


def test_an_encoder_is_compared_with_the_best_baseline(
    arguments: argparse.Namespace, random_maps: MapFile, run: TrainedRun, tmp_path: Path, quick_probes: None
) -> None:
    row = shipped_encoders.measure(run, "made-up", "vertical", random_maps, arguments)
    few = {each["features"]: each["few-shot"]["mean"] for each in row["rows"]}
    verdict = row["verdicts"]["few-shot"]
    assert verdict["accuracy"] == pytest.approx(few[TRAINED])
    assert verdict["baseline_accuracy"] == max(score for name, score in few.items() if is_training_free(name))
    for _ in range(2):  # The second measurement replaces the first.
        result = shipped_encoders.store(row, tmp_path / "result.json")
    assert len(result["rows"]) == 1
    assert any(line.startswith("| **made-up** |") for line in shipped_encoders.write_tables(result))
