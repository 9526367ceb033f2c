"""Progress: a correct estimate of the time left, nothing inside ``quiet``, no unwanted colours."""

import io
import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from spectral_ssl.ground import progress as module
from spectral_ssl.ground.progress import TimeLeft, busy, format_duration, progress, quiet, say
from spectral_ssl.ground.terminal import wrap


def test_a_steady_speed_gives_the_time_left() -> None:
    left = TimeLeft(100)
    left.note(0, 10.0)
    assert left.seconds() is None
    left.note(25, 15.0)
    assert left.seconds() == pytest.approx(15.0)  # 75 more at 5 a second


def test_parts_done_before_the_start_do_not_count_as_speed() -> None:
    left = TimeLeft(1000)
    left.note(900, 0.0)  # a resumed run begins here
    assert left.seconds() is None
    left.note(910, 10.0)
    assert left.seconds() == pytest.approx(90.0)


def test_the_speed_is_that_of_the_last_minute() -> None:
    left = TimeLeft(10_000)
    for second in range(200):
        left.note(second, float(second))
    for second in range(200, 300):  # from here ten times as fast
        left.note(200 + 10 * (second - 199), float(second))
    assert left.seconds() == pytest.approx((10_000 - 1200) / 10, rel=0.05)


def test_the_time_left_is_never_above_the_limit() -> None:
    left = TimeLeft(1000, most_seconds=60)
    left.note(0, 0.0)
    left.note(10, 20.0)
    assert left.seconds() == pytest.approx(40.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (75, "75 s"), (200, "3 min"), (2 * 3600 + 300, "2 h 05 min"), (4 * 86400, "4 days")],
)
def test_durations_are_formatted(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_a_line_tells_the_time_left(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 1.0, 10.0, 20.0])
    monkeypatch.setattr(module._status, "told", time.perf_counter())  # as if there had just been an output
    # A clock of this module alone, and a silence that ends long after the test.
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(now), perf_counter=time.perf_counter))
    monkeypatch.setattr(module, "SECONDS_OF_SILENCE", 8.0)
    with progress("prep", 40) as advance:
        advance(0)
        advance(20)
        advance(20, "done")
    first, second = capsys.readouterr().err.splitlines()
    assert first == "prep: 20/40, 10 s, about 9 s left"
    assert second == "prep: 40/40, 20 s, done"


def test_a_step_without_finished_parts_is_not_silent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS_OF_SILENCE", 0.02)
    with busy("reading"):
        time.sleep(0.1)
        with progress("prep", 3):  # shows its own lines, so that of "reading" pauses
            time.sleep(0.2)
    with quiet(), progress("prep", 3), busy("reading"):
        time.sleep(0.05)
    with busy("short"):
        pass
    lines = capsys.readouterr().err.splitlines()
    assert list(dict.fromkeys(lines)) == ["reading: 0 s", "prep: 0/3, 0 s"]


def test_the_line_of_a_busy_step_is_cleared_on_a_terminal() -> None:
    script = (
        "import time\nfrom spectral_ssl.ground import progress as p\np.SECONDS_OF_SILENCE = 0.05\n"
        "with p.busy('reading'):\n    time.sleep(0.3)\n    p.say('a line')\np.say('the end')"
    )
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "reading: 0 s\r            \ra line\r\n" in shown
    assert shown.endswith("the end\r\n")
    assert shown.count("\n") == 2


def test_quiet_silences_lines_and_progress_and_ends_with_its_block(capsys: pytest.CaptureFixture[str]) -> None:
    with quiet(), progress("prep", 1) as advance:
        say("nothing")
        advance()
    assert capsys.readouterr().err == ""
    say("something")
    assert capsys.readouterr().err == "something\n"


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_respect_no_color(variables: dict[str, str], coloured: bool) -> None:
    script = "from spectral_ssl.ground.progress import progress\nwith progress('prep', 2) as a: a(); a()"
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, "TERM": "xterm-256color", "COLUMNS": "100", **variables},
        cwd=Path(__file__).parents[2],
        stderr=theirs,
        check=True,
    )
    os.close(theirs)
    shown = os.read(ours, 100_000)
    os.close(ours)
    assert (b"\x1b[38;5;" in shown or b"\x1b[3" in shown) == coloured, shown


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_are_broken_between_words_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    path = "/a/path-that-is-longer/than-the/terminal-is-wide/maps.h5"
    line = f"few data: 12 maps to train on, more help; {path}: 12 maps"
    assert wrap(line, io.StringIO()) == line
    broken = wrap(line, _Terminal())
    assert broken.splitlines() == ["few data: 12 maps to train on, more", "  help;", f"  {path}:", "  12 maps"]
    assert wrap("short  columns   stay", _Terminal()) == "short  columns   stay"
    assert wrap("a\nb", _Terminal()) == "a b"
