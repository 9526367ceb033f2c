"""Which folders of a user's folder are splits, classes or wrappers; and the two options that decide otherwise."""

import random
from collections import Counter
from pathlib import Path

import pytest

from data_prep.sources.catalogue import open_source
from data_prep.sources.folder.layout import decide_layout
from data_prep.sources.folder.split_words import assign_splits, find_split, parse_split_choice
from spectral_ssl.ground.errors import UserError

TRAIN_A_B = [("train", "a"), ("train", "b")]
Groups = list[tuple[str, str | None] | None]


def _decide(*paths: str, split: str | None = None, level: int | None = None) -> tuple[Groups, list[str]]:
    """Decide the layout of objects in these folders; "" is the root."""
    folders = [tuple(path.split("/")) if path else () for path in paths]
    layout = decide_layout(folders, parse_split_choice(split), level)
    return list(layout.groups), layout.doubts


@pytest.mark.parametrize(
    ("split", "names"),
    [
        (
            "train",
            "train TRAIN Training trn tr train_set trainset train-data train_images TrainImages train2017 train_val",
        ),
        (
            "train",
            "my_train_data images_train trainval training-set Train_Split unlabeled learning train.1 Trainingset",
        ),
        (
            "val",
            "val Valid validation dev DEVEL development val_images valset ValidationData validation-set val2017 va",
        ),
        (
            "test",
            "test TESTING tst test_set testdata TestImages eval Evaluation holdout hold-out held_out test1 testset",
        ),
    ],
)
def test_words_of_splits(split: str, names: str) -> None:
    assert {name: find_split(name) for name in names.split()} == dict.fromkeys(names.split(), split)


@pytest.mark.parametrize(
    "name", ["tester", "trainA", "cat_train", "contest", "invalid", "train_station", "1", "", "bus"]
)
def test_words_that_name_no_split(name: str) -> None:
    assert find_split(name) is None


def test_eval_is_a_validation_split_next_to_a_test_split() -> None:
    assert assign_splits(["train", "eval"], {}) == {"train": "train", "eval": "test"}
    assert assign_splits(["train", "eval", "test"], {}) == {"train": "train", "eval": "val", "test": "test"}
    assert assign_splits(["train", "dev", "eval"], {}) == {"train": "train", "dev": "val", "eval": "test"}
    assert assign_splits(["train", "dev", "eval", "other"], {}) is None
    assert assign_splits(["train", "more"], {"more": "test"}) == {"train": "train", "more": "test"}


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "val", "test"),
        ("training", "validation", "testing"),
        ("train_set", "val_set", "test_set"),
        ("Train", "Valid", "TEST"),
        ("trn", "dev", "tst"),
        ("images_train", "images_val", "images_test"),
        ("train2017", "val2017", "test2017"),
    ],
)
@pytest.mark.parametrize("wrapper", ["", "archive/", "archive/mydata/", "test/", "test/data/"])
@pytest.mark.parametrize("inner", ["", "images/"])
def test_splits_above_and_below_the_classes(train: str, val: str, test: str, wrapper: str, inner: str) -> None:
    expected: Groups = [
        ("train", "cat"),
        ("train", "dog"),
        ("val", "cat"),
        ("val", "dog"),
        ("test", "cat"),
        ("test", "dog"),
    ]
    splits = [train, train, val, val, test, test]
    names = ["cat", "dog"] * 3
    above = [f"{wrapper}{split}/{inner}{name}" for split, name in zip(splits, names, strict=True)]
    below = [f"{wrapper}{name}/{inner}{split}/deep" for split, name in zip(splits, names, strict=True)]
    inside = [f"{wrapper}{split}/{name}/{inner}" for split, name in zip(splits, names, strict=True)]
    for paths in (above, below, [path.rstrip("/") for path in inside]):
        assert _decide(*paths) == (expected, [])


