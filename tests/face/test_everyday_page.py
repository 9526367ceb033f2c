"""The pages of everyday use and of reports do what they say: their blocks run from top to bottom in one folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_page(name: str, tmp_path: Path) -> set[str]:
    """Run all blocks of a page; the languages they were in."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "spectral-ssl"
    # as pip writes it: completion goes by the program's name, which `python -m` has not
    command.write_text(f"#!{sys.executable}\nfrom spectral_ssl.cli.app import main\n\nmain()\n")
    command.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "SPECTRAL_SSL_HOME"}
    environment |= {
        "PATH": f"{command.parent}:{environment['PATH']}",
        "BROWSER": "true",  # for --open
        "PYTHONPATH": str(DOCS.parent),
    }
    blocks = BLOCK.findall((DOCS / f"{name}.md").read_text(encoding="utf-8"))
    for language, text in blocks:
        program = ["sh", "-e", "-c", text] if language == "sh" else [sys.executable, "-W", "ignore", "-c", text]
        done = subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return {language for language, _ in blocks}


@pytest.mark.slow
def test_every_block_of_everyday_use_runs(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
    assert run_page("everyday", tmp_path) == {"sh", "python"}
    assert (tmp_path / "workspace" / "runs" / "first" / "samples" / "neighbors-ring.obj.png").is_file()
    assert not (tmp_path / "workspace" / "runs" / "second").exists()
    assert any((tmp_path / "workspace" / "live" / "first").glob("*tfevents*"))


@pytest.mark.slow
def test_every_command_of_the_page_about_reports_runs(tmp_path: Path) -> None:
    assert run_page("report", tmp_path) == {"sh"}
    runs = tmp_path / "workspace" / "runs"
    for written in (tmp_path / "first.html", runs / "first" / "comparison.html", runs / "second" / "report.html"):
        assert written.stat().st_size < 10_000_000
    assert list((runs / "second").glob("probe-*.json"))
