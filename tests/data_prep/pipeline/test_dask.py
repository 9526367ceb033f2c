"""Prep on a real Dask cluster of a scheduler and two worker processes."""

import asyncio
import gc
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import numpy as np
import pytest
from command_line import call

from data_prep.basis import zernike_basis
from data_prep.pipeline import workers
from data_prep.pipeline.prepare import prepare_maps
from data_prep.source import Source
from data_prep.sources.catalogue import open_source
from spectral_ssl.ground.errors import UserError

distributed = pytest.importorskip("distributed", reason="the dask extra is not installed")

SMALL = zernike_basis(6, 3, points=64)


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def clouds(tmp_path: Path) -> Source:
    """Write a source of files, because workers of a cluster share nothing else with this process; one is damaged."""
    folder = tmp_path / "clouds"
    folder.mkdir()
    for seed in range(100):
        np.save(folder / f"{seed:03d}.npy", np.random.default_rng(seed).normal(size=(80, 3)))
    (folder / "050.npy").write_bytes(b"damaged")
    return open_source(f"folder:{folder}")


def test_same_bytes_here_and_on_a_cluster(tmp_path: Path, clouds: Source, scheduler: str) -> None:
    for name, where in {"none": {"workers": 0}, "two": {"workers": 2}, "dask": {"scheduler": scheduler}}.items():
        made = prepare_maps(clouds, SMALL, tmp_path / f"{name}.h5", keep_points=True, **where)
        assert len(made) == 99
        assert made.failures[0][0] == "050.npy"
    assert len({(tmp_path / f"{name}.h5").read_bytes() for name in ("none", "two", "dask")}) == 1


def test_both_workers_of_the_cluster_work(scheduler: str) -> None:
    import os

    from joblib import wrap_non_picklable_objects

    # The workers cannot import anything from this file.
    own_process = wrap_non_picklable_objects(lambda number: (__import__("time").sleep(0.05), __import__("os").getpid()))
    results = dict(workers.run_batches(own_process, [(number, number) for number in range(40)], 0, scheduler))
    assert sorted(results) == list(range(40))
    processes = {process for _, process in results.values()}
    assert len(processes) == 2
    assert os.getpid() not in processes


@pytest.mark.usefixtures("few_shapes")
def test_from_the_command_line(tmp_path: Path, scheduler: str) -> None:
    command = ("prep", "--degree", "4", "--points", "32", "--out")
    assert call(*command, tmp_path / "dask.h5", "--scheduler", scheduler).returncode == 0
    assert call(*command, tmp_path / "here.h5", "--workers", "0").returncode == 0
    assert (tmp_path / "dask.h5").read_bytes() == (tmp_path / "here.h5").read_bytes()


@pytest.fixture(scope="module")
def silent() -> Iterator[str]:
    """Listen at a port, accept connections and never say a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(scope="module")
def web_page() -> Iterator[str]:
    """Serve HTTP, as the dashboard of Dask does, whose address is easily given for the scheduler's."""
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def banner() -> Iterator[str]:
    """Send the first line of an ssh server to each connection; Dask takes it for the length of a message."""

    class Greeting(BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
            self.request.recv(1)

    with ThreadingTCPServer(("127.0.0.1", 0), Greeting) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def worker(scheduler: str) -> str:
    """Find the address of a worker, which `dask worker` prints and which speaks the same protocol."""
    with distributed.Client(scheduler, set_as_default=False) as client:
        return next(iter(client.ncores()))


def test_a_running_event_loop_does_not_disturb(scheduler: str) -> None:
    async def in_a_notebook() -> list[tuple[int, int]]:
        return list(workers.run_batches(abs, [(0, -3), (1, 4)], 0, scheduler))

    assert sorted(asyncio.run(in_a_notebook())) == [(0, 3), (1, 4)]


@pytest.mark.parametrize(
    "address",
    [
        "tcp://127.0.0.1:9", "tls://127.0.0.1:9", "nonsense://x", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "",
        "silent", "web_page", "banner", "worker",
    ],
)  # fmt: skip
def test_without_a_scheduler(
    tmp_path: Path, clouds: Source, address: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(workers, "SECONDS_TO_CONNECT", 1)
    if address in {"silent", "web_page", "banner", "worker"}:
        address = request.getfixturevalue(address)
    before = list(living_clients())  # which keeps them alive
    begin = time.monotonic()
    with pytest.raises(UserError, match="no Dask scheduler responds") as caught:
        prepare_maps(clouds, SMALL, tmp_path / "a.h5", scheduler=address)
    assert time.monotonic() - begin < 30
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a.h5").exists()
    # A client that failed to start waits for its own thread when it is collected, sometimes without end.
    assert all(any(client is older for older in before) for client in living_clients())


def living_clients() -> Iterator[object]:
    return (found for found in gc.get_objects() if type(found) is distributed.Client)


def test_a_cluster_without_workers(tmp_path: Path, clouds: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "SECONDS_TO_CONNECT", 2)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=None, host="127.0.0.1") as empty,
        pytest.raises(UserError, match="has no workers"),
    ):
        prepare_maps(clouds, SMALL, tmp_path / "a.h5", scheduler=empty.scheduler_address)


def test_without_dask(tmp_path: Path, clouds: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match=r"Dask is not installed.*spectral-ssl\[dask\]"):
        prepare_maps(clouds, SMALL, tmp_path / "a.h5", scheduler="tcp://127.0.0.1:8786")


@pytest.mark.parametrize(("address", "message"), [(None, "worker processes cannot be"), ("tcp://x:1", "lost the Dask")])
def test_the_error_names_the_cluster_only_if_there_is_one(address: str | None, message: str) -> None:
    with pytest.raises(UserError, match=f"{message}.*Too many open files"), workers._explain_failures(address):
        raise OSError(24, "Too many open files")
