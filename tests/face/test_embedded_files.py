"""What is found among embedded files: neighbours, clusters, and what the verbs say of the files."""

import json
import os
import shutil
from pathlib import Path

import h5py
import pytest
import trimesh
from command_line import call
from embedded_parts import SETTINGS, enter_place, make_parts

import spectral_ssl
from spectral_ssl.ground.errors import UserError


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_parts(tmp_path_factory.mktemp("embed"))


@pytest.fixture
def place(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter_place(home, tmp_path, monkeypatch)


def test_neighbours_are_found_in_a_feature_file_and_in_a_folder(place: Path) -> None:
    path = spectral_ssl.embed("parts", encoder="tiny")["path"]
    by_id = spectral_ssl.neighbors("boxes/1.stl", data=path, count=3)
    assert [each["class"] for each in by_id["answers"]] == ["boxes"] * 3
    assert Path(by_id["picture"]).parent == place / "ws" / "encoders" / "tiny" / "samples"
    # without --data the newest feature file; a file of the embedded folder is itself
    assert spectral_ssl.neighbors("parts/boxes/1.stl", count=3) == by_id
    by_folder = spectral_ssl.neighbors("parts/boxes/1.stl", data="parts", encoder="tiny", count=3)
    assert by_folder["answers"] == by_id["answers"]
    shutil.copy("parts/boxes/1.stl", "new.stl")
    new = spectral_ssl.neighbors("new.stl", data=path, count=1)
    assert (new["known"], new["answers"][0]["class"]) == (False, "boxes")
    shutil.rmtree("ws/cache")
    assert spectral_ssl.neighbors("boxes/1.stl", data=path, count=3)["picture"] is None
    with pytest.raises(UserError, match=r"features of another network.*made with --encoder"):
        spectral_ssl.neighbors("boxes/1.stl", data=path, encoder="universe-upright")


def test_a_file_that_changed_since_it_was_embedded_is_computed_anew(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = spectral_ssl.embed("parts", encoder="tiny", out="f.h5")["path"]
    before = spectral_ssl.neighbors("parts/boxes/1.stl", data=path, count=1, metric="l2")
    assert before["answers"][0]["class"] == "boxes"
    capsys.readouterr()
    trimesh.load("parts/balls/1.stl").export("parts/boxes/1.stl")
    os.utime("parts/boxes/1.stl", (0, 0))  # the content is older than the features, as after `mv`
    found = spectral_ssl.neighbors("parts/boxes/1.stl", data=path, count=1, metric="l2")
    assert "has changed since f.h5 was written" in capsys.readouterr().err.replace("\n", " ")
    assert (found["query"], found["known"]) == ("boxes/1.stl", True)
    assert found["answers"][0]["class"] == "balls"
    # its id still names the object that was embedded
    assert spectral_ssl.neighbors("boxes/1.stl", data=path, count=1, metric="l2")["answers"] == before["answers"]


def test_some_files_of_a_folder_do_not_take_its_place(place: Path) -> None:
    whole = spectral_ssl.embed("parts/boxes", encoder="tiny")
    some = spectral_ssl.embed(["parts/boxes/0.obj", "parts/boxes/1.stl"], encoder="tiny")
    assert Path(some["path"]).name == "boxes-2-files.h5"
    assert len(spectral_ssl.read_features(whole["path"]).ids) == 4


def test_without_data_what_was_embedded_is_searched_and_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spectral_ssl.embed("parts", encoder="tiny")
    spectral_ssl.embed("parts/boxes/0.obj", encoder="tiny")  # one object is nothing to search
    shutil.copy("parts/balls/2.obj", "new.obj")
    assert len(spectral_ssl.neighbors("new.obj", count=8)["answers"]) == 8
    # so does the encoder when it is named; a file of the folder is itself there too
    found = spectral_ssl.neighbors("parts/boxes/1.stl", encoder="tiny", count=8)
    assert (found["known"], len(found["answers"]), Path(found["data"]).name) == (True, 7, "parts.h5")
    with pytest.raises(UserError, match=r"nothing was embedded by universe-upright: got .* of tiny; .*--data"):
        spectral_ssl.neighbors("new.obj", encoder="universe-upright")
    maps = spectral_ssl.prep("parts", degree=6, points=256, out="parts.h5")
    spectral_ssl.pretrain(maps, method="joint-embedding", epochs=0, settings=SETTINGS, out="ws/runs/mine", report=False)
    capsys.readouterr()
    spectral_ssl.neighbors("new.obj", count=1)
    said = capsys.readouterr().err.replace("\n", " ")
    assert "run mine, the latest in" in said
    assert "--data other objects" in said


def test_damaged_feature_files_are_passed_over_or_named(place: Path) -> None:
    path = Path(spectral_ssl.embed("parts", encoder="tiny")["path"])
    shutil.copy(path, "ws/features/torn.h5")
    with h5py.File("ws/features/torn.h5", "r+") as file:
        del file["ids"]
    shutil.copy("parts/balls/2.obj", "new.obj")
    assert spectral_ssl.neighbors("new.obj", count=1)["data"] == str(path)
    with h5py.File(path, "r+") as file:
        file.attrs["config"] = "[run"
    with pytest.raises(UserError, match="a feature file with a damaged config"):
        spectral_ssl.neighbors("new.obj", data=path)
    with pytest.raises(UserError, match="neither an object of the data nor a file"):
        spectral_ssl.neighbors("~nobody-of-this-name/1.stl", encoder="tiny", data="parts")


@pytest.mark.parametrize(
    "words",
    [("embed", "~nobody-x/a.stl"), ("prep", "~nobody-x"), ("probe", "--run", "~nobody-x/a"), ("cluster", "~nobody-x")],
)
def test_the_home_of_a_user_who_does_not_exist_is_a_missing_file(place: Path, words: tuple[str, ...]) -> None:
    done = call(*words)
    assert done.returncode == 2
    assert "~nobody-x" in done.stderr
    assert "Traceback" not in done.stderr


def test_clusters_are_listed(place: Path) -> None:
    done = call("cluster", "parts", "--encoder", "tiny", "--clusters", "2")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("  cluster ")]
    assert sum(int(line.split()[2]) for line in lines) == 8
    assert all("boxes/" in line or "balls/" in line for line in lines)


def test_verify_says_what_it_cannot_check(place: Path) -> None:
    spectral_ssl.embed("parts", encoder="tiny", out="f.npz")
    groups = spectral_ssl.cluster("parts", encoder="tiny", clusters=2)["path"]
    for path, message in (
        ("f.npz", "not an HDF5 file of maps or features"),
        ("parts/boxes/1.stl", "not an HDF5 file of maps or features"),
        (groups, "which holds 'spectral-ssl clusters 1'"),
    ):
        with pytest.raises(UserError, match=message):
            spectral_ssl.verify(path)
    Path("torn.h5").write_bytes(Path(groups).read_bytes()[:600])
    assert len(spectral_ssl.verify("torn.h5")) == 1


def test_the_report_of_an_encoder_names_a_probe_of_the_encoder(place: Path) -> None:
    page = spectral_ssl.report(encoder="tiny", data="parts").read_text()
    assert "spectral-ssl probe --encoder" in page
    assert "spectral-ssl None" not in page


def test_a_folder_is_embedded_not_encoded(place: Path) -> None:
    with pytest.raises(UserError, match=r"a folder, not a file: got parts; .*spectral-ssl embed"):
        spectral_ssl.load("tiny").encode("parts")


def test_a_file_with_the_name_of_an_object_is_pointed_out(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = spectral_ssl.embed("parts", encoder="tiny", out="f.h5")["path"]
    Path("boxes").mkdir()
    shutil.copy("parts/balls/1.stl", "boxes/1.stl")
    capsys.readouterr()
    found = spectral_ssl.neighbors("boxes/1.stl", data=path, count=1)
    assert (found["known"], found["answers"][0]["class"]) == (True, "boxes")
    assert "./boxes/1.stl is the file in the present folder" in capsys.readouterr().err.replace("\n", " ")
    found = spectral_ssl.neighbors("./boxes/1.stl", data=path, count=1)
    assert (found["known"], found["answers"][0]["class"]) == (False, "balls")


def test_a_feature_file_names_its_encoder_from_any_folder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(spectral_ssl.load("tiny").checkpoint_path.parent, "mine")
    path = spectral_ssl.embed("parts", encoder="mine", out="f.h5")["path"]
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert spectral_ssl.neighbors("boxes/1.stl", data=place / path, count=1)["answers"][0]["class"] == "boxes"


@pytest.mark.parametrize(
    ("paths", "query", "row"),
    [
        (("parts",), "parts/boxes/1.stl", "boxes/1.stl"),
        (("parts",), "link/../boxes/1.stl", "boxes/1.stl"),
        (("parts",), "link/1.stl", "boxes/1.stl"),
        (("parts/boxes", "parts/balls"), "parts/boxes/1.stl", "boxes/1.stl"),
        (("parts/boxes/0.obj", "parts/boxes/1.stl"), "./parts/boxes/1.stl", "1.stl"),
        (("parts/boxes/1.stl", "parts/balls/1.stl"), "parts/boxes/1.stl", "boxes/1.stl"),
        (("parts",), "boxes/1.stl", "boxes/1.stl"),
        (("parts",), "copy/boxes/1.stl", None),  # another file, with the same content
        (("parts/boxes/0.obj", "parts/balls/1.stl"), "parts/1.stl", None),  # another file, with the name of a row
    ],
)
def test_a_file_that_was_embedded_is_not_its_own_neighbour(
    place: Path, capsys: pytest.CaptureFixture[str], paths: tuple[str, ...], query: str, row: str | None
) -> None:
    (place / "link").symlink_to(place / "parts" / "boxes")
    shutil.copytree("parts/boxes", "copy/boxes")
    path = spectral_ssl.embed(paths, encoder="tiny", out="f.h5")["path"]
    shutil.copy("parts/boxes/1.stl", "parts/1.stl")
    capsys.readouterr()
    found = spectral_ssl.neighbors(query, data=path, metric="l2")
    says = f"the query {row} is one of the objects: left out of its own neighbours"
    assert (found["known"], says in capsys.readouterr().err.replace("\n", " ")) == (row is not None, row is not None)
    answers = [each["id"] for each in found["answers"]]
    assert len(answers) == len(spectral_ssl.read_features(path).ids) - (row is not None)
    assert row not in answers


def test_one_or_two_objects_have_commands_and_neighbours_that_make_sense(place: Path) -> None:
    one = call("embed", "parts/boxes/0.obj", "--encoder", "tiny", "--out", "one.h5", "--workspace", "w s")
    assert (one.returncode, "next:" in one.stderr) == (0, False), one.stderr
    alone = call("neighbors", "0.obj", "--data", "one.h5", "--encoder", "tiny", "--split", "train")
    assert alone.returncode == 2
    assert "no other object to search: got only the query in split 'train' of one.h5" in alone.stderr
    files = ("parts/boxes/0.obj", "parts/boxes/2.obj")
    two = call("embed", *files, "--encoder", "tiny", "--out", "two.h5", "--workspace", "w s")
    assert "spectral-ssl neighbors 0.obj --data two.h5 --workspace 'w s'" in two.stderr
    assert "spectral-ssl cluster two.h5 --clusters 2 --workspace 'w s'" in two.stderr
    found = call("neighbors", "0.obj", "--data", "two.h5", "--encoder", "tiny", "--json")
    assert "1 object to search: too few to standardise features" in found.stderr
    assert json.loads(found.stdout)["answers"][0]["cosine similarity"] > 0.1
