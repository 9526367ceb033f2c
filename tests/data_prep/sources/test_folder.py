"""The source of the user's files: layouts, links, and other files in their folders."""

import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from data_prep.basis import zernike_basis
from data_prep.pipeline.prepare import prepare_maps
from data_prep.source import Shape, Source
from data_prep.sources.catalogue import open_source
from spectral_ssl.ground.errors import ObjectError, UserError

OFF = "OFF\n4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 1 2 3\n3 2 0 3\n"
CLOUD = "".join(f"{number} {number**2} 1\n" for number in range(20))
OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 3 1 4\n"


def _write(path: Path, content: str | bytes = OFF) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _check(source: Source) -> None:
    """Check unique ids, labels in range, and items that load and can be sent to another process."""
    assert len({item.id for item in source.items}) == len(source.items)
    assert all(-1 <= item.label < max(len(source.classes), 1) for item in source.items)
    assert len(source.digest) == 64
    assert source.note
    item = pickle.loads(pickle.dumps(source.items[0]))
    loaded = item.load()
    if source.kind == "shapes":
        assert isinstance(loaded, Shape)
        assert loaded.points.dtype == np.float64
    else:
        assert isinstance(loaded, np.ndarray)
        assert loaded.dtype == np.uint8
        assert loaded.ndim == 3


def _summary(source: Source) -> list[tuple[str, str | None, str]]:
    return [(item.id, source.classes[item.label] if item.label >= 0 else None, item.split) for item in source.items]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["b.off", "a.xyz"], [("a.xyz", None, "train"), ("b.off", None, "train")]),
        (["y/1.off", "x/deep/er/2.off"], [("x/deep/er/2.off", "x", "train"), ("y/1.off", "y", "train")]),
        (["test/x/1.off", "train/x/1.off"], [("test/x/1.off", "x", "test"), ("train/x/1.off", "x", "train")]),
        (["x/test/1.off", "x/VAL/1.off"], [("x/VAL/1.off", None, "val"), ("x/test/1.off", None, "test")]),
        (["test/1.off", "train/1.off"], [("test/1.off", None, "test"), ("train/1.off", None, "train")]),
    ],
)
def test_folder_layouts(tmp_path: Path, files: list[str], expected: list[tuple[str, str | None, str]]) -> None:
    for name in files:
        _write(tmp_path / name, CLOUD if name.endswith("xyz") else OFF)
    for name in ("README.txt", ".hidden.off", "__MACOSX/a.off", "notes.md", ".git/a.off"):
        _write(tmp_path / name, "words")
    source = open_source(f"folder:{tmp_path}")
    _check(source)
    assert source.kind == "shapes"
    assert _summary(source) == expected


def test_folder_lists_files_it_does_not_read(tmp_path: Path) -> None:
    for name in ("chair/1.off", "chair/2.off", "table/1.off", "loose.off"):
        _write(tmp_path / name, OFF)
    for name in ("chair/3.IGES", "table/2.ply.gz", "notes.md", "b.md", "list.csv", "bare", "chair/data.gz"):
        _write(tmp_path / name, "words")
    (tmp_path / "table" / "3.off").symlink_to(tmp_path / "nowhere.off")
    (tmp_path / "lamp").symlink_to(tmp_path / "not-mounted")
    os.mkfifo(tmp_path / "table" / "4.off")
    source = open_source(f"folder:{tmp_path}")
    assert [item.id for item in source.items] == ["chair/1.off", "chair/2.off", "loose.off", "table/1.off"]
    assert dict(source.missing) == {
        "chair/3.IGES": ".iges files are not read: convert it",
        "lamp": "a broken link",
        "table/2.ply.gz": "compressed: unpack .ply.gz files first",
        "table/3.off": "a broken link",
        "table/4.off": "not a regular file: a pipe, socket or device",
    }
    assert source.note == (
        "9 shapes in 2 classes; 1 is of formats that are not read; 4 are packed or cannot be opened; "
        "1 of them in no class folder, without a label; "
        "not read: 2 .md, 1 without ending, 1 .gz, 1 .csv"
    )
    # Prep writes the same files as rows of failures.
    made = prepare_maps(source, zernike_basis(3, points=16), tmp_path / "maps.h5", workers=0)
    assert dict(made.failures) == dict(source.missing)


