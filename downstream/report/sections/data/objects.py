"""Some objects as clouds, beside the surfaces rebuilt from their coefficients."""

from markupsafe import Markup

from data_prep.source import Shape
from downstream.report.evidence import Evidence
from downstream.report.templating import render
from downstream.report.turnable_shapes import surfaces, turnable
from pretext.runs.trained_run import held_out_rows

OBJECTS = 4


def objects(evidence: Evidence) -> Markup | None:
    """Four held-out objects; None for images and in a short report."""
    maps = evidence.maps
    if maps is None or not evidence.whole or maps.basis.kind == "pixels":
        return None
    rows = held_out_rows(maps, OBJECTS)
    clouds = [Shape(points) for points in maps.read_points(rows)] if maps.has_points else []
    lines = []
    for place, (row, surface) in enumerate(zip(rows, surfaces(maps.read(rows), maps.basis), strict=True)):
        name = maps.ids[row]
        forms = [turnable(clouds[place], f"{name}: cloud", f"object {row}")] if clouds else []
        forms.append(turnable(surface, f"{name}: surface rebuilt from its map", f"object {row}"))
        lines.append(forms)
    return render("objects.html", lines=lines)
