"""Templates of the report. Every value is escaped: ids, class names, paths and settings come from outside."""

from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from downstream.report.table import Table, shown, sort_key


def render(template: str, **values: Any) -> Markup:
    """The HTML of a template of ``report/templates``.

    Parameters
    ----------
    template : str
        Its name, e.g. ``"settings.html"``.
    **values
        What it names. Text is escaped unless it is ``Markup``, that is, was rendered before.

    Returns
    -------
    Markup
    """
    return Markup(_environment().get_template(template).render(**values))  # nosec B704  # the environment escapes all values


def asset(name: str) -> str:
    """The text of a style sheet or script of ``report/assets``."""
    return files("downstream.report").joinpath("assets", name).read_text(encoding="utf-8")


def fragment(table: Table) -> Markup:
    """A table as HTML."""
    return render("table.html", table=table, shown=shown, sort_key=sort_key)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("downstream.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
