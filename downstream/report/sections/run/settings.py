"""The resolved settings of the run, and its environment."""

from typing import Any

from markupsafe import Markup

from downstream.report.evidence import Evidence
from downstream.report.table import Table
from downstream.report.templating import render, render_table
from spectral_ssl.ground.config import flatten, parse_toml


def render_settings(evidence: Evidence) -> Markup | None:
    """Render one table for each section of ``config.toml``, and one that describes the maps."""
    sections = parse_toml(evidence.run.plan.to_toml())
    if evidence.maps is not None:
        sections["maps"] = evidence.maps.fingerprint
    tables = [render_table(_build_table(f"[{name}]", flatten(values))) for name, values in sections.items()]
    return render("tables.html", tables=tables)


def render_environment(evidence: Evidence) -> Markup | None:
    """Render the content of ``environment.json``."""
    flat: dict[str, Any] = {}
    for name, value in evidence.environment.items():
        if isinstance(value, dict):
            flat |= {f"{name}: {key}": part for key, part in value.items()}
        else:
            flat[name] = value
    return render("tables.html", tables=[render_table(_build_table("environment.json", flat))]) if flat else None


def _build_table(caption: str, values: dict[str, Any]) -> Table:
    flat = {name: ", ".join(map(str, value)) if isinstance(value, list) else value for name, value in values.items()}
    # settings are shown with all digits, so numbers become texts
    rows = [[name, str(value) if isinstance(value, int | float) else value] for name, value in flat.items()]
    return Table(caption=caption, columns=["setting", "value"], rows=rows, sortable=False)
