"""Checkpoints, weights and processed data that try to run code or to take all memory are refused."""

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import spectral_ssl
from data_prep.basis import pixel_basis
from data_prep.maps.reader import MapFile
from data_prep.sources.catalogue import open_source
from downstream.metrics.pretrained.weights import read_weights
from pretext.runs.trained_run import load_run
from pretext.training.checkpoint import content_digest, load_checkpoint
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.pickles import check_pickle

pytestmark = pytest.mark.usefixtures("little_memory")
MARK = Path("ran")  # written by hostile code, if it runs


class Call:
    """An object whose pickle calls a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def _torch_file(path: Path, content: Any) -> None:
    torch.save(content, path)


def _archive(path: Path, pickled: bytes, compression: int = zipfile.ZIP_STORED, storage: bytes = bytes(16)) -> None:
    """Write an archive as torch.save does, with the given pickle."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/data/0", storage)
        archive.writestr("archive/version", "3\n")


def _nested(times: int) -> bytes:
    """Pickle {((((...)))): 1}: hashing the key takes that many nested calls."""
    return b"\x80\x02})" + b"\x85" * times + b"K\x01s."


def _doubled(times: int) -> bytes:
    """Pickle {(a, a): 1}, where a is itself such a pair: hashing the key takes 2^times steps."""
    return b"\x80\x02})" + b"2\x86" * times + b"K\x01s."


def _called(name: str, call: bytes = b"\x85R", before: bytes = b"") -> bytes:
    """Pickle {"a": name(10**9)}: such a storage has as many bytes, each of which a digest would write."""
    module, _, of_module = name.rpartition(".")
    named = f"c{module}\n{of_module}\n".encode()
    return b"\x80\x02}X\x01\x00\x00\x00a" + named + before + b"J" + struct.pack("<i", 10**9) + call + b"s."


