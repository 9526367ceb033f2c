"""Some objects as clouds, next to the surfaces rebuilt from their coefficients."""

from markupsafe import Markup

from data_prep.source import Shape
from downstream.report.evidence import Evidence
from downstream.report.templating import render
from downstream.report.turnable_shapes import rebuild_surfaces, render_canvas
from pretext.runs.evaluation import describe_rows, select_held_out_rows

OBJECTS = 4


def render_objects(evidence: Evidence) -> Markup | None:
    """Render up to four objects; None for images and in a short report."""
    maps = evidence.maps
    if maps is None or not evidence.is_full or maps.basis.kind == "pixels":
        return None
    rows = select_held_out_rows(maps, OBJECTS)
    clouds = [Shape(points) for points in maps.read_points(rows)] if maps.has_points else []
    objects = []
    for number, (row, surface) in enumerate(zip(rows, rebuild_surfaces(maps.read(rows), maps.basis), strict=True)):
        name = maps.ids[row]
        shapes = [render_canvas(clouds[number], f"{name}: cloud", f"object {row}")] if clouds else []
        shapes.append(render_canvas(surface, f"{name}: surface rebuilt from its map", f"object {row}"))
        objects.append(shapes)
    described = describe_rows(maps, rows)
    return render("objects.html", objects=objects, described=described, has_clouds=bool(clouds))
