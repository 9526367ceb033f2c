"""The server of a study: it listens on an address until it is stopped."""

import ipaddress
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import waitress
from waitress import wasyncore
from waitress.channel import HTTPChannel

from downstream.study.answers import AnswerStore
from downstream.study.design import schedule
from downstream.study.folder import Study
from downstream.study.site import MOST_BYTES, Limits, build_site
from spectral_ssl.ground.errors import UserError

THREADS, MOST_CONNECTIONS, IDLE_SECONDS, MOST_HEADER = 8, 500, 20, 16_384
# Above these the connection that has been idle longest is closed. The server accepts none above
# MOST_CONNECTIONS, so that it would wait for those that were opened and say nothing.
MOST_OF_AN_ADDRESS, MOST_BEFORE_CLOSING = 100, 400


class _Connection(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """A connection that closes an idle one when it is one too many."""

    def __init__(self, server: Any, *words: Any, **options: Any) -> None:
        super().__init__(server, *words, **options)
        others = [each for each in server.active_channels.values() if each is not self and not each.will_close]
        of_address = Counter(each.addr[0] for each in others)
        crowd = self.addr[0]
        if of_address[crowd] < MOST_OF_AN_ADDRESS:
            if len(others) < MOST_BEFORE_CLOSING:
                return
            crowd = of_address.most_common(1)[0][0]
        idle = [each for each in others if each.addr[0] == crowd and not each.requests and not each.total_outbufs_len]
        if idle:
            min(idle, key=lambda each: each.last_activity).will_close = True


@dataclass(frozen=True)
class ServedStudy:
    """A study whose server listens.

    Attributes
    ----------
    link : str
        Link that participants open.
    secret : bool
        Whether the link holds a secret that is needed to get in.
    """

    link: str
    secret: bool
    _server: Any
    _sockets: dict[int, Any]
    _opened: ExitStack
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Serve until Ctrl-C, SystemExit or the end of the block of ``in_background``; then close everything."""
        try:
            while not self._stop.is_set():
                wasyncore.loop(timeout=1.0, map=self._sockets, count=1)
        except (KeyboardInterrupt, SystemExit):
            pass
        finally:
            self._server.task_dispatcher.shutdown()
            wasyncore.close_all(self._sockets)
            self._opened.close()

    @contextmanager
    def in_background(self) -> Iterator["ServedStudy"]:
        """Serve in a thread of its own while the block runs."""
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            with suppress(OSError):  # the loop may have seen the end already, and closed what wakes it
                self._server.pull_trigger()
            thread.join()


def listen(
    study: Study,
    *,
    address: str = "127.0.0.1",
    port: int = 8765,
    most: int = 1000,
    limits: Limits | None = None,
) -> ServedStudy:
    """Listen on an address; serve by calling ``run``, or in a block ``with listen(...).in_background()``.

    Parameters
    ----------
    study : Study
        Study to serve.
    address : str
        Address of this machine to listen on. With any other than a loopback address the link gets a
        secret.
    port : int
        Port to listen on; 0 means any free port.
    most : int
        Largest number of participants.
    limits : Limits, optional
        Limits on requests.

    Returns
    -------
    ServedStudy

    Raises
    ------
    UserError
        If the address or the port is not available, images are missing, or the study is served already.
    """
    address = "127.0.0.1" if address == "localhost" else address
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError as error:
        raise UserError(
            "not an address to listen on", address, "give --address an IP address of this machine"
        ) from error
    secret = None if parsed.is_loopback else study.secret
    sockets: dict[int, Any] = {}
    with ExitStack() as opened:
        opened.enter_context(_serve_alone(study))
        store = AnswerStore(
            study.answers, study.config.exposure, partial(schedule, study.config, len(study.methods)), most
        )
        opened.callback(store.close)
        try:
            site = build_site(study, store, secret=secret, limits=limits)
        except (OSError, ValueError) as error:
            raise UserError("the images cannot be read", f"{study.folder} ({error})", "make the study again") from error
        try:
            server = waitress.create_server(
                site, map=sockets, host=address, port=port, threads=THREADS, connection_limit=MOST_CONNECTIONS,
                channel_timeout=IDLE_SECONDS, cleanup_interval=5, max_request_body_size=4 * MOST_BYTES,
                max_request_header_size=MOST_HEADER, ident=None, clear_untrusted_proxy_headers=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise UserError(
                "cannot listen there", f"{address}:{port} ({error})", "give another --address or --port"
            ) from error
        server.channel_class = _Connection
        host = socket.gethostname() if parsed.is_unspecified else address
        shown = f"[{host}]" if ":" in host else host
        link = f"http://{shown}:{server.effective_port}/" + (f"enter/{secret}" if secret else "")
        return ServedStudy(link, bool(secret), server, sockets, opened.pop_all())


@contextmanager
def _serve_alone(study: Study) -> Iterator[None]:
    """Hold the lock of a study; only the server that showed the images knows for how long.

    Raises
    ------
    UserError
        If another server holds it.
    """
    with (study.folder / "lock").open("ab") as handle:
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError("this study is served already", str(study.folder), "stop the other server") from error
            except OSError:  # file systems without locks
                pass
        yield
