"""Fetching one file by HTTP, going on where it stopped: after a dropped connection, and after the program was ended.

pooch checks sums and puts complete files in place, but begins a file from its start again each time; this is a
downloader to be handed to it.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spectral_ssl.ground.errors import UserError

ATTEMPTS = 5  # in a row without a single new byte
SECONDS_TO_ANSWER = (10, 60)  # to connect, and between two blocks
BLOCK = 4096  # small, because a block that breaks off is lost: connections that drop soon would bring nothing at all

# Called with the number of bytes that are there and the number there will be (0: not known).
Progress = Callable[[int, int], None]


class ResumingDownloader:
    """Keeps what has come in ``part`` and asks the server for the rest only.

    Parameters
    ----------
    part : Path
        Where an incomplete file lies between attempts.
    most_bytes : int
        Refused when the file is longer.
    progress : callable, optional
        See ``Progress``.
    pause : float
        Seconds before the second attempt; each further one waits twice as long.
    """

    def __init__(self, part: Path, most_bytes: int, progress: Progress | None = None, pause: float = 1.0) -> None:
        self.part = part
        self.most_bytes = most_bytes
        self.progress = progress
        self.pause = pause
        # what the server calls this version of the file: the rest of another version must not be appended
        self._version = part.with_name(part.name + ".version")

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        """Fetch ``url`` to ``output_file``: the interface pooch asks for.

        Raises
        ------
        UserError
            When the server refuses, or the connection cannot be kept up.
        """
        import requests  # comes with pooch; 0.2 s at import

        failures = 0
        while True:
            before = self._size()
            try:
                if self._fetch(requests, url):
                    self.part.replace(output_file)
                    self._version.unlink(missing_ok=True)
                    return
                reason = "the connection was closed too early"
            except requests.HTTPError as error:
                raise UserError("the server does not give the file", error, "get it by hand, see the manual") from error
            except requests.RequestException as error:
                reason = str(error)
            failures = 0 if self._size() > before else failures + 1
            if failures >= ATTEMPTS:
                raise UserError(
                    "cannot download", f"{url} ({reason})", "run the same command again: it goes on where it stopped"
                )
            time.sleep(self.pause * 2 ** max(failures - 1, 0))

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _fetch(self, requests: Any, url: str) -> bool:
        """One request; whether the file is complete after it."""
        have = self._size()
        version = self._version.read_text(encoding="utf-8") if self._version.is_file() else ""
        headers = {"Accept-Encoding": "identity"}  # .gz files are to stay what they are
        if have and version:
            headers |= {"Range": f"bytes={have}-", "If-Range": version}
        with requests.get(url, headers=headers, stream=True, timeout=SECONDS_TO_ANSWER) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                self.part.unlink()
                return False
            answer.raise_for_status()
            goes_on = answer.status_code == requests.codes.partial_content
            if goes_on and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                self.part.unlink()  # an answer to another question
                return False
            if not goes_on:
                have = 0
            # a weak ETag ("W/...") promises too little to append by
            etag = answer.headers.get("ETag", "")
            named = etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified", "")
            self.part.parent.mkdir(parents=True, exist_ok=True)
            self._version.write_text(named, encoding="utf-8")
            length = answer.headers.get("Content-Length", "")
            total = have + int(length) if length.isdigit() else 0
            with self.part.open("ab" if goes_on else "wb") as stream:
                self._check(url, total)
                for block in answer.iter_content(BLOCK):
                    stream.write(block)
                    have += len(block)
                    self._check(url, have)
                    if self.progress is not None:
                        self.progress(have, total)
        return have == total or not total

    def _check(self, url: str, size: int) -> None:
        if size > self.most_bytes:
            raise UserError(
                "a file larger than it should be", f"more than {self.most_bytes} bytes from {url}", "get it by hand"
            )
