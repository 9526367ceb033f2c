"""Make folders of labelled shapes from Debian packages, for ``benchmarks/small_tasks.py``.

    apt-get download kicad-packages3d sweethome3d-furniture 0ad-data
    for package in *.deb; do dpkg-deb -x $package unpacked; done
    python benchmarks/package_sets.py electronics --root unpacked --out sets/electronics
    python benchmarks/package_sets.py household --root unpacked --out sets/household
    python benchmarks/package_sets.py antiquity --root unpacked --out sets/antiquity
    for set in electronics household antiquity; do spectral-ssl prep sets/$set --out sets/$set.h5; done

``electronics``: the parts of ``kicad-packages3d`` (CC BY-SA 4.0 with an exception for designs; a
few GPL 3 or later). Each folder of the package is a class. ``household``: the models of
``sweethome3d-furniture`` (CC BY 3.0 and CC0). A word in a model's name gives its class. Other
models are left out. ``antiquity``: meshes of ``0ad-data`` (CC BY-SA 3.0). The kinds of buildings,
such as market and fortress, are classes, each with the meshes of all peoples. So are some folders
of other objects, such as trees and helmets. Meshes of two classes are left out, and so are the
details that the game attaches to a mesh.

The script writes meshes as OUT/CLASS/NAME.off with +z up. It leaves out models with the same
geometry as an earlier one, whatever their size and position. It leaves out classes with fewer than
``--fewest`` models. Of each other class it draws at most ``--most`` models with seed 0. OUT/SET.json
holds the counts.
"""

import argparse
import io
import json
import re
import struct
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_prep.readers.meshes.obj import parse_obj
from spectral_ssl.ground.errors import ObjectError
from spectral_ssl.ground.files import write_text
from spectral_ssl.ground.provenance import created_by

SHAPE_OF_VRML = re.compile(r"coordIndex\s*\[([^\]]*)\]\s*coord Coordinate\s*\{\s*point\s*\[([^\]]*)\]")
ENTRY = re.compile(r"(\w+)#(\d+)=(.*)")
# The class of a model is the first one whose pattern occurs in the model's name.
HOUSEHOLD = {
    "lamp": r"lamp|light|lantern|candle",
    "plant": r"plant(?!.*box)|tree|tulips|orchids|cactus|bamboo|yucca|lily|spathiphyllum|bush|\bpine|cypress|ficus"
    r"|maple|acacia|beech|poplar",
    "sofa": r"sofa|couch|futon",
    "armchair": r"armchair(?!.*ottoman)",
    "table": r"table(?!t| (fan|tennis))",
    "chair": r"(?<!wheel)chair|stool",
    "bed": r"\bbed\b|crib",
    "door": r"\bdoor\b(?!.*cabinet)",
    "window": r"window(?!.*blind)",
    "shelves": r"shelves|bookcase",
    "cabinet": r"cabinet|wardrobe|cupboard|dresser|vanity",
    "person": r"female|male|girl|boy|mannequin",
    "vessel": r"bottle|vase|glass(?!es)|\bcup\b(?! cake)|pot$|bowl|mug|\bjar|flacon",
    "sanitary": r"washbasin|toilets unit|urinal|bidet|bath(tub)?$|lavatory|sink|basin",
    "appliance": r"oven|microwave|fridge|refrigerator|freezer|(washing|dryer) machine|stove|cooker",
    "socket": r"plug|switch|socket",
    "car": r"sedan|ford|beetle|leon|peugeot|renault|suv|van$|smart car|truck|bus$|chevrolet",
}


# Folders of 0 A.D.'s actors that are classes, next to the buildings.
ACTORS = {
    "flora/trees": "tree",
    "fauna": "animal",
    "fungi": "mushroom",
    "geology": "rock",
    "props/units/armor": "armour",
    "props/units/heads": "head",
    "props/units/helmets": "helmet",
    "props/units/shields": "shield",
    "props/units/tools": "tool",
    "props/units/weapons": "weapon",
}
BUILDING = re.compile(r"simulation/templates/structures/\w+/(\w+)\.xml")


class Model(NamedTuple):
    """A labelled mesh with +z up."""

    label: str
    name: str
    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=list(SETS))
    parser.add_argument("--root", type=Path, required=True, help="folder with the unpacked packages")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--fewest", type=int, default=10, help="models of a class [10]")
    parser.add_argument("--most", type=int, default=50, help="models of a class [50]")
    return parser.parse_args()


