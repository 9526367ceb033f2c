"""The page of a report: one file without network access, whose policy allows its own scripts and style by digest."""

import re
import shlex
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from markupsafe import Markup

from data_prep.maps.reader import MapFile
from downstream.report.evidence import Evidence, Predictions, gather
from downstream.report.sections.catalogue import SECTIONS
from downstream.report.templating import read_asset, render
from pretext.runs.origin import name_option
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import atomic_path
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.provenance import created_by

NAME = "report.html"
LARGEST = 10_000_000  # bytes
STYLE = "report.css"
SCRIPTS = ("twgl.js", "sort_tables.js", "turn_shapes.js", "point_at_items.js")
FULL = "spectral-ssl-whole-report"  # the name of a meta element, whose content is the digest of the checkpoint
GENERATOR = '<meta name="generator" content="spectral-ssl report">'


def write_report(path: Path, evidence: Evidence) -> None:
    """Write the report of a run; it replaces an earlier one.

    Parameters
    ----------
    path : Path
        HTML file to write.
    evidence : Evidence
        Content of the report.

    Raises
    ------
    UserError
        If the page becomes larger than 10 MB, or cannot be written.
    """
    rendered = {name: (title, section(evidence)) for name, (title, section) in SECTIONS.items()}
    parts = {name: (title, part) for name, (title, part) in rendered.items() if part is not None}
    digest = evidence.run.checkpoint_digest if evidence.is_full else ""
    hint = "" if evidence.is_full else _write_command(evidence.run)
    write_page(path, evidence.name, parts, digest=digest, hint=hint)


def _write_command(run: TrainedRun) -> str:
    """Write the command that makes the full report of a run or an encoder."""
    return shlex.join(["spectral-ssl", "report", *name_option(run)])


def write_page(
    path: Path, title: str, parts: Mapping[str, tuple[str, Markup]], *, digest: str = "", hint: str = ""
) -> None:
    """Write a page of titled parts; it replaces an earlier one.

    Parameters
    ----------
    path : Path
        HTML file to write.
    title : str
        Title of the page.
    parts : mapping of str to (title, HTML)
        Parts of the page by their ids, which links within the page use.
    digest : str
        Digest of the checkpoint in a full report; empty otherwise.
    hint : str
        A command that shows more.

    Raises
    ------
    UserError
        If the page becomes larger than 10 MB, or cannot be written.
    """
    style = _prepare_element(read_asset(STYLE))
    scripts = [_prepare_element(read_asset(name)) for name in SCRIPTS]
    text = render(
        "page.html",
        title=title,
        parts=parts,
        digest=digest,
        hint=hint,
        full=FULL,
        generator=Markup(GENERATOR),  # nosec B704  # a constant of ours
        created_by=created_by(),
        style=style,
        scripts=scripts,
        policy=_build_policy(style, scripts),
    )
    size = len(text.encode())
    if size > LARGEST:
        largest = max(parts, key=lambda name: len(parts[name][1]))
        raise UserError(
            "the report is too large to open", f"{size} bytes, most of them in {largest}", "report this bug"
        )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def is_full_report(path: Path, digest: str) -> bool:
    """Tell whether a file is a full report of the checkpoint with this digest."""
    return f'<meta name="{FULL}" content="{digest}">' in _read_head(path)


def is_report(path: Path) -> bool:
    """Tell whether a file is a page that was written here."""
    return GENERATOR in _read_head(path)


def _read_head(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(4000).decode("utf-8", "replace")
    except OSError:
        return ""


def _prepare_element(text: str) -> Markup:
    """Make a script or style fit for its HTML element, without the source map that browsers would request."""
    text = re.sub(r"^//# sourceMappingURL=.*$", "", text, flags=re.MULTILINE)
    return Markup("\n" + re.sub(r"<(/script|/style|!--)", r"<\\\1", text, flags=re.IGNORECASE))  # nosec B704  # our own files, their ends of elements escaped


def _build_policy(style: str, scripts: list[Markup]) -> str:
    allowed = " ".join(_hash_source(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash_source(style)}; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def _hash_source(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def write_short_report(run: TrainedRun, maps: MapFile | None = None, predictions: Predictions | None = None) -> None:
    """Write the short report ``report.html`` into the folder of a run, without long computations.

    A full report of the same checkpoint is kept, because it shows more.

    Parameters
    ----------
    run : TrainedRun
        The run to report on.
    maps : MapFile, optional
        The data it was trained on; by default they are found by the path that the run stores.
    predictions : Predictions, optional
        Predictions that exist already.
    """
    path = run.folder / NAME
    if is_full_report(path, run.checkpoint_digest):
        say(f"{path} is kept as it is; `{_write_command(run)}` brings it up to date")
        return
    try:
        write_report(path, gather(run, maps, full=False, predictions=predictions))
    except (UserError, OSError) as error:
        say(f"no report: {error}")  # the run and its results are safe, so a missing report must not stop the command
