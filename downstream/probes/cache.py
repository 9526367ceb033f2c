"""Cache the scores that do not depend on the run, so that the probe of the next run need not compute them.

Each score has a JSON file ``probe-DIGEST.json`` with its key and its values. The key contains
everything the score depends on: the maps and labels, the protocol, the row and its settings, the
versions of the libraries, and the source code of our packages. So a score of other code is never
shown.
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

LIBRARIES = ("faiss-cpu", "numpy", "scikit-learn", "scipy", "torch")


class BaselineCache:
    """Cached scores in a folder.

    Parameters
    ----------
    folder : Path
        Folder of the cache. It is made with the first score, and it may be deleted at any time.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the scores stored under a key, or None if there are none or the file is damaged."""
        try:
            content = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(content, dict) or content.get("key") != json.loads(_text(key)):
            return None
        scores = content.get("found")
        return scores if isinstance(scores, dict) else None

    def store(self, key: Mapping[str, Any], scores: Mapping[str, Any]) -> None:
        """Store scores under a key; both must be representable in JSON (NaN is allowed)."""
        write_text(self._path(key), json.dumps({"key": json.loads(_text(key)), "found": scores}) + "\n")

    def _path(self, key: Mapping[str, Any]) -> Path:
        return self.folder / f"probe-{sha256(_text(key).encode()).hexdigest()[:32]}.json"


def _text(key: Mapping[str, Any]) -> str:
    return json.dumps(key, sort_keys=True)


def describe_code(*packages: str) -> dict[str, str]:
    """Return the versions of the libraries, and a digest of the source code of each of our packages."""
    return {**{name: version(name) for name in LIBRARIES}, **{name: _source_digest(name) for name in packages}}


@lru_cache
def _source_digest(package: str) -> str:
    spec = find_spec(package)
    digest = sha256()
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).rglob("*.py")):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
