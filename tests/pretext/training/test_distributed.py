"""Two processes with half of each batch train the same network as one: every method, by torch's launcher."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch.distributed as dist
from every_method import CASES, IN_PARTS, in_double, train_some, write_data

import spectral_ssl
from downstream.features.store import read_features
from pretext.training.checkpoint import load_checkpoint
from pretext.training.distributed import Distributed
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.run_folder import read_metrics

needs_gloo = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()), reason="this torch was built without gloo"
)
WORKER = Path(__file__).parents[2] / "every_method.py"
ROOT = Path(__file__).parents[3]


def torchrun(
    *command: str, processes: int = 2, more: tuple[str, ...] = (), seconds: int = 600
) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *more]
    return subprocess.run(
        [sys.executable, *launcher, *command],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train all cases in this process alone in float64, and some in float32."""
    folder = write_data(tmp_path_factory.mktemp("processes"))
    with in_double():
        train_some(folder / "one", CASES)
    train_some(folder / "one32", ("cgml", "joint-embedding"))
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    """Train the same cases in two processes, which also resume a run of one process."""
    data, method, task, settings = CASES["cgml"]
    with in_double():
        spectral_ssl.pretrain(
            folder / f"{data}.h5", method=method, task=task, epochs=1, max_minutes=1e-6,
            settings=("watch=0", "batch_size=20", *settings), out=folder / "stopped",
        )  # fmt: skip
    assert load_checkpoint(folder / "stopped" / "checkpoints" / "last.pt")["place"]["step"] == 1
    done = torchrun(str(WORKER), str(folder))
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("training mr-gan on denoise") == 1  # only the main process prints
    return folder


def largest_difference(first: Path, second: Path) -> float:
    one, two = (load_checkpoint(path / "checkpoints" / "last.pt")["model"] for path in (first, second))
    assert one.keys() == two.keys()
    return max(float((one[name] - two[name]).abs().max()) for name in one if one[name].is_floating_point())


def largest_loss_difference(first: Path, second: Path, least_lipschitz: float = 1e-6) -> float:
    """Compute the largest relative difference of all logged numbers.

    Numbers below 1e-6 are divided by 1e-6, and a Lipschitz term below ``least_lipschitz`` by that.
    """
    rows = [read_metrics(path / "metrics.jsonl") for path in (first, second)]
    assert [row["step"] for row in rows[0]] == [row["step"] for row in rows[1]]
    names = set(rows[0][0]) - {"seconds", "waiting"}
    least = dict.fromkeys(names, 1e-6) | {"lipschitz": least_lipschitz}
    return max(
        abs(a[name] - b[name]) / max(abs(a[name]), least[name]) for a, b in zip(*rows, strict=True) for name in names
    )


@needs_gloo
def test_two_processes_train_the_same_network_as_one(trained: Path) -> None:
    for name in CASES:  # one test for all cases: each worker of pytest would start the processes again
        assert largest_difference(trained / "one" / name, trained / "several" / name) < 1e-7, name
        assert largest_loss_difference(trained / "one" / name, trained / "several" / name) < 1e-6, name


@needs_gloo
def test_in_float32_only_rounding_differs(trained: Path) -> None:
    # Parameters without an effect (a bias before a normalisation) follow the rounding, so losses are compared.
    # cGML's Lipschitz term of .001 is a difference of nearly equal outputs: its last three digits depend on the
    # processor, 1.2e-3 of it on one without AVX-512.
    for name in ("cgml", "joint-embedding"):
        assert (
            largest_loss_difference(trained / "one32" / name, trained / "several32" / name, least_lipschitz=0.01) < 1e-3
        )


@needs_gloo
def test_two_processes_resume_the_run_of_one(trained: Path) -> None:
    assert load_checkpoint(trained / "stopped" / "checkpoints" / "last.pt")["place"]["step"] == 3
    assert largest_difference(trained / "one" / "cgml", trained / "stopped") < 1e-7


@needs_gloo
def test_exported_features_equal_those_of_one_process(trained: Path) -> None:
    spectral_ssl.export(trained / "one32" / "joint-embedding", out=trained / "one.h5")
    one, two = (read_features(trained / f"{name}.h5") for name in ("one", "several"))
    assert (one.values == two.values).all()
    assert one.ids == two.ids
    assert one.about == two.about


@needs_gloo
def test_exported_components_equal_those_of_one_process(trained: Path) -> None:
    run = trained / "one32" / "joint-embedding"
    spectral_ssl.export(run, components=3, out=trained / "one-pca.h5")
    one, two = (read_features(trained / f"{name}-pca.h5") for name in ("one", "several"))
    assert one.values.shape[1] == 3
    assert (one.values == two.values).all()
    assert one.about == two.about


@needs_gloo
def test_evaluation_and_probe_equal_those_of_one_process(trained: Path) -> None:
    path = trained / "one32" / "cgml" / "evaluation-random.json"
    several = json.loads(path.read_text())["rows"]
    assert spectral_ssl.evaluate(trained / "one32" / "cgml", count=10, modes=2)["rows"] == several
    alone = spectral_ssl.probe(run=trained / "one32" / "joint-embedding", seeds=1)
    for rank in (0, 1):
        assert json.loads((trained / f"probe-{rank}.json").read_text()) == [row["mean"] for row in alone["rows"]]


def test_a_batch_in_parts_gives_the_same_step(folder: Path) -> None:
    with in_double():
        train_some(folder / "parts", IN_PARTS, "accumulate=3")
    for name in IN_PARTS:
        assert largest_difference(folder / "one" / name, folder / "parts" / name) < 1e-7, name
        assert largest_loss_difference(folder / "one" / name, folder / "parts" / name) < 1e-6, name


def test_methods_that_need_whole_batches_refuse_parts(tmp_path: Path) -> None:
    write_data(tmp_path)
    for name in set(CASES) - set(IN_PARTS):
        with pytest.raises(UserError, match="does not work through a batch in parts"):
            train_some(tmp_path / "parts", [name], "accumulate=2")


def test_shares_of_a_batch_differ_by_at_most_one_row_and_later_ranks_have_the_larger_ones() -> None:
    bounds = [Distributed(rank, 3).shares(7, 1)[0].slice for rank in range(3)]
    assert [(part.start, part.stop) for part in bounds] == [(0, 2), (2, 4), (4, 7)]


@pytest.mark.parametrize(("rows", "world_size", "parts"), [(20, 1, 1), (20, 2, 3), (7, 3, 2), (2, 3, 1), (1, 2, 4)])
def test_every_row_counts_once(rows: int, world_size: int, parts: int) -> None:
    shares = [share for rank in range(world_size) for share in Distributed(rank, world_size).shares(rows, parts)]
    counted = [row for share in shares if not share.idle for row in range(rows)[share.slice]]
    assert counted == list(range(rows))
    assert sum(share.weight for share in shares) == pytest.approx(1)
    assert all(share.rows > 0 for share in shares)
