"""Features of the user's own files by an encoder, without any training: embed, and what follows it."""

import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from command_line import call
from conftest import write_random_maps
from embedded_parts import enter_place, make_parts
from PIL import Image

import spectral_ssl
from data_prep.basis import pixel_basis, zernike_basis
from spectral_ssl.cli.options import complete_encoder
from spectral_ssl.ground.errors import UserError
from spectral_ssl.planning.inputs.open_data import check_path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_parts(tmp_path_factory.mktemp("embed"))


@pytest.fixture
def place(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter_place(home, tmp_path, monkeypatch)


def test_a_folder_keeps_its_classes_and_tells_what_comes_next(place: Path, home: Path) -> None:
    done = call("embed", "parts", "--encoder", "tiny")
    assert done.returncode == 0, done.stderr
    path = place / "ws" / "features" / "parts.h5"
    assert done.stdout.split(",")[0] == f"{path}: 8 objects"
    assert "encoder tiny, failed objects: 0" in done.stdout
    assert "spectral-ssl probe --target parts --encoder" in done.stderr
    stored = spectral_ssl.read_features(path)
    maps = spectral_ssl.open_maps(home / "parts.h5")
    assert list(stored.ids) == list(maps.ids)
    assert stored.classes == ("balls", "boxes")
    assert stored.labels.tolist() == maps.labels.tolist()
    encoder = spectral_ssl.load("tiny")
    assert stored.about["encoder"] == "tiny"
    assert stored.about["checkpoint_digest"] == encoder.checkpoint_digest
    np.testing.assert_allclose(stored.values, encoder.encode(maps), rtol=1e-4, atol=1e-5)
    assert spectral_ssl.verify(path) == []


def test_a_second_call_prepares_nothing_until_a_file_changes(place: Path) -> None:
    first = call("embed", "parts", "--encoder", "tiny", "--json")
    refused = call("embed", "parts", "--encoder", "no-such-encoder")  # the output is looked at first
    assert refused.returncode == 2
    assert "output exists already" in refused.stderr
    again = call("embed", "parts", "--encoder", "tiny", "--json", "--overwrite")
    assert "were prepared before" in again.stderr
    assert json.loads(again.stdout) == json.loads(first.stdout)
    before = spectral_ssl.read_features(json.loads(first.stdout)["path"]).values
    changed = place / "parts" / "balls" / "0.obj"
    stat = changed.stat()
    changed.write_bytes(changed.read_bytes().replace(b"v 0", b"v 1", 5))  # the same size
    os.utime(changed, ns=(stat.st_atime_ns, stat.st_mtime_ns - 1))
    after = call("embed", "parts", "--encoder", "tiny", "--overwrite")
    assert after.returncode == 0, after.stderr
    assert "were prepared before" not in after.stderr
    values = spectral_ssl.read_features(json.loads(first.stdout)["path"]).values
    assert np.abs(values - before).max(axis=1).nonzero()[0].tolist() == [0]


def test_good_files_among_bad_ones_are_embedded(place: Path) -> None:
    np.savetxt("three.xyz", np.eye(3))
    Path("broken.stl").write_text("solid nothing")
    Path("note.md").write_text("text")
    Image.new("L", (8, 8)).save("photo.png")
    files = ("parts/boxes/0.obj", "three.xyz", "broken.stl", "note.md", "photo.png")
    done = call("embed", *files, "--encoder", "tiny", "--out", "f.h5")
    assert done.returncode == 0, done.stderr
    assert "1 object, " in done.stdout
    assert "failed objects: 4" in done.stdout
    stored = spectral_ssl.read_features("f.h5")
    assert list(stored.ids) == ["0.obj"]
    reasons = dict(stored.failures)
    assert set(reasons) == {"three.xyz", "broken.stl", "note.md", "photo.png"}
    assert "too few points" in reasons["three.xyz"]
    assert "truncated" in reasons["broken.stl"]
    assert reasons["note.md"].startswith("not a shape; known endings")
    assert reasons["photo.png"].startswith("not a shape: an image")
    assert all(f"failed: {name}: " in done.stderr for name in reasons)
    np.testing.assert_allclose(
        stored.values, spectral_ssl.load("tiny").encode("parts/boxes/0.obj"), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", ["three.xyz", "note.md"])
def test_if_all_files_are_bad_one_line_says_why(place: Path, name: str) -> None:
    np.savetxt("three.xyz", np.eye(3))
    Path("note.md").write_text("text")
    done = call("embed", name, "--encoder", "tiny", "--quiet")
    assert done.returncode == 2
    assert done.stderr.startswith("spectral-ssl: the only object of")
    assert len(done.stderr.splitlines()) == 1
    assert not list((place / "ws").rglob("*.h5"))


def test_mistakes_are_one_line_each(place: Path, home: Path) -> None:
    damaged = place / "damaged"
    shutil.copytree(home / "tiny", damaged)
    weights = damaged / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9] + b"12345678\0")
    write_random_maps(place / "other.h5", zernike_basis(4))
    (place / "pictures").mkdir()
    Image.new("L", (8, 8)).save(place / "pictures" / "a.png")
    for arguments, words in (
        (("parts", "--encoder", "universe-uprigt"), "did you mean 'universe-upright'?"),
        (("parts", "--encoder", str(home / "run")), "a run, not an encoder"),
        (("parts", "--run", "universe-upright"), "write --encoder universe-upright"),
        (("parts", "--encoder", "tiny", "--run", "x"), "a run and an encoder"),
        (("parts", "--encoder", "damaged"), "damaged weights of the encoder"),
        (("prats", "--encoder", "tiny"), "did you mean 'parts'?"),
        (("other.h5", "--encoder", "tiny"), "another basis than the run's"),
        (("pictures", "--encoder", "tiny"), "no shapes in this folder"),
        (("parts", "--encoder", "tiny", "--up", "up"), "unknown up axis"),
        (("other.h5", "--encoder", "tiny", "--layer", "none"), "unknown layer"),
    ):
        done = call("embed", *arguments, "--quiet")
        assert done.returncode == 2, (arguments, done.stderr)
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_several_paths_get_unique_names(place: Path, home: Path) -> None:
    Path("more").mkdir()
    shutil.copy("parts/boxes/0.obj", "more/0.obj")
    result = spectral_ssl.embed(["parts", "more/0.obj", home / "parts.h5"], encoder="tiny")
    assert Path(result["path"]).name == "parts-and-2-more.h5"
    stored = spectral_ssl.read_features(result["path"])
    assert len(set(stored.ids)) == len(stored.ids) == 17
    assert stored.classes == ("balls", "boxes")
    assert {"parts/boxes/0.obj", "0.obj", "balls/0.obj"} <= set(stored.ids)
    both = spectral_ssl.embed(["parts/boxes/0.obj", "more/0.obj", "more/0.obj"], encoder="tiny", out="both.h5")
    assert spectral_ssl.read_features(both["path"]).ids == ("parts/boxes/0.obj", "more/0.obj")
    twice = spectral_ssl.embed([home / "parts.h5", shutil.copy(home / "parts.h5", "c.h5")], encoder="tiny", out="t.h5")
    assert spectral_ssl.read_features(twice["path"]).ids[::8] == ("parts/balls/0.obj", "c/balls/0.obj")


