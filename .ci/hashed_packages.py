"""Prints NAME==VERSION of every package that a release needs, torch apart, for ``make hashes``.

The versions are those of constraints.txt, the packages those that are reached from pyproject.toml by what is installed.
"""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement

EXTRAS = ("dask", "embree", "metrics")  # not ducc: GPL is for the user to choose
APART = ("torch", "setuptools")  # torch's wheel differs by build (CPU, CUDA, ROCm), and brings the other along


def plain(name: str) -> str:
    """A name as indexes compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(folder: Path) -> set[str]:
    """Plain names of all packages that are reached."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting = [
        *project["dependencies"],
        *(line for extra in EXTRAS for line in project["optional-dependencies"][extra]),
    ]
    found: set[str] = set()
    while waiting:
        requirement = Requirement(waiting.pop())
        name = plain(requirement.name)
        extras = requirement.extras or {""}
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if name in found:
            continue
        found.add(name)
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            found.discard(name)  # of another system, or CUDA
            continue
        for line in lines:
            inner = Requirement(line)
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                inner.marker = None
                waiting.append(str(inner))
    return found - set(APART)


def locked(path: Path) -> dict[str, str]:
    """Plain name to version of the lines of a list of exact versions."""
    text = path.read_text(encoding="utf-8")
    lines = (line.split("#")[0].split(";")[0].rstrip("\\ ").strip() for line in text.splitlines())
    pairs = (line.split("==") for line in lines if "==" in line)
    return {plain(name): version.strip() for name, version in pairs}


if __name__ == "__main__":
    here = Path(__file__).parent.parent
    versions = locked(here / "constraints.txt")
    for name in sorted(needed(here)):
        print(f"{name}=={versions[name]}")
