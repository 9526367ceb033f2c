"""Print NAME==VERSION of every package that a release needs, except torch, for ``make hashes``.

The versions come from constraints.txt. The packages are the dependencies in pyproject.toml and
their installed dependencies.
"""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement

EXTRAS = ("dask", "embree", "metrics")  # not ducc, because users must choose GPL themselves
# The wheel of torch differs by build (CPU, CUDA, ROCm) and requires setuptools.
EXCLUDED = ("torch", "setuptools")


def plain(name: str) -> str:
    """Normalise a package name as package indexes do."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(folder: Path) -> set[str]:
    """Collect the normalised names of all required packages."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting = [
        *project["dependencies"],
        *(line for extra in EXTRAS for line in project["optional-dependencies"][extra]),
    ]
    names: set[str] = set()
    while waiting:
        requirement = Requirement(waiting.pop())
        name = plain(requirement.name)
        extras = requirement.extras or {""}
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if name in names:
            continue
        names.add(name)
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            names.discard(name)  # The package belongs to another system or to CUDA.
            continue
        for line in lines:
            inner = Requirement(line)
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                inner.marker = None
                waiting.append(str(inner))
    return names - set(EXCLUDED)


def locked(path: Path) -> dict[str, str]:
    """Read the exact versions of a list of packages, by normalised name."""
    text = path.read_text(encoding="utf-8")
    lines = (line.split("#")[0].split(";")[0].rstrip("\\ ").strip() for line in text.splitlines())
    pairs = (line.split("==") for line in lines if "==" in line)
    return {plain(name): version.strip() for name, version in pairs}


if __name__ == "__main__":
    here = Path(__file__).parent.parent
    versions = locked(here / "constraints.txt")
    for name in sorted(needed(here)):
        print(f"{name}=={versions[name]}")
