"""Looking at runs, comparing and removing them: nothing but runs of the workspace is ever removed."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import spectral_ssl
from downstream.report.evidence import _read_results
from spectral_ssl.cli.app import app
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.run_folder import (
    append_metrics,
    drop_metrics_after,
    lock_run,
    read_status,
    write_status,
)
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.verbs.runs.tensorboard import find_run_to_follow


def make_run(folder: Path, *, width: int = 4, state: str = "finished", process: int = 1) -> Path:
    """The small files of a run; none of what is tested here looks at the checkpoint."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.pt").write_bytes(b"0" * 1000)
    run = '[run]\nmethod = "cgml"\ntask = "denoise"\ndata = "/data/maps.h5"\ndata_digest = "0"\n'
    (folder / "config.toml").write_text(f"{run}[train]\nepochs = 3\n[method]\nwidth = {width}\n")
    status = {"state": state, "epoch": 2, "step": 8, "process": process, "time": ""}
    (folder / "status.json").write_text(json.dumps(status))
    rows = [{"epoch": e, "step": 4 * e, "seconds": 30.0 * e, "loss": 1 / e} for e in (1, 2)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    probe: dict[str, object] = {"rows": [{"features": "trained network", "mean": 0.75 if width == 4 else 0.5}]}
    if width == 4:  # results of earlier versions have no verdict
        probe["verdict"] = "linear probe: better"
    (folder / "probe-maps.json").write_text(json.dumps(probe))
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("SPECTRAL_SSL_HOME", str(tmp_path / "ws"))
    make_run(tmp_path / "ws" / "runs" / "one")
    make_run(tmp_path / "ws" / "runs" / "two", width=8)
    return Workspace(tmp_path / "ws")


def call(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=answer)


def test_a_run_is_shown_by_name_or_folder(place: Workspace) -> None:
    run = spectral_ssl.show_run("one")
    assert run == spectral_ssl.show_run(place.root / "runs" / "one")
    assert (run["method"], run["task"], run["state"]) == ("cgml", "denoise", "finished")
    assert (run["epoch"], run["epochs"], run["step"], run["minutes"]) == (2, 3, 8, 1.0)
    assert run["metrics"] == {"loss": 0.5}
    assert run["probes"] == {"probe-maps": {"trained network": 0.75}}
    assert run["verdicts"] == {"probe-maps": "linear probe: better"}
    assert json.loads(call("runs", "show", "one", "--json").stdout) == run
    shown = call("runs", "show", "one").stdout
    for word in ("finished", "2 of 3 epochs", "cgml on denoise", "width", "0.750", "linear probe: better"):
        assert word in shown


def test_the_list_of_runs_is_a_table_with_scores_that_names_cannot_break(place: Workspace) -> None:
    make_run(place.root / "runs" / "\x1b[2J[red]")
    (place.root / "runs" / "two" / "probe-maps.json").unlink()
    shown = call("runs", "list").stdout
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if "│" in line]
    assert ["one", "cgml on denoise, maps.h5", "2 of 3", "finished", "0.750 maps"] in lines
    assert ["two", "cgml on denoise, maps.h5", "2 of 3", "finished", ""] in lines
    assert "\\x1b[2J[red]" in shown
    assert "\x1b[2J" not in shown


def test_runs_are_listed_with_what_became_of_them(place: Workspace) -> None:
    make_run(place.root / "runs" / "dead", state="running")
    with lock_run(make_run(place.root / "runs" / "alive", state="running")):
        listed = json.loads(call("runs", "list", "--json").stdout)
    assert set(listed) == {"one", "two", "dead", "alive"}
    assert "killed" in listed["dead"]
    assert "running" in listed["alive"]
    assert "cgml on denoise, maps.h5, 2 of 3 epochs" in listed["one"]
    assert read_status(place.root / "runs" / "nothing")["state"] == "unknown"


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "{", "\xff", "3"])
def test_damaged_states_and_scores_are_no_tracebacks(place: Workspace, text: str) -> None:
    folder = place.find_run("one")
    for name in ("status.json", "probe-maps.json", "metrics.jsonl"):
        (folder / name).write_text(text)
    assert spectral_ssl.show_run("one")["state"] == "unknown"
    assert "unknown" in json.loads(call("runs", "list", "--json").stdout)["one"]
    with pytest.raises(UserError, match="damaged result"):
        _read_results(folder, "probe-*.json")


@pytest.mark.parametrize(
    "text", ['{"rows": null}', '{"rows": [3]}', '{"rows": [{"features": "trained network", "mean": "x"}]}']
)
def test_a_malformed_probe_leaves_the_list_of_runs_alone(place: Workspace, text: str) -> None:
    (place.find_run("one") / "probe-maps.json").write_text(text)
    shown = call("runs", "list").stdout
    assert "0.500 maps" in shown
    assert "0.750" not in shown


def test_a_score_of_an_earlier_checkpoint_is_marked_in_the_list(place: Workspace) -> None:
    folder = place.find_run("one")
    probe = json.loads((folder / "probe-maps.json").read_text()) | {"checkpoint_digest": "0" * 64}
    (folder / "probe-maps.json").write_text(json.dumps(probe))
    assert "0.750 maps, earlier checkpoint" in " ".join(call("runs", "list").stdout.split())


