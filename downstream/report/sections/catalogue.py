"""The sections of a report in the order of the page: their ids, their titles, and the functions that render them.

Each function takes the evidence and returns HTML, or None if it has nothing to show for such a run.
"""

from collections.abc import Callable

from markupsafe import Markup

from downstream.report.evidence import Evidence
from downstream.report.sections.data.failures import render_failures
from downstream.report.sections.data.objects import render_objects
from downstream.report.sections.data.spectra import render_spectra
from downstream.report.sections.features.confusion import render_confusion
from downstream.report.sections.features.embedding import render_embedding
from downstream.report.sections.features.neighbours import render_neighbours
from downstream.report.sections.features.rank import render_rank
from downstream.report.sections.predictions.completions import render_predictions
from downstream.report.sections.predictions.human_studies import render_human_studies
from downstream.report.sections.predictions.latent_path import render_latent_path
from downstream.report.sections.run.learning import render_learning
from downstream.report.sections.run.reproduce import render_reproduction
from downstream.report.sections.run.settings import render_environment, render_settings
from downstream.report.sections.run.summary import render_summary

Section = Callable[[Evidence], Markup | None]

SECTIONS: dict[str, tuple[str, Section]] = {
    "summary": ("Summary", render_summary),
    "learning": ("Learning curves", render_learning),
    "objects": ("Objects, and the surfaces rebuilt from their maps", render_objects),
    "answers": ("Predictions", render_predictions),
    "human-studies": ("Human studies", render_human_studies),
    "latent-path": ("Paths of the latents", render_latent_path),
    "spectra": ("Spectra by degree", render_spectra),
    "rank": ("Effective rank", render_rank),
    "embedding": ("The features in the plane", render_embedding),
    "neighbours": ("Nearest neighbours", render_neighbours),
    "confusion": ("Confusion matrices", render_confusion),
    "failures": ("Failed objects", render_failures),
    "settings": ("Settings", render_settings),
    "environment": ("Environment", render_environment),
    "reproduce": ("How to reproduce this run", render_reproduction),
}