def test_other_formats_hold_the_same_and_the_failures(place: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow.parquet")
    Path("parts/broken.off").write_text("OFF")
    for kind in ("npz", "parquet", "hdf5"):
        spectral_ssl.embed("parts", encoder="tiny", format=kind, up="+y")
    stored = spectral_ssl.read_features("ws/features/parts.h5")
    arrays = np.load("ws/features/parts.npz")
    np.testing.assert_array_equal(arrays["features"], stored.values)
    assert arrays["failures"].tolist() == [list(pair) for pair in stored.failures] != []
    table = pyarrow.read_table("ws/features/parts.parquet")
    np.testing.assert_array_equal(np.stack(table["features"].to_numpy()), stored.values)
    assert json.loads(table.schema.metadata[b"spectral-ssl"])["failures"][0][0] == "broken.off"


def test_bad_paths_among_good_ones_are_failures(place: Path, home: Path) -> None:
    Path("empty").mkdir()
    Path("fake.h5").write_text("no HDF5")
    Path("broken.stl").write_text("solid nothing")
    done = call("embed", "parts/boxes/0.obj", "empty", "fake.h5", "--encoder", "tiny", "--out", "a.h5")
    assert done.returncode == 0, done.stderr
    assert "1 object, " in done.stdout
    assert "failed objects: 2" in done.stdout
    reasons = dict(spectral_ssl.read_features("a.h5").failures)
    assert "no shapes in this folder" in reasons["empty"]
    assert "features: `embed` or `export`" in reasons["fake.h5"]
    assert all(f"failed: {name}: " in done.stderr for name in ("empty", "fake.h5"))
    result = spectral_ssl.embed([home / "parts.h5", "broken.stl"], encoder="tiny", out="b.h5")
    assert (result["objects"], [name for name, _ in result["failures"]]) == (8, ["broken.stl"])
    for bad in (("empty", "broken.stl"), ("fake.h5", "empty"), ("fake.h5", "./fake.h5")):
        done = call("embed", *bad, "--encoder", "tiny", "--out", "c.h5", "--quiet")
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert "--root" not in done.stderr


def test_ids_of_map_files_of_one_name_are_told_apart(place: Path, home: Path) -> None:
    for name in ("m1", "m2"):
        Path(name).mkdir()
        shutil.copy(home / "parts.h5", f"{name}/x.h5")
    result = spectral_ssl.embed(["m1/x.h5", "m2/x.h5", place / "m1" / "x.h5"], encoder="tiny", out="x.h5")
    ids = spectral_ssl.read_features(result["path"]).ids
    assert ids[::8] == ("m1/x/balls/0.obj", "m2/x/balls/0.obj")
    assert len(set(ids)) == len(ids) == 16


def test_empty_paths_are_refused(place: Path) -> None:
    for words in (("embed", ""), ("embed", "parts", "--out="), ("neighbors", "x", "--data", ""), ("prep", "")):
        done = call(*words)
        assert (done.returncode, "an empty argument: got ''" in done.stderr) == (2, True), done.stderr
    for verb, arguments in (
        (spectral_ssl.embed, {"paths": ""}),
        (spectral_ssl.embed, {"paths": ["parts", ""]}),
        (spectral_ssl.export, {"data": ""}),
        (spectral_ssl.neighbors, {"query": "x", "data": ""}),
        (spectral_ssl.cluster, {"features": ""}),
    ):
        with pytest.raises(UserError, match="empty path"):
            verb(**arguments)


def test_the_format_follows_the_ending_of_the_output(place: Path) -> None:
    result = spectral_ssl.embed("parts/boxes/0.obj", encoder="tiny", out="f.npz")
    assert (result["format"], np.load("f.npz")["features"].shape) == ("npz", (1, result["dimensions"]))
    written = spectral_ssl.export(encoder="tiny", data="parts/boxes/0.obj", out="e.NPZ")
    assert np.load(written)["id"].tolist() == ["0.obj"]
    for verb in (spectral_ssl.embed, spectral_ssl.export):
        with pytest.raises(UserError, match=r"contradict each other: got hdf5 and x.npz; .* with \.h5"):
            verb(None if verb is spectral_ssl.export else "parts", format="hdf5", out="x.npz")
        with pytest.raises(UserError, match="unknown ending"):
            verb(None if verb is spectral_ssl.export else "parts", out="x.csv")


def test_a_feature_file_of_a_stranger_starts_no_download(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = spectral_ssl.embed("parts", encoder="tiny")["path"]
    with h5py.File(path, "r+") as file:
        file.attrs["option"] = "--encoder hf:someone/else"
        file.attrs["maps"] = '[["/no/such/file.h5", "0"]]'
    monkeypatch.setattr("pretext.pretrained.find.download_encoder", lambda _: pytest.fail("a download"))
    with pytest.raises(UserError, match="features of another network"):
        spectral_ssl.neighbors("boxes/1.stl", data=path)
    assert spectral_ssl.neighbors("boxes/1.stl", data=path, encoder="tiny", count=1)["picture"] is None


def test_a_folder_is_clustered(place: Path) -> None:
    result = spectral_ssl.cluster("parts", encoder="tiny")
    assert (result["samples"], result["clusters"]) == (8, 2)
    assert result["path"] == str(place / "ws" / "features" / "parts-clusters.h5")
    with pytest.raises(UserError, match="for maps and folders"):
        spectral_ssl.cluster(spectral_ssl.embed("parts", encoder="tiny")["path"], encoder="tiny", out="c.h5")


def test_without_a_run_the_shipped_encoder_is_taken_and_said(place: Path) -> None:
    done = call("export", "--data", "parts/boxes/0.obj", "--out", "f.h5")
    assert done.returncode == 0, done.stderr
    line = f"no run in {place / 'ws' / 'runs'} yet: encoder universe-upright, which ships with the package"
    assert line in done.stderr
    done = call("embed", "parts/boxes/0.obj", "--json")
    assert json.loads(done.stdout)["option"] == "--encoder universe-upright"


@pytest.mark.usefixtures("quick_probes")
def test_an_encoder_is_probed_and_reported_in_the_workspace(place: Path, home: Path) -> None:
    table = spectral_ssl.probe("parts", encoder="tiny", seeds=1, probes=("neighbours",))
    assert Path(table["path"]).parent == place / "ws" / "encoders" / "tiny"
    assert table["trained_on"] == "parts.h5"
    assert [row["features"] for row in table["rows"]][-1] == "trained network"
    page = spectral_ssl.report(encoder="tiny")
    text = page.read_text()
    assert page == place / "ws" / "encoders" / "tiny" / "report.html"
    assert "Nearest neighbours" in text
    assert "--encoder" in text
    assert "Learning curves" not in text
    assert sorted(path.name for path in (home / "tiny").iterdir()) == ["CARD.md", "encoder.json", "weights.safetensors"]


def test_images_are_read_with_the_channels_of_the_run(place: Path) -> None:
    maps = write_random_maps(place / "images.h5", pixel_basis(1, 16, 16))
    run = spectral_ssl.pretrain(
        maps, method="cgml", settings=("steps=2", "width=4", "code=8", "hidden=8"), epochs=0, out="r", report=False
    )
    Path("photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save("photos/a.png")
    Image.fromarray(pixels[..., 0]).save("photos/b.png")
    shutil.copy("parts/boxes/0.obj", "photos/c.obj")
    result = spectral_ssl.embed("photos", run=run)
    stored = spectral_ssl.read_features(result["path"])
    assert list(stored.ids) == ["a.png", "b.png"]
    np.testing.assert_allclose(stored.values[:1], run.encode("photos/a.png"), rtol=1e-4, atol=1e-5)


def test_encoders_are_listed_and_completed(place: Path, home: Path) -> None:
    (place / "ws" / "encoders").mkdir(parents=True)
    (place / "ws" / "encoders" / "mine").symlink_to(home / "tiny")
    listed = spectral_ssl.list_names("encoders")["encoders"]
    assert list(listed) == ["universe-upright", "universe-any-turn", "universe-any-pose", "mine"]
    assert complete_encoder("universe-u") == ["universe-upright"]
    assert complete_encoder("m") == ["mine"]
    assert spectral_ssl.embed("parts/boxes/0.obj", encoder="mine")["encoder"] == "tiny"


def test_names_of_data_sets_are_paths_too() -> None:
    check_path(Path("shapes"))
    with pytest.raises(UserError, match="did you mean 'shapes'"):
        check_path(Path("shape"))
