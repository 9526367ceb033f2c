"""The results of a study as one self-contained HTML file."""

from base64 import b64encode
from pathlib import Path
from typing import Any

from spectral_ssl.ground.files import write_text

COLUMNS = {
    "preference": "picked as most realistic",
    "realism": "realism score 2 - 2F",
    "fooling": "fake taken for real",
    "real_taken_for_made": "real image taken for fake",
}


def write_results_page(path: Path, results: dict[str, Any], figure: Path) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
        HTML file to write.
    results : dict
        Results as ``study_results`` returns them.
    figure : Path
        PNG file to embed in the page.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("downstream.study"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["estimate"] = format_estimate
    columns = {name: title for name, title in COLUMNS.items() if name in results["scores"][0]}
    text = environment.get_template("results.html").render(
        results={"note": "", **results}, columns=columns, figure=b64encode(figure.read_bytes()).decode("ascii")
    )
    write_text(path, text)


def format_estimate(estimate: dict[str, Any] | None) -> str:
    """Format a number and its interval for tables."""
    if estimate is None:
        return "-"
    if estimate["low"] is None:
        return f"{estimate['value']:.3f}"
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"
