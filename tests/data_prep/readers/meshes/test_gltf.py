"""The reader of glTF files: every dialect of the format is read to the same triangles, other files are refused."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from gltf_files import SQUARE, GltfWriter, add_square
from numpy.typing import NDArray
from random_meshes import RandomMesh, make_random_mesh

from data_prep.readers.meshes.gltf.scene import parse_gltf
from data_prep.source import Shape, collect_notes
from spectral_ssl.ground.errors import ObjectError

NOWHERE = Path("/nonexistent")
TRIANGLE = np.array([0, 1, 2])
TURN = [0.0, 0.0, 2**-0.5, 2**-0.5]  # A quaternion: x to y by a right angle around z.


def _canonical(triangles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sort triangles (F, 3, 3), and the corners of each without changing its orientation."""
    rows = []
    for corners in triangles.tolist():
        first = min(range(3), key=lambda place: corners[place])
        rows.append(corners[first:] + corners[:first])
    return np.array(sorted(rows))


def _triangles(shape: Shape) -> NDArray[np.float64]:
    assert shape.faces is not None
    return shape.points[shape.faces]


def _fans(mesh: RandomMesh) -> NDArray[np.int64]:
    return np.array([(p[0], p[i], p[i + 1]) for p in mesh.polygons for i in range(1, len(p) - 1)])


def _check(shape: Shape, mesh: RandomMesh, atol: float = 0) -> None:
    expected = _canonical(mesh.points[_fans(mesh)])
    np.testing.assert_allclose(_canonical(np.round(_triangles(shape) * 64) / 64), expected, atol=0)
    np.testing.assert_allclose(shape.points, np.round(shape.points * 64) / 64, rtol=0, atol=atol)


def _read(writer: GltfWriter, form: str, folder: Path) -> Shape:
    match form:
        case "glb":
            return parse_gltf(writer.glb(), NOWHERE)
        case "embedded":
            return parse_gltf(writer.gltf(), NOWHERE)
        case _:
            return parse_gltf(writer.gltf(folder, "some parts/größe #1 100%.bin"), folder)


