"""Nodes of a glTF file: which ones the scene shows, and where they, their instances and their joints lie."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.readers import limits
from data_prep.readers.meshes.gltf.container import GltfFile, get_count, get_extension, normalise
from data_prep.source import add_note
from spectral_ssl.ground.errors import ObjectError

INSTANCES = "EXT_mesh_gpu_instancing"
BLOCK = 1 << 16  # vertices of a skin that are moved at once; a block needs about 200 bytes per vertex

Matrix = NDArray[np.float64]


def place_nodes(file: GltfFile) -> Matrix:
    """Compute the transform of each node to the scene.

    Parameters
    ----------
    file : GltfFile
        The open file.

    Returns
    -------
    ndarray, shape (nodes, 4, 4), float64
        Products of the matrices of a node and all nodes above it.

    Raises
    ------
    ObjectError
        When a node has two parents, or is above itself.
    """
    nodes = file.entries("nodes")
    parents = [-1] * len(nodes)
    for number, node in enumerate(nodes):
        for child in node.get("children", []):
            file.get("nodes", child)
            if parents[child] >= 0:
                raise ObjectError(f"unreadable glTF file: nodes[{child}] has two parents")
            parents[child] = number
    worlds = np.empty((len(nodes), 4, 4))
    waiting = [number for number, parent in enumerate(parents) if parent < 0]
    placed = 0
    while waiting:
        number = waiting.pop()
        local = _compute_local(nodes[number])
        worlds[number] = local if parents[number] < 0 else worlds[parents[number]] @ local
        waiting.extend(nodes[number].get("children", []))
        placed += 1
    if placed < len(nodes):
        raise ObjectError("unreadable glTF file: nodes that are above themselves")
    return worlds


def _compute_local(node: dict[str, Any]) -> Matrix:
    """Compute the matrix of a node from its matrix, or from its translation, rotation and scale."""
    if "matrix" in node:
        return _read_vector(node, "matrix", [0.0] * 16).reshape(4, 4).T
    parts = [_read_vector(node, name, default) for name, default in (
        ("translation", [0.0] * 3), ("rotation", [0.0, 0.0, 0.0, 1.0]), ("scale", [1.0] * 3)
    )]  # fmt: skip
    return compose_matrices(*(part[None] for part in parts))[0]


def _read_vector(node: dict[str, Any], name: str, default: Sequence[float]) -> Matrix:
    """Read a vector of a node."""
    vector = np.array(node.get(name, default), np.float64)
    if vector.shape != (len(default),):
        raise ObjectError(f"unreadable glTF file: {name} of {vector.size} numbers, not {len(default)}")
    return vector


def compose_matrices(translations: Matrix, rotations: Matrix, scales: Matrix) -> Matrix:
    """Compose matrices T R S.

    Parameters
    ----------
    translations, scales : ndarray, shape (N, 3), float64
        Translations in the units of the file, and factors.
    rotations : ndarray, shape (N, 4), float64
        Quaternions (x, y, z, w). They are normalised.

    Returns
    -------
    ndarray, shape (N, 4, 4), float64
    """
    lengths = np.linalg.norm(rotations, axis=1, keepdims=True)
    # A quaternion in float32 is off its unit length by 1e-7; dividing by 1 keeps exact ones exact.
    x, y, z, w = (rotations / np.where(lengths > 0, lengths, 1.0)).T
    matrices = np.zeros((len(translations), 4, 4))
    matrices[:, 0, :3] = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], axis=1)
    matrices[:, 1, :3] = np.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], axis=1)
    matrices[:, 2, :3] = np.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], axis=1)
    matrices[:, :3, :3] *= scales[:, None, :]
    matrices[:, :3, 3] = translations
    matrices[:, 3, 3] = 1
    return matrices


def list_shown_nodes(file: GltfFile) -> list[int]:
    """List the nodes that the scene shows, each once, in the order of the file's hierarchy.

    Notes
    -----
    The scene is the one that the file names, or else the first. Without scenes all nodes are
    shown. Nodes that the file hides (KHR_node_visibility) are left out with all nodes below them.
    """
    nodes, scenes = file.entries("nodes"), file.entries("scenes")
    if "scene" in file.tree or scenes:
        if "scene" not in file.tree and len(scenes) > 1:
            add_note(f"the first of {len(scenes)} scenes: the file names no default")
        roots = file.get("scenes", file.tree.get("scene", 0)).get("nodes", [])
    else:
        children = {child for node in nodes for child in node.get("children", [])}
        roots = [number for number in range(len(nodes)) if number not in children]
    shown: dict[int, None] = {}
    waiting = list(reversed(roots))
    while waiting:
        number = waiting.pop()
        node = file.get("nodes", number)
        if number in shown or get_extension(node, "KHR_node_visibility").get("visible") is False:
            continue
        shown[number] = None
        waiting.extend(reversed(node.get("children", [])))
    return list(shown)


def count_instances(file: GltfFile, node: dict[str, Any]) -> int:
    """Count how often a node shows its mesh, before the instances are read."""
    attributes = get_extension(node, INSTANCES).get("attributes", {})
    counts = {get_count(file.get("accessors", number), "count") for number in attributes.values()}
    if len(counts) > 1:
        raise ObjectError(f"unreadable glTF file: {INSTANCES} with {sorted(counts)[:4]} instances")
    count = counts.pop() if counts else 1
    if count > limits.MOST_INSTANCES:
        raise ObjectError(f"{count} instances of a mesh, more than {limits.MOST_INSTANCES}")
    return count


def read_instances(file: GltfFile, node: dict[str, Any], world: Matrix) -> Matrix:
    """Read the transforms of all instances of a node.

    Parameters
    ----------
    file : GltfFile
        The open file.
    node : dict
        The node, with or without the extension ``EXT_mesh_gpu_instancing``.
    world : ndarray, shape (4, 4), float64
        Transform of the node.

    Returns
    -------
    ndarray, shape (instances, 4, 4), float64
    """
    attributes = get_extension(node, INSTANCES).get("attributes", {})
    if not attributes:
        return world[None]
    count = count_instances(file, node)
    parts = []
    for name, default in (("TRANSLATION", [0.0] * 3), ("ROTATION", [0.0, 0.0, 0.0, 1.0]), ("SCALE", [1.0] * 3)):
        if name in attributes:
            values = file.read(attributes[name], f"VEC{len(default)}")
            # Integers stand for rotations between -1 and 1. Some programs do not mark them as such.
            parts.append((normalise(values) if name == "ROTATION" else values).astype(np.float64))
        else:
            parts.append(np.tile(default, (count, 1)))
    return np.asarray(world @ compose_matrices(*parts))


def read_joints(file: GltfFile, skin: Any, worlds: Matrix) -> Matrix:
    """Read the matrices of the joints of a skin, in the pose of the scene.

    Returns
    -------
    ndarray, shape (joints, 4, 4), float64
        Transforms from the vertices of a mesh to the scene: the transform of the joint, times the
        inverse transform that the joint had when it was bound.
    """
    entry = file.get("skins", skin)
    for joint in entry["joints"]:
        file.get("nodes", joint)
    joints = worlds[entry["joints"]]
    if "inverseBindMatrices" not in entry:
        return joints
    inverses = file.read(entry["inverseBindMatrices"], "MAT4").astype(np.float64)
    if len(inverses) < len(joints):
        raise ObjectError(f"unreadable glTF file: {len(inverses)} matrices for {len(joints)} joints")
    return np.asarray(joints @ inverses[: len(joints)].reshape(-1, 4, 4).transpose(0, 2, 1))


def bend_skin(points: Matrix, influences: Sequence[tuple[NDArray[Any], NDArray[Any]]], joints: Matrix) -> Matrix:
    """Move vertices by the joints of their skin.

    Parameters
    ----------
    points : ndarray, shape (N, 3), float64
        Vertices of the mesh as in the file.
    influences : sequence of two arrays
        Joints (N, 4), integers, and their weights (N, 4).
    joints : ndarray, shape (joints, 4, 4), float64
        Their matrices.

    Returns
    -------
    ndarray, shape (N, 3), float64
        Sums of the vertex moved by each of its joints, times the weight of the joint.
    """
    bent = np.zeros_like(points)
    for numbers, weights in influences:
        if numbers.shape != (len(points), 4) or weights.shape != numbers.shape or numbers.dtype.kind != "u":
            raise ObjectError(f"unreadable glTF file: {len(numbers)} joints and {len(weights)} weights of a skin")
        used = np.where(weights != 0, numbers, 0)
        if len(used) and used.max() >= len(joints):
            raise ObjectError(f"unreadable glTF file: a vertex names joint {used.max()} of {len(joints)}")
        for first in range(0, len(points), BLOCK):
            rows = slice(first, first + BLOCK)
            for column in range(4):
                matrices = joints[used[rows, column], :3]
                moved = np.einsum("nij,nj->ni", matrices[:, :, :3], points[rows]) + matrices[:, :, 3]
                bent[rows] += weights[rows, column, None].astype(np.float64) * moved
    totals = sum((weights.astype(np.float64).sum(axis=1) for _, weights in influences), start=np.zeros(len(points)))
    # Weights in eight bits sum to 1 within 2 percent, and vertices without any weight stay.
    return np.where(totals[:, None] > 0, bent / np.where(totals > 0, totals, 1.0)[:, None], points)