def list_electronics(root: Path) -> Iterator[tuple[str, Callable[[], Model]]]:
    """Generate classes and readers of the VRML files of kicad-packages3d, in a random order."""
    paths = sorted((root / "usr/share/kicad/3dmodels").glob("*.3dshapes/*.wrl"))
    for number in np.random.default_rng(0).permutation(len(paths)):
        path = paths[number]
        yield path.parent.stem, partial(read_part, path)


def read_part(path: Path) -> Model:
    """Read a part of KiCad from its VRML file."""
    return Model(path.parent.stem, path.stem, *parse_vrml(path.read_text("utf-8", "replace")))


def parse_vrml(text: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Read vertices and triangles of the sets of indexed faces in a VRML file of KiCad.

    Raises
    ------
    ObjectError
        If the file holds no such set, moves its parts, or has faces of more than three corners.
    """
    if "Transform" in text or "USE Shape" in text:
        raise ObjectError("the file moves its parts")
    vertices: list[NDArray[np.float64]] = []
    faces: list[NDArray[np.int64]] = []
    count = 0
    for indices, points in SHAPE_OF_VRML.findall(text):
        corners = np.fromstring(indices, np.int64, sep=",")
        if len(corners) % 4 or (corners.reshape(-1, 4)[:, 3] != -1).any():
            raise ObjectError("faces of more than three corners")
        faces.append(corners.reshape(-1, 4)[:, :3] + count)
        vertices.append(np.fromstring(points.replace(",", " "), np.float64, sep=" ").reshape(-1, 3))
        count += len(vertices[-1])
    if not faces:
        raise ObjectError("no faces")
    return np.concatenate(vertices), np.concatenate(faces)


def list_household(root: Path) -> Iterator[tuple[str, Callable[[], Model]]]:
    """Generate classes and readers of the models of sweethome3d-furniture that have a class, in a random order."""
    entries = []
    for path in sorted((root / "usr/share/sweethome3d/furniture").glob("*.sh3f")):
        archive = zipfile.ZipFile(path)
        models: dict[str, dict[str, str]] = defaultdict(dict)
        for line in io.TextIOWrapper(archive.open("PluginFurnitureCatalog.properties"), "latin-1"):
            if match := ENTRY.match(line.rstrip()):
                models[match[2]][match[1]] = match[3]
        entries += [(archive, model) for model in models.values()]
    for number in np.random.default_rng(0).permutation(len(entries)):
        archive, model = entries[number]
        name = model["name"].lower().strip()
        label = next((label for label, pattern in HOUSEHOLD.items() if re.search(pattern, name)), None)
        if label:
            yield label, partial(read_furniture, archive, model, label)


def read_furniture(archive: zipfile.ZipFile, model: dict[str, str], label: str) -> Model:
    """Read a model of a catalogue of Sweet Home 3D; the catalogue may rotate it to stand upright."""
    shape = parse_obj(archive.read(model["model"].lstrip("/")))
    if shape.faces is None:
        raise ObjectError("no faces")
    rotation = np.array(model.get("modelRotation", "1 0 0 0 1 0 0 0 1").split(), np.float64).reshape(3, 3)
    x, y, z = rotation @ np.asarray(shape.points, np.float64).T
    name = re.sub(r"\W+", "-", f"{model['model'].split('/')[1]}-{Path(model['model']).stem}")
    return Model(label, name, np.stack([x, -z, y], axis=1), np.asarray(shape.faces, np.int64))


def list_antiquity(root: Path) -> Iterator[tuple[str, Callable[[], Model]]]:
    """Generate classes and readers of the meshes of 0ad-data that have exactly one class, in a random order."""
    archive = zipfile.ZipFile(root / "usr/share/games/0ad/mods/public/public.zip")
    files = set(archive.namelist())
    classes: dict[str, set[str]] = defaultdict(set)
    for file in files:
        label = ACTORS.get(file.removeprefix("art/actors/").rpartition("/")[0]) if file.endswith(".xml") else None
        if label:
            actors = [file]
        elif match := BUILDING.fullmatch(file):
            label = match[1].replace("_", "-")
            actors = [f"art/actors/{actor}" for actor in find_texts(archive.read(file), "Actor")]
        else:
            continue
        for mesh in (mesh for actor in actors if actor in files for mesh in find_texts(archive.read(actor), "mesh")):
            classes[f"art/meshes/{mesh}.cached.pmd"].add(label)
    paths = sorted(path for path, labels in classes.items() if len(labels) == 1 and path in files)
    for number in np.random.default_rng(0).permutation(len(paths)):
        path = paths[number]
        (label,) = classes[path]
        yield label, partial(read_actor, archive, path, label)


def find_texts(document: bytes, tag: str) -> list[str]:
    """Find the texts of all elements of that name in an XML document."""
    return [text.decode() for text in re.findall(rf"<{tag}>\s*([^<]*?)\s*</{tag}>".encode(), document)]


def read_actor(archive: zipfile.ZipFile, path: str, label: str) -> Model:
    """Read a mesh of 0 A.D.; its axes are left-handed with +y up, so an exchange of two axes mirrors nothing."""
    vertices, faces = parse_pmd(archive.read(path))
    x, y, z = vertices.T
    name = re.sub(r"\W+", "-", path.removeprefix("art/meshes/").removesuffix(".dae.cached.pmd"))
    return Model(label, name, np.stack([x, z, y], axis=1), faces)


def parse_pmd(content: bytes) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Read vertices and triangles of a mesh of 0 A.D.; bones are left out, so animals stand as they were drawn.

    Raises
    ------
    ObjectError
        If the mesh is of another version of the format.
    """
    magic, version, _, vertex_count, texture_count = struct.unpack_from("<4s4I", content)
    if magic != b"PSMD" or version != 4:
        raise ObjectError("another version of the format")
    # Position, normal, texture coordinates, bones and their weights.
    layout = np.dtype([("position", "<f4", 3), ("other", "u1", 12 + 8 * texture_count + 20)])
    vertices = np.frombuffer(content, layout, vertex_count, 20)["position"]
    start = 20 + layout.itemsize * vertex_count
    (face_count,) = struct.unpack_from("<I", content, start)
    faces = np.frombuffer(content, "<u2", 3 * face_count, start + 4).reshape(-1, 3)
    return vertices.astype(np.float64), faces.astype(np.int64)


SETS = {"electronics": list_electronics, "household": list_household, "antiquity": list_antiquity}


def digest_geometry(model: Model) -> str:
    """Compute a digest of a mesh that does not depend on position and size."""
    low, high = model.vertices.min(axis=0), model.vertices.max(axis=0)
    scaled = np.round((model.vertices - low) / max(float((high - low).max()), 1e-12), 3) + 0.0
    return sha256(scaled.tobytes() + model.faces.tobytes()).hexdigest()


def write_off(model: Model, folder: Path) -> None:
    """Write a mesh as OFF file."""
    stream = io.StringIO()
    stream.write(f"OFF\n{len(model.vertices)} {len(model.faces)} 0\n")
    np.savetxt(stream, model.vertices, "%.6g")
    np.savetxt(stream, np.insert(model.faces, 0, 3, axis=1), "%d")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / f"{model.name}.off", stream.getvalue())


def main() -> None:
    arguments = parse_arguments()
    seen: set[str] = set()
    waiting: dict[str, list[Model]] = defaultdict(list)  # models of classes that may turn out too small
    written: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    repeated = 0
    for label, read in SETS[arguments.name](arguments.root):
        if written[label] >= arguments.most:
            continue
        try:
            model = read()
        except ObjectError as error:
            failed[str(error)] += 1
            continue
        digest = digest_geometry(model)
        repeated += digest in seen
        if digest in seen:
            continue
        seen.add(digest)
        waiting[model.label].append(model)
        if written[model.label] + len(waiting[model.label]) >= arguments.fewest:
            for each in waiting.pop(model.label):
                write_off(each, arguments.out / each.label)
                written[each.label] += 1
    counts = dict(sorted((label, count) for label, count in written.items() if count))
    summary = {
        "set": arguments.name,
        "objects": sum(counts.values()),
        "classes": counts,
        "left out, repeated geometry": repeated,
        "left out, failed": dict(failed),
        "created by": created_by(),
    }
    write_text(arguments.out.with_suffix(".json"), json.dumps(summary, indent=1) + "\n")
    print(f"{arguments.out}: {summary['objects']} objects of {len(counts)} classes")


if __name__ == "__main__":
    main()
