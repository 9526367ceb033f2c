"""A downloader for pooch that resumes one file by HTTP, after a dropped connection or an interrupted program.

pooch verifies checksums and publishes complete files, but its own downloader starts each file
again.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spectral_ssl.ground.errors import UserError

ATTEMPTS = 5  # Number of consecutive attempts without a new byte.
SECONDS_TO_RESPOND = (10, 60)  # Limits for the connection, and for the time between two blocks.
BLOCK = 4096  # Blocks are small, because an incomplete block is lost when a connection drops.

# A function of the number of bytes received and the total number (0: unknown).
Progress = Callable[[int, int], None]


class ResumingDownloader:
    """A downloader that stores received bytes in ``part`` and requests only the rest.

    Parameters
    ----------
    part : Path
        Path of the incomplete file between attempts.
    most_bytes : int
        Limit of the file's length.
    progress : callable, optional
        Function that is called with (bytes received, bytes in total), see ``Progress``.
    pause : float
        Seconds before the second attempt; the pause doubles before each further attempt.
    """

    def __init__(self, part: Path, most_bytes: int, progress: Progress | None = None, pause: float = 1.0) -> None:
        self.part = part
        self.most_bytes = most_bytes
        self.progress = progress
        self.pause = pause
        # This file stores the server's name of the file's version: the rest of another version must
        # not be appended.
        self._version = part.with_name(part.name + ".version")

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        """Download ``url`` to ``output_file``; pooch requires this signature.

        Raises
        ------
        UserError
            When the server refuses, or the connection fails repeatedly.
        """
        import requests  # It is installed with pooch. The import takes 0.2 s.

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
                raise UserError("the server refuses the file", error, "get it by hand, see the manual") from error
            except requests.RequestException as error:
                reason = str(error)
            failures = 0 if self._size() > before else failures + 1
            if failures >= ATTEMPTS:
                raise UserError("cannot download", f"{url} ({reason})", "run the same command again to resume")
            time.sleep(self.pause * 2 ** max(failures - 1, 0))

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _fetch(self, requests: Any, url: str) -> bool:
        """Send one request; return whether the file is complete afterwards."""
        have = self._size()
        version = self._version.read_text(encoding="utf-8") if self._version.is_file() else ""
        headers = {"Accept-Encoding": "identity"}  # The server must not compress the file again.
        if have and version:
            headers |= {"Range": f"bytes={have}-", "If-Range": version}
        with requests.get(url, headers=headers, stream=True, timeout=SECONDS_TO_RESPOND) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                self.part.unlink()
                return False
            response.raise_for_status()
            resumes = response.status_code == requests.codes.partial_content
            if resumes and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                self.part.unlink()  # The server sends another range than requested.
                return False
            if not resumes:
                have = 0
            # A weak ETag ("W/...") does not guarantee identical bytes.
            etag = response.headers.get("ETag", "")
            new_version = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
            self.part.parent.mkdir(parents=True, exist_ok=True)
            self._version.write_text(new_version, encoding="utf-8")
            length = response.headers.get("Content-Length", "")
            total = have + int(length) if length.isdigit() else 0
            with self.part.open("ab" if resumes else "wb") as stream:
                self._check(url, total)
                for block in response.iter_content(BLOCK):
                    stream.write(block)
                    have += len(block)
                    self._check(url, have)
                    if self.progress is not None:
                        self.progress(have, total)
        return have == total or not total

    def _check(self, url: str, size: int) -> None:
        if size > self.most_bytes:
            raise UserError(
                "a file larger than expected", f"more than {self.most_bytes} bytes from {url}", "get it by hand"
            )
