"""The benchmark of foreign files finds disagreements of readers and breaches of known bounds."""

import json
import sys
from pathlib import Path

import foreign_files
import pytest
import trimesh

BOX = trimesh.creation.box((1, 2, 4))
CONCAVE = "v 0 0 0\nv 2 0 0\nv 2 2 0\nv 1 0.5 0\nv 0 2 0\nf 2 3 4 5 1\n"
EXPECTED = """box.stl | read .25 .5 1
box.ply | read 1 1 1
sub/bad.off | refuse truncated
sub/other.off | refuse nothing or read .3 .5 1
"""


def test_a_folder_with_known_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "files"
    (folder / "sub").mkdir(parents=True)
    for name in ("box.stl", "box.ply"):
        BOX.export(folder / name)
    (folder / "fan.obj").write_text(CONCAVE)
    (folder / "sub" / "bad.off").write_text("OFF\n8 12 0\n0 0 0\n")
    (folder / "sub" / "other.off").write_bytes(b"<html>")
    (folder / "notes.md").write_text("nothing")
    (folder / "expected.txt").write_text(EXPECTED)
    monkeypatch.setattr(sys, "argv", ["foreign_files.py", str(folder), "--out", str(tmp_path / "a.json")])
    foreign_files.main()
    printed = capsys.readouterr().out
    result = json.loads((tmp_path / "a.json").read_text())
    rows = {row["file"]: row for row in result["files"]}
    assert set(rows) == {"box.stl", "box.ply", "fan.obj", "sub/bad.off", "sub/other.off"}
    assert {"commit", "processor", "cores"} <= set(result["environment"])
    assert rows["box.stl"]["disagreements"] == {}
    assert rows["box.stl"]["ours"]["extents"] == pytest.approx([1, 2, 4])
    assert rows["box.stl"]["ours"]["area"] == rows["box.stl"]["trimesh"]["area"] == pytest.approx(28)
    assert list(rows["box.ply"]["disagreements"]) == ["expected.txt"]
    # trimesh cuts the polygon as a fan from its first corner, which covers more than the polygon.
    assert "area 2.5, not" in rows["fan.obj"]["disagreements"]["trimesh"]
    assert rows["sub/bad.off"]["disagreements"] == {}
    assert list(rows["sub/other.off"]["disagreements"]) == ["expected.txt"]
    assert "files: 5, read: 3, with notes: 0\nrefused: 2, crashed: 0" in printed
    assert "| fan.obj | trimesh | area 2.5, not" in printed
