"""The pages of a study as a Flask application: one page, its script, and the requests of that script.

A browser knows trials by random names only. It receives no method, no path and no hint on what is
real. It receives only the images of the participant's current trial, and only until they have been
shown.
"""

import hmac
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from flask import Flask, Request, Response, abort, redirect, render_template, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from werkzeug.exceptions import HTTPException

from downstream.study.answers import AnswerStore, Busy, Measured, Refused, Showing, normalise_code
from downstream.study.even_lengths import EvenImages, write_even_json
from downstream.study.folder import Study

_log = logging.getLogger(__name__)
MOST_BYTES = 2048  # in the body of a request
A_MONTH = 30 * 24 * 3600
MOST_REMEMBERED = 10_000  # keys of a rate limit
SAME_SITE = frozenset({"same-origin", "none"})
THIS_MACHINE = frozenset({"127.0.0.1", "localhost", "::1"})

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits on requests: how many a second in the long run, and how many at once.

    Attributes
    ----------
    requests : tuple
        Limit for each participant: a trial takes three requests and those for its images.
    joining : tuple
        Limit on joining for each address; ten people may share one address.
    codes : tuple
        Limit on entering a code for each address.
    """

    requests: tuple[float, int] = (20.0, 60)
    joining: tuple[float, int] = (1.0, 100)
    codes: tuple[float, int] = (0.2, 20)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Joining(_Strict):
    consent: bool


class _Code(_Strict):
    code: str = Field(max_length=64)


class _Named(_Strict):
    trial: str = Field(max_length=64)


class _Answer(_Named):
    choice: int = Field(ge=0, le=10)
    exposure: float = Field(ge=0, le=1e7, allow_inf_nan=False)
    frame: float = Field(ge=0, le=1e5, allow_inf_nan=False)
    response: float = Field(ge=0, le=1e9, allow_inf_nan=False)
    hidden: bool


def build_site(study: Study, store: AnswerStore, *, secret: str | None = None, limits: Limits | None = None) -> Flask:
    """Build the application.

    Parameters
    ----------
    study : Study
        The study to show.
    store : AnswerStore
        The store that receives the answers.
    secret : str, optional
        Secret of the link that participants must follow. None lets everybody in who can reach the
        page: use it for addresses of this machine only.
    limits : Limits, optional
        Limits on requests.

    Returns
    -------
    Flask
        A WSGI application.
    """
    app = Flask(__name__, static_folder="assets", static_url_path="/assets")
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    gate = _Gate(study, store, secret, limits or Limits())
    app.before_request(gate.guard)
    app.after_request(_harden)
    app.register_error_handler(Refused, _refuse)
    app.register_error_handler(Busy, _ask_to_repeat)
    app.register_error_handler(HTTPException, _explain_failure)
    app.get("/enter/<text>")(gate.enter)
    app.post("/join")(gate.join)
    app.post("/resume")(gate.resume)
    app.post("/leave")(gate.leave)
    trials = _Trials(study, store, gate)
    app.get("/")(trials.page)
    app.get("/trial")(trials.trial)
    app.get("/image/<name>/<int:position>")(trials.image)
    app.post("/begin")(trials.begin)
    app.post("/answer")(trials.answer)
    return app


class _Gate:
    """Lets requests in: the secret link, joining, codes, and the cookie of a participant."""

    def __init__(self, study: Study, store: AnswerStore, secret: str | None, limits: Limits) -> None:
        self.store, self.secret = store, secret
        self.participant_cookie, self.door_cookie = f"participant-{study.name}", f"door-{study.name}"
        self.request_limit = RateLimit(*limits.requests)
        self.joining_limit = RateLimit(*limits.joining)
        self.code_limit = RateLimit(*limits.codes)

    def guard(self) -> None:
        """Refuse requests without the secret, under another host name, or sent by another page."""
        if self.secret is None:
            # a page elsewhere whose name was made to point to this machine has another Host
            host = request.host
            if host.rpartition(":")[0].strip("[]") not in THIS_MACHINE and host.strip("[]") not in THIS_MACHINE:
                abort(HTTPStatus.MISDIRECTED_REQUEST)
        elif request.endpoint != "enter" and not hmac.compare_digest(
            request.cookies.get(self.door_cookie, "").encode(), self.secret.encode()
        ):
            abort(HTTPStatus.FORBIDDEN)
        if request.method == "POST" and (
            request.mimetype != "application/json" or request.headers.get("Sec-Fetch-Site", "none") not in SAME_SITE
        ):
            abort(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)

    def enter(self, text: str) -> Any:
        """Let in a browser that followed the secret link."""
        if self.secret is None or not hmac.compare_digest(text.encode(), self.secret.encode()):
            abort(HTTPStatus.FORBIDDEN)
        response = redirect("/")
        # Lax: the link may be followed from a letter, and the page it leads to must see the cookie
        response.set_cookie(self.door_cookie, text, max_age=A_MONTH, httponly=True, samesite="Lax")
        return response

    def join(self) -> Response:
        """Add a new participant."""
        if not _read(request, _Joining).consent:
            abort(HTTPStatus.BAD_REQUEST)
        if not self.joining_limit.allows(request.remote_addr):
            abort(HTTPStatus.TOO_MANY_REQUESTS)
        return self._respond_with_cookie(self.store.join())

    def resume(self) -> Response:
        """Let a participant continue who enters their code."""
        code = _read(request, _Code).code
        if not self.code_limit.allows(request.remote_addr):
            abort(HTTPStatus.TOO_MANY_REQUESTS)
        if self.store.find(code) is None:
            abort(HTTPStatus.UNAUTHORIZED)
        return self._respond_with_cookie(code)

    def leave(self) -> Response:
        """Make the browser forget the participant's code."""
        response = _respond({})
        response.delete_cookie(self.participant_cookie, httponly=True, samesite="Strict")
        return response

    def identify(self) -> tuple[int, str]:
        """Return the number and the code of the participant who sent this request; abort if nobody is known."""
        code = request.cookies.get(self.participant_cookie, "")
        number = self.store.find(code) if code else None
        if number is None:
            abort(HTTPStatus.UNAUTHORIZED)
        if not self.request_limit.allows(number):
            abort(HTTPStatus.TOO_MANY_REQUESTS)
        return number, code

    def _respond_with_cookie(self, code: str) -> Response:
        response = _respond({})
        # Strict: no other page can make a participant's browser answer; HttpOnly: no script can
        # read it
        response.set_cookie(
            self.participant_cookie, normalise_code(code), max_age=A_MONTH, httponly=True, samesite="Strict"
        )
        return response


