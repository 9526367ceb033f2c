import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh

from data_prep.basis import zernike_basis
from data_prep.layout import unfold
from data_prep.pipeline.prepare import prepare_maps
from data_prep.readers import shape as shape_reading
from data_prep.readers.clouds import arrays
from data_prep.readers.shape import read_shape
from data_prep.sources.catalogue import open_source
from data_prep.transforms.zernike import zernike_moments
from spectral_ssl.ground.errors import ObjectError

BOX = trimesh.creation.box((1, 2, 3))
CLOUD = np.random.default_rng(0).normal(size=(50, 3))


def _area(points: np.ndarray, faces: np.ndarray) -> float:
    corners = points[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return float(np.linalg.norm(normals, axis=1).sum() / 2)


@pytest.mark.parametrize("ending", [".off", ".obj", ".ply", ".stl", ".glb", ".gltf", ".OFF", ".Ply"])
def test_meshes(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"box{ending}"
    exported = BOX.export(file_type=ending[1:].lower())
    if isinstance(exported, dict):  # a .gltf and its buffers
        for name, content in exported.items():
            (tmp_path / name).write_bytes(content)
        (tmp_path / "model.gltf").rename(path)
    else:
        path.write_bytes(exported.encode() if isinstance(exported, str) else exported)
    shape = read_shape(path)
    assert shape.faces is not None
    assert shape.points.dtype == np.float64
    assert shape.faces.dtype == np.int64
    assert _area(shape.points, shape.faces) == pytest.approx(BOX.area, rel=1e-5)
    np.testing.assert_allclose(shape.points.max(axis=0), [0.5, 1, 1.5], rtol=1e-6)


def test_scene_parts_have_their_positions_in_the_scene(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    scene.add_geometry(BOX, transform=trimesh.transformations.translation_matrix([10, 0, 0]))
    scene.add_geometry(BOX, transform=trimesh.transformations.translation_matrix([-10, 0, 0]))
    (tmp_path / "two.glb").write_bytes(scene.export(file_type="glb"))
    shape = read_shape(tmp_path / "two.glb")
    assert shape.faces is not None
    assert len(shape.faces) == 2 * len(BOX.faces)
    assert _area(shape.points, shape.faces) == pytest.approx(2 * BOX.area)
    middles = shape.points[shape.faces].mean(axis=1)[:, 0]
    assert ((middles > 9) & (middles < 11)).sum() == len(BOX.faces)
    assert ((middles > -11) & (middles < -9)).sum() == len(BOX.faces)


def test_gltf_reads_no_file_outside_its_folder(tmp_path: Path) -> None:
    exported = BOX.export(file_type="gltf")
    inside = tmp_path / "inside"
    inside.mkdir()
    tree = json.loads(exported["model.gltf"])
    for buffer in tree["buffers"]:
        (tmp_path / buffer["uri"]).write_bytes(exported[buffer["uri"]])
        buffer["uri"] = f"../{buffer['uri']}"
    (inside / "box.gltf").write_text(json.dumps(tree))
    with pytest.raises(ObjectError):
        read_shape(inside / "box.gltf")


def test_obj_with_missing_materials(tmp_path: Path) -> None:
    text = "mtllib ../../secret.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nusemtl a\nf 1 2 3\nusemtl b\nf 1/1 2/2 4/3\n"
    (tmp_path / "a.obj").write_text(text)
    shape = read_shape(tmp_path / "a.obj")
    assert shape.faces is not None
    assert len(shape.faces) == 2
    assert _area(shape.points, shape.faces) == pytest.approx(1.0)


@pytest.mark.parametrize("ending", [".xyz", ".pts", ".txt", ".npy", ".npz", ".ply", ".XYZ"])
def test_clouds(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"cloud{ending}"
    with_more = np.hstack([CLOUD, np.ones((50, 3))])
    match ending:
        case ".npy":
            np.save(path, with_more)
        case ".npz":
            np.savez_compressed(path, labels=np.zeros(50), points=CLOUD.astype(np.float32))
        case ".ply":
            path.write_bytes(trimesh.PointCloud(CLOUD).export(file_type="ply"))
        case ".pts":
            path.write_text("50\n" + "\n".join(" ".join(map(repr, row.tolist())) for row in with_more))
        case ".txt":
            path.write_text("# x,y,z\n" + "\n".join(",".join(map(repr, row.tolist())) for row in with_more))
        case _:
            path.write_text("\n".join(" ".join(map(repr, row.tolist())) for row in CLOUD) + "\n\n")
    shape = read_shape(path)
    assert shape.faces is None
    np.testing.assert_allclose(shape.points, CLOUD, rtol=1e-6)
    assert shape.points.dtype == np.float64


def _npz_bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("points.npy", bytes(3 << 20))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.off", b"OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n", "no faces"),
        ("a.off", b"OFF\n3 1 0\n0 0 0\n1 1 1\n2 2 2\n3 0 1 2\n", "zero area"),
        ("a.off", b"OFF\n3 1 0\n0 0 0\n1 1 1\ninf 2 2\n3 0 1 2\n", "not finite"),
        ("a.off", b"", "empty"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nl 1 2\n", "edges"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "line 4: a face names vertex 9 of 3"),
        ("a.stl", b"nothing of the kind", "unreadable|no faces"),
        ("a.ply", b"ply\nformat binary_little_endian 1.0\nelement vertex 99999999999\n", "unreadable|no "),
        ("a.glb", b"glTF\x02\x00\x00\x00", "unreadable"),
        ("a.gltf", b"{}", "unreadable|no faces"),
        ("a.xyz", b"1 2\n3 4\n", "2 columns"),
        ("a.xyz", b"1 2 3\n3 4\n", "not a table of numbers: lines of different lengths"),
        ("a.xyz", b"one two three\n", "not a table of numbers"),
        ("a.txt", b"1 2 3\n" * 8 + b"1 2 nan\n", "1 of 9 points are not finite, more than 10%"),
        ("a.npy", b"\x93NUMPY garbage", "not a readable .npy"),
        ("a.npz", b"PK garbage", "not a readable .npz"),
        ("a.npz", _npz_bomb(), "unpacks to more"),
        ("a.csv", b"1 2 3\n", "unknown ending"),
    ],
)
def test_bad_files_are_explained(
    tmp_path: Path, name: str, content: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shape_reading, "LARGEST_FILE", 1 << 20)
    monkeypatch.setattr(arrays, "LARGEST_FILE", 1 << 20)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ObjectError, match=reason):
        read_shape(tmp_path / name)


def test_arrays_of_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[{}, {}, {}]], dtype=object), allow_pickle=True)
    with pytest.raises(ObjectError, match="not unpickled because that runs code"):
        read_shape(tmp_path / "a.npy")


