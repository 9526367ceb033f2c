"""Files appear whole or not at all."""

import os
import signal
import stat
from pathlib import Path

import pytest

from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import atomic_path, hash_file, temporary_prefix, write_text
from spectral_ssl.ground.run_folder import append_metrics, drop_metrics_after, read_metrics
from spectral_ssl.ground.workspace import Workspace


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    def fail() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208


def test_the_next_writer_removes_what_a_killed_one_left_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file[1]"  # which is no pattern
    child = os.fork()
    if child == 0:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            (tmp_path / f"{temporary_prefix(target)}folder.part").mkdir()  # as a study leaves
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    system = temporary_prefix(target).removeprefix(".file[1].").partition("-")[0]
    others = [
        f".file[1].00000000-{child}.abc.part",  # of another machine or container, or before the last start
        f".file[1].{system}-1.abc.part",  # of a process that lives
        f".file[1].{system}-99999999999999999999.abc.part",
        f".file1.{system}-{child}.abc.part",  # of another target
        ".file[1].abc.part",  # of an earlier version
    ]
    for name in others:
        (tmp_path / name).write_text("")
    left = set(os.listdir(tmp_path)) - set(others)  # noqa: PTH208
    assert len(left) == 2
    with atomic_path(target) as outer, atomic_path(target) as inner:  # two writers at once
        inner.write_text("inner")
        outer.write_text("outer")
    assert target.read_text() == "outer"
    assert set(os.listdir(tmp_path)) == {*others, target.name}  # noqa: PTH208


def test_what_may_not_be_removed_keeps_nobody_from_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file"
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    system = temporary_prefix(target).removeprefix(".file.").partition("-")[0]
    rest = tmp_path / f".file.{system}-{child}.abc.part"
    rest.write_text("")

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path == rest:  # another user's, in a folder like /tmp
            raise PermissionError(1, "Operation not permitted", str(path))
        os.unlink(path) if path.exists() else None  # noqa: PTH108

    monkeypatch.setattr(Path, "unlink", refuse)
    write_text(target, "one")
    assert target.read_text() == "one"


def test_a_finished_writer_replaces_the_file_unless_overwriting_is_forbidden(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "file"
    write_text(target, "one")
    write_text(target, "two")
    assert target.read_text() == "two"
    with pytest.raises(UserError, match="exists already"), atomic_path(target, overwrite=False):
        pytest.fail("the block must not run")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~mask


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "file"

    def race() -> None:
        with atomic_path(target, overwrite=False) as temporary:
            temporary.write_text("ours")
            target.write_text("theirs")

    with pytest.raises(UserError, match="exists already"):
        race()
    assert target.read_text() == "theirs"


def test_an_unwritable_folder_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write there"):
        write_text(tmp_path / "file" / "below", "x")


def test_digest_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert hash_file(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_metrics_survive_a_cut_line_and_write_null_for_nan(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append_metrics(path, {"step": 1, "loss": 0.5})
    append_metrics(path, {"step": 2, "loss": float("nan")})
    with path.open("a") as stream:
        stream.write('{"step": 3, "lo')
    assert read_metrics(path) == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": None}]
    drop_metrics_after(path, 1)
    assert path.read_text() == '{"step": 1, "loss": 0.5}\n'
    assert read_metrics(tmp_path / "none") == []


def test_workspace_is_found_in_the_stated_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECTRAL_SSL_HOME", str(tmp_path / "home"))
    assert Workspace.find(tmp_path / "given").root == tmp_path / "given"
    assert Workspace.find().root == tmp_path / "home"
    monkeypatch.delenv("SPECTRAL_SSL_HOME")
    assert Workspace.find().root == Path("workspace")


def test_newest_maps_and_latest_run_go_by_time(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert workspace.map_files() == []
    with pytest.raises(UserError, match="no run yet"):
        workspace.latest_run()
    for number, name in enumerate(("b", "a")):
        for path in (tmp_path / "maps" / f"{name}.h5", tmp_path / "runs" / name / "checkpoints" / "last.pt"):
            write_text(path, "{}")
            os.utime(path, (1000 + number, 1000 + number))
    assert workspace.map_files() == [tmp_path / "maps" / "a.h5", tmp_path / "maps" / "b.h5"]
    assert workspace.latest_run() == tmp_path / "runs" / "a"
    write_text(tmp_path / "runs" / "c" / "status.json", "{}")  # ended before its first checkpoint
    assert workspace.latest_run() == tmp_path / "runs" / "a"
    first = workspace.new_run("cgml", "denoise")
    first.mkdir(parents=True)
    assert workspace.new_run("cgml", "denoise") != first
