"""A study's results as one HTML file that needs nothing else."""

from base64 import b64encode
from pathlib import Path
from typing import Any

from spectral_ssl.ground.files import write_text

COLUMNS = {
    "preference": "picked as most realistic",
    "realism": "realism score 2 - 2F",
    "fooling": "made image taken for real",
    "real_taken_for_made": "real image taken for made",
}


def write_results_page(path: Path, results: dict[str, Any], picture: Path) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
        HTML file to write.
    results : dict
        As ``study_results`` gives them.
    picture : Path
        PNG that goes into it.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("downstream.study"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["estimate"] = estimate_text
    columns = {name: title for name, title in COLUMNS.items() if name in results["scores"][0]}
    text = environment.get_template("results.html").render(
        results={"note": "", **results}, columns=columns, picture=b64encode(picture.read_bytes()).decode("ascii")
    )
    write_text(path, text)


def estimate_text(found: dict[str, Any] | None) -> str:
    """A number with its interval, for tables."""
    if found is None:
        return "-"
    if found["low"] is None:
        return f"{found['value']:.3f}"
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
