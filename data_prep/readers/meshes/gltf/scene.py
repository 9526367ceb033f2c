"""Reader of glTF 2.0 (.gltf and .glb): all meshes of the scene, each at its position, as one mesh or one cloud.

Coordinates are those of the file, whose +y is up. Materials, textures, cameras, lights and
animations are ignored.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.readers import limits
from data_prep.readers.meshes.gltf.container import GltfFile, get_count, get_extension, normalise
from data_prep.readers.meshes.gltf.decoders import decode_draco, has_draco
from data_prep.readers.meshes.gltf.nodes import (
    bend_skin,
    count_instances,
    list_shown_nodes,
    place_nodes,
    read_instances,
    read_joints,
)
from data_prep.readers.meshes.strips import unroll_fans, unroll_strips
from data_prep.source import Shape, add_note
from spectral_ssl.ground.errors import ObjectError

DRACO = "KHR_draco_mesh_compression"
SPLATS = "KHR_gaussian_splatting"
# Extensions that are read here.
READ = (
    "KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_meshopt_compression", "KHR_mesh_quantization",
    "EXT_mesh_gpu_instancing", "KHR_node_visibility",
)  # fmt: skip
# Beginnings of extensions that change no coordinate: materials, textures, lights, behaviour, metadata.
HARMLESS = (
    "KHR_materials_", "EXT_materials_", "ADOBE_materials_", "NV_materials_", "KHR_texture_", "EXT_texture_",
    "MSFT_texture_", "MSFT_packing_", "KHR_lights_", "EXT_lights_", "KHR_techniques_webgl", "KHR_blend",
    "KHR_animation_pointer", "KHR_xmp", "KHR_audio", "KHR_physics_", "KHR_implicit_shapes", "KHR_interactivity",
    "KHR_node_selectability", "KHR_node_hoverability", "MSFT_lod", "VRM", "EXT_structural_metadata",
    "EXT_feature_metadata", "EXT_mesh_features", "EXT_instance_features", "EXT_mesh_manifold", "EXT_image_ortho",
    "CESIUM_primitive_outline", "CESIUM_RTC", "AGI_", "FB_geometry_metadata", "GODOT_single_root",
)  # fmt: skip
# The exceptions that a damaged table of contents raises where it is used.
DAMAGES = (
    KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError, OverflowError, MemoryError,
    struct.error,
)  # fmt: skip
POINTS, TRIANGLES, STRIP, FAN = 0, 4, 5, 6
LINES = (1, 2, 3)

Faces = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """One mesh of the file, before its position in the scene.

    Attributes
    ----------
    points : ndarray, shape (N, 3), float64
        Vertices.
    faces : ndarray, shape (F, 3), int64
        Triangles.
    cloud : ndarray, shape (M, 3), float64
        Points that are drawn as such.
    """

    points: NDArray[np.float64]
    faces: Faces
    cloud: NDArray[np.float64]


def parse_gltf(data: bytes, folder: Path) -> Shape:
    """Parse the scene of a glTF file as one mesh; without triangles, as a cloud of its points.

    Parameters
    ----------
    data : bytes
        Content of the whole .gltf or .glb file.
    folder : Path
        Its folder. Buffers are read from it and its sub-folders only.

    Returns
    -------
    Shape
        Points (N, 3) float64 and triangles (F, 3) int64. Meshes are merged, each moved by its node
        and each once per instance. Meshes with a skin or morph targets have the pose of the scene
        without animation. Points and lines next to triangles are left out with a note.

    Raises
    ------
    ObjectError
        When the file is damaged, larger than the limits, or needs an extension that is not read;
        when it shows lines only, or nothing.

    Notes
    -----
    Coordinates of a file without transforms are exact. Transforms round in float64.
    """
    try:
        file = GltfFile(data, folder)
        _check_extensions(file)
        shape = _merge_scene(file)
    except DAMAGES as error:
        raise ObjectError(f"unreadable glTF file: {type(error).__name__}: {str(error)[:120]}") from error
    return shape


def _check_extensions(file: GltfFile) -> None:
    """Refuse required extensions that are not read and might change the geometry."""
    for name in file.tree.get("extensionsRequired", []):
        if name not in READ and not name.startswith(HARMLESS):
            raise ObjectError(
                f"the file requires the glTF extension {name[:60]!r}, which is not read: export without it"
            )


def _merge_scene(file: GltfFile) -> Shape:
    """Merge the meshes of all nodes that the scene shows."""
    shown, worlds = _list_meshes(file)
    _check_corners(file, shown)
    parts: dict[int, Part] = {}
    vertices: list[NDArray[np.float64]] = []
    faces: list[Faces] = []
    clouds: list[NDArray[np.float64]] = []
    start = 0
    for node in shown:
        number, skin = node["mesh"], node.get("skin")
        if skin is not None:
            # The joints place a skin; the specification ignores the transform of its node.
            part, places = _read_mesh(file, node, read_joints(file, skin, worlds)), np.eye(4)[None]
        else:
            if "weights" in node or number not in parts:
                part = _read_mesh(file, node, None)
                if "weights" not in node:
                    parts[number] = part
            else:
                part = parts[number]
            places = read_instances(file, node, node["world"])
        if len(part.faces):
            vertices.append(_move(part.points, places))
            faces.append(_repeat_faces(part, places, start))
            start += len(vertices[-1])
        if len(part.cloud):
            clouds.append(_move(part.cloud, places))
    if faces:
        if clouds:
            add_note(f"{sum(map(len, clouds))} single points next to triangles: left out")
        return Shape(_join(vertices), _join(faces))
    if clouds:
        return Shape(_join(clouds))
    if any(primitive.get("mode") in LINES for node in shown for primitive in _primitives(file, node["mesh"])):
        raise ObjectError("edges (lines) and no faces: a wire frame has no surface; export triangles")
    raise ObjectError("no faces: the scene shows no mesh with triangles or points")


def _list_meshes(file: GltfFile) -> tuple[list[dict[str, Any]], NDArray[np.float64]]:
    """List the nodes with a mesh that the scene shows, each with its ``world`` matrix; return all matrices too."""
    worlds = place_nodes(file)
    if not file.entries("nodes") and file.entries("meshes") and not file.entries("scenes"):
        add_note(f"{len(file.entries('meshes'))} meshes without nodes: read at the origin")
        return [{"mesh": number, "world": np.eye(4)} for number in range(len(file.entries("meshes")))], worlds
    nodes = file.entries("nodes")
    shown = [{**nodes[row], "world": worlds[row]} for row in list_shown_nodes(file) if "mesh" in nodes[row]]
    return shown, worlds


def _check_corners(file: GltfFile, shown: list[dict[str, Any]]) -> None:
    """Refuse scenes of too many vertices and corners, counted once per instance, before any is read."""
    corners: dict[int, int] = {}
    total = 0
    for node in shown:
        number = node["mesh"]
        if number not in corners:
            corners[number] = _count_corners(file, number)
        total += corners[number] * (1 if "skin" in node else count_instances(file, node))
    if total > limits.MOST_CORNERS:
        raise ObjectError(f"{total} vertices and corners of faces, more than {limits.MOST_CORNERS}")


def _primitives(file: GltfFile, number: Any) -> list[dict[str, Any]]:
    """Return the primitives of a mesh that have positions."""
    return [part for part in file.get("meshes", number)["primitives"] if "POSITION" in part["attributes"]]


def _count_corners(file: GltfFile, number: Any) -> int:
    """Count the vertices and the corners of triangles of a mesh; arrays that primitives share count once."""
    vertices: dict[Any, int] = {}
    corners = 0
    for primitive in _primitives(file, number):
        count = get_count(file.get("accessors", primitive["attributes"]["POSITION"]), "count")
        # Each joint set and each morph target is another array of the same length.
        vertices[_vertex_key(primitive)] = count * (len(_list_names(primitive)) + len(primitive.get("targets", [])))
        if "indices" in primitive:
            count = get_count(file.get("accessors", primitive["indices"]), "count")
        corners += 3 * count if primitive.get("mode") in (STRIP, FAN) else count
    return sum(vertices.values()) + corners


def _list_names(primitive: dict[str, Any]) -> list[str]:
    """List the attributes of the vertices that decide where they are."""
    return sorted(name for name in primitive["attributes"] if name.split("_")[0] in ("POSITION", "JOINTS", "WEIGHTS"))


def _vertex_key(primitive: dict[str, Any]) -> tuple[Any, ...]:
    """Return what primitives with the same vertices share."""
    packed = get_extension(primitive, DRACO)
    is_cloud = primitive.get("mode") == POINTS
    if packed:
        return (is_cloud, packed["bufferView"], primitive["attributes"]["POSITION"], primitive["indices"])
    names = _list_names(primitive)
    targets = tuple(target.get("POSITION") for target in primitive.get("targets", []))
    return (is_cloud, *((name, primitive["attributes"][name]) for name in names), targets)


def _read_mesh(file: GltfFile, node: dict[str, Any], joints: NDArray[np.float64] | None) -> Part:
    """Read all primitives of the mesh of a node, in the pose of its morph weights and joints."""
    mesh = file.get("meshes", node["mesh"])
    weights = node.get("weights", mesh.get("weights", []))
    shared: dict[Any, tuple[int, NDArray[np.float64], Faces | None]] = {}
    points: list[NDArray[np.float64]] = []
    faces: list[Faces] = []
    clouds: list[NDArray[np.float64]] = []
    count = 0
    for primitive in _primitives(file, node["mesh"]):
        mode = primitive.get("mode", TRIANGLES)
        if mode in LINES:
            continue
        _refuse_splats(primitive)
        key = _vertex_key(primitive)
        if key not in shared:
            attributes, packed = _read_vertices(file, primitive, mode)
            shared[key] = count, _pose(file, primitive, weights, attributes, joints), packed
            if mode != POINTS:
                points.append(shared[key][1])
                count += len(points[-1])
        start, positions, packed = shared[key]
        corners = _read_corners(file, primitive, len(positions)) if packed is None else packed
        if len(corners) and corners.max() >= len(positions):
            raise ObjectError(f"a face names vertex {corners.max()} of {len(positions)}")
        if mode == POINTS:
            clouds.append(positions[corners])
        else:
            triangles = _make_triangles(corners, mode if packed is None else TRIANGLES)
            faces.append(triangles + start if start else triangles)
    nothing = np.empty((0, 3))
    return Part(_join(points or [nothing]), _join(faces or [nothing.astype(np.int64)]), _join(clouds or [nothing]))


def _refuse_splats(primitive: dict[str, Any]) -> None:
    """Refuse Gaussian splats.

    Raises
    ------
    ObjectError
        When the primitive is one.
    """
    names = primitive["attributes"]
    if (
        SPLATS in primitive.get("extensions", {})
        or any(name.startswith(SPLATS) for name in names)
        or {"_SCALE", "_ROTATION"} <= names.keys()
    ):
        raise ObjectError(
            "Gaussian splats (opacity, scales): their centres are no points of a surface; export a mesh, or a cloud of "
            "the opaque centres"
        )


def _read_vertices(
    file: GltfFile, primitive: dict[str, Any], mode: int
) -> tuple[dict[str, NDArray[Any]], Faces | None]:
    """Read the attributes of the vertices of a primitive; of a Draco mesh also the corners of its triangles."""
    forms = {name: "VEC3" if name == "POSITION" else "VEC4" for name in _list_names(primitive)}
    packed = get_extension(primitive, DRACO)
    position = file.get("accessors", primitive["attributes"]["POSITION"])
    if not packed or not (has_draco() or "bufferView" not in position):
        return {name: file.read(primitive["attributes"][name], form) for name, form in forms.items()}, None
    announced = get_count(file.get("accessors", primitive["indices"]), "count")
    # A strip of K corners has K - 2 triangles, and Draco stores triangles.
    announced *= 3 if mode == STRIP else 1
    decoded, faces = decode_draco(file.read_view(packed["bufferView"]), get_count(position, "count"), announced)
    attributes = {}
    for name, form in forms.items():
        number = primitive["attributes"][name]
        if name in packed["attributes"]:
            values = decoded[packed["attributes"][name]]
            attributes[name] = normalise(values) if file.get("accessors", number).get("normalized") else values
        else:
            attributes[name] = file.read(number, form)
    return attributes, faces.ravel()


def _read_corners(file: GltfFile, primitive: dict[str, Any], count: int) -> Faces:
    """Read the indices of a primitive; without indices its vertices come in their order."""
    if "indices" not in primitive:
        return np.arange(count)
    corners = file.read(primitive["indices"], "SCALAR")
    if corners.dtype.kind != "u":
        raise ObjectError("unreadable glTF file: indices that are not unsigned integers")
    return corners[:, 0].astype(np.int64)


def _pose(
    file: GltfFile,
    primitive: dict[str, Any],
    weights: list[float],
    attributes: dict[str, NDArray[Any]],
    joints: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """Return the vertices of a primitive after its morph targets and its joints."""
    points = attributes["POSITION"].astype(np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ObjectError(f"unreadable glTF file: positions of shape {points.shape}")
    for weight, target in zip(weights, primitive.get("targets", []), strict=False):
        if weight and "POSITION" in target:
            points += float(weight) * file.read(target["POSITION"], "VEC3")
    sets = sorted(name.removeprefix("JOINTS") for name in attributes if name.startswith("JOINTS"))
    if joints is None or not sets:
        return points
    return bend_skin(points, [(attributes[f"JOINTS{name}"], attributes[f"WEIGHTS{name}"]) for name in sets], joints)


def _make_triangles(corners: Faces, mode: int) -> Faces:
    """Make triangles of the corners of a primitive; corners that make no whole triangle are ignored."""
    if mode == TRIANGLES:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    if mode not in (STRIP, FAN):
        raise ObjectError(f"unreadable glTF file: a primitive of mode {str(mode)[:20]}")
    return unroll_strips(corners) if mode == STRIP else unroll_fans(corners)


def _join(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Concatenate arrays; a single one is not copied."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _move(points: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move points (N, 3) by each of some matrices (I, 4, 4), to (I N, 3)."""
    if len(places) == 1:
        if np.array_equal(places[0], np.eye(4)):
            return points
        return points @ places[0, :3, :3].T + places[0, :3, 3]
    return (np.einsum("iab,nb->ina", places[:, :3, :3], points) + places[:, None, :3, 3]).reshape(-1, 3)


def _repeat_faces(part: Part, places: NDArray[np.float64], start: int) -> Faces:
    """Repeat the triangles of a mesh for each matrix (I, 4, 4); those of a mirrored one are turned.

    The vertices of the first copy begin at ``start``.
    """
    is_mirrored = np.linalg.det(places[:, :3, :3]) < 0
    if len(places) == 1 and start == 0 and not is_mirrored[0]:
        return part.faces
    faces = part.faces[None] + (start + len(part.points) * np.arange(len(places))[:, None, None])
    faces[is_mirrored] = faces[is_mirrored][:, :, ::-1]
    return faces.reshape(-1, 3)
