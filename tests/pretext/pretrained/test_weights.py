"""Weight files: the bytes of the format, agreement with the library, and files that are refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pretext.pretrained.weights import LONGEST_HEADER, read_weights, write_weights

TENSORS = {
    "half": torch.linspace(-1, 1, 6).half().view(2, 3),
    "single": torch.tensor([1.5, -2.0]),
    "steps": torch.tensor(7),
    "mask": torch.tensor([True, False, True]),
    "none": torch.zeros(0, 4),
}


def equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    same = left.keys() == right.keys()
    return same and all(torch.equal(left[name], right[name]) and left[name].dtype == right[name].dtype for name in left)


def test_the_library_reads_what_is_written_and_the_other_way_round(tmp_path: Path) -> None:
    write_weights(tmp_path / "ours", TENSORS, {"format": "pt"})
    save_file(TENSORS, tmp_path / "theirs")
    assert equal(load_file(tmp_path / "ours"), TENSORS)
    assert equal(read_weights(tmp_path / "theirs"), TENSORS)
    assert equal(read_weights(tmp_path / "ours"), TENSORS)


def write(path: Path, header: object, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def entry(shape: list[object], first: int, last: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


FAULTS: dict[str, tuple[object, bytes, int | None]] = {
    "a header beyond the file": ({}, b"", 1 << 40),
    "a header that is too long": (b" " * (LONGEST_HEADER + 8), b"", None),
    "no JSON": (b"{broken", b"", None),
    "not UTF-8": (b"\xff\xfe\xff\xfe", b"", None),
    "a list": ([], b"", None),
    "nested deeply": (b"[" * 100_000, b"", None),
    "an unknown type": ({"a": entry([1], 0, 4, "F8")}, b"0000", None),
    "a shape that needs more than there is": ({"a": entry([1 << 40], 0, 4)}, b"0000", None),
    "a negative size": ({"a": entry([-1], 0, 4)}, b"0000", None),
    "a size that is no number": ({"a": entry(["1"], 0, 4)}, b"0000", None),
    "an overlap": ({"a": entry([1], 0, 4), "b": entry([1], 0, 4)}, b"0000", None),
    "a gap": ({"a": entry([1], 4, 8)}, b"00000000", None),
    "bytes that belong to no tensor": ({"a": entry([1], 0, 4)}, b"00000000", None),
    "values that are not aligned": ({"a": entry([1], 0, 1, "U8"), "b": entry([1], 1, 5)}, b"00000", None),
    "a name twice": (b'{"a": 1, "a": 2}', b"", None),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_damaged_and_hostile_files_are_refused(fault: str, tmp_path: Path, little_memory: None) -> None:
    with pytest.raises(ValueError):
        read_weights(write(tmp_path / "weights", *FAULTS[fault]))


def test_truncated_files_and_folders_are_refused(tmp_path: Path) -> None:
    write_weights(tmp_path / "whole", TENSORS)
    whole = (tmp_path / "whole").read_bytes()
    for length in (0, 7, 9, len(whole) - 1):
        (tmp_path / "part").write_bytes(whole[:length])
        with pytest.raises(ValueError):
            read_weights(tmp_path / "part")
    with pytest.raises(ValueError, match="regular"):
        read_weights(tmp_path)
