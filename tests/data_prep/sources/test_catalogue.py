"""The catalogue of sources: names, origins and instructions."""

import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.sources.catalogue import SOURCES, build_help_text, open_source, split_name
from spectral_ssl.ground.errors import UserError


def test_unknown_and_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'modelnet10'"):
        open_source("modelnt10", tmp_path)
    for name, entry in SOURCES.items():
        if entry.needs_root:
            for root in (None, tmp_path / "nowhere"):
                with pytest.raises(UserError, match="no raw data for"):
                    open_source(name, root)
            with pytest.raises(UserError) as error:
                open_source(name, tmp_path)
            assert str(error.value).count("\n") == 0
    with pytest.raises(UserError, match="no raw data"):
        open_source(f"folder:{tmp_path / 'nowhere'}")


def test_every_entry_states_its_origin() -> None:
    for entry in SOURCES.values():
        assert entry.where
        assert "\n" not in entry.where
        assert len(entry.help) > len(entry.where)
        assert len(entry.description) < 90


def test_help_of_every_source() -> None:
    for name, entry in SOURCES.items():
        text = build_help_text(f"{name}:x" if entry.after_colon else name)
        assert entry.help.strip() in text
        assert (entry.where in text) == entry.needs_root
    assert "--dataset modelnet10 --download" in build_help_text("modelnet10")
    assert "--download" not in build_help_text("shapenet")
    with pytest.raises(UserError, match="did you mean 'mnist'"):
        build_help_text("mnst")


def test_the_list_is_there_at_once() -> None:
    heavy = "trimesh sklearn torch h5py PIL joblib numba"
    code = f"import sys, data_prep.sources; print([name for name in '{heavy}'.split() if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_with_colons() -> None:
    assert split_name("celeba:Male") == ("celeba", "Male")
    assert split_name("folder:a:b/c") == ("folder", "a:b/c")
    assert split_name("mnist") == ("mnist", "")
    with pytest.raises(UserError, match="takes nothing after a colon"):
        split_name("mnist:x")
    with pytest.raises(UserError, match=r"unknown dataset.*choose one of: celeba,.*, or give the path of a folder"):
        split_name("nonesuch:x")
