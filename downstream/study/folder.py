"""The folder of a study.

================  ====================================================================================================
study.json        settings, methods and their runs, the source of each image, the secret of the link
images/           PNG files with random names, all of one size
consent.txt       the text that participants agree to
answers.sqlite    the answers of participants (see ``answers``)
results.*         the results as JSON, PNG and HTML
================  ====================================================================================================

Only its owner may read it, because ``study.json`` tells which image is real.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from downstream.study.design import REAL, SPOILT, StudyConfig, Trial
from spectral_ssl.ground.config import build_config
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import write_text

SCHEMA = "spectral-ssl study 1"
DESCRIPTION, IMAGES, ANSWERS, CONSENT = "study.json", "images", "answers.sqlite", "consent.txt"


@dataclass(frozen=True)
class Compared:
    """A method to compare: its name, the folder of its run, and the digest of its checkpoint."""

    name: str
    run: str
    checkpoint_digest: str


@dataclass(frozen=True)
class Study:
    """A study as it is stored on the disk.

    Attributes
    ----------
    folder : Path
        Folder of the study.
    name : str
        Random name, which tells the cookies of two studies apart.
    config : StudyConfig
        Settings of the study.
    methods : sequence of Compared
        Methods to compare; trials number them in this order.
    rows, check_rows : sequence of mapping
        The "id" and the image files of each row: "real" and the methods "0", "1", ...; for checks
        "real" and "spoilt0", "spoilt1", ....
    secret : str
        Secret of the link that participants follow.
    about : dict
        Data, task, failed objects and environment.
    """

    folder: Path
    name: str
    config: StudyConfig
    methods: Sequence[Compared]
    rows: Sequence[Mapping[str, str]]
    check_rows: Sequence[Mapping[str, str]]
    secret: str
    about: Mapping[str, Any]

    @property
    def answers(self) -> Path:
        """The database of answers."""
        return self.folder / ANSWERS

    @property
    def consent(self) -> list[str]:
        """The text that participants agree to, by paragraphs."""
        text = (self.folder / CONSENT).read_text(encoding="utf-8")
        return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]

    def image(self, trial: Trial, position: int) -> Path:
        """Return the image file at a position of a trial, counted from the left."""
        source = trial.shown[position]
        if trial.check:
            before = trial.shown[:position].count(SPOILT)
            return self.folder / IMAGES / self.check_rows[trial.row][source if source == REAL else f"{SPOILT}{before}"]
        return self.folder / IMAGES / self.rows[trial.row][source]

    def list_images(self) -> list[Path]:
        """List all image files of the study."""
        rows = (*self.rows, *self.check_rows)
        return [self.folder / IMAGES / name for row in rows for source, name in row.items() if source != "id"]

    def write(self) -> None:
        """Write ``study.json``, which makes the folder a study."""
        content = {
            "schema": SCHEMA,
            "name": self.name,
            "config": asdict(self.config),
            "methods": [asdict(method) for method in self.methods],
            "rows": [dict(row) for row in self.rows],
            "check_rows": [dict(row) for row in self.check_rows],
            "secret": self.secret,
            "about": dict(self.about),
        }
        write_text(self.folder / DESCRIPTION, json.dumps(content, indent=1) + "\n")


def open_study(folder: Path | str) -> Study:
    """Read a study.

    Raises
    ------
    UserError
        If the folder is not a study.
    """
    folder = Path(folder)
    path = folder / DESCRIPTION
    if not path.is_file():
        raise UserError("no study in this folder", str(folder), "make one with `spectral-ssl study create`")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise UserError("a study of another version", f"{path}: {content['schema']}", f"expected {SCHEMA}")
        return Study(
            folder=folder,
            name=content["name"],
            config=build_config(StudyConfig, content["config"], "study"),
            methods=tuple(Compared(**method) for method in content["methods"]),
            rows=content["rows"],
            check_rows=content["check_rows"],
            secret=content["secret"],
            about=content["about"],
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError("unreadable study", f"{path} ({error})", "make it again") from error


def find_study(study: str | Path | Study | None, studies: Path) -> Study:
    """Open a study, by default the newest one.

    Parameters
    ----------
    study : path or Study, optional
        The study or its folder.
    studies : Path
        The folder that holds the studies of a workspace.

    Returns
    -------
    Study
        The study.

    Raises
    ------
    UserError
        If there is none.
    """
    if isinstance(study, Study):
        return study
    if study is not None:
        return open_study(study)
    paths = sorted(studies.glob(f"*/{DESCRIPTION}"), key=lambda path: path.stat().st_mtime_ns)
    if not paths:
        what_to_do = "make one with `spectral-ssl study create` or give its folder"
        raise UserError("no study yet", f"nothing in {studies}", what_to_do)
    return open_study(paths[-1].parent)


def describe(study: Study) -> dict[str, Any]:
    """Describe a study in its results: settings, methods and data, but no secrets."""
    return {
        "study": str(study.folder),
        **asdict(study.config),
        "methods": [asdict(method) for method in study.methods],
        **{key: value for key, value in study.about.items() if key != "environment"},
    }