@pytest.mark.parametrize(
    ("paths", "expected", "doubt"),
    [
        (["", ""], [("train", None)] * 2, ""),
        (["a", "b/c"], [("train", "a"), ("train", "b")], ""),
        (["archive/set", "archive/set"], [("train", None)] * 2, ""),
        (["train", "test"], [("train", None), ("test", None)], ""),
        (["train/train", "test1/test1"], [("train", None), ("test", None)], ""),
        (["train/images", "test/images"], [("train", None), ("test", None)], ""),
        (["train/x", "test/x"], [("train", "x"), ("test", "x")], ""),
        (["train/a", "train/b"], [("train", "a"), ("train", "b")], ""),
        (["bus", "car", "train"], [("train", name) for name in ("bus", "car", "train")], "train is read as a class"),
        (["train/a", "train/b", "val/images"], [("train", "a"), ("train", "b"), ("val", None)], "val/images/ without"),
        (["train/a", "train/b", "test/a"], [("train", "a"), ("train", "b"), ("test", "a")], ""),
        (["train/a", "train/b", "test"], [("train", "a"), ("train", "b"), ("test", None)], "test/ without class"),
        (
            ["train/a", "train/b", "test/c/1", "test/c/2"],
            [("train", "a"), ("train", "b"), *[("test", "c")] * 2],
            "no class",
        ),
        (
            ["train/a", "train/b", "train", "test/a"],
            [("train", "a"), ("train", "b"), ("train", None), ("test", "a")],
            "",
        ),
        (["test/a", "test/b"], [("test", "a"), ("test", "b")], "all objects are in the split test"),
        (["a/train", "a/test", "b"], [("train", "a"), ("test", "a"), ("train", "b")], "b without split folders"),
        (["a/train", "b/test"], [("train", "a"), ("test", "b")], "no class is both"),
        (
            ["a", "a/test", "b/test"],
            [("train", "a"), ("test", "a"), ("test", "b")],
            "1 object next to the split folders",
        ),
        (
            ["", "train/a", "train/b", "test/a"],
            [("train", None), ("train", "a"), ("train", "b"), ("test", "a")],
            "1 object",
        ),
        (
            ["", "s/train/a", "s/train/b", "s/test/a"],
            [("train", None), *TRAIN_A_B, ("test", "a")],
            "1 object next to s/",
        ),
        (["", "test"], [("train", None), ("test", None)], "1 object next to"),
        (["train_1", "train_2"], [("train", "train_1"), ("train", "train_2")], "name the same split"),
        (["images", "masks"], [("train", "images"), ("train", "masks")], "named images, masks"),
        (
            ["fold1/a", "fold1/b", "fold2/a", "fold2/b"],
            [*[("train", "fold1")] * 2, *[("train", "fold2")] * 2],
            "level 2",
        ),
        (["m1", "m2", "m3"], [("train", "m1"), ("train", "m2"), ("train", "m3")], "holds one object"),
        (["train/Cat", "train/dog", "test/cat", "test/dog"], None, "Cat, cat differ only in capitals"),
        (["train/a", "train/b", "test/a", "docs"], [("train", "a"), ("train", "b"), ("test", "a"), None], ""),
        (
            ["unlabeled", "train/a", "train/b", "test/a"],
            [("train", None), ("train", "a"), ("train", "b"), ("test", "a")],
            "no label",
        ),
    ],
)
def test_other_trees(paths: list[str], expected: Groups | None, doubt: str) -> None:
    twice = [each for path in paths for each in (path, path)] if doubt not in ("holds one object",) else paths
    groups, doubts = _decide(*twice)
    if expected is not None:
        assert groups[:: len(twice) // len(paths)] == expected
    assert len(doubts) == (1 if doubt else 0)
    assert all(doubt.replace("1 object", "2 objects") in each for each in doubts)


@pytest.mark.parametrize(
    ("paths", "named"),
    [
        (["train", "test", "extra"], "extra=train"),
        (["a/train", "a/val", "a/notes", "b/train"], "notes, train, val in a"),
        (["trainA", "trainB", "testA", "testB"], "testA=test,testB=test,trainA=train"),
        (["cat_train", "cat_test", "dog_train", "dog_test"], "cat_test=test"),
    ],
)
def test_names_that_may_be_splits_are_not_guessed(paths: list[str], named: str) -> None:
    with pytest.raises(UserError, match="folders that name splits and others next to them") as caught:
        _decide(*paths)
    assert named in str(caught.value)
    assert [group[1] for group in _decide(*paths, split="none")[0] if group] == [path.split("/")[0] for path in paths]


def test_the_split_option() -> None:
    paths = ("train/a", "train/b", "test/a", "test/b")
    assert _decide(*paths, split="none")[0] == [("train", "train")] * 2 + [("train", "test")] * 2
    assert _decide(*paths, split="auto") == _decide(*paths) == _decide(*paths, split="1")
    assert _decide("train", "test", "extra", split="extra=train")[0] == [
        ("train", None),
        ("test", None),
        ("train", None),
    ]
    assert _decide("fit/a", "fit/b", "check/a", split="fit=train,check=val")[0][2] == ("val", "a")
    assert _decide("a/x/train", "a/x/eval", "b/x/test", split="3")[0] == [("train", "a"), ("test", "a"), ("test", "b")]
    groups, doubts = _decide("a/train", "a/test", "a", split="2")
    assert groups == [("train", None), ("test", None), ("train", None)]
    assert "1 object above the split folders" in doubts[0]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"split": "nothing"}, "unknown --split.*none"),
        ({"split": "x=tran"}, "unknown split of 'x'.*did you mean 'train'"),
        ({"split": "0"}, "unknown --split"),
        ({"split": "2"}, "names no split.*train/cat at level 2.*--split 2,cat=train"),
        ({"split": "9"}, "--split 9 is deeper"),
        ({"split": "nowhere=train"}, "not read as splits: got nowhere.*test, train"),
        ({"level": 9}, "--class-level 9 is deeper.*2 levels"),
        ({"split": "1", "level": 1}, "name the same level"),
    ],
)
def test_options_that_cannot_be_right(options: dict[str, object], named: str) -> None:
    with pytest.raises(UserError, match=named):
        _decide("train/cat", "train/dog", "test/cat", **options)  # type: ignore[arg-type]


