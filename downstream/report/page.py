"""The whole page: one file, no network, scripts and styles named by their digests so that nothing else runs."""

import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from markupsafe import Markup

from data_prep.maps.reader import MapFile
from downstream.report.evidence import Answered, Evidence, gather
from downstream.report.sections.catalogue import SECTIONS
from downstream.report.templating import asset, render
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import atomic_path
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.provenance import created_by

NAME = "report.html"
LARGEST = 10_000_000  # bytes
STYLE = "report.css"
SCRIPTS = ("twgl.js", "sort_tables.js", "turn_shapes.js", "point_at_items.js")
WHOLE = "spectral-ssl-whole-report"  # the name of a meta element; its content is the checkpoint's digest
GENERATOR = '<meta name="generator" content="spectral-ssl report">'


def write_report(path: Path, evidence: Evidence) -> None:
    """Write the report of a run, in place of an earlier one.

    Parameters
    ----------
    path : Path
        HTML file.
    evidence : Evidence

    Raises
    ------
    UserError
        When the page becomes larger than 10 MB, or cannot be written.
    """
    parts = {name: (title, section(evidence)) for name, (title, section) in SECTIONS.items()}
    shown = {name: (title, part) for name, (title, part) in parts.items() if part is not None}
    digest = evidence.run.checkpoint_digest if evidence.whole else ""
    hint = "" if evidence.whole else f"spectral-ssl report --run {evidence.run.folder}"
    write_page(path, evidence.name, shown, digest=digest, hint=hint)


def write_page(
    path: Path, title: str, parts: Mapping[str, tuple[str, Markup]], *, digest: str = "", hint: str = ""
) -> None:
    """Write a page of titled parts, in place of an earlier one.

    Parameters
    ----------
    path : Path
    title : str
    parts : mapping of str to (title, HTML)
        By the names that links within the page use.
    digest : str
        Of the checkpoint that was asked for everything; empty otherwise.
    hint : str
        A command that shows more.

    Raises
    ------
    UserError
        When the page becomes larger than 10 MB, or cannot be written.
    """
    style = _in_element(asset(STYLE))
    scripts = [_in_element(asset(name)) for name in SCRIPTS]
    text = render(
        "page.html",
        title=title,
        parts=parts,
        digest=digest,
        hint=hint,
        whole=WHOLE,
        generator=Markup(GENERATOR),  # nosec B704  # a constant of ours
        created_by=created_by(),
        style=style,
        scripts=scripts,
        policy=_policy(style, scripts),
    )
    size = len(text.encode())
    if size > LARGEST:
        largest = max(parts, key=lambda name: len(parts[name][1]))
        raise UserError("a report too large to open", f"{size} bytes, most of them {largest}", "say so to its makers")
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def is_whole_report(path: Path, digest: str) -> bool:
    """Whether a file is a report that asked the network of this checkpoint for everything."""
    return f'<meta name="{WHOLE}" content="{digest}">' in _head(path)


def is_report(path: Path) -> bool:
    """Whether a file is a page that was written here."""
    return GENERATOR in _head(path)


def _head(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(4000).decode("utf-8", "replace")
    except OSError:
        return ""


def _in_element(text: str) -> Markup:
    """A script or style as it can stand inside its element; no browser shall look for the map of its source."""
    text = re.sub(r"^//# sourceMappingURL=.*$", "", text, flags=re.MULTILINE)
    return Markup("\n" + re.sub(r"<(/script|/style|!--)", r"<\\\1", text, flags=re.IGNORECASE))  # nosec B704  # our own files, their ends of elements escaped


def _policy(style: str, scripts: list[Markup]) -> str:
    allowed = " ".join(_named(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_named(style)}; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def _named(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def leave_report(run: TrainedRun, maps: MapFile | None = None, answered: Answered | None = None) -> None:
    """Write what lies in the run's folder as ``report.html``, and nothing that takes long.

    A whole report of the same checkpoint is kept, for it shows more.

    Parameters
    ----------
    run : TrainedRun
    maps : MapFile, optional
        The data it was trained on; looked for by default.
    answered : Answered, optional
        Answers that are known already.
    """
    path = run.folder / NAME
    if is_whole_report(path, run.checkpoint_digest):
        say(f"{path} is kept as it is; `spectral-ssl report --run {run.folder}` brings it up to date")
        return
    try:
        write_report(path, gather(run, maps, whole=False, answered=answered))
    except (UserError, OSError) as error:
        say(f"no report: {error}")  # what was trained or measured is safe, and worth more