def test_large_files_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shape_reading, "LARGEST_FILE", 10)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("was read"))
    (tmp_path / "a.off").write_bytes(b"OFF" + b" " * 20)
    with pytest.raises(ObjectError, match="MiB"):
        read_shape(tmp_path / "a.off")


def test_places_filled_with_zeros_are_left_out(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(40, 3)) + 5
    for zeros, left in ((0, 0), (1, 1), (7, 7), (8, 0), (60, 0)):
        np.save(tmp_path / "a.npy", np.vstack([points, np.zeros((zeros, 3))]))
        shape = read_shape(tmp_path / "a.npy")
        np.testing.assert_array_equal(shape.points, np.vstack([points, np.zeros((left, 3))]))
        expected = f"{zeros} of {40 + zeros} points are exactly 0 0 0, as empty places are filled: left out"
        assert shape.notes == ((expected,) if zeros > left else ())


@pytest.mark.parametrize("value", [-9999, -99999, -32768, 1e38, float(np.finfo(np.float32).max)])
def test_places_without_data_are_left_out(value: float, tmp_path: Path) -> None:
    points = np.round(np.random.default_rng(0).normal(size=(40, 3)) * 100 + 500, 2)
    holes = np.where([False, False, True], value, points[:5])
    for name, save in (("a.xyz", np.savetxt), ("a.npy", np.save)):
        save(tmp_path / name, np.vstack([holes, points]))
        shape = read_shape(tmp_path / name)
        np.testing.assert_array_equal(shape.points, points)
        expected = f"5 of 45 points have the coordinate {value:.6g}, which stands for no data: left out"
        assert shape.notes == (expected,)


