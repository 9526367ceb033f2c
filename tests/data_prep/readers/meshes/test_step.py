"""CAD models: a box of planes and lines, files without a solid, a kernel that crashes or does not end."""

from pathlib import Path

import numpy as np
import pytest

from data_prep.readers import child
from data_prep.readers.meshes import step
from data_prep.readers.meshes.step import parse_step
from data_prep.readers.shape import read_shape
from spectral_ssl.ground.errors import ObjectError

HEADER = """ISO-10303-21;
HEADER;
FILE_DESCRIPTION((''),'2;1');
FILE_NAME('','2026-01-01T00:00:00',(''),(''),'','','');
FILE_SCHEMA(('AUTOMOTIVE_DESIGN { 1 0 10303 214 1 1 1 1 }'));
ENDSEC;
DATA;
"""
QUADS = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))


class _Model:
    """Entities of a STEP file, in order."""

    def __init__(self) -> None:
        self.entities: list[str] = []

    def add(self, entity: str) -> str:
        self.entities.append(entity)
        return f"#{len(self.entities)}"

    def vector(self, kind: str, values: np.ndarray) -> str:
        return self.add(f"{kind}('',({','.join(f'{value:.6f}' for value in values)}))")

    def text(self) -> str:
        lines = [f"#{number}={entity};\n" for number, entity in enumerate(self.entities, start=1)]
        return HEADER + "".join(lines) + "ENDSEC;\nEND-ISO-10303-21;\n"


def _add_product(model: _Model) -> tuple[str, str]:
    """Add a product and the units; return its shape's definition and the context of its geometry."""
    add = model.add
    application = add("APPLICATION_CONTEXT('automotive design')")
    add(f"APPLICATION_PROTOCOL_DEFINITION('','automotive_design',2000,{application})")
    context = add(f"PRODUCT_CONTEXT('',{application},'mechanical')")
    product = add(f"PRODUCT('box','box','',({context}))")
    formation = add(f"PRODUCT_DEFINITION_FORMATION('','',{product})")
    context = add(f"PRODUCT_DEFINITION_CONTEXT('part definition',{application},'design')")
    definition = add(f"PRODUCT_DEFINITION('design','',{formation},{context})")
    length = add("(LENGTH_UNIT()NAMED_UNIT(*)SI_UNIT(.MILLI.,.METRE.))")
    angle = add("(NAMED_UNIT(*)PLANE_ANGLE_UNIT()SI_UNIT($,.RADIAN.))")
    solid = add("(NAMED_UNIT(*)SI_UNIT($,.STERADIAN.)SOLID_ANGLE_UNIT())")
    error = add(f"UNCERTAINTY_MEASURE_WITH_UNIT(LENGTH_MEASURE(1.E-07),{length},'','')")
    units = f"GLOBAL_UNCERTAINTY_ASSIGNED_CONTEXT(({error}))GLOBAL_UNIT_ASSIGNED_CONTEXT(({length},{angle},{solid}))"
    context = add(f"(GEOMETRIC_REPRESENTATION_CONTEXT(3){units}REPRESENTATION_CONTEXT('',''))")
    return add(f"PRODUCT_DEFINITION_SHAPE('','',{definition})"), context


def _box(sides: tuple[float, float, float]) -> str:
    model = _Model()
    add = model.add
    definition, context = _add_product(model)
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * sides
    vertices = [add(f"VERTEX_POINT('',{model.vector('CARTESIAN_POINT', corner)})") for corner in corners]
    edges: dict[tuple[int, int], str] = {}

    def plane(origin: np.ndarray, normal: np.ndarray, first: np.ndarray) -> str:
        axes = [model.vector("DIRECTION", axis / np.linalg.norm(axis)) for axis in (normal, first)]
        return add(f"AXIS2_PLACEMENT_3D('',{model.vector('CARTESIAN_POINT', origin)},{','.join(axes)})")

    def edge(start: int, end: int) -> str:
        low, high = sorted((start, end))
        if (low, high) not in edges:
            along = (corners[high] - corners[low]) / np.linalg.norm(corners[high] - corners[low])
            vector = add(f"VECTOR('',{model.vector('DIRECTION', along)},1.)")
            line = add(f"LINE('',{model.vector('CARTESIAN_POINT', corners[low])},{vector})")
            edges[low, high] = add(f"EDGE_CURVE('',{vertices[low]},{vertices[high]},{line},.T.)")
        return add(f"ORIENTED_EDGE('',*,*,{edges[low, high]},{'.T.' if start < end else '.F.'})")

    faces = []
    for quad in QUADS:
        loop = add(f"EDGE_LOOP('',({','.join(edge(quad[side], quad[(side + 1) % 4]) for side in range(4))}))")
        first, second = corners[quad[1]] - corners[quad[0]], corners[quad[2]] - corners[quad[1]]
        surface = add(f"PLANE('',{plane(corners[quad[0]], np.cross(first, second), first)})")
        bound = add(f"FACE_BOUND('',{loop},.T.)")
        faces.append(add(f"ADVANCED_FACE('',({bound}),{surface},.T.)"))
    shell = add(f"CLOSED_SHELL('',({','.join(faces)}))")
    solid = add(f"MANIFOLD_SOLID_BREP('',{shell})")
    axes = plane(np.zeros(3), np.array([0, 0, 1.0]), np.array([1.0, 0, 0]))
    shape = add(f"ADVANCED_BREP_SHAPE_REPRESENTATION('',({axes},{solid}),{context})")
    add(f"SHAPE_DEFINITION_REPRESENTATION({definition},{shape})")
    return model.text()


def test_a_box_has_its_sides_and_its_area(tmp_path: Path) -> None:
    (tmp_path / "box.STP").write_text(_box((1, 2, 4)))
    shape = read_shape(tmp_path / "box.STP")
    assert shape.faces is not None
    np.testing.assert_allclose(np.ptp(shape.points, axis=0), [0.001, 0.002, 0.004], rtol=1e-6)  # metres
    corners = shape.points[shape.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert np.linalg.norm(normals, axis=1).sum() / 2 == pytest.approx(28e-6)


def test_a_file_without_a_solid_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.step").write_text(f"{HEADER}ENDSEC;\nEND-ISO-10303-21;\n")
    with pytest.raises(ObjectError, match="no solids or surfaces"):
        read_shape(tmp_path / "a.step")


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import os; os.abort()", r"unreadable \.step file: the library crashed, status -6"),
        ("raise ValueError('not a model')", r"unreadable \.step file: ValueError: not a model"),
        ("import time; time.sleep(60)", "not finished after 0.3 seconds"),
        ("open(target, 'wb').close()", "no solids or surfaces"),
    ],
)
def test_the_kernel_cannot_end_this_process(program: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "PROGRAM", program)
    monkeypatch.setattr(child, "MOST_SECONDS", 0.3 if "sleep" in program else 30)
    with pytest.raises(ObjectError, match=reason):
        parse_step(b"ISO-10303-21;", Path("a.step"))


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "find_spec", lambda name: None)
    with pytest.raises(ObjectError, match=r"\.stp files need cascadio: pip install 'spectral-ssl\[cad\]'"):
        parse_step(b"ISO-10303-21;", Path("a.stp"))
