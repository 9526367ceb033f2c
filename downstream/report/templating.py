"""Templates of the report. Every value is escaped: ids, class names, paths and settings come from outside."""

from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from downstream.report.table import Table, format_cell, sort_key


def render(template: str, **values: Any) -> Markup:
    """Render a template of ``report/templates`` as HTML.

    Parameters
    ----------
    template : str
        Name of the template, e.g. ``"charts.html"``.
    **values
        Values for the names in it. Text is escaped unless it is ``Markup``, that is, was rendered
        before.

    Returns
    -------
    Markup
    """
    return Markup(_environment().get_template(template).render(**values))  # nosec B704  # the environment escapes all values


def render_table(table: Table) -> Markup:
    """Render a table as HTML."""
    return render("table.html", table=table, format_cell=format_cell, sort_key=sort_key)


def read_asset(name: str) -> str:
    """Read a style sheet or script of ``report/assets``."""
    return files("downstream.report").joinpath("assets", name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("downstream.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
