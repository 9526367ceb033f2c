"""Downloads from a local server that drops connections, and unpacking of unsafe archives."""

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from data_prep.sources.catalogue import SOURCES
from data_prep.sources.download import catalogue as downloads
from data_prep.sources.download import unpack as unpacking
from data_prep.sources.download.catalogue import DOWNLOADS, RemoteFile, download
from data_prep.sources.download.unpack import unpack
from spectral_ssl.ground.errors import UserError
from spectral_ssl.verbs.prep import prep


class Server:
    """A server of ``files``; each of the first ``drops`` responses breaks off after ``piece`` bytes."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.drops, self.piece = 0, 5000
        self.ranges, self.versions = True, True
        self.requested: list[tuple[str, str | None]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                requested = self.headers.get("Range")
                server.requested.append((self.path, requested))
                body = server.files.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                version = f'"{hashlib.md5(body).hexdigest()}"'
                start = 0
                if requested and server.ranges and self.headers.get("If-Range") == version:
                    start = int(requested.removeprefix("bytes=").removesuffix("-"))
                if start >= len(body):
                    self.send_error(416)
                    return
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body) - start))
                if server.versions:
                    self.send_header("ETag", version)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
                self.end_headers()
                if server.drops > 0:
                    server.drops -= 1
                    self.wfile.write(body[start : start + server.piece])
                    self.close_connection = True
                else:
                    self.wfile.write(body[start:])

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    serving = Server()
    yield serving
    serving.close()


def _offer(monkeypatch: pytest.MonkeyPatch, server: Server, name: str, content: bytes, **known: Any) -> RemoteFile:
    server.files[f"/{name}"] = content
    checksum = known.pop("checksum", f"md5:{hashlib.md5(content).hexdigest()}")
    remote = RemoteFile(f"{server.url}/{name}", checksum, known.pop("most_bytes", 1 << 20), **known)
    monkeypatch.setitem(DOWNLOADS, "mnist", (remote,))
    return remote


CONTENT = np.random.default_rng(0).bytes(50_000)


def test_resumes_after_dropped_connections(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _offer(monkeypatch, server, "a.gz", CONTENT)
    # There are more drops than may fail in a row. But each response brings new bytes: whole blocks of 4096 of its 5000.
    server.drops = 7
    seen: list[tuple[str, int, int]] = []
    lines: list[str] = []
    download("mnist", tmp_path, tell=lines.append, progress=lambda *state: seen.append(state), pause=0.01)
    assert (tmp_path / "a.gz").read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gz"]
    assert [requested for _, requested in server.requested] == [
        None,
        *(f"bytes={4096 * times}-" for times in range(1, 8)),
    ]
    assert seen[-1] == ("a.gz", 50_000, 50_000)
    assert lines == [f"downloading {server.url}/a.gz"]
    # An existing file is not downloaded again.
    server.requested.clear()
    download("mnist", tmp_path, tell=lines.append)
    assert not server.requested


def test_resumes_after_the_program_was_ended(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _offer(monkeypatch, server, "a.gz", CONTENT)
    server.drops, server.piece = 100, 0
    with pytest.raises(UserError, match=r"cannot download.*run the same command again"):
        download("mnist", tmp_path, pause=0.001)
    server.drops, server.piece = 1, 10_000
    download("mnist", tmp_path, pause=0.001)
    assert server.requested[-1][1] == "bytes=8192-"
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


@pytest.mark.parametrize(("ranges", "versions"), [(False, True), (True, False)])
def test_servers_that_cannot_resume(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, ranges: bool, versions: bool
) -> None:
    _offer(monkeypatch, server, "a.gz", CONTENT)
    server.ranges, server.versions, server.drops = ranges, versions, 2
    download("mnist", tmp_path, pause=0.001)
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_the_rest_of_another_version_is_not_appended(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    _offer(monkeypatch, server, "a.gz", CONTENT)
    (tmp_path / "a.gz.part").write_bytes(b"old" * 500)
    (tmp_path / "a.gz.part.version").write_text('"of last year"')
    download("mnist", tmp_path, pause=0.001)
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_wrong_checksum(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _offer(monkeypatch, server, "a.gz", CONTENT, checksum="md5:" + "0" * 32)
    with pytest.raises(UserError, match="a wrong checksum"):
        download("mnist", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_missing_checksum_is_reported(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _offer(monkeypatch, server, "a.gz", CONTENT, checksum=None)
    lines: list[str] = []
    download("mnist", tmp_path, tell=lines.append)
    assert hashlib.sha256(CONTENT).hexdigest() in lines[-1]


def test_refusals(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _offer(monkeypatch, server, "a.gz", CONTENT, most_bytes=10_000)
    with pytest.raises(UserError, match="larger than expected"):
        download("mnist", tmp_path)
    _offer(monkeypatch, server, "a.gz", CONTENT)
    del server.files["/a.gz"]
    with pytest.raises(UserError, match=r"the server refuses the file.*404"):
        download("mnist", tmp_path)
    with pytest.raises(UserError, match=r"'shapenet' cannot be downloaded.*shapenet.org"):
        download("shapenet", tmp_path, where=SOURCES["shapenet"].where)


def test_the_catalogue() -> None:
    for name, files in DOWNLOADS.items():
        assert name in SOURCES
        for remote in files:
            assert remote.url.startswith(("https://", "http://"))
            assert remote.checksum is None or len(remote.checksum) == len("md5:") + 32
            assert bool(remote.unpacked_bytes) == remote.name.endswith((".zip", ".tar.gz"))


# archives


def _tar(path: Path, *members: tuple[str, bytes | None], **special: Any) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = special.get("type", tarfile.DIRTYPE)
                info.linkname = special.get("linkname", "")
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def _zip(path: Path, *members: tuple[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return path


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_unpack(tmp_path: Path, kind: str) -> None:
    members = (("set/a/1.txt", b"one"), ("set/2.txt", b"two"), ("__MACOSX/._2.txt", b"x"), ("./other.txt", b"three"))
    make = _zip if kind == "zip" else _tar
    archive = make(tmp_path / "archive", *members)
    (tmp_path / "out" / ".unpacking").mkdir(parents=True)  # A killed attempt has left this folder.
    (tmp_path / "out" / ".unpacking" / "half").write_text("x")
    entries = unpack(archive, tmp_path / "out", 100)
    assert [entry.name for entry in entries] == ["other.txt", "set"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["other.txt", "set"]
    assert (tmp_path / "out" / "set" / "a" / "1.txt").read_bytes() == b"one"
    with pytest.raises(UserError, match="exist already"):
        unpack(archive, tmp_path / "out", 100)


def _truncated(path: Path) -> Path:
    _tar(path, ("a", np.random.default_rng(0).bytes(50_000)))
    path.write_bytes(path.read_bytes()[:-20_000])
    return path


def _damaged_zip(path: Path) -> Path:
    data = bytearray(_zip(path, ("a.txt", b"words " * 1000)).read_bytes())
    data[45] ^= 255
    path.write_bytes(data)
    return path


def _long_header(path: Path, kind: bytes) -> Path:
    """Make an archive with a name of 64 MiB, which takes 64 KiB in it."""
    info = tarfile.TarInfo("name")
    info.type, info.size = kind, 64 << 20
    path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(info.size)))
    return path


def _zip_by(path: Path, way: int) -> Path:
    with zipfile.ZipFile(path, "w", way) as archive:
        archive.writestr("a", bytes(1000))
    return path


def _long_contents(path: Path) -> Path:
    data = bytearray(_zip(path, ("a", b"x")).read_bytes())
    data[-10:-6] = (200 << 20).to_bytes(4, "little")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: _tar(path, ("../out.txt", b"x")), "leads out"),
        (lambda path: _tar(path, ("a/../../out.txt", b"x")), "leads out"),
        (lambda path: _tar(path, ("/tmp/out.txt", b"x")), "leads out"),
        (lambda path: _zip(path, ("../out.txt", b"x")), "leads out"),
        (lambda path: _zip(path, ("C:\\out.txt", b"x")), "leads out"),
        (lambda path: _tar(path, ("link", None), type=tarfile.SYMTYPE, linkname="/etc"), "neither a file nor"),
        (lambda path: _tar(path, ("link", None), type=tarfile.LNKTYPE, linkname="/etc/passwd"), "neither a file nor"),
        (lambda path: _tar(path, ("pipe", None), type=tarfile.FIFOTYPE), "neither a file nor"),
        (lambda path: _zip(path, ("link", b"/etc"), mode=0o120777), "neither a file nor"),
        (lambda path: _zip(path, ("zeros", bytes(5 << 20))), "unpacks to more"),
        (lambda path: _tar(path, ("zeros", bytes(5 << 20))), "unpacks to more"),
        (lambda path: _tar(path, *((str(number), b"") for number in range(30))), "more than 20 files"),
        (lambda path: _tar(path, ("a", b"x"), ("a", b"y")), "cannot unpack"),
        (lambda path: _tar(path, ("hole", None), type=tarfile.GNUTYPE_SPARSE), "neither a file nor|not a sound"),
        (lambda path: _tar(path, ("zero", None), type=tarfile.CHRTYPE), "neither a file nor"),
        (lambda path: _tar(path, ("disk", None), type=tarfile.BLKTYPE), "neither a file nor"),
        (lambda path: _tar(path, ("a\x1b[2J", b"x")), "the name"),
        (lambda path: _tar(path, ("a/" * 3000, b"x")), "the name"),
        (lambda path: _zip(path, ("a\nb", b"x")), "the name"),
        (lambda path: _long_header(path, tarfile.XHDTYPE), "a header of"),
        (lambda path: _long_header(path, tarfile.GNUTYPE_LONGNAME), "a header of"),
        (lambda path: _zip_by(path, zipfile.ZIP_LZMA), "unusual compression"),
        (lambda path: _zip_by(path, zipfile.ZIP_BZIP2), "unusual compression"),
        (lambda path: path.write_bytes(lzma.compress(bytes(10_000))) and path, "damaged or unsafe"),
        (lambda path: path.write_bytes(bz2.compress(bytes(10_000))) and path, "damaged or unsafe"),
        (_long_contents, "a table of contents"),
        (_truncated, "damaged or unsafe"),
        (_damaged_zip, "damaged or unsafe"),
        (lambda path: path.write_bytes(b"neither") and path, "damaged or unsafe"),
        (lambda path: path.write_bytes(gzip.compress(b"")) and path, "damaged or unsafe"),
        (lambda path: _tar(path), "it is empty"),
    ],
)
@pytest.mark.usefixtures("little_memory")
def test_archives_that_are_refused(tmp_path: Path, make: Any, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MOST_MEMBERS", 20)
    archive = make(tmp_path / "archive")
    with pytest.raises(UserError, match=reason):
        unpack(archive, tmp_path / "out", 1 << 20)
    assert not list((tmp_path / "out").iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "out"]


# the verb


def test_prep_downloads(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    image_file = io.BytesIO()
    Pillow.new("RGB", (32, 16), (10, 20, 30)).save(image_file, "PNG")
    archive = _tar(
        tmp_path / "made", *((f"facades/{split}/1.png", image_file.getvalue()) for split in ("train", "test"))
    )
    server.files["/facades.tar.gz"] = archive.read_bytes()
    server.drops, server.piece = 1, 100
    remote = RemoteFile(f"{server.url}/facades.tar.gz", None, 1 << 20, unpacked_bytes=1 << 20)
    monkeypatch.setitem(downloads.DOWNLOADS, "facades", (remote,))
    maps = prep("facades", download=True, size=8, workspace=tmp_path / "ws")
    assert maps.basis.shape == (6, 8, 8)
    assert maps.ids == ("train/1.png", "test/1.png")
    assert maps.path == tmp_path / "ws" / "maps" / "facades-8-pixels.h5"
    assert [path.name for path in (tmp_path / "ws" / "raw" / "facades").iterdir()] == ["facades"]
    count = len(server.requested)
    prep("facades", download=True, size=8, workspace=tmp_path / "ws", overwrite=True)
    assert len(server.requested) == count
    with pytest.raises(UserError, match="'shapenet' cannot be downloaded"):
        prep("shapenet", download=True, workspace=tmp_path / "ws")
