"""``study serve``: show a study to participants and store what they choose."""

import signal
import threading
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

from downstream.study.folder import Study, find_study
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.workspace import Workspace

WARNING = """WARNING: everyone who can reach {address} can reach this page, and the connection is not encrypted.
Only the secret link above gives access: send it to your participants and to nobody else."""


def serve_study(
    study: str | Path | Study | None = None,
    *,
    address: str = "127.0.0.1",
    port: int = 8765,
    most: int = 1000,
    workspace: str | Path | None = None,
) -> None:
    """Serve a study until Ctrl-C. Each choice of a participant is written to the study's database at once.

    Parameters
    ----------
    study : path or Study, optional
        The study or its folder; the newest study of the workspace by default.
    address : str
        The IP address of this machine to listen on. For all but 127.0.0.1 and ::1 a warning is
        printed, and the link contains a secret.
    port : int
        The port; 0 for any free one.
    most : int
        The largest number of participants.
    workspace : path, optional
        The workspace folder, see ``Workspace.find``.

    Raises
    ------
    UserError
        When there is no such study, the address or port is not available, or the extra ``study`` is
        not installed.

    Examples
    --------
    >>> import spectral_ssl
    >>> study = spectral_ssl.create_study([run], trials=6, out=folder / "study")
    >>> spectral_ssl.serve_study(study, port=0)
    """
    check_range("port", port, 0, 65_535)
    check_range("most participants", most, 1, 1_000_000)
    if find_spec("flask") is None or find_spec("waitress") is None:
        raise UserError(
            "serving a study needs Flask and waitress", "neither or one", "pip install 'spectral-ssl[study]'"
        )
    from downstream.study.serving import listen

    opened = find_study(study, Workspace.find(workspace).root / "studies")
    served = listen(opened, address=address, port=port, most=most)
    say(f"{opened.config.kind} study {opened.folder}; Ctrl-C stops it, and all choices so far stay stored")
    print(served.link, flush=True)
    if served.secret:
        say(WARNING.format(address=address))
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _leave)
        signal.signal(signal.SIGINT, _leave)  # a shell that starts it in the background ignores this signal
    served.run()


def _leave(number: int, frame: FrameType | None) -> None:
    """End the process after a signal."""
    raise SystemExit(0)
