"""Help texts and data preparation load none of the heavy packages."""

import subprocess
import sys
from pathlib import Path

import pytest

import spectral_ssl.ground

HEAVY = ("torch", "faiss", "sklearn", "pyshtools", "torch_geometric", "matplotlib", "numba", "trimesh")


def loaded_after(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(' '.join(sorted({{name.split('.')[0] for name in sys.modules}})))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(found.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("command", ["--help", "prep --help", "pretrain --help", "probe --help", "list datasets"])
def test_help_loads_nothing_heavy(command: str) -> None:
    code = f"from spectral_ssl.cli.app import app\ntry: app({command.split()!r})\nexcept SystemExit: pass"
    assert not loaded_after(code) & set(HEAVY)


def test_preparing_data_needs_no_torch() -> None:
    assert "torch" not in loaded_after("import spectral_ssl; spectral_ssl.prep; import data_prep.pipeline.prepare")


def test_the_ground_needs_no_torch() -> None:
    names = [path.stem for path in Path(spectral_ssl.ground.__file__).parent.glob("*.py") if path.stem != "__init__"]
    assert "run_folder" in names
    assert "torch" not in loaded_after("\n".join(f"import spectral_ssl.ground.{name}" for name in names))
