"""Hostile names in files: on a screen, in tables and figures, and where a name becomes a path."""

import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from figures.latent_space import LatentSpace, draw_latent_spaces

import spectral_ssl
from data_prep.basis import zernike_basis
from data_prep.maps.reader import MapFile, open_maps
from data_prep.pipeline.source_records import LONGEST_NAME, drop_unusable_names
from data_prep.source import Item, Source
from data_prep.sources.catalogue import open_source
from downstream.figures.confusion import draw_confusion
from downstream.figures.predictions import draw_images
from spectral_ssl.cli.app import main
from spectral_ssl.cli.tables import print_probe
from spectral_ssl.ground.errors import ObjectError, UserError
from spectral_ssl.ground.progress import progress, say
from spectral_ssl.ground.terminal import one_line, printable
from spectral_ssl.planning.prep_plan import maps_stem

NASTY = (
    "\x1b[2J\x1b]0;title\x07",
    "a\nb\rc",
    "\u202egnp.exe",
    "\x9b31m",
    "half \udcff",
    "[bold]x[/nothing]",
    "$\\frac{$ and $",
    "../../etc/passwd",
    "<script>alert(1)</script>",
)
TRIANGLE = "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"


@pytest.mark.parametrize("name", NASTY)
def test_a_name_cannot_control_the_terminal(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(name)
    shown = capsys.readouterr().err
    assert shown.endswith("\n")
    assert shown[:-1].isprintable()
    shown.encode()
    for error in (UserError("wrong name", name, "correct it"), ObjectError(name)):
        assert str(error).isprintable()
    assert one_line("a\n  b") == "a b"
    assert printable("plain  words: äöü 漢字") == "plain  words: äöü 漢字"


def test_a_file_with_such_names_is_verified_and_listed(
    random_maps: MapFile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with h5py.File(random_maps.path, "r+") as file:
        file["ids"][:2] = ["\x1b[2J\nfirst"] * 2
        file.attrs["source"] = "\x1b]0;x\x07\nfolder:x"
    maps = open_maps(random_maps.path)
    assert maps.ids[0] == "\x1b[2J\nfirst"  # the content of the file does not change
    monkeypatch.setattr("sys.argv", ["spectral-ssl", "verify", str(random_maps.path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    shown = capsys.readouterr()
    assert all(line.isprintable() for line in (shown.out + shown.err).splitlines())
    assert "\x1b" not in shown.out + shown.err


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_shows_such_names(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    with progress("[/nothing]", 1) as advance:
        advance(1, "[/nothing] at all")
    assert "[/nothing] at all" in capsys.readouterr().err


def test_tables_show_such_names(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"features": "\x1b[2J[/nothing]", "dimensions": 3, "neighbours": 0.5, "neighbours_interval": (0.3, 0.7)}
    result = {
        "pose": "aligned",
        "trained_on_digest": "a",
        "maps_digest": "a",
        "target": "\x1b[2J[/nothing]",
        "classes": 2,
        "train": 1,
        "test": 1,
        "split": "own",
        "run": "[red]\x1b[2Jrun",
        "seeds": [0],
        "probes": ["neighbours"],
        "rows": [{**row, "few_shot": []}],
        "layer_choices": [],
        "folds": 0,
        "verdicts": [],
        "verdict": "\x1b[2J[/nothing]",
    }
    print_probe(result)
    shown = capsys.readouterr().out
    assert "[/nothing]" in shown
    assert "[red]" in shown
    assert "\x1b[2J" not in shown


def test_figures_with_such_names_are_drawn(tmp_path: Path) -> None:
    names = list(NASTY[:4] + NASTY[5:])
    draw_images(tmp_path / "a.png", ["seen"], [torch.zeros(len(names), 1, 4, 4)], names)
    draw_confusion(tmp_path / "b.png", np.eye(len(names), dtype=np.int64), tuple(names), "$\\frac{$ and $")
    codes = np.random.default_rng(0).normal(size=(40, 4))
    labels = np.arange(40) % len(names)
    draw_latent_spaces(tmp_path / "c.png", {"$\\frac{$": LatentSpace(codes, labels, np.ones(40))}, tuple(names))
    assert {path.name for path in tmp_path.glob("*.png")} == {"a.png", "b.png", "c.png"}


def test_files_with_such_names_become_failures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    for name in (
        "\x1b[2J.off",
        "two\nlines.off",
        "two\tlines.off",
        "two lines.off",
        "\u202effo.off",
        "sound.off",
        "$a$.off",
        "[x].off",
        "..x.off",
    ):
        if not name.startswith("."):
            (folder / name).write_text(TRIANGLE)
    Path(os.fsdecode(os.fsencode(folder) + b"/half\xff.off")).write_text(TRIANGLE)
    maps = spectral_ssl.prep(f"folder:{folder}", degree=4, points=16, workers=0, out=tmp_path / "a.h5")
    assert maps.ids == ("$a$.off", "[x].off", "sound.off", "two lines.off")
    shown = [identity for identity, _ in maps.failures]
    assert sorted(identity.partition(" #")[0] for identity in shown) == sorted(
        ["\\x1b[2J.off", "half\\udcff.off", "two lines.off", "two lines.off", "\\u202effo.off"]
    )
    assert len({*shown, *maps.ids}) == 9  # none has the name of another, or of an object that was read
    assert all("control characters" in reason for _, reason in maps.failures)
    assert "\x1b" not in capsys.readouterr().err


def test_no_object_can_take_the_name_of_a_failure() -> None:
    def name_failure(*names: str) -> str:
        items = tuple(Item(name, -1, "train", lambda: np.zeros((1, 2, 2), np.uint8)) for name in names)
        source = drop_unusable_names(Source(name="a", kind="images", classes=(), items=items, digest=""))
        ((identity, _),) = source.missing
        assert [item.id for item in source.items] == [*names[1:]]
        return identity

    shown = name_failure("two\nlines")
    assert shown.startswith("two lines #")
    assert name_failure("two\nlines", shown) != shown
    again = name_failure("two\nlines", shown)
    assert name_failure("two\nlines", shown, again) not in (shown, again)


def test_objects_with_impossible_names_become_failures(tmp_path: Path) -> None:
    from data_prep.sources.modelnet import CLASSES_10

    for split in ("train", "test"):
        with h5py.File(tmp_path / f"ply_data_{split}0.h5", "w") as file:
            file["data"] = np.random.default_rng(0).normal(size=(10, 16, 3)).astype(np.float32)
            file["label"] = np.arange(10, dtype=np.uint8)[:, None]
        (tmp_path / f"{split}_files.txt").write_text(f"../../ply_data_{split}0.h5\n")
    (tmp_path / "shape_names.txt").write_text("\n".join(CLASSES_10))
    names = ["\0", "\ud800", "x" * (LONGEST_NAME + 1), "\x1b[2J", "../../../etc/passwd", "", *"abcd"]
    (tmp_path / "ply_data_train_0_id2file.json").write_text(json.dumps(names))
    source = open_source("modelnet10", tmp_path)
    from data_prep.pipeline.prepare import prepare_maps

    maps = prepare_maps(source, zernike_basis(2, points=16), tmp_path / "a.h5", workers=0)
    assert maps.ids[:5] == ("../../../etc/passwd", *"abcd")  # this is a name and never used as a path
    assert len(maps.ids) == 15
    assert len(maps.failures) == 5


def test_names_of_sets_are_no_paths(tmp_path: Path) -> None:
    assert maps_stem("celeba:../../x") == "celeba-..-..-x"
    assert maps_stem("folder:/a/b/../c") == "c"


def test_a_link_to_a_folder_gives_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "a.off").write_text(TRIANGLE)
    (tmp_path / "data").symlink_to("w")
    assert maps_stem(str(tmp_path / "data")) == "data"
    assert maps_stem(str(tmp_path / "data") + "/") == "data"
    assert maps_stem(f"{tmp_path}/data/../w") == "w"
    assert open_source(str(tmp_path / "data")).name == "folder:data"


@pytest.mark.parametrize("text", ["[" * 100_000, 'a = "' + "x" * 10 + '"', "[run]\nmethod = 3", "[run]\nmethod = [1]"])
def test_files_that_are_no_recipes_are_refused(text: str, tmp_path: Path, random_maps: Any) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(UserError):
        spectral_ssl.pretrain(random_maps, recipe=str(tmp_path / "a.toml"))


@pytest.mark.parametrize("dataset", ["../../etc", "folder:/nowhere/\x1b[2J", "celeba:../../x", "/etc/passwd"])
def test_recipes_with_paths_as_data_sets_are_refused(dataset: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(f"[run]\ndataset = {json.dumps(dataset)}\n")
    with pytest.raises(UserError) as refused:
        spectral_ssl.pretrain(recipe=str(tmp_path / "a.toml"), workspace=tmp_path / "ws")
    assert str(refused.value).isprintable()
    assert not (tmp_path / "ws").exists()