def test_folder_with_textures_of_any_format(tmp_path: Path) -> None:
    for name in ("a.iges", "b.IGES", "c.fbx"):
        _write(tmp_path / name, "words")
    with pytest.raises(UserError, match=r"no shapes or images.*with 2 \.iges, 1 \.fbx"):
        open_source(f"folder:{tmp_path}")
    _write(tmp_path / "model.obj", OBJ)
    for name in ("model.mtl", "skin.png", "skin.tga"):
        _write(tmp_path / name, "words")
    source = open_source(f"folder:{tmp_path}")
    assert [identity for identity, _ in source.missing] == ["a.iges", "b.IGES", "c.fbx"]
    assert source.note == (
        "4 shapes without classes; 3 are of formats that are not read; "
        "skipped as textures and materials: 1 .mtl, 1 .png, 1 .tga"
    )


def test_images_in_folders_without_shapes_are_no_textures(tmp_path: Path) -> None:
    _write(tmp_path / "meshes" / "chair" / "a.obj", OBJ)
    for name in ("meshes/chair/skin.png", "meshes/chair/maps/b.jpg", "Textures/wood.jpg"):
        _write(tmp_path / name, "words")
    _write(tmp_path / "photos" / "1.jpg", "words")
    assert open_source(f"folder:{tmp_path}").note == (
        "1 shape without classes; skipped as textures and materials: 2 .jpg, 1 .png; "
        "1 image is left out, in folders without .obj .glb .gltf files: prepare such images separately"
    )
    _write(tmp_path / "photos" / "deep" / "2.tga", "words")
    assert open_source(f"folder:{tmp_path}").note.endswith(
        "; 2 images are left out, in folders without .obj .glb .gltf files: prepare such images separately"
    )
    assert open_source(f"folder:{tmp_path}", class_level=1).note.startswith("1 shape in 1 class; ")
    _write(tmp_path / "photos" / "a.fbx", "words")  # may have textures too
    assert open_source(f"folder:{tmp_path}").note.endswith("skipped as textures and materials: 3 .jpg, 1 .png, 1 .tga")


def test_a_single_object_is_no_plural(tmp_path: Path) -> None:
    _write(tmp_path / "a.off", "words")
    with pytest.raises(UserError, match=r"the only object of 'folder:.* failed: got for example: .*; check the files$"):
        prepare_maps(open_source(str(tmp_path)), zernike_basis(3, points=16), tmp_path / "a.h5", workers=0)


