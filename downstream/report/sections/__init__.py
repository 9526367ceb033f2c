"""The sections of a report in the order of the page: their titles, and the functions that write them.

Each is (evidence) -> HTML, or None where it has nothing to tell of such a run.
"""

from collections.abc import Callable

from markupsafe import Markup

from downstream.report.evidence import Evidence
from downstream.report.sections.answers import answers
from downstream.report.sections.confusion import confusion
from downstream.report.sections.embedding import embedding
from downstream.report.sections.failures import failures
from downstream.report.sections.human_studies import human_studies
from downstream.report.sections.latent_path import latent_path
from downstream.report.sections.learning import learning
from downstream.report.sections.neighbours import neighbours
from downstream.report.sections.objects import objects
from downstream.report.sections.rank import rank
from downstream.report.sections.reproduce import reproduce
from downstream.report.sections.settings import environment, settings
from downstream.report.sections.spectra import spectra
from downstream.report.sections.summary import summary

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
