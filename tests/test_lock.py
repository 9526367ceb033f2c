"""The list with checksums agrees with constraints.txt and names everything that a release needs."""

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
spec = importlib.util.spec_from_file_location("hashed_packages", ROOT / ".ci" / "hashed_packages.py")
assert spec is not None
assert spec.loader is not None
hashed_packages = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hashed_packages)


def test_the_hashed_list_is_that_of_the_constraints() -> None:
    hashed = hashed_packages.locked(ROOT / "requirements-hashed.txt")
    versions = hashed_packages.locked(ROOT / "constraints.txt")
    assert hashed == {name: versions[name] for name in hashed}
    assert set(hashed) >= hashed_packages.needed(ROOT), "run `make hashes`"
    assert {"torch", "ducc0"}.isdisjoint(hashed)


def test_every_entry_has_its_checksums() -> None:
    entries = re.split(r"\n(?=[A-Za-z])", (ROOT / "requirements-hashed.txt").read_text(encoding="utf-8"))
    for entry in entries:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), entry[:60]


def test_every_exception_for_bandit_says_why() -> None:
    marked = 0
    for folder in ("spectral_ssl", "data_prep", "pretext", "downstream"):
        for path in (ROOT / folder).rglob("*.py"):
            for line in path.read_text(encoding="utf-8").splitlines():
                if "nosec" in line:
                    marked += 1
                    assert re.search(r"# nosec( B\d{3})+  # \w+", line), f"{path.name}: {line}"
    assert marked


def test_the_scanner_is_a_part_of_the_checks() -> None:
    check = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ncheck:")[2].partition("\n\n")[0]
    assert "bandit" in check
    assert "make check" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "bandit" in hashed_packages.locked(ROOT / "constraints.txt")
