"""Call the command line within this process: nothing but the start of Python and its imports is left out."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

from spectral_ssl.cli.app import main


def call(
    *arguments: str | Path, folder: Path | None = None, workspace: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run ``spectral-ssl`` with these arguments, in a folder and with a workspace of its own.

    The exit status, stdout and stderr are those that a process would give. An error that the
    command line does not turn into a line for the user is raised.
    """
    words = ["spectral-ssl", *map(str, arguments)]
    environment = {"SPECTRAL_SSL_HOME": str(workspace)} if workspace else {}
    out, error = io.StringIO(), io.StringIO()
    status: object = 0
    with (
        contextlib.chdir(folder or Path.cwd()),
        patch.dict(os.environ, environment),
        patch.object(sys, "argv", words),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(error),
    ):
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
    assert isinstance(status, int)
    return subprocess.CompletedProcess(words, status, out.getvalue(), error.getvalue())
