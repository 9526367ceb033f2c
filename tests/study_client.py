"""A study without any model, and a participant without a browser."""

import json
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from downstream.study.answers import AnswerStore
from downstream.study.design import REAL, SPOILT, StudyConfig, schedule
from downstream.study.folder import CONSENT, IMAGES, Compared, Study
from downstream.study.site import Limits

SECRET = "the-secret-of-the-link"
SHORT = 0.03  # seconds: the shortest exposure there is
GENEROUS = Limits(requests=(1e6, 10**6), joining=(1e6, 10**6), codes=(1e6, 10**6))


def write_study(folder: Path, config: StudyConfig, methods: int = 3, size: int = 16) -> Study:
    """Write a study whose images are different samples of noise."""
    generator = np.random.default_rng(0)
    (folder / IMAGES).mkdir(parents=True)

    def image() -> str:
        name = f"{generator.bytes(8).hex()}.png"
        Image.fromarray(generator.integers(0, 256, (size, size, 3), dtype=np.uint8)).save(folder / IMAGES / name)
        return name

    rows = [
        {"id": f"row-{row}", REAL: image(), **{str(method): image() for method in range(methods)}}
        for row in range(config.trials)
    ]
    check_rows = [
        {"id": f"check-{row}", REAL: image(), **{f"{SPOILT}{number}": image() for number in range(methods - 1 or 1)}}
        for row in range(config.checks)
    ]
    (folder / CONSENT).write_text("Agree to <b>this</b>.\n\nAnd to that.\n")
    compared = [Compared(f"method-{index}", f"/nowhere/run-{index}", f"{index:064d}") for index in range(methods)]
    about = {"task": "inpaint", "data": "made-up", "maps": "made-up.h5", "maps_digest": "0" * 64, "left_out": []}
    study = Study(folder, "0badcafe", config, compared, rows, check_rows, SECRET, about)
    study.write()
    return study


def open_store(study: Study, **options: Any) -> AnswerStore:
    """Open the answers of a study as the server does."""
    methods = len(study.methods)
    return AnswerStore(
        study.answers, study.config.exposure, lambda number: schedule(study.config, methods, number), **options
    )


class Client:
    """A participant who sends requests to a study on this machine, with the cookies that it set."""

    def __init__(self, link: str) -> None:
        self.host, _, self.path = link.removeprefix("http://").partition("/")
        self.cookies: dict[str, str] = {}
        self.connection = HTTPConnection(self.host, timeout=30)

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        """Send a request; return the status, content (JSON is parsed) and headers of the reply."""
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} | (headers or {})
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent = {"Content-Type": "application/json"} | sent
        self.connection.request(method, path, data, sent)
        response = self.connection.getresponse()
        content = response.read()
        for cookie in response.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        if response.headers.get_content_type() == "application/json":
            content = json.loads(content)
        return response.status, content, dict(response.headers)

    def patiently(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send a request, and repeat it while the server replies that there are too many."""
        while True:
            status, content, _ = self.ask(method, path, body)
            if status != 429:
                return status, content
            time.sleep(0.1)

    def join(self) -> None:
        """Join the study."""
        status, content = self.patiently("POST", "/join", {"consent": True})
        assert status == 200, content

    def trial(self) -> dict[str, Any]:
        """Fetch the current trial."""
        status, content = self.patiently("GET", "/trial")
        assert status == 200, content
        return content

    def answer(self, trial: dict[str, Any], choice: int, exposure: float, **changed: Any) -> tuple[int, Any]:
        """Show a trial for ``exposure`` seconds and answer it."""
        status, content = self.patiently("POST", "/begin", {"trial": trial["trial"]})
        if status != 200:
            return status, content
        time.sleep(exposure)
        return self.patiently("POST", "/answer", answer_to(trial, choice, exposure) | changed)

    def finish(self, exposure: float, choose: Callable[[dict[str, Any]], int], most: int = 10_000) -> int:
        """Answer up to ``most`` trials; return the number of stored answers."""
        trial, stored = self.trial(), 0
        while not trial["done"] and stored < most:
            status, trial = self.answer(trial, choose(trial), exposure)
            assert status == 200, trial
            stored += 1
        return stored


def answer_to(trial: dict[str, Any], choice: int, exposure: float) -> dict[str, Any]:
    """Build the body that the page sends after a correct exposure."""
    return {
        "trial": trial["trial"], "choice": choice, "exposure": 1000 * exposure, "frame": 16.7, "response": 400.0,
        "hidden": False,
    }  # fmt: skip
