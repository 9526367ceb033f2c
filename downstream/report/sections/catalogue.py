"""The sections of a report in the order of the page: their titles, and the functions that write them.

Each is (evidence) -> HTML, or None where it has nothing to tell of such a run.
"""

from collections.abc import Callable

from markupsafe import Markup

from downstream.report.evidence import Evidence
from downstream.report.sections.data.failures import failures
from downstream.report.sections.data.objects import objects
from downstream.report.sections.data.spectra import spectra
from downstream.report.sections.features.confusion import confusion
from downstream.report.sections.features.embedding import embedding
from downstream.report.sections.features.neighbours import neighbours
from downstream.report.sections.features.rank import rank
from downstream.report.sections.predictions.completions import answers
from downstream.report.sections.predictions.human_studies import human_studies
from downstream.report.sections.predictions.latent_path import latent_path
from downstream.report.sections.run.learning import learning
from downstream.report.sections.run.reproduce import reproduce
from downstream.report.sections.run.settings import environment, settings
from downstream.report.sections.run.summary import summary

Section = Callable[[Evidence], Markup | None]

SECTIONS: dict[str, tuple[str, Section]] = {
    "summary": ("Summary", summary),
    "learning": ("Learning curves", learning),
    "objects": ("Objects and what their maps keep of them", objects),
    "answers": ("Answers", answers),
    "human-studies": ("What people said", human_studies),
    "latent-path": ("Paths of the latent", latent_path),
    "spectra": ("Spectra by degree", spectra),
    "rank": ("Effective rank", rank),
    "embedding": ("The features in the plane", embedding),
    "neighbours": ("Nearest neighbours", neighbours),
    "confusion": ("Which classes are taken for which", confusion),
    "failures": ("Objects that could not be used", failures),
    "settings": ("Settings", settings),
    "environment": ("Environment", environment),
    "reproduce": ("How to make this run again", reproduce),
}
