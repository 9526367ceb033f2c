"""Each row of the table in docs/security.md names a test, and there is such a test; and the limits are those stated."""

import ast
import re
from pathlib import Path

import pytest

from data_prep.pipeline import source_records as item_names
from data_prep.readers import limits
from data_prep.readers import limits as chunks
from data_prep.readers.clouds import voxels as voxel_reading
from data_prep.readers.images import jpeg_scans
from data_prep.readers.images import opening as image_reading
from data_prep.readers.meshes import ply_tables
from data_prep.sources import celeba, cifar10, mnist, modelnet
from data_prep.sources.download import unpack as unpacking
from pretext.pretrained import facts, weights
from spectral_ssl.ground import config, files, hdf5, pickles, tensor_files

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "security.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| file |")]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_every_row_names_tests_that_exist(row: str) -> None:
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", row.rpartition(" | ")[2] if row.endswith("|") else row)
    assert named, "no test"
    for file, name in named:
        tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file}::{name}"


def test_all_readers_are_in_the_table() -> None:
    assert len(ROWS) >= 20
    for word in (
        "checkpoint",
        "maps",
        "features",
        "CIFAR",
        "MNIST",
        "meshes",
        "images",
        "archives",
        "recipes",
        "names",
    ):
        assert any(word in row for row in ROWS), word


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("pickle 64 MiB", tensor_files.LARGEST_PICKLE >> 20 == 64),
        ("1,000 values in a tuple", pickles.LARGEST_TUPLE == 1000),
        ("20 million operations", pickles.MOST_OPERATIONS == 20_000_000),
        (
            "2 GiB, header 1 MiB; description 1 MiB",
            (weights.LARGEST_FILE >> 30, weights.LONGEST_HEADER >> 20, facts.LARGEST_FACTS >> 20) == (2, 1, 1),
        ),
        ("attribute 4 MiB", hdf5.MOST_ATTRIBUTE_BYTES >> 20 == 4),
        ("name of a split 64 characters", hdf5.LONGEST_WORD == 64),
        (
            "100,000 clouds of 100,000 points and 2 GiB a file",
            (modelnet.MOST_ROWS, modelnet.MOST_POINTS, modelnet.MOST_BYTES) == (100_000, 100_000, 2 << 30),
        ),
        ("256 MiB a chunk", chunks.MOST_BYTES_OF_A_CHUNK >> 20 == 256),
        ("| 64 MiB |", cifar10.LARGEST_BATCH >> 20 == 64),
        ("500,000 images", mnist.MOST_ROWS == 500_000),
        ("file and buffers 256 MiB", limits.LARGEST_FILE >> 20 == 256),
        ("text 2^24 words", limits.MOST_WORDS == 2**24),
        (
            "glTF 20,000 nodes, 64 buffers, 2^22 parts of its JSON, 2^26 vertices and corners shown, arrays 1 GiB",
            (limits.MOST_NODES, limits.MOST_BUFFERS, limits.MOST_JSON_PARTS, limits.MOST_CORNERS)
            == (20_000, 64, 2**22, 2**26)
            and limits.MOST_ACCESSOR_BYTES == 1 << 30,
        ),
        ("2^20 instances of a node, sparse zeros 2^22", (limits.MOST_INSTANCES, limits.MOST_ZEROS) == (2**20, 2**22)),
        ("rows of several lengths 2^24", ply_tables.MOST_WALKED == 2**24),
        ("2^28 voxels, 2^22", (voxel_reading.MOST_VOXELS, voxel_reading.MOST_OCCUPIED) == (2**28, 2**22)),
        ("16,384 pixels on a side", image_reading.LARGEST_SIDE == 16_384),
        ("2^26 in all", image_reading.MOST_PIXELS == 2**26),
        (
            "JPEG 256 MiB, 100 scans, 2^30 pixels times scans",
            (jpeg_scans.MOST_BYTES >> 20, jpeg_scans.MOST_SCANS, jpeg_scans.MOST_DECODED) == (256, 100, 2**30),
        ),
        (
            "1 MiB, keys of 16 parts, 16 lists or tables within each other",
            config.LARGEST_SETTINGS == 1 << 20 and (config.MOST_PARTS, config.MOST_NESTED) == (16, 16),
        ),
        ("500,000 files", unpacking.MOST_MEMBERS == 500_000),
        ("4 MiB a header", unpacking.MOST_AT_ONCE >> 20 == 4),
        ("table of contents 128 MiB", unpacking.MOST_CONTENTS >> 20 == 128),
        ("64 MiB; celeba 128 MiB", (files.LARGEST_TEXT >> 20, celeba.LARGEST_TABLE >> 20) == (64, 128)),
        ("more than 1,000 characters", item_names.LONGEST_NAME == 1000),
    ],
)
def test_the_limits_are_those_of_the_code(words: str, value: bool) -> None:
    assert words in PAGE
    assert value
