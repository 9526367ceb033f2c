"""How several processes end: a dead one is restarted, an error is printed once, and nothing hangs."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from conftest import write_random_maps

from data_prep.basis import zernike_basis
from pretext.training.checkpoint import content_digest, load_checkpoint

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (dist.is_available() and dist.is_gloo_available()), reason="torch was built without gloo"),
]
ROOT = Path(__file__).parents[3]
SMALL = ("--method", "regression", "--set", "width=4", "--set", "code=8", "--set", "watch=0", "--set", "batch_size=20")


def start(folder: Path, *options: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Start ``torchrun ... -m spectral_ssl pretrain`` with two processes on made-up maps."""
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *launcher]
    program = ["-m", "spectral_ssl", "pretrain", "--data", str(folder / "maps.h5"), *options]
    return subprocess.Popen(
        [sys.executable, *command, *program],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SPECTRAL_SSL_HOME": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def workers_of(launcher: int) -> dict[int, int]:
    """Find the process numbers of a launcher's children by rank."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            variables = (folder / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError, IndexError):
            continue
        if parent == launcher:
            rank = [value[5:] for value in variables if value.startswith(b"RANK=")]
            found |= {int(rank[0]): int(folder.name)} if rank else {}
    return found


def wait_for_epoch(run: Path, epoch: int, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 300
    while time.monotonic() < until and process.poll() is None:
        try:
            if json.loads((run / "status.json").read_text())["epoch"] >= epoch:
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.05)
    raise AssertionError(f"epoch {epoch} was not reached")


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    write_random_maps(tmp_path / "maps.h5", zernike_basis(8))
    return tmp_path


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found by /proc")
@pytest.mark.parametrize("named", [True, False])
def test_a_run_whose_processes_are_killed_resumes_exactly(maps: Path, named: bool) -> None:
    whole = start(maps, *SMALL, "--epochs", "60", "--seed", "7", "--out", str(maps / "whole"))
    assert whole.wait(timeout=300) == 0
    options = ("--out", str(maps / "killed")) if named else ("--workspace", str(maps / "home"))
    process = start(maps, *SMALL, "--epochs", "60", "--seed", "7", *options, launcher=("--max-restarts", "3"))
    until = time.monotonic() + 120
    while not named and not list((maps / "home").glob("runs/*")) and time.monotonic() < until:
        time.sleep(0.1)
    run = maps / "killed" if named else next((maps / "home").glob("runs/*"))
    for epoch, rank in ((15, 1), (35, 0)):
        wait_for_epoch(run, epoch, process)
        os.kill(workers_of(process.pid)[rank], signal.SIGKILL)
    output, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors[-2000:]
    assert errors.count("resuming") == 2
    assert "trained to epoch 60" in output
    one, two = (load_checkpoint(folder / "checkpoints" / "last.pt")["model"] for folder in (maps / "whole", run))
    assert all(torch.equal(one[name], two[name]) for name in one)
    rows = [
        [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").open()] for folder in (maps / "whole", run)
    ]
    assert rows[0] == rows[1]


def test_a_mistake_is_printed_once_and_ends_all(maps: Path) -> None:
    process = start(maps, "--method", "nonsense")
    _, errors = process.communicate(timeout=240)
    assert process.returncode != 0
    assert errors.count("spectral-ssl: unknown method") == 1
    assert "spectral-ssl (process" not in errors


def test_ctrl_c_of_one_stops_all_with_a_checkpoint(maps: Path) -> None:
    process = start(maps, *SMALL, "--epochs", "100000", "--out", str(maps / "run"))
    wait_for_epoch(maps / "run", 5, process)
    os.kill(workers_of(process.pid)[1], signal.SIGINT)
    _, errors = process.communicate(timeout=240)
    assert errors.count("resume with `spectral-ssl pretrain --resume") == 1
    assert json.loads((maps / "run" / "status.json").read_text())["state"] == "stopped"
    step = load_checkpoint(maps / "run" / "checkpoints" / "last.pt")["place"]["step"]
    assert f"stopped at step {step}" in errors


def test_a_loss_that_is_not_finite_in_one_process_ends_all(maps: Path) -> None:
    done = start(maps, *SMALL, "--epochs", "1", "--out", str(maps / "run"))
    assert done.wait(timeout=120) == 0
    content = load_checkpoint(maps / "run" / "checkpoints" / "last.pt")
    name = next(iter(content["model"]))
    content["model"][name].view(-1)[0] = float("nan")
    content["digest"] = content_digest(content)
    torch.save(content, maps / "run" / "checkpoints" / "last.pt")
    process = start(maps, "--resume", str(maps / "run"), "--epochs", "2")
    _, errors = process.communicate(timeout=240)
    assert process.returncode != 0
    assert errors.count("the loss is not finite") == 1
    assert len(torch.load(maps / "run" / "failed-batch.pt", weights_only=True)["condition"]) == 20  # of both processes
