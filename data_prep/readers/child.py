"""Run of a library that can crash or hang on damaged files in a process of its own, with limits of time and memory."""

import subprocess  # nosec B404  # a child process of this interpreter, see below
import sys
import tempfile
from pathlib import Path

from data_prep.readers.limits import LARGEST_FILE
from spectral_ssl.ground.errors import ObjectError

MOST_SECONDS = 120
MOST_BYTES = 4 << 30  # of memory
# The limit of processor time ends the process even if its parent was killed.
LIMITS = f"""
import sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, ({MOST_BYTES}, {MOST_BYTES}))
    resource.setrlimit(resource.RLIMIT_CPU, ({MOST_SECONDS}, {MOST_SECONDS}))
except (ImportError, ValueError, OSError):
    pass
source, target = sys.argv[1:]
"""


def convert_in_child(program: str, data: bytes, suffix: str) -> bytes:
    """Convert the content of a file in another process.

    Parameters
    ----------
    program : str
        A Python program that reads the file ``source`` and writes the file ``target``.
    data : bytes
        Content of the file.
    suffix : str
        Suffix of the file.

    Returns
    -------
    bytes
        What the program has written.

    Raises
    ------
    ObjectError
        When the program fails, crashes, takes too long or writes too much.

    Examples
    --------
    >>> from data_prep.readers.child import convert_in_child
    >>> convert_in_child("open(target, 'wb').write(open(source, 'rb').read()[::-1])", b"abc", ".step")
    b'cba'
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / f"source{suffix}", Path(folder) / "target"
        source.write_bytes(data)
        command = [sys.executable, "-P", "-c", LIMITS + program, str(source), str(target)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=MOST_SECONDS, check=False)  # nosec B603  # no shell
        except subprocess.TimeoutExpired:
            raise ObjectError(f"unreadable {suffix} file: not finished after {MOST_SECONDS} seconds") from None
        if done.returncode != 0 or not target.exists():
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            reason = (
                lines[-1][:120] if lines and done.returncode > 0 else f"the library crashed, status {done.returncode}"
            )
            raise ObjectError(f"unreadable {suffix} file: {reason}")
        size = target.stat().st_size
        if size > LARGEST_FILE:
            raise ObjectError(f"unpacks to {size >> 20} MiB, more than {LARGEST_FILE >> 20}")
        return target.read_bytes()