HOSTILE = {
    "a called storage": lambda path: _archive(path, _called("torch.storage.UntypedStorage")),
    "a called storage of numbers": lambda path: _archive(path, _called("torch.FloatStorage")),
    "a storage as a new object": lambda path: _archive(path, _called("torch.storage.UntypedStorage", b"\x85\x81")),
    "a remembered storage": lambda path: _archive(
        path, _called("torch.storage.UntypedStorage", before=b"q\x00" + b"0h\x00")
    ),
    "a storage from the memo": lambda path: _archive(
        path, _called("torch.storage.UntypedStorage", before=b"q\x000h\x00")
    ),
    "a storage from the long memo": lambda path: _archive(
        path, _called("torch.storage.UntypedStorage", before=b"r\x00\x00\x00\x000j\x00\x00\x00\x00")
    ),
    "a storage from the memo of text": lambda path: _archive(
        path, _called("torch.storage.UntypedStorage", before=b"p0\n0g0\n")
    ),
    "a storage twice": lambda path: _archive(path, _called("torch.FloatStorage", before=b"2")),
    "a call of the system": lambda path: _torch_file(path, {"format": Call(os.system, f"touch {MARK}")}),
    "a call of eval": lambda path: _torch_file(path, {"format": Call(eval, f"open({str(MARK)!r}, 'w')")}),
    "a long array": lambda path: _torch_file(path, {"format": Call(bytearray, 10**10)}),
    "a large tensor": lambda path: _torch_file(path, {"format": Call(torch.Tensor, 10**10)}),
    "a memo number": lambda path: _archive(path, b"\x80\x02}r" + struct.pack("<I", 2**31 - 2) + b"."),
    "nested tuples": lambda path: _archive(path, _nested(3_000_000)),
    "doubled tuples": lambda path: _archive(path, _doubled(60)),
    "endless lists": lambda path: _archive(path, b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."),
    "one value as many": lambda path: _torch_file(path, {"model": {"w": torch.zeros(1).expand(10**6, 10**6)}}),
    "compressed parts": lambda path: _archive(path, b"\x80\x02}.", zipfile.ZIP_DEFLATED, bytes(1 << 28)),
    "a list": lambda path: _torch_file(path, [1, 2, 3]),
    "no archive": lambda path: torch.save({"format": 1}, path, _use_new_zipfile_serialization=False),
    "a program": lambda path: torch.jit.script(torch.nn.Linear(2, 2)).save(str(path)),
    "an empty archive": lambda path: zipfile.ZipFile(path, "w").close(),
    "plain words": lambda path: path.write_text("PK\x03\x04 and nothing else"),
    "a pickle": lambda path: path.write_bytes(pickle.dumps(Call(os.system, f"touch {MARK}"))),
}

# They load, but nothing of ours is in them; a digest that follows them would not end.
ODD = {
    "a dictionary in itself": lambda path: _archive(path, b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s."),
    "a list in itself": lambda path: _archive(path, b"\x80\x02}X\x05\x00\x00\x00model]q\x00h\x00as."),
    "deep dictionaries": lambda path: _archive(
        path, b"\x80\x02" + b"}X\x01\x00\x00\x00a" * 50_000 + b"N" + b"s" * 50_000 + b"."
    ),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("make", [*HOSTILE.values(), *ODD.values()], ids=[*HOSTILE, *ODD])
def test_hostile_checkpoints(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "last.pt")
    with pytest.raises(UserError, match="checkpoint"):
        load_checkpoint(tmp_path / "last.pt")
    assert not MARK.exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("make", [HOSTILE[name] for name in HOSTILE if name != "no archive"])
def test_hostile_weights_and_processed_data(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "train.pt")
    with pytest.raises(UserError, match=r"weights|not a state dict"):
        read_weights(tmp_path / "train.pt")
    with pytest.raises(UserError, match="not a processed file"):
        open_source(f"pyg:{tmp_path}")
    assert not MARK.exists()


def test_weights_of_both_formats_are_read(tmp_path: Path) -> None:
    state = torch.nn.Conv2d(3, 4, 3).state_dict()
    for new in (True, False):
        torch.save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=new)
        assert read_weights(tmp_path / "a.pth")["bias"].equal(state["bias"])


def test_hostile_weights_of_the_old_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"w": Call(os.system, f"touch {MARK}")}, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(UserError, match=r"(posix|nt).system is not allowed in it"):
        read_weights(tmp_path / "a.pth")
    assert not MARK.exists()


@pytest.mark.parametrize("name", ["a memo number", "nested tuples", "doubled tuples"])
def test_hostile_cifar_batches(name: str, tmp_path: Path) -> None:
    """Check that they are refused: the reader of the standard library would take all memory, crash or never end."""
    with zipfile.ZipFile(tmp_path / "made", "w") as archive:
        archive.close()
    HOSTILE[name](tmp_path / "made")
    with zipfile.ZipFile(tmp_path / "made") as archive:
        (tmp_path / "data_batch_1").write_bytes(archive.read("archive/data.pkl"))
    with pytest.raises(UserError, match=r"not a batch of cifar10.*(with the memo number|nested tuples)"):
        open_source("cifar10", tmp_path)


def test_a_hostile_run_is_one_line_on_the_screen(
    random_maps: MapFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from spectral_ssl.cli.app import main

    settings = ["method.width=4", "method.code=4"]
    run = spectral_ssl.pretrain(random_maps, method="regression", epochs=0, settings=settings, out=tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    HOSTILE["a call of the system"](run.folder / "checkpoints" / "last.pt")
    monkeypatch.setattr("sys.argv", ["spectral-ssl", "export", "--run", str(run.folder)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "is not allowed in it" in lines[0]
    assert not MARK.exists()


def save_with_digest(content: dict[str, Any], path: Path) -> None:
    """Save a changed checkpoint with a digest that fits, as an attacker can."""
    torch.save({**content, "digest": content_digest(content)}, path)


CONFIGS = [
    ("width = 4\n", "width = 4096\n", "in the config"),
    ("code = 4\n", "code = 65536\n", "in the config"),
    ("[run]\n", "[run]\nx = " + "[" * 100_000, "does not fit"),
    ('method = "regression"', "method = [1]", "does not fit"),
    ('method = "regression"', 'method = "../x"', "unknown method"),
]


def test_a_config_or_a_basis_of_another_network(random_maps: MapFile, tmp_path: Path) -> None:
    settings = ["method.width=4", "method.code=4"]
    run = spectral_ssl.pretrain(random_maps, method="regression", epochs=0, settings=settings, out=tmp_path / "run")
    path = run.folder / "checkpoints" / "last.pt"
    content = load_checkpoint(path)
    for before, after, reason in CONFIGS:
        assert before in content["config"]
        save_with_digest({**content, "config": content["config"].replace(before, after)}, path)
        with pytest.raises(UserError, match=reason):
            load_run(run.folder)
    save_with_digest({**content, "basis": pixel_basis(3, 10**6, 10**6).to_json()}, path)
    with pytest.raises(UserError, match="statistics of shape"):
        load_run(run.folder)
    save_with_digest(content, path)
    assert load_run(run.folder).basis == random_maps.basis


@pytest.mark.parametrize("protocol", range(6))
def test_sound_pickles_pass(protocol: int) -> None:
    value = {"a": [1, 2.5, "text", b"bytes", (1, (2, 3)), None, True, {4, 5}, 10**30], "again": ("x",) * 3}
    pickled = pickle.dumps(value, protocol)
    stream = io.BytesIO(pickled + b"rest")
    check_pickle(stream, len(pickled))
    assert stream.read() == b"rest"
