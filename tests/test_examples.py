"""The scripts of examples/: one for each method, each runs, and its losses are finite and fall."""

import math
import re
import runpy
import sys
from pathlib import Path

import pytest

from pretext.methods.catalogue import METHODS

EXAMPLES = Path(__file__).parent.parent / "examples"
SCRIPTS = {method: EXAMPLES / f"{method.replace('-', '_')}.py" for method in METHODS}
PUBLIC = ("spectral_ssl", "data_prep", "pretext.data", "pretext.losses", "pretext.networks", "downstream.features")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One workspace for all scripts, so that each data set is prepared once."""
    return tmp_path_factory.mktemp("examples")


def run_script(
    path: Path, steps: int, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> dict[str, list[float]]:
    """Run a script and return the printed values of each loss."""
    monkeypatch.setenv("SPECTRAL_SSL_HOME", str(workspace))
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setattr(sys, "argv", [str(path), "--steps", str(steps)])
    runpy.run_path(str(path), run_name="__main__")
    losses: dict[str, list[float]] = {}
    for line in capsys.readouterr().out.splitlines():
        if line.startswith("step "):
            for name, value in re.findall(r"(\w+) (-?\d+\.\d+|nan|-?inf)", line):
                losses.setdefault(name, []).append(float(value))
    return losses


def test_every_method_has_an_example_and_every_example_is_listed() -> None:
    scripts = {path for path in EXAMPLES.glob("*.py") if path.name != "shared.py"}
    assert scripts == set(SCRIPTS.values())
    listed = re.findall(
        r"^\| \[`(\w+\.py)`\]\(\1\)", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(listed) == sorted(path.name for path in scripts)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_examples_import_public_names_only(path: Path) -> None:
    own = r"^\s*(?:from|import) ((?:spectral_ssl|data_prep|pretext|downstream)[\w.]*)"
    assert set(re.findall(own, path.read_text(encoding="utf-8"), re.MULTILINE)) <= set(PUBLIC)


@pytest.mark.parametrize("method", METHODS)
def test_examples_run(
    method: str, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    losses = run_script(SCRIPTS[method], 3, workspace, monkeypatch, capsys)
    assert "loss" in losses
    assert all(math.isfinite(value) for values in losses.values() for value in values)


@pytest.mark.parametrize("method", ["regression", "cgml", "joint-embedding", "rotation-prediction"])
def test_losses_fall(
    method: str, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    losses = run_script(SCRIPTS[method], 40, workspace, monkeypatch, capsys)["loss"]
    assert losses[-1] < 0.8 * losses[0]
