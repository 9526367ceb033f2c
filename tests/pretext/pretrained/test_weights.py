"""Weight files: what is written is read, equal tensors give equal bytes, and damaged files are refused."""

import json
from pathlib import Path

import pytest
import torch

import pretext.pretrained
from pretext.pretrained.find import SHIPPED
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


def test_what_is_written_is_read_also_if_tensors_share_memory_or_require_gradient(tmp_path: Path) -> None:
    grid = torch.arange(6.0, requires_grad=True).view(2, 3)
    tensors = TENSORS | {"grid": grid, "turned": grid.T, "row": grid[1]}
    write_weights(tmp_path / "weights", tensors)
    read = read_weights(tmp_path / "weights")
    assert equal(read, tensors)
    assert list(read) == sorted(tensors)
    read["grid"].zero_()
    assert read["turned"].any()


def test_equal_tensors_give_equal_bytes(tmp_path: Path) -> None:
    write_weights(tmp_path / "one", TENSORS)
    write_weights(tmp_path / "two", {name: TENSORS[name].clone() for name in reversed(TENSORS)})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_encoder_is_written_as_the_bytes_that_ship(name: str, tmp_path: Path) -> None:
    # Sending an encoder to the hub compares digests to tell whether it is as it was loaded.
    shipped = Path(pretext.pretrained.__file__).parent / name / "weights.safetensors"
    write_weights(tmp_path / "weights", read_weights(shipped))
    assert (tmp_path / "weights").read_bytes() == shipped.read_bytes()


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
    "a name twice": (b'{"a": 1, "a": 2}', b"", None),
    "a type that PyTorch does not have": ({"a": entry([4], 0, 4, "F8_E8M0")}, b"0000", None),
    "a shape whose size overflows": ({"a": entry([1 << 40, 1 << 40], 0, 4)}, b"0000", None),
    "no values and a size that overflows": ({"a": entry([0, 1 << 63], 0, 0)}, b"", None),
    "no values and steps that overflow": ({"a": entry([0, 1 << 62, 1 << 62], 0, 0)}, b"", None),
    "a number that is no integer": ({"a": entry([1.5], 0, 4)}, b"0000", None),
    "texts that are no texts": ({"__metadata__": {"a": 1}}, b"", None),
    "a long name with a line end": ({"a\n" * 1000: entry([1], 4, 8)}, b"00000000", None),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_damaged_and_hostile_files_are_refused(fault: str, tmp_path: Path, little_memory: None) -> None:
    with pytest.raises(ValueError) as caught:
        read_weights(write(tmp_path / "weights", *FAULTS[fault]))
    assert len(str(caught.value)) < 150
    assert "\n" not in str(caught.value)


def test_values_that_are_not_aligned_are_read(tmp_path: Path) -> None:
    header = {"a": entry([1], 0, 1, "U8"), "b": entry([1], 1, 5)}
    read = read_weights(write(tmp_path / "weights", header, b"\7\0\0\x80\x3f"))
    assert equal(read, {"a": torch.tensor([7], dtype=torch.uint8), "b": torch.ones(1)})


def test_truncated_files_and_folders_are_refused(tmp_path: Path) -> None:
    write_weights(tmp_path / "whole", TENSORS)
    whole = (tmp_path / "whole").read_bytes()
    for length in (0, 7, 9, len(whole) - 1):
        (tmp_path / "part").write_bytes(whole[:length])
        with pytest.raises(ValueError):
            read_weights(tmp_path / "part")
    with pytest.raises(ValueError, match="regular"):
        read_weights(tmp_path)
