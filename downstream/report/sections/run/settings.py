"""The resolved settings of the run, and where it ran."""

import tomllib
from typing import Any

from markupsafe import Markup

from downstream.report.evidence import Evidence
from downstream.report.table import Table
from downstream.report.templating import fragment, render


def settings(evidence: Evidence) -> Markup | None:
    """One table for each section of ``config.toml``, and one for the meaning of the maps."""
    sections = tomllib.loads(evidence.run.plan.to_toml())
    if evidence.maps is not None:
        sections["maps"] = evidence.maps.fingerprint
    return render("tables.html", tables=[fragment(_table(f"[{name}]", values)) for name, values in sections.items()])


def environment(evidence: Evidence) -> Markup | None:
    """What ``environment.json`` says."""
    flat: dict[str, Any] = {}
    for name, value in evidence.environment.items():
        if isinstance(value, dict):
            flat |= {f"{name}: {key}": part for key, part in value.items()}
        else:
            flat[name] = value
    return render("tables.html", tables=[fragment(_table("environment.json", flat))]) if flat else None


def _table(caption: str, values: dict[str, Any]) -> Table:
    shown = {name: ", ".join(map(str, value)) if isinstance(value, list) else value for name, value in values.items()}
    # numbers as they were written, not rounded
    rows = [[name, str(value) if isinstance(value, int | float) else value] for name, value in shown.items()]
    return Table(caption=caption, columns=["setting", "value"], rows=rows, sortable=False)