def test_the_class_level_option() -> None:
    paths = ("a/x/1", "a/y/2", "b/x/3")
    assert _decide(*paths, level=0)[0] == [("train", None)] * 3
    assert [group[1] for group in _decide(*paths, level=2)[0] if group] == ["x", "y", "x"]
    assert [group[1] for group in _decide(*paths, "c", level=2)[0] if group] == ["x", "y", "x", None]
    # A level of classes is no level of splits.
    assert _decide("train/x", "test/x", level=1)[0] == [("train", "train"), ("train", "test")]
    assert _decide("train/x/a", "test/x/b", level=3)[0] == [("train", "a"), ("test", "b")]


def test_a_folder_uses_the_layout(tmp_path: Path) -> None:
    root = tmp_path / "test"  # The name of the folder itself never counts.
    for name in ("set/Training/cat", "set/Training/dog", "set/TEST/cat", "set/TEST/dog"):
        (root / name).mkdir(parents=True)
        (root / name / "1.xyz").write_text("0 0 0\n1 1 1\n")
    source = open_source(str(root))
    assert (source.name, source.classes, source.doubts) == ("folder:test", ("cat", "dog"), ())
    assert [(item.label, item.split) for item in source.items] == [(0, "test"), (1, "test"), (0, "train"), (1, "train")]
    assert source.note == "4 shapes in 2 classes; splits by folder: TEST/ is test, Training/ is train"
    others = [open_source(str(root), **options) for options in ({"split": "none"}, {"class_level": 0})]
    assert others[0].classes == ("TEST", "Training")
    assert others[1].classes == ()
    assert len({source.digest, *(other.digest for other in others)}) == 3
    for option in ({"split": "none"}, {"class_level": 1}):
        with pytest.raises(UserError, match="only a folder of your own"):
            open_source("shapes", **option)


def test_folders_of_unreadable_files_count_for_the_layout(tmp_path: Path) -> None:
    for name in ("train/1.xyz", "bus/1.fbx"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("0 0 0\n1 1 1\n")
    assert open_source(str(tmp_path)).classes == ("train",)


def test_lists_next_to_meshes_say_nothing_about_the_folders(tmp_path: Path) -> None:
    for name in (
        "list.txt",
        "set/train.txt",
        "set/train/lists/1.txt",
        "set/train/a/1.xyz",
        "set/train/b/1.xyz",
        "set/test/a/1.xyz",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("0 0 0\n1 1 1\n")
    source = open_source(str(tmp_path))
    groups = {item.id: (item.split, item.label) for item in source.items if not item.id.endswith("txt")}
    assert groups == {
        "set/test/a/1.xyz": ("test", 0),
        "set/train/a/1.xyz": ("train", 0),
        "set/train/b/1.xyz": ("train", 1),
    }
    assert (source.classes, source.doubts) == (("a", "b"), ())


def test_documents_next_to_the_splits_are_left_out(tmp_path: Path) -> None:
    for name in ("train/a", "train/b", "test/a", "docs"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "1.xyz").write_text("0 0 0\n1 1 1\n")
    source = open_source(str(tmp_path))
    assert [item.id for item in source.items] == ["test/a/1.xyz", "train/a/1.xyz", "train/b/1.xyz"]
    assert source.note.endswith("; not read: 1 file in folders of documents")


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("my_mesh", "did you mean the folder 'my_meshes'"),
        ("folder:my_mesh", "did you mean 'my_meshes'"),
        ("shape", "did you mean 'shapes'"),
        ("one.off", "a single file, not a folder.*put it into a folder"),
        ("folder:one.off", "a single file, not a folder"),
        ("all.zip", "unpack it"),
        ("maps.h5", "it is a map file"),
        ("some/where", "no such folder"),
    ],
)
def test_names_that_are_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, named: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_meshes").mkdir()
    for file in ("one.off", "all.zip", "maps.h5"):
        (tmp_path / file).write_text("")
    with pytest.raises(UserError, match=named):
        open_source(name)


def test_any_tree_is_read_or_refused() -> None:
    names = ["train", "Test", "val", "eval", "images", "a", "b", "c", "docs", "1", "set", "test1", "trainA", "x y"]
    chance = random.Random(0)
    outcomes = Counter[str]()
    for _ in range(3000):
        paths = [tuple(chance.choices(names, k=chance.randrange(5))) for _ in range(chance.randrange(1, 12))]
        choice = parse_split_choice(chance.choice([None, None, None, "none", "1", "2", "c=train"]))
        level = chance.choice([None, None, None, 0, 1, 2])
        lists = [chance.random() < 0.1 for _ in paths]
        try:
            layout = decide_layout(paths, choice, level, lists)
        except UserError:
            outcomes["refused"] += 1
            continue
        outcomes["read"] += 1
        for path, group in zip(paths, layout.groups, strict=True):
            assert group is None or group[1] is None or group[1] in path
    assert min(outcomes["read"], outcomes["refused"]) > 300
