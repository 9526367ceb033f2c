"""The page of everyday use does what it says: its blocks run from top to bottom in one folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "everyday.md"
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_every_block_of_the_page_runs(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "spectral-ssl"
    # as pip writes it: completion goes by the program's name, which `python -m` has not
    command.write_text(f"#!{sys.executable}\nfrom spectral_ssl.cli import main\n\nmain()\n")
    command.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "SPECTRAL_SSL_HOME"}
    environment |= {
        "PATH": f"{command.parent}:{environment['PATH']}",
        "PYTHONPATH": str(PAGE.parents[1]),
    }
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert {language for language, _ in blocks} == {"sh", "python"}
    for language, text in blocks:
        program = ["sh", "-e", "-c", text] if language == "sh" else [sys.executable, "-W", "ignore", "-c", text]
        done = subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    assert (tmp_path / "workspace" / "runs" / "first" / "samples" / "neighbors-ring.obj.png").is_file()
    assert not (tmp_path / "workspace" / "runs" / "second").exists()