@pytest.mark.parametrize("form", ["glb", "embedded", "external"])
@pytest.mark.parametrize("seed", range(4))
def test_layouts_of_arrays(form: str, seed: int, tmp_path: Path) -> None:
    """One part for each way to store positions and indices, each a few polygons of one random mesh."""
    mesh = make_random_mesh(seed, largest=6, is_convex=True)
    writer = GltfWriter()
    corners = _fans(mesh).ravel()
    parts = np.array_split(corners, [3, 6, 9, 12, 15, 18, 21, 24])
    points = mesh.points
    base = np.where(np.arange(len(points))[:, None] % 2, points, 5.0)
    integers, shift = np.round(points * 64), [32767 / 64] * 3
    plain = writer.add_array(points, "f4")
    ways: list[tuple[int, dict[str, Any]]] = [
        (plain, {}),
        (writer.add_array(points, "f4", gap=8, offset=4), {}),
        (writer.add_sparse(points, base), {}),
        (writer.add_sparse(points, None), {}),
        (writer.add_array(integers, "i2", gap=2), {"scale": [1 / 64] * 3}),
        (writer.add_array(integers, "i2", gap=2, normalized=True), {"scale": shift}),
        (writer.add_array(integers + 10000, "u2", gap=2), {"scale": [1 / 64] * 3, "translation": [-10000 / 64] * 3}),
        (
            writer.add_array(integers + 10000, "u2", gap=2, normalized=True),
            {"scale": [65535 / 64] * 3, "translation": [-10000 / 64] * 3},
        ),
    ]
    for (position, node), indices, kind in zip(ways, parts[:8], ("u1", "u2", "u4") * 3, strict=False):
        writer.add_mesh({"attributes": {"POSITION": position}, "indices": writer.add_array(indices, kind)}, **node)
    rest = writer.add_array(points[parts[8]], "f4")
    writer.add_mesh({"attributes": {"POSITION": rest}, "mode": 4})
    _check(_read(writer, form, tmp_path), mesh, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_strips_fans_and_shared_vertices(seed: int) -> None:
    mesh = make_random_mesh(seed, largest=7, is_convex=True)
    writer = GltfWriter()
    position = {"POSITION": writer.add_array(mesh.points, "f4")}
    primitives = []
    for number, polygon in enumerate(mesh.polygons):
        order = list(polygon)
        if number % 2:  # A strip goes from side to side of a convex polygon.
            order = [polygon[-(place // 2) % len(polygon)] if place % 2 == 0 else polygon[place // 2 + 1]
                     for place in range(len(polygon))]  # fmt: skip
        indices = writer.add_array(order, "u2")
        primitives.append({"attributes": position, "indices": indices, "mode": 5 if number % 2 else 6})
    writer.add_mesh(*primitives)
    shape = parse_gltf(writer.glb(), NOWHERE)
    assert len(shape.points) == len(mesh.points)  # The primitives share their vertices.
    triangles = _triangles(shape)
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]) / 2
    expected = mesh.points[_fans(mesh)]
    wanted = np.cross(expected[:, 1] - expected[:, 0], expected[:, 2] - expected[:, 0]) / 2
    assert len(normals) == len(wanted)
    np.testing.assert_allclose(normals.sum(axis=0), wanted.sum(axis=0), rtol=1e-12)
    assert np.linalg.norm(normals, axis=1).sum() == pytest.approx(mesh.area, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_hierarchies_are_read_as_by_another_reader(seed: int) -> None:
    """Trees of nodes with matrices, rotations and scales: the triangles are those of trimesh."""
    mesh = make_random_mesh(seed, largest=3)
    draw = np.random.default_rng(seed)
    writer = GltfWriter()
    position = writer.add_array(mesh.points, "f4")
    for number, polygon in enumerate(mesh.polygons):
        rotation = draw.normal(size=4)
        place: dict[str, Any] = {
            "translation": draw.normal(size=3).tolist(),
            "rotation": (rotation / np.linalg.norm(rotation)).tolist(),
            "scale": draw.uniform(0.5, 2, 3).tolist(),
        }
        if number % 3 == 0:
            matrix = np.eye(4)
            matrix[:3] = draw.normal(size=(3, 4))
            place = {"matrix": matrix.T.ravel().tolist()}
        indices = writer.add_array(polygon, "u1")
        node = writer.add_mesh({"attributes": {"POSITION": position}, "indices": indices}, **place)
        if number % 4:  # below the node before it
            writer.tree["nodes"][node - 1]["children"] = [node]
            writer.tree["scenes"][0]["nodes"].pop()
    data = writer.glb()
    scene = trimesh.load(io.BytesIO(data), file_type="glb", process=False)
    expected = np.concatenate([part.triangles for part in scene.dump()])  # type: ignore[union-attr]
    result = _triangles(parse_gltf(data, NOWHERE))
    # trimesh orders the nodes otherwise, and does not turn mirrored triangles.
    ordered = [np.sort(np.sort(triangles, axis=1).reshape(-1, 9), axis=0) for triangles in (result, expected)]
    np.testing.assert_allclose(*ordered, rtol=1e-6, atol=1e-5)


def _moved(x: float, y: float, z: float) -> NDArray[np.float64]:
    return np.add(SQUARE, (x, y, z))


def test_transforms_of_nodes() -> None:
    """A node scales first, then turns, then moves; a mirrored node keeps the outside outside."""
    writer = GltfWriter()
    child = writer.add_mesh(add_square(writer), scale=[2, 1, 1])
    writer.tree["scenes"][0]["nodes"] = [
        writer.add("nodes", {"rotation": TURN, "translation": [5, 0, 0], "children": [child]})
    ]
    shape = parse_gltf(writer.glb(), NOWHERE)
    np.testing.assert_allclose(shape.points, [[5, 0, 0], [5, 2, 0], [4, 2, 0], [4, 0, 0]], atol=1e-15)
    writer.tree["nodes"][child]["scale"] = [-2, 1, 1]
    shape = parse_gltf(writer.glb(), NOWHERE)
    assert shape.faces is not None
    assert shape.faces.tolist() == [[2, 1, 0], [3, 2, 0]]


def test_instances() -> None:
    writer = GltfWriter()
    angles = np.array([[0, 0, 0, 32767], np.round(np.array(TURN) * 32767)])
    attributes = {
        "TRANSLATION": writer.add_array([[10, 0, 0], [0, 10, 0]], "f4"),
        "ROTATION": writer.add_array(angles, "i2", normalized=True),
        "SCALE": writer.add_array([[1, 1, 1], [3, 3, 3]], "f4"),
    }
    extension = {"EXT_mesh_gpu_instancing": {"attributes": attributes}}
    writer.tree["extensionsRequired"] = ["EXT_mesh_gpu_instancing"]
    writer.add_mesh(add_square(writer), translation=[0, 0, 1], extensions=extension)
    shape = parse_gltf(writer.glb(), NOWHERE)
    expected = [*_moved(10, 0, 1), [0, 10, 1], [0, 13, 1], [-3, 13, 1], [-3, 10, 1]]
    np.testing.assert_allclose(shape.points, expected, atol=1e-12)
    assert shape.faces is not None
    assert shape.faces.tolist() == [[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]]
    writer.tree["accessors"][attributes["SCALE"]]["count"] = 1
    with pytest.raises(ObjectError, match=r"with \[1, 2\] instances"):
        parse_gltf(writer.glb(), NOWHERE)
    for name in ("SCALE", "ROTATION"):
        del attributes[name]
    np.testing.assert_array_equal(parse_gltf(writer.glb(), NOWHERE).points[4:], _moved(0, 10, 1))


def test_skins_have_the_pose_of_the_scene() -> None:
    """Each vertex moves with its joints; the node of the mesh itself moves nothing."""
    writer = GltfWriter()
    primitive = add_square(writer)
    primitive["attributes"]["JOINTS_0"] = writer.add_array([[0, 1, 0, 0]] * 4, "u1")
    weights = np.array([[255, 0, 0, 0], [0, 255, 0, 0], [102, 153, 0, 0], [255, 0, 0, 0]])
    primitive["attributes"]["WEIGHTS_0"] = writer.add_array(weights, "u1", normalized=True)
    mesh = writer.add_mesh(primitive, skin=0, translation=[100, 100, 100])
    joints = [writer.add("nodes", {"translation": [0, 0, 3]}), writer.add("nodes", {"translation": [0, 4, 0]})]
    inverse = np.stack([np.eye(4), np.eye(4)])
    inverse[1, 0, 3] = 10
    matrices = writer.add_array(inverse.transpose(0, 2, 1).reshape(2, 16), "f4")
    writer.add("skins", {"joints": joints, "inverseBindMatrices": matrices})
    writer.tree["scenes"][0]["nodes"] = [writer.add("nodes", {"translation": [1, 0, 0], "children": [mesh, *joints]})]
    shape = parse_gltf(writer.glb(), NOWHERE)
    expected = [[1, 0, 3], [12, 4, 0], [0.4 * 2 + 0.6 * 12, 0.4 + 0.6 * 5, 0.4 * 3], [1, 1, 3]]
    np.testing.assert_allclose(shape.points, expected, atol=1e-12)
    del writer.tree["skins"][0]["inverseBindMatrices"]
    assert parse_gltf(writer.glb(), NOWHERE).points[1].tolist() == [2, 4, 0]
    writer.tree["skins"][0]["joints"] = joints[:1]
    with pytest.raises(ObjectError, match="names joint 1 of 1"):
        parse_gltf(writer.glb(), NOWHERE)


def test_morph_targets_have_the_weights_of_the_file() -> None:
    writer = GltfWriter()
    targets = [
        {"POSITION": writer.add_array([[0, 0, 1]] * 4, "f4")},
        {"POSITION": writer.add_array([[0, 2, 0]] * 4, "f4")},
    ]
    node = writer.add_mesh(add_square(writer, targets=targets))
    assert parse_gltf(writer.glb(), NOWHERE).points.tolist() == SQUARE.tolist()
    writer.tree["meshes"][0]["weights"] = [0.5, 0]
    assert parse_gltf(writer.glb(), NOWHERE).points.tolist() == _moved(0, 0, 0.5).tolist()
    writer.tree["nodes"][node]["weights"] = [0, 1.5]
    assert parse_gltf(writer.glb(), NOWHERE).points.tolist() == _moved(0, 3, 0).tolist()


def test_clouds_and_mixed_scenes() -> None:
    writer = GltfWriter()
    position = {"POSITION": writer.add_array(SQUARE, "f4")}
    writer.add_mesh({"attributes": position, "mode": 0}, translation=[1, 0, 0])
    writer.add_mesh({"attributes": position, "mode": 0, "indices": writer.add_array([3, 1], "u1")})
    writer.add_mesh({"attributes": position, "mode": 3})
    shape = parse_gltf(writer.glb(), NOWHERE)
    assert shape.faces is None
    assert shape.points.tolist() == [*_moved(1, 0, 0).tolist(), [0, 1, 0], [1, 0, 0]]
    writer.add_mesh({"attributes": position, "mode": 0}, add_square(writer))
    with collect_notes() as notes:
        shape = parse_gltf(writer.glb(), NOWHERE)
    assert _triangles(shape).shape == (2, 3, 3)
    assert shape.points.tolist() == SQUARE.tolist()
    assert notes == ["10 single points next to triangles: left out"]


def test_which_scene_is_read() -> None:
    writer = GltfWriter()
    first, second = (writer.add_mesh(add_square(writer), translation=[x, 0, 0]) for x in (0, 5))
    writer.tree["nodes"].append({"mesh": 0, "translation": [9, 0, 0]})
    writer.tree["scenes"] = [{"nodes": [first]}, {"nodes": [second]}]

    def corners() -> list[float]:
        with collect_notes() as notes:
            shape = parse_gltf(writer.glb(), NOWHERE)
        texts.append("; ".join(notes))
        return [x for x, y, _ in shape.points.tolist() if y == 0][::2]

    texts: list[str] = []
    assert corners() == [0]
    writer.tree["scene"] = 1
    assert corners() == [5]
    del writer.tree["scene"]
    assert corners() == [0]
    writer.tree["scenes"].pop()
    assert corners() == [0]
    del writer.tree["scenes"]
    assert corners() == [0, 5, 9]
    writer.tree["nodes"][first]["children"] = [second]
    writer.tree["nodes"][second]["extensions"] = {"KHR_node_visibility": {"visible": False}}
    assert corners() == [0, 9]
    del writer.tree["nodes"]
    assert corners() == [0, 0]
    assert texts == [
        "",
        "",
        "the first of 2 scenes: the file names no default",
        "",
        "",
        "",
        "2 meshes without nodes: read at the origin",
    ]
