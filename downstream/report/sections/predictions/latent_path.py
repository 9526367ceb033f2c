"""The paths of latents of a cGML run during inference.

Letters in shapes: T steps, K latents, B maps, D dimensions of the latent.
"""

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from downstream.figures.run import build_image_columns
from downstream.report.evidence import SEED, Evidence
from downstream.report.images import encode_png, render_pixels, resize
from downstream.report.line_chart import draw_line_chart
from downstream.report.sections.predictions.completions import predicts_images
from downstream.report.table import Table
from downstream.report.templating import render
from downstream.report.turnable_shapes import rebuild_surfaces, render_canvas
from pretext.randomness import seeded_generator

LATENTS = 8
MOMENTS = 4
SHOWN_SIDE = 96


def render_latent_path(evidence: Evidence) -> Markup | None:
    """Render step lengths, paths in a plane, and a prediction while it forms; None for methods without latent steps."""
    method, predictions = evidence.run.method.latent_model, evidence.predictions
    if method is None or predictions is None or not evidence.is_full:
        return None
    steps = method.config.path.steps_at_inference
    moments = sorted({round(part * steps / MOMENTS) for part in range(MOMENTS + 1)})
    generator = seeded_generator(SEED, "report path")
    example = predictions.example
    first = example._replace(condition=example.condition[:1], target=example.target[:1], weight=example.weight[:1])
    _, path = method.complete_along_path(example.condition, LATENTS, generator, at=(0,))
    formed, _ = method.complete_along_path(first.condition, 1, generator, at=moments)  # (moments, 1, 1, C', H, W)
    latents = path.latents.numpy().astype(np.float64)  # (T + 1, K, B, D)
    distances = np.linalg.norm(latents - latents[-1], axis=-1).mean(axis=(1, 2))
    lengths = path.rho.mean(dim=(1, 2)).tolist()
    predicted = "" if method.config.path.dynamics == "flow" else " that Z predicts (rho)"
    charts = [
        draw_line_chart(f"Mean step length{predicted}", "step", "length", {"length": _number(lengths, 1)}),
        draw_line_chart("Mean distance to the last latent", "step", "distance", {"distance": _number(distances, 0)}),
        _draw_paths(latents[:, :, 0], predictions.ids[0]),
    ]
    titles = [f"step {moment}" for moment in moments]
    figures = []
    if evidence.run.basis.kind == "pixels" and predicts_images(evidence.run):
        _, columns = build_image_columns(evidence.run, first, formed[:, :, 0].transpose(0, 1))
        for title, column in zip(titles, columns[1:-1], strict=True):
            image = encode_png(resize(render_pixels(column[0].numpy()), SHOWN_SIDE))
            figures.append(render("image.html", image=image, name=f"{predictions.ids[0]}: {title}", text=title))
    elif evidence.run.basis.kind != "pixels":
        plain = evidence.run.standardise.undo(formed[:, 0, 0]).numpy()
        for title, surface in zip(titles, rebuild_surfaces(plain, evidence.run.basis), strict=True):
            figures.append(render_canvas(surface, f"{predictions.ids[0]}: {title}", "path"))
    return render("latent_path.html", charts=[chart for chart in charts if chart], figures=figures)


def _number(values: NDArray[np.float64] | list[float], first: int) -> list[tuple[float, float]]:
    return [(float(step), float(value)) for step, value in enumerate(values, first)]


def _draw_paths(latents: NDArray[np.float64], name: str) -> Markup | None:
    """Draw the paths (T + 1, K, D) of one map's latents in the plane in which they vary most."""
    flat = latents.reshape(-1, latents.shape[-1])
    if flat.shape[1] == 1:
        curves = {f"latent {number + 1}": _number(latents[:, number, 0], 0) for number in range(latents.shape[1])}
        return draw_line_chart(f"Latents of {name} over the steps", "step", "z", curves)
    _, _, axes = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    projected = (latents - flat.mean(axis=0)) @ axes[:2].T
    curves = {
        f"latent {number + 1}": [(float(x), float(y)) for x, y in projected[:, number]]
        for number in range(projected.shape[1])
    }
    title = f"Paths of {len(curves)} latents of {name}, in the plane of their first two principal axes"
    rows = [[step, *(float(value) for point in points for value in point)] for step, points in enumerate(projected)]
    columns = ["step", *(f"{curve}, {axis} axis" for curve in curves for axis in ("first", "second"))]
    values = Table(caption=title, columns=columns, rows=rows, sortable=False)
    return draw_line_chart(title, "first axis", "second axis", curves, table=values)