def test_runs_are_compared_where_they_differ(place: Workspace) -> None:
    found = spectral_ssl.compare_runs(["one", "two"])
    assert found["settings"] == {"method.width": [4, 8]}
    assert found["metrics"]["loss"] == [0.5, 0.5]
    assert found["probes"] == {"probe-maps: trained network": [0.75, 0.5]}
    assert json.loads(call("runs", "compare", "one", "two", "--json").stdout) == found
    printed = call("runs", "compare", "one", "two").stdout
    assert "method.width" in printed
    assert found["verdicts"] == {"probe-maps": ["linear probe: better", None]}
    assert "probe-maps, one: linear probe: better\n" in printed
    with pytest.raises(UserError, match="at least two"):
        spectral_ssl.compare_runs(["one"])


def test_scores_of_an_earlier_checkpoint_are_marked(place: Workspace) -> None:
    files = {name: place.root / "runs" / name / "probe-maps.json" for name in ("one", "two")}
    for name, probed in (("one", b"1" * 1000), ("two", b"0" * 1000)):  # the checkpoint of both is the second
        digest = sha256(probed).hexdigest()
        files[name].write_text(json.dumps(json.loads(files[name].read_text()) | {"checkpoint_digest": digest}))
    assert [spectral_ssl.show_run(name)["outdated"] for name in ("one", "two")] == [["probe-maps"], []]
    assert "\nprobe-maps (of an earlier checkpoint)\n" in call("runs", "show", "one").stdout
    assert "\nprobe-maps\n" in call("runs", "show", "two").stdout
    printed = call("runs", "compare", "one", "two").stdout
    assert re.search(r"probe-maps: trained network +│ +0.75 \(earlier checkpoint\) +│ +0.5 +│", printed), printed
    assert "probe-maps, one (earlier checkpoint): linear probe: better\n" in printed


def test_an_unknown_run_gets_the_nearest_name(place: Workspace) -> None:
    with pytest.raises(UserError, match="did you mean 'one'"):
        spectral_ssl.show_run("onee")
    with pytest.raises(UserError, match="not a run folder"):
        spectral_ssl.show_run(place.root)


def test_rm_asks_and_removes_on_yes_only(place: Workspace) -> None:
    folder = place.root / "runs" / "one"
    for answer in ("n\n", "", None):
        done = call("runs", "rm", "one", answer=answer)
        assert done.exit_code == 1
        assert folder.is_dir()
    assert call("runs", "rm", "one", answer="y\n").exit_code == 0
    assert not folder.exists()
    done = call("runs", "rm", "two", "--yes")
    assert done.exit_code == 0
    assert done.stdout == f"removed {place.root / 'runs' / 'two'}\n"
    assert [path.name for path in place.root.rglob("*")] == ["runs"]


def test_what_links_lead_to_stays(place: Workspace, tmp_path: Path) -> None:
    outside = make_run(tmp_path / "outside")
    runs = place.root / "runs"
    (runs / "linked").symlink_to(outside, target_is_directory=True)
    with pytest.raises(UserError, match="a link"):
        spectral_ssl.remove_run("linked")
    (runs / "one" / "samples").symlink_to(outside, target_is_directory=True)
    (runs / "one" / "file").symlink_to(outside / "config.toml")
    spectral_ssl.remove_run("one")
    assert not (runs / "one").exists()
    assert (outside / "checkpoints" / "last.pt").read_bytes() == b"0" * 1000
    assert (outside / "config.toml").is_file()


def test_nothing_but_a_run_of_the_workspace_is_removed(place: Workspace, tmp_path: Path) -> None:
    outside = make_run(tmp_path / "outside")
    (place.root / "runs" / "mine").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for run in (outside, place.root / "runs" / ".." / ".." / "outside", place.root, place.root / "runs", "."):
        with pytest.raises(UserError):
            spectral_ssl.remove_run(run)
    with pytest.raises(UserError, match=r"no config\.toml"):
        spectral_ssl.remove_run("mine")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_workspace_whose_runs_are_a_link_is_left_alone(tmp_path: Path) -> None:
    make_run(tmp_path / "elsewhere" / "one")
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / "runs").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(UserError, match="a link"):
        spectral_ssl.remove_run("one", workspace=tmp_path / "ws")
    assert (tmp_path / "elsewhere" / "one" / "config.toml").is_file()


def test_a_run_under_way_is_refused_and_so_are_all_named_with_it(place: Workspace) -> None:
    with lock_run(make_run(place.root / "runs" / "alive", state="running")):
        done = call("runs", "rm", "one", "alive", "--yes")
    assert isinstance(done.exception, UserError)
    assert "a run in training" in str(done.exception)
    assert (place.root / "runs" / "one").is_dir()
    assert (place.root / "runs" / "alive").is_dir()