class _Trials:
    """Shows trials and takes answers."""

    def __init__(self, study: Study, store: AnswerStore, gate: _Gate) -> None:
        self.study, self.store, self.gate = study, store, gate
        self.images = EvenImages(study.list_images())

    def page(self) -> str:
        """Render the page."""
        return render_template("page.html", config=self.study.config, consent=self.study.consent)

    def trial(self) -> Response:
        """Describe the participant's current trial."""
        number, code = self.gate.identify()
        return _respond({**_describe(self.store.current(number)), "code": code})

    def image(self, name: str, position: int) -> Response:
        """Send an image of the current trial, by its position from left to right."""
        number, _ = self.gate.identify()
        showing = self.store.showing(number, name)
        if position >= len(showing.trial.shown):
            abort(HTTPStatus.NOT_FOUND)
        return Response(self.images.read(self.study.image(showing.trial, position)), mimetype="image/png")

    def begin(self) -> Response:
        """Record that the images are about to be shown."""
        number, _ = self.gate.identify()
        self.store.begin(number, _read(request, _Named).trial)
        return _respond({})

    def answer(self) -> Response:
        """Store an answer and describe the next trial."""
        number, _ = self.gate.identify()
        body = _read(request, _Answer)
        measured = Measured(body.exposure, body.frame, body.response, body.hidden)
        return _respond(_describe(self.store.answer(number, body.trial, body.choice, measured)))


def _harden(response: Response) -> Response:
    response.headers.update(HEADERS)
    return response


def _refuse(reason: Refused) -> tuple[Response, int]:
    return _respond({"refused": str(reason)}), HTTPStatus.CONFLICT


@lru_cache(maxsize=32)
def _warn_once(reason: str) -> None:
    _log.warning("%s; pages repeat their requests", reason)


def _ask_to_repeat(reason: Busy) -> tuple[Response, int]:
    _warn_once(str(reason))  # a page repeats a request every few seconds
    return _respond({"refused": "the server is busy"}), HTTPStatus.SERVICE_UNAVAILABLE


def _explain_failure(error: HTTPException) -> tuple[Response, int]:
    code = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    if request.path == "/":  # a person reads this
        text = "You need the link that was sent to you." if code == HTTPStatus.FORBIDDEN else "This does not work."
        return Response(text, mimetype="text/plain"), code
    return _respond({"refused": HTTPStatus(code).phrase}), code


def _describe(showing: Showing | None) -> dict[str, Any]:
    """Describe to a page the trial that it must show next."""
    if showing is None:
        return {"done": True}
    return {
        "done": False, "trial": showing.name, "place": showing.position, "of": showing.of,
        "images": len(showing.trial.shown),
    }  # fmt: skip


def _read(received: Request, model: Callable[..., Any]) -> Any:
    try:
        return model.model_validate_json(received.get_data())  # type: ignore[attr-defined]
    except ValidationError:
        abort(HTTPStatus.BAD_REQUEST)


def _respond(value: dict[str, Any]) -> Response:
    return Response(write_even_json(value), mimetype="application/json")


class RateLimit:
    """At most ``burst`` requests at once and ``rate`` a second in the long run, for each key.

    Parameters
    ----------
    rate : float
        Requests a second.
    burst : int
        Requests at once.
    clock : callable
        Function that returns seconds, which never decrease.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst, self.clock = rate, burst, clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def allows(self, key: Hashable) -> bool:
        """Take a token from the bucket of a key; return False if there is none."""
        now = self.clock()
        with self._lock:
            tokens, then = self._buckets.pop(key, (float(self.burst), now))
            tokens = min(float(self.burst), tokens + (now - then) * self.rate)
            allowed = tokens >= 1
            self._buckets[key] = (tokens - allowed, now)
            if len(self._buckets) > MOST_REMEMBERED:  # the bucket that was used longest ago is full again, or nearly
                self._buckets.popitem(last=False)
        return allowed
