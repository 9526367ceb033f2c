"""``study serve``: show a study to people and take their answers."""

import signal
import threading
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

from downstream.study.folder import Study
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.verbs.study.results import find_study

WARNING = """WARNING: everyone who can reach {address} can reach this page, and nothing on the way is encrypted.
Only those who have the secret link above get in: give it to your participants and to nobody else."""


def serve_study(
    study: str | Path | Study | None = None,
    *,
    address: str = "127.0.0.1",
    port: int = 8765,
    most: int = 1000,
    workspace: str | Path | None = None,
) -> None:
    """Serve a study until Ctrl-C; answers are in ``answers.sqlite`` of its folder the moment they are given.

    Parameters
    ----------
    study : path or Study, optional
        Its folder; the newest of the workspace by default.
    address : str
        IP address of this machine to listen on. With any but 127.0.0.1 and ::1 there is a warning, and a link with a
        secret.
    port : int
        0 for any that is free.
    most : int
        Participants that may join.
    workspace : path, optional
        See ``Workspace.find``.

    Raises
    ------
    UserError
        When there is no such study, the address or port cannot be had, or the extra ``study`` is not installed.
    """
    check_range("port", port, 0, 65_535)
    check_range("most participants", most, 1, 1_000_000)
    if find_spec("flask") is None or find_spec("waitress") is None:
        raise UserError(
            "serving a study needs Flask and waitress", "neither or one", "pip install 'spectral-ssl[study]'"
        )
    from downstream.study.serving import listen

    found = find_study(study, Workspace.find(workspace))
    served = listen(found, address=address, port=port, most=most)
    say(f"{found.config.kind} study {found.folder}; Ctrl-C stops it, answers given are kept")
    print(served.link, flush=True)
    if served.secret:
        say(WARNING.format(address=address))
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _leave)
        signal.signal(signal.SIGINT, _leave)  # a shell that starts it in the background has it ignored
    served.run()


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
