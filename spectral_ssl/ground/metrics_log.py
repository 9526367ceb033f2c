"""``metrics.jsonl``: one JSON object a line, appended as training goes; the truth about a run."""

import json
import math
import os
from pathlib import Path
from typing import Any

from spectral_ssl.ground.files import write_text


def append_metrics(path: Path, row: dict[str, Any]) -> None:
    """Add one row and flush it. Numbers that are not finite are written as null, which JSON can say."""
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()
    }
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(finite, allow_nan=False) + "\n")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All complete rows; a last line that a kill or a full disk cut short is left out."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            break
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append(row)
    return rows


def drop_metrics_after(path: Path, step: int) -> None:
    """Keep the rows up to ``step``: a resumed run writes the later ones again."""
    kept = [row for row in read_metrics(path) if row["step"] <= step]
    write_text(path, "".join(json.dumps(row) + "\n" for row in kept))


def sync_metrics(path: Path) -> None:
    """Bring the rows to the disk: before a checkpoint, after which a resumed run does not write them again."""
    if path.exists():
        with path.open("rb+") as written:
            os.fsync(written.fileno())