def test_a_coordinate_near_others_is_data(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(-12_000, 3_000, (40, 3))
    points[:, 2][points[:, 2] < -9999] = -8000
    points[3, 2] = -9999
    np.save(tmp_path / "a.npy", points)
    shape = read_shape(tmp_path / "a.npy")
    np.testing.assert_array_equal(shape.points, points)
    assert shape.notes == ()


def test_indices_that_restart_with_each_object_are_noted(tmp_path: Path) -> None:
    """Faces of the second object name the vertices of the first, so its own vertices stay unused."""
    box = trimesh.creation.box((1, 2, 4))
    vertices = np.vstack([box.vertices, box.vertices + 9])
    texts = {
        shift: [f"v {x} {y} {z}" for x, y, z in vertices]
        + [f"f {a} {b} {c}" for a, b, c in np.vstack([box.faces, box.faces + shift]) + 1]
        for shift in (0, 8)
    }
    for shift, notes in (
        (
            0,
            (
                "8 of 16 vertices belong to no face: left out; parts are missing if the indices of the faces restart "
                "with each object",
            ),
        ),
        (8, ()),
    ):
        (tmp_path / "a.obj").write_text("\n".join(texts[shift]))
        assert read_shape(tmp_path / "a.obj").notes == notes
    (tmp_path / "a.off").write_text("OFF\n9 1 0\n" + "1 2 3\n" * 6 + "0 0 0\n1 0 0\n0 1 0\n3 6 7 8\n")
    assert read_shape(tmp_path / "a.off").notes[0].startswith("6 of 9 vertices belong to no face")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ObjectError, match="cannot be read"):
        read_shape(tmp_path / "a.off")


def test_a_mesh_of_many_faces(tmp_path: Path) -> None:
    """The map of a finely divided torus from a file must have the known moments of the torus."""
    around, across = 500, 250
    i, j = np.meshgrid(np.arange(around), np.arange(across), indexing="ij")
    phi, psi = 2 * np.pi * i / around, 2 * np.pi * j / across
    ring = 0.7 + 0.3 * np.cos(psi)
    points = np.stack([ring * np.cos(phi), ring * np.sin(phi), 0.3 * np.sin(psi)], axis=-1).reshape(-1, 3)
    corners = [((i + a) % around * across + (j + b) % across).ravel() for a, b in ((0, 0), (1, 0), (1, 1), (0, 1))]
    faces = np.concatenate([np.stack([corners[n] for n in order], axis=1) for order in ((0, 1, 2), (0, 2, 3))])
    assert len(faces) == 250_000
    vertex_lines = "\n".join(f"{x:.9g} {y:.9g} {z:.9g}" for x, y, z in points.tolist())
    face_lines = "\n".join(f"3 {a} {b} {c}" for a, b, c in faces.tolist())
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "torus.off").write_text(f"OFF\n{len(points)} {len(faces)} 0\n{vertex_lines}\n{face_lines}\n")
    shape = read_shape(tmp_path / "raw" / "torus.off")
    np.testing.assert_allclose(shape.points, points, atol=1e-8)
    np.testing.assert_array_equal(shape.faces, faces)
    basis = zernike_basis(4, points=4096)
    maps = prepare_maps(open_source(f"folder:{tmp_path / 'raw'}"), basis, tmp_path / "a.h5", workers=0)
    assert not maps.failures
    # the area between two grid lines grows with the distance from the axis
    weights = ring.ravel() / ring.sum()
    exact = zernike_moments(0.9999 * points[None], 4, weights)[0]
    assert np.linalg.norm(unfold(maps.read()[0], basis) - exact) < 0.05 * np.linalg.norm(exact)
