"""Where a result comes from: the content of ``environment.json``, and the ``created_by`` attribute of every file."""

import os
import platform
import subprocess  # nosec B404  # for git with fixed arguments, see below
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import spectral_ssl

PACKAGES = (
    "faiss-cpu", "h5py", "numba", "numpy", "pyshtools", "scikit-learn", "scipy", "torch", "torch-geometric", "trimesh",
)  # fmt: skip


def created_by() -> str:
    """Return name and version of this toolkit for file attributes; no time, so that equal input gives equal files."""
    return f"spectral-ssl {spectral_ssl.__version__}"


def environment() -> dict[str, Any]:
    """Describe the machine, the versions, the command and the commit as a dict that is ready for JSON."""
    return {
        "spectral_ssl": spectral_ssl.__version__,
        "commit": _commit(),
        "command": " ".join(sys.argv),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "packages": {name: _version(name) for name in PACKAGES},
        "thread_variables": {
            name: os.environ[name]
            for name in sorted(os.environ)
            if name.endswith("_NUM_THREADS") or name.startswith("OPENBLAS_")
        },
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Return the commit of this checkout, with ``+changes`` if files differ from it; None outside a checkout."""
    folder = Path(spectral_ssl.__file__).parent.parent
    if not (folder / ".git").exists():
        return None
    try:
        commit = subprocess.run(  # nosec B603 B607  # fixed arguments; git is on the path of the user
            ["git", "rev-parse", "--short", "HEAD"], cwd=folder, capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
        changes = subprocess.run(  # nosec B603 B607  # the same
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+changes" if changes else "")


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