def test_folder_reads_each_real_folder_once(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "set", tmp_path / "elsewhere"
    for name in ("train/table/1.off", "train/table/2.off"):
        _write(root / name, OFF)
    for name in ("chairs/1.off", "chairs/deep/2.off", "lamps/1.off"):
        _write(elsewhere / name, OFF)
    (root / "train" / "chair").symlink_to(elsewhere / "chairs")
    (elsewhere / "chairs" / "more").symlink_to(elsewhere / "lamps")
    (elsewhere / "lamps" / "round").symlink_to(elsewhere / "chairs")  # an endless walk
    (root / "train" / "up").symlink_to(root)
    (root / "test").symlink_to(root / "train")  # every object in both splits
    source = open_source(f"folder:{root}")
    _check(source)
    assert _summary(source) == [
        ("train/chair/1.off", "chair", "train"),
        ("train/chair/deep/2.off", "chair", "train"),
        ("train/chair/more/1.off", "chair", "train"),
        ("train/table/1.off", "table", "train"),
        ("train/table/2.off", "table", "train"),
    ]
    assert source.note == (
        "5 shapes in 2 classes; 3 folders behind links not read again, because the files are already included"
    )
    assert source.items[1].load().faces is not None


def test_folder_behind_links_loses_nothing(tmp_path: Path) -> None:
    root, big = tmp_path / "set", tmp_path / "big"
    for name in ("set/.store/lamp/1.off", "set/table/1.off", "big/chairs/2.off", "big/chairs/deep/3.off"):
        _write(tmp_path / name, OFF)
    (root / "lamp").symlink_to(root / ".store" / "lamp")  # The target is in this folder, but hidden.
    (root / "a").symlink_to(big / "chairs" / "deep")
    (root / "b").symlink_to(big / "chairs")  # holds a's target, and more
    (root / "c").symlink_to(root / "a")  # a link to a link
    (root / "up").symlink_to(tmp_path)
    source = open_source(f"folder:{root}")
    assert [item.id for item in source.items] == ["a/3.off", "b/2.off", "lamp/1.off", "table/1.off"]
    assert dict(source.missing) == {"up": "a link to a folder that holds this one: not followed"}
    assert source.note.endswith("; 2 folders behind links not read again, because the files are already included")


@pytest.mark.parametrize("refused", ["is_dir", "stat"])
def test_files_without_permission_are_failures(tmp_path: Path, refused: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("1.off", "2.off"):
        _write(tmp_path / name, OFF)
    original = getattr(Path, refused)

    def denied(path: Path, *more: object, **options: object) -> object:
        if path.name == "1.off":
            raise PermissionError(13, "Permission denied")
        return original(path, *more, **options)

    monkeypatch.setattr(Path, refused, denied)
    source = open_source(f"folder:{tmp_path}")
    assert [item.id for item in source.items] == ["2.off"]
    assert dict(source.missing) == {"1.off": "cannot be read: Permission denied"}


def test_folder_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / "a" / "1.off", OFF)
    original = Path.iterdir

    def refused(path: Path) -> Iterator[Path]:
        if path.name == "a":
            raise PermissionError(13, "Permission denied")
        return original(path)

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(UserError, match=r"a folder that cannot be read.*Permission denied"):
        open_source(f"folder:{tmp_path}")


def test_folder_of_images(tmp_path: Path) -> None:
    Pillow.new("L", (4, 6), 7).save(tmp_path / "grey.png")
    Pillow.new("RGBA", (4, 6), (1, 2, 3, 4)).save(tmp_path / "rgba.png")
    Pillow.new("P", (4, 6)).save(tmp_path / "palette.gif")
    (tmp_path / "zbroken.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    source = open_source(f"folder:{tmp_path}")
    _check(source)
    assert source.kind == "images"
    images = {item.id: item.load() for item in source.items if item.id != "zbroken.jpg"}
    assert {name: image.shape for name, image in images.items()} == {
        "grey.png": (1, 6, 4),
        "palette.gif": (3, 6, 4),
        "rgba.png": (3, 6, 4),
    }
    np.testing.assert_array_equal(images["rgba.png"][:, 0, 0], [251, 251, 251])
    with pytest.raises(ObjectError, match="unreadable image"):
        source.items[-1].load()


def test_folder_mixtures(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no shapes or images"):
        open_source(f"folder:{tmp_path}")
    Pillow.new("L", (4, 4)).save(tmp_path / "texture.png")
    _write(tmp_path / "a.off")
    with pytest.raises(UserError, match="shapes and images in one folder"):
        open_source(f"folder:{tmp_path}")
    _write(tmp_path / "b.obj", OBJ)
    assert [item.id for item in open_source(f"folder:{tmp_path}").items] == ["a.off", "b.obj"]


def test_lists_next_to_images_do_not_count_as_shapes(tmp_path: Path) -> None:
    Pillow.new("L", (4, 4)).save(tmp_path / "a.png")
    _write(tmp_path / "classes.txt", "cat\ndog\n")
    source = open_source(f"folder:{tmp_path}")
    assert (source.kind, [item.id for item in source.items], source.missing) == ("images", ["a.png"], ())
    assert source.note.endswith("not read: 1 .txt")
    _write(tmp_path / "b.xyz", "0 0 0\n1 1 1\n")
    with pytest.raises(UserError, match="shapes and images in one folder"):
        open_source(f"folder:{tmp_path}")


def test_textures_of_unreadable_shapes_do_not_count_as_images(tmp_path: Path) -> None:
    for name in ("a.fbx", "b.FBX"):
        _write(tmp_path / name, "words")
    Pillow.new("L", (4, 4)).save(tmp_path / "skin.png")
    with pytest.raises(
        UserError, match=r"images next to shapes in formats that cannot be read: got 2 \.fbx and 1 \.png.*convert"
    ):
        open_source(f"folder:{tmp_path}")


def test_npz_of_a_damaged_stream(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", points=np.arange(300.0).reshape(100, 3))
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[60:120] = bytes(60)
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(ObjectError, match=r"not a readable \.npz"):
        open_source(f"folder:{tmp_path}").items[0].load()