def test_curves_go_to_tensorboard(place: Workspace, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the tensorboard extra is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    written = spectral_ssl.to_tensorboard("one", tmp_path / "board")
    assert written == tmp_path / "board" / "one"
    events = EventAccumulator(str(written))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(4, 1.0), (8, 0.5)]
    with pytest.raises(UserError, match="exists already"):
        spectral_ssl.to_tensorboard("one", tmp_path / "board")


@pytest.fixture
def scalars(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], list[tuple[int, float]]]:
    """What TensorBoard reads of a folder; who follows a run looks often."""
    pytest.importorskip("tensorboard", reason="the tensorboard extra is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setattr("spectral_ssl.verbs.runs.tensorboard.SECONDS_BETWEEN_READS", 0.02)

    def read(folder: Path) -> list[tuple[int, float]]:
        events = EventAccumulator(str(folder))
        events.Reload()
        return (
            [(event.step, event.value) for event in events.Scalars("loss")]
            if "loss" in events.Tags()["scalars"]
            else []
        )

    return read


def wait_for(true: Callable[[], bool], seconds: float = 300) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def test_a_run_is_followed_while_it_is_trained(
    place: Workspace, tmp_path: Path, scalars: Callable[[Path], list[tuple[int, float]]]
) -> None:
    run = make_run(place.root / "runs" / "alive", state="running")
    metrics, board = run / "metrics.jsonl", tmp_path / "board" / "alive"
    metrics.unlink()  # its first epoch is not over
    with ThreadPoolExecutor(1) as pool, lock_run(run):
        following = pool.submit(spectral_ssl.to_tensorboard, run, tmp_path / "board", follow=True)
        wait_for(board.is_dir)
        append_metrics(metrics, {"epoch": 1, "step": 4, "seconds": 1.0, "loss": 1.0})
        wait_for(lambda: scalars(board) == [(4, 1.0)])
        with metrics.open("a") as stream:  # a row of which one half is written
            stream.write('{"epoch": 2, "step": 8, "seconds": 2.0, ')
            stream.flush()
            time.sleep(0.2)  # it has looked, and taken it for none
            stream.write('"loss": 0.5}\n')
        wait_for(lambda: scalars(board) == [(4, 1.0), (8, 0.5)])
        # resumed from a checkpoint before its last row
        drop_metrics_after(metrics, 4)
        append_metrics(metrics, {"epoch": 2, "step": 8, "seconds": 2.0, "loss": 0.5})
        append_metrics(metrics, {"epoch": 3, "step": 12, "seconds": 3.0, "loss": 0.25})
        write_status(run, "finished", 3, 12)
        assert following.result(timeout=300) == board
    assert scalars(board) == [(4, 1.0), (8, 0.5), (12, 0.25)]


def test_following_ends_with_the_run_that_was_killed(
    place: Workspace, tmp_path: Path, scalars: Callable[[Path], list[tuple[int, float]]]
) -> None:
    run = make_run(place.root / "runs" / "alive", state="running")
    with ThreadPoolExecutor(1) as pool:
        with lock_run(run):
            following = pool.submit(spectral_ssl.to_tensorboard, run, tmp_path / "board", follow=True)
            wait_for((tmp_path / "board" / "alive").is_dir)
            assert not following.done()
        assert scalars(following.result(timeout=300)) == [(4, 1.0), (8, 0.5)]
    # of one that has ended nothing is waited for
    assert spectral_ssl.to_tensorboard("one", tmp_path / "board", follow=True).is_dir()


def test_ctrl_c_ends_following_alone(place: Workspace, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the tensorboard extra is not installed")
    run = make_run(place.root / "runs" / "alive", state="running")
    command = [sys.executable, "-m", "spectral_ssl", "runs", "show", "alive", "--tensorboard", "board", "--follow"]
    with lock_run(run):
        # a shell that starts the tests in the background hands an ignored SIGINT down to them
        started = subprocess.Popen(
            command,
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        wait_for(lambda: any((tmp_path / "board" / "alive").glob("*tfevents*")))
        time.sleep(0.5)  # it is within its loop
        started.send_signal(signal.SIGINT)
        out, error = started.communicate(timeout=60)
    assert started.returncode == 0, error
    assert "running, 2 of 3 epochs" in out
    assert "no longer following alive; its training continues" in error
    assert "tensorboard --logdir board" in error
    assert "Traceback" not in error


def test_without_a_name_the_run_under_way_is_followed(place: Workspace) -> None:
    assert find_run_to_follow(None, place) == place.latest_run()
    run = make_run(place.root / "runs" / "alive", state="running")
    (run / "checkpoints" / "last.pt").unlink()  # in its first epoch it is not the latest
    make_run(place.root / "runs" / "dead", state="running")
    with lock_run(run):
        assert place.latest_run() != run
        assert find_run_to_follow(None, place) == run
        (run / "status.json").unlink()  # it has just begun
        assert find_run_to_follow(None, place) == run
        assert find_run_to_follow("one", place).name == "one"


def test_following_needs_a_folder(place: Workspace) -> None:
    done = call("runs", "show", "one", "--follow")
    assert isinstance(done.exception, UserError)
    assert "--tensorboard DIR" in str(done.exception)
