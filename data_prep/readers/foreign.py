"""Recognition of files that are not what their names say: pointers, web pages, archives, images, failed copies.

A format's own reader would refuse most of them too, but with a reason that helps nobody. Some it
would read: a text of zeros is a valid, empty grid of many formats.
"""

import re

from spectral_ssl.ground.errors import ObjectError

HEAD = 4096  # Bytes at the beginning of a file that decide.
BYTE_ORDER_MARKS = b"\xef\xbb\xbf\xff\xfe"
UNPACK = "unpack it, and give the files in it"
RENAME = "give it another name, or remove it"
CONVERT = "convert it, to .ply or .glb for example"
# The first bytes of a content, what it is, and what to do.
SIGNATURES = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "run `git lfs pull`"),
    (b"PK\x03\x04", "a zip archive", UNPACK),
    (b"PK\x05\x06", "an empty zip archive", "give the files themselves"),
    (b"\x1f\x8b", "a gzip archive", UNPACK),
    (b"BZh", "a bzip2 archive", UNPACK),
    (b"\xfd7zXZ\0", "an xz archive", UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Rar!\x1a", "a rar archive", UNPACK),
    (b"\x89PNG\r\n", "a PNG image", RENAME),
    (b"\xff\xd8\xff", "a JPEG image", RENAME),
    (b"GIF8", "a GIF image", RENAME),
    (b"%PDF-", "a PDF document", "remove it"),
    (b"\x89HDF\r\n", "an HDF5 file", "save its points as .npy"),
    (b"Kaydara FBX", "an FBX file", CONVERT),
    (b"BLENDER", "a Blender file", CONVERT),
    (b"DRACO", "a bare Draco file", CONVERT),
    (b"# vtk DataFile", "a VTK file", CONVERT),
    (b"PXR-USDC", "a USD file", CONVERT),
    (b"ASTM-E57", "an E57 file", CONVERT),
    *(
        (bytes([0x80, protocol]), "a pickle", "it is not unpickled, because that runs code: save the points as .npy")
        for protocol in range(2, 6)
    ),
)
# The beginnings of the formats that are read, and the suffixes under which they are read.
FORMATS = (
    (rb"ply[ \t]*[\r\n]", (".ply",)),
    (rb"glTF[\1\2]\0\0\0", (".glb",)),
    (rb"\x93NUMPY", (".npy",)),
    (rb"#binvox ", (".binvox",)),
    (rb"(?:#[^\n]*\n)*VERSION[ \t]+\S+\s+FIELDS[ \t]", (".pcd",)),
    (rb"LASF", (".las", ".laz")),
    (rb"ISO-10303-21;", (".step", ".stp")),
    # Headers without a mark are recognised by their keywords. They may follow comments and names.
    (rb"(?:#[^\n]*\n|(?:mtllib|usemtl|[og])[ \t][^\n]*\n|\s)*+v(?:[ \t]+[-+]?[\d.]+(?:[eE][-+]?\d+)?){3}", (".obj",)),
    (rb"(?:#[^\n]*\n|\s)*+(?:ST)?C?N?4?OFF\s*\d+\s+\d+\s", (".off",)),
    (rb"solid[^\n]*\n\s*facet[ \t]+normal[ \t]", (".stl",)),
)
ZIPPED = (".npz",)
TEXTS_WITH_SCENES = (".gltf",)


def _name_format(suffix: str) -> str:
    """Name a format by its suffix, with its article."""
    name = suffix[1:].upper()
    return f"an {name}" if name in ("NPY", "OBJ", "OFF", "STL", "LAS") else f"a {name}"


def refuse_foreign(data: bytes, suffix: str) -> None:
    """Refuse a file whose content is clearly of another kind than its name says.

    Parameters
    ----------
    data : bytes
        Content of the whole file.
    suffix : str
        Suffix of the file in lower case, such as ".obj".

    Raises
    ------
    ObjectError
        When the content is of another kind; the reason says what it is and what to do.
    """
    head = data[:HEAD]
    if not head.strip(b"\0") and not data.strip(b"\0"):
        raise ObjectError("only zero bytes: a failed copy. Copy the file again")
    for signature, name, advice in SIGNATURES:
        if head.startswith(signature) and not (signature.startswith(b"PK") and suffix in ZIPPED):
            raise ObjectError(f"{name}: {advice}")
    for pattern, suffixes in FORMATS:
        if suffix not in suffixes and re.match(pattern, head):
            raise ObjectError(f"{_name_format(suffixes[0])} file named {suffix}: rename it to {suffixes[0]}")
    text = head.lstrip(BYTE_ORDER_MARKS).lstrip().lower()
    if re.match(rb"<!doctype html|<html|<head|<body|<script|<!--", text):
        raise ObjectError("a web page (HTML): download the file itself")
    if text.startswith(b"<?xml") or re.match(rb"<[a-z][\w:]*[\s/>]", text):
        raise ObjectError("an XML text, such as a server's error message: download the file itself")
    if suffix not in TEXTS_WITH_SCENES and re.match(rb'[{]\s*"', text):
        if b'"asset"' in text:
            raise ObjectError(f"a glTF text named {suffix}: rename it to .gltf")
        raise ObjectError("a JSON text, such as a server's error message: download the file itself")
