"""Scores that do not depend on the run, kept so that the next run's probe need not compute them again.

One JSON file a score, ``probe-DIGEST.json``, with the key it belongs to and what was found. The key holds everything a
score depends on: the maps and labels, the protocol, the row and its settings, the versions of what computes, and the
source code of the packages that take part, so that a score computed by other code is never shown.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spectral_ssl.ground.files import write_text

COMPUTING = ("faiss-cpu", "numpy", "scikit-learn", "scipy", "torch")


class BaselineCache:
    """Scores in a folder.

    Parameters
    ----------
    folder : Path
        Made when the first score is kept; it may be deleted at any time.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """What was kept under a key, or None; a damaged file counts as none."""
        try:
            content = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(content, dict) or content.get("key") != json.loads(_text(key)):
            return None
        found = content.get("found")
        return found if isinstance(found, dict) else None

    def keep(self, key: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        """Keep what was found under a key; both must be what JSON can say (NaN included)."""
        write_text(self._path(key), json.dumps({"key": json.loads(_text(key)), "found": found}) + "\n")

    def _path(self, key: Mapping[str, Any]) -> Path:
        return self.folder / f"probe-{sha256(_text(key).encode()).hexdigest()[:32]}.json"


def _text(key: Mapping[str, Any]) -> str:
    return json.dumps(key, sort_keys=True)


def describe_code(*packages: str) -> dict[str, str]:
    """The versions of the libraries that compute, and a digest of the source code of some of our packages."""
    return {**{name: version(name) for name in COMPUTING}, **{name: _source_digest(name) for name in packages}}


@lru_cache
def _source_digest(package: str) -> str:
    found = find_spec(package)
    digest = sha256()
    for folder in (found.submodule_search_locations or ()) if found else ():
        for path in sorted(Path(folder).rglob("*.py")):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
