"""How the latent of a cGML run moves while it answers.

Letters in shapes: T steps, K latents, B maps, D dimensions of the latent.
"""

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from downstream.figures.run import image_columns
from downstream.report.evidence import SEED, Evidence
from downstream.report.images import data_uri, enlarged, image_pixels
from downstream.report.line_chart import line_chart
from downstream.report.sections.predictions.completions import is_picture
from downstream.report.table import Table
from downstream.report.templating import render
from downstream.report.turnable_shapes import surfaces, turnable
from pretext.methods.joint_cgml import cgml_of
from pretext.training.trainer import seeded_generator

LATENTS = 8
MOMENTS = 4
SHOWN_SIDE = 96


def latent_path(evidence: Evidence) -> Markup | None:
    """Lengths of the steps, the paths in a plane, an answer while it forms; None without a latent that moves."""
    method, answered = cgml_of(evidence.run.method), evidence.answered
    if method is None or answered is None or not evidence.whole:
        return None
    steps = method.config.inference_steps or method.config.steps
    moments = sorted({round(part * steps / MOMENTS) for part in range(MOMENTS + 1)})
    generator = seeded_generator(SEED, "report path")
    first = answered.example._replace(
        condition=answered.example.condition[:1],
        target=answered.example.target[:1],
        weight=answered.example.weight[:1],
    )
    _, path = method.complete_along_path(answered.example.condition, LATENTS, generator, at=(0,))
    formed, _ = method.complete_along_path(first.condition, 1, generator, at=moments)  # (moments, 1, 1, C', H, W)
    latents = path.latents.numpy().astype(np.float64)  # (T + 1, K, B, D)
    left = np.linalg.norm(latents - latents[-1], axis=-1).mean(axis=(1, 2))
    predicted = path.rho.mean(dim=(1, 2)).tolist()
    charts = [
        line_chart("Length of the steps that Z predicts, on average", "step", "rho", {"rho": _numbered(predicted, 1)}),
        line_chart("Distance to the last latent, on average", "step", "distance", {"distance": _numbered(left, 0)}),
        _paths(latents[:, :, 0], answered.ids[0]),
    ]
    titles = [f"step {moment}" for moment in moments]
    forms = []
    if evidence.run.basis.kind == "pixels" and is_picture(evidence.run):
        _, columns = image_columns(evidence.run, first, formed[:, :, 0].transpose(0, 1))
        for title, column in zip(titles, columns[1:-1], strict=True):
            picture = data_uri(enlarged(image_pixels(column[0].numpy()), SHOWN_SIDE))
            forms.append(render("picture.html", picture=picture, name=f"{answered.ids[0]}: {title}", text=title))
    elif evidence.run.basis.kind != "pixels":
        plain = evidence.run.standardise.undo(formed[:, 0, 0]).numpy()
        for title, surface in zip(titles, surfaces(plain, evidence.run.basis), strict=True):
            forms.append(turnable(surface, f"{answered.ids[0]}: {title}", "path"))
    return render("latent_path.html", charts=[chart for chart in charts if chart], forms=forms)


def _numbered(values: NDArray[np.float64] | list[float], first: int) -> list[tuple[float, float]]:
    return [(float(place), float(value)) for place, value in enumerate(values, first)]


def _paths(latents: NDArray[np.float64], name: str) -> Markup | None:
    """The paths (T + 1, K, D) of one map's latents, in the plane in which they differ most."""
    flat = latents.reshape(-1, latents.shape[-1])
    if flat.shape[1] == 1:
        curves = {f"latent {number + 1}": _numbered(latents[:, number, 0], 0) for number in range(latents.shape[1])}
        return line_chart(f"Latents of {name} over the steps", "step", "z", curves)
    _, _, axes = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    places = (latents - flat.mean(axis=0)) @ axes[:2].T
    curves = {
        f"latent {number + 1}": [(float(x), float(y)) for x, y in places[:, number]]
        for number in range(places.shape[1])
    }
    title = f"Paths of {len(curves)} latents of {name}, in the plane of their first two principal axes"
    rows = [[step, *(float(value) for place in moment for value in place)] for step, moment in enumerate(places)]
    columns = ["step", *(f"{curve}, {axis} axis" for curve in curves for axis in ("first", "second"))]
    values = Table(caption=title, columns=columns, rows=rows, sortable=False)
    return line_chart(title, "first axis", "second axis", curves, table=values)
