"""Every command that loads torch says first that it starts, and a long step is never silent."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import spectral_ssl
from pretext.methods import DESCRIPTIONS as METHOD_DESCRIPTIONS
from pretext.methods.catalogue import METHODS
from pretext.tasks import DESCRIPTIONS as TASK_DESCRIPTIONS
from pretext.tasks.catalogue import TASKS
from spectral_ssl.ground import progress as module
from spectral_ssl.ground.progress import busy, say

# the first line ends the process: what matters is what was loaded until then
FIRST_LINE = """
import os, sys, time
from spectral_ssl.cli import options
from spectral_ssl.cli.app import main
def stop(line):
    print(line, sorted({'torch', 'h5py', 'matplotlib', 'scipy'} & set(sys.modules)), time.process_time() < 2)
    sys.stdout.flush()
    os._exit(0)
options.say = stop
sys.argv = ['spectral-ssl', *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize(
    "words",
    ["pretrain", "pretrain --dry-run", "complete", "evaluate", "probe", "export", "cluster f.h5", "neighbors x",
     "report", "list layers", "verify f.h5", "doctor", "demo"],
)  # fmt: skip
def test_the_first_line_comes_before_anything_heavy_is_loaded(words: str, tmp_path: Path) -> None:
    environment = {**os.environ, "SPECTRAL_SSL_HOME": str(tmp_path)}
    command = [sys.executable, "-c", FIRST_LINE, *words.split()]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    line, loaded = ended.stdout.strip().split(": ", 1)
    assert line in (words.split()[0], "estimate pretrain")
    assert loaded == "loading [] True"


LISTS = ["", "datasets", "encoders", "methods", "tasks", "recipes", "runs", "maps"]


def test_lists_of_names_load_nothing_heavy(tmp_path: Path) -> None:
    program = f"""
import sys, spectral_ssl
for kind in {LISTS!r}:
    assert spectral_ssl.list_names(kind or None), kind
print(sorted({{'torch', 'h5py', 'numba', 'matplotlib', 'scipy', 'numpy'}} & set(sys.modules)))
"""
    environment = {**os.environ, "SPECTRAL_SSL_HOME": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert ended.stdout == "[]\n"


def test_a_task_that_was_added_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "sharpen", replace(TASKS["denoise"], description="the fine shape from the coarse one"))
    assert spectral_ssl.list_names("tasks")["tasks"]["sharpen"] == "the fine shape from the coarse one"


def test_each_method_and_task_has_its_line() -> None:
    assert list(METHODS) == list(METHOD_DESCRIPTIONS)
    assert list(TASKS) == list(TASK_DESCRIPTIONS)
    for entries, lines in ((METHODS, METHOD_DESCRIPTIONS), (TASKS, TASK_DESCRIPTIONS)):
        assert {name: entry.description for name, entry in entries.items()} == lines


def test_of_steps_within_each_other_the_innermost_tells(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS_OF_SILENCE", 0.03)
    with busy("pretrain"):
        time.sleep(0.15)
        with busy("network"):
            time.sleep(0.15)
        say("trained")
        time.sleep(0.15)
    names = [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()]
    assert list(dict.fromkeys(names)) == ["pretrain", "network", "trained"]
    assert names[-1] == "pretrain"
    assert "pretrain" not in names[names.index("network") : names.index("trained")]
