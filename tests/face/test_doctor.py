"""``doctor`` as a program, on this machine and on machines with something wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from spectral_ssl.verbs.checks import self_test
from spectral_ssl.verbs.checks.doctor import check_openmp

BREAK = {
    "disk": "import shutil, collections; shutil.disk_usage = lambda p: collections.namedtuple('U', 'free')(1000)",
    "memory": "import spectral_ssl.verbs.checks.doctor as d; d.available_memory = lambda: 1 << 20",
    "transforms": "import spectral_ssl.verbs.checks.self_test as s; s.zernike_orthonormality = lambda: 0.5",
    "training step": (
        "import spectral_ssl.verbs.checks.self_test as s; s.losses_of_training = lambda: [1.0, float('nan')]"
    ),
    "libraries": "import sys; sys.modules['faiss'] = None",
    "packages": (
        "import spectral_ssl.verbs.checks.doctor as d; d.requires = lambda n: ['torch>=99', 'no-such-package>=1']"
    ),
    "OpenMP": "import threadpoolctl as t; t.threadpool_info = lambda: ["
    "{'user_api': 'openmp', 'internal_api': 'openmp', 'version': None, 'prefix': p, 'filepath': '/x'}"
    " for p in ('libomp', 'libiomp')]",
}


def _doctor(tmp_path: Path, *options: str, broken: str = "") -> subprocess.CompletedProcess[str]:
    program = f"import sys\n{broken}\nfrom spectral_ssl.cli.app import main\nmain()"
    command = [sys.executable, "-c", program, "doctor", "--workspace", str(tmp_path / "ws"), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_all_is_well_here(tmp_path: Path) -> None:
    done = _doctor(tmp_path, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["well"] is True
    names = {finding["name"] for finding in result["findings"]}
    assert names >= {"python", "packages", "processors", "BLAS", "OpenMP", "disk", "memory", "embreex", "transforms"}
    assert result["environment"]["packages"]["torch"]
    assert not (tmp_path / "ws").exists()


def _check_failing(done: subprocess.CompletedProcess[str], names: set[str]) -> None:
    assert done.returncode == 1, done.stdout + done.stderr
    failing = [line for line in done.stdout.splitlines() if line.startswith("FAILS")]
    assert {line.removeprefix("FAILS ").partition(":")[0] for line in failing} == names
    assert len(failing) == len(names)
    assert all("; " in line for line in failing)  # what to do
    assert "Traceback" not in done.stdout + done.stderr
    assert f"{len(names)} fail, in" in done.stdout.splitlines()[-1]


def test_what_is_wrong_is_a_line_each_and_status_1(tmp_path: Path) -> None:
    names = set(BREAK) - {"libraries"}
    _check_failing(_doctor(tmp_path, broken="\n".join(BREAK[name] for name in sorted(names))), names)


@pytest.mark.slow
@pytest.mark.parametrize("name", BREAK)
def test_one_thing_wrong_hides_nothing_else(name: str, tmp_path: Path) -> None:
    _check_failing(_doctor(tmp_path, broken=BREAK[name]), {name})


def test_a_workspace_that_cannot_be_written_to(tmp_path: Path) -> None:
    program = (
        "import tempfile\ndef refuse(**_): raise OSError(30, 'Read-only file system')\n"
        "tempfile.TemporaryFile = refuse\nfrom spectral_ssl.verbs.checks.doctor import _disk\n"
        "from pathlib import Path\nprint(_disk(Path('.'))[0].state)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stdout.strip() == "FAILS", done.stderr


def test_openmp_runtimes() -> None:
    assert check_openmp(["libgomp"], 1, "", "linux").state == "ok"
    assert check_openmp([], 0, "", "linux").state == "ok"
    assert check_openmp(["libgomp"], 2, "", "linux").state == "note"
    assert check_openmp(["libomp"], 2, "", "darwin").do
    assert check_openmp(["libiomp", "libomp"], 2, "", "linux").state == "FAILS"


def test_the_self_test_notices_wrong_transforms(monkeypatch: pytest.MonkeyPatch) -> None:
    assert self_test.transforms()[0]
    for name in ("zernike_orthonormality", "harmonics_orthonormality", "moments_error"):
        with monkeypatch.context() as patch:
            value = getattr(self_test, name)()
            assert 0 < value < 1e-6
            patch.setattr(self_test, name, lambda: 1e-4)
            assert not self_test.transforms()[0]


def test_the_self_test_notices_a_training_that_does_not_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = self_test.losses_of_training()
    assert losses[-1] < losses[0]
    assert self_test.training()[0]
    monkeypatch.setattr(self_test, "losses_of_training", lambda: [1.0, 1.0])
    assert not self_test.training()[0]
