"""Files that are not what their names say are refused with what they are and what to do."""

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from data_prep.readers.shape import SHAPE_SUFFIXES, read_shape
from spectral_ssl.ground.errors import ObjectError

BOX = trimesh.creation.box((1, 2, 4))
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
PAGE = b"<!DOCTYPE html>\n<html><head><title>404</title></head><body>Not found</body></html>\n"
ERROR = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code></Error>'


def _export(kind: str) -> bytes:
    exported = BOX.export(file_type=kind)
    return exported.encode() if isinstance(exported, str) else exported


def _save(kind: str) -> bytes:
    stream = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("box.obj", _export("obj"))
    elif kind == "npy":
        np.save(stream, BOX.vertices)
    else:
        Image.new("RGB", (9, 9)).save(stream, kind)
    return stream.getvalue()


FOREIGN = {
    "pointer": (POINTER, "Git LFS pointer, not the file itself: run `git lfs pull`"),
    "page": (PAGE, r"a web page \(HTML\)"),
    "page after a mark": (b"\xef\xbb\xbf\n  " + PAGE.lower(), r"a web page \(HTML\)"),
    "script": (b"<script>window.location = 'x'</script>", r"a web page \(HTML\)"),
    "error": (ERROR, "an XML text"),
    "bare error": (ERROR[39:], "an XML text"),
    "message": (b'{"message": "Not Found", "status": "404"}', "a JSON text"),
    "zip": (_save("zip"), "a zip archive: unpack it"),
    "gzip": (gzip.compress(_export("obj")), "a gzip archive: unpack it"),
    "PNG": (_save("PNG"), "a PNG image"),
    "JPEG": (_save("JPEG"), "a JPEG image"),
    "GIF": (_save("GIF"), "a GIF image"),
    "PDF": (b"%PDF-1.7\n", "a PDF document"),
    "zeros": (bytes(4000), "only zero bytes: a failed copy"),
    "many zeros": (bytes(1 << 20), "only zero bytes: a failed copy"),
    "FBX": (b"Kaydara FBX Binary  \0\x1a\0", "an FBX file: convert it"),
    "pickle": (b"\x80\x04\x95\x0c", "a pickle"),
    "PLY": (_export("ply"), "a PLY file named .[a-z]+: rename it to .ply"),
    "GLB": (_export("glb"), "a GLB file named .[a-z]+: rename it to .glb"),
    "NPY": (_save("npy"), "an NPY file named .[a-z]+: rename it to .npy"),
    "OBJ": (_export("obj"), "an OBJ file named .[a-z]+: rename it to .obj"),
    "OFF": (_export("off"), "an OFF file named .[a-z]+: rename it to .off"),
    "STL": (_export("stl_ascii"), "an STL file named .[a-z]+: rename it to .stl"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_content(name: str, tmp_path: Path) -> None:
    content, reason = FOREIGN[name]
    for suffix in SHAPE_SUFFIXES:
        if suffix == f".{name.lower()}" or (suffix, name) in ((".npz", "zip"), (".gltf", "message")):
            continue
        path = tmp_path / f"a{suffix}"
        path.write_bytes(content)
        with pytest.raises(ObjectError, match=reason):
            read_shape(path)


def test_a_scene_named_glb(tmp_path: Path) -> None:
    (tmp_path / "a.glb").write_text('{"asset": {"version": "2.0"}, "scenes": []}')
    with pytest.raises(ObjectError, match=r"a glTF text named \.glb: rename it to \.gltf"):
        read_shape(tmp_path / "a.glb")


def test_a_mesh_with_zeros_at_its_beginning_is_read(tmp_path: Path) -> None:
    data = _export("stl")
    (tmp_path / "a.stl").write_bytes(bytes(80) + data[80:])
    np.testing.assert_allclose(np.ptp(read_shape(tmp_path / "a.stl").points, axis=0), [1, 2, 4])
