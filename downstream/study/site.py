"""The pages of a study, as a Flask application: one page, its script, and five requests of that script.

What a browser gets to see names trials by random names only: no method, no path, no word on what is real, and no image
but those of the trial that its participant is to see now, until they were shown.
"""

import hmac
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Flask, Request, Response, abort, redirect, render_template, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from werkzeug.exceptions import HTTPException

from downstream.study.answers import AnswerStore, Measured, Refused, Showing, normal_code
from downstream.study.folder import Study

MOST_BYTES = 2048  # of a request's body
A_MONTH = 30 * 24 * 3600
SAME_SITE = frozenset({"same-origin", "none"})
HERE = frozenset({"127.0.0.1", "localhost", "::1"})

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
    """How often one may ask: a second in the long run, and at once.

    Attributes
    ----------
    requests : tuple
        Of each participant: a trial takes three and its images.
    joining : tuple
        Of each address, to join; ten people may sit behind one.
    codes : tuple
        Of each address, to go on with a code.
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
    """The application.

    Parameters
    ----------
    study : Study
        What is shown.
    store : AnswerStore
        Where answers go.
    secret : str, optional
        What the link must have had that brought somebody here; None to let everybody in who can reach the page, for
        addresses of this machine only.
    limits : Limits, optional
        How often one may ask.

    Returns
    -------
    Flask
        A WSGI application.
    """
    limits = limits or Limits()
    often = {name: RateLimit(*getattr(limits, name)) for name in ("requests", "joining", "codes")}
    app = Flask(__name__, static_folder="assets", static_url_path="/assets")
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    token, door = f"participant-{study.name}", f"door-{study.name}"

    def with_token(response: Response, code: str) -> Response:
        # Strict: no other page can make a participant's browser answer; HttpOnly: no script can read it
        response.set_cookie(token, normal_code(code), max_age=A_MONTH, httponly=True, samesite="Strict")
        return response

    def participant() -> int:
        code = request.cookies.get(token, "")
        number = store.find(code) if code else None
        if number is None:
            abort(HTTPStatus.UNAUTHORIZED)
        if not often["requests"].allows(number):
            abort(HTTPStatus.TOO_MANY_REQUESTS)
        return number

    @app.before_request
    def guard() -> None:
        if secret is None:
            # a page elsewhere whose name was made to point to this machine has another Host
            if request.host.rpartition(":")[0].strip("[]") not in HERE and request.host.strip("[]") not in HERE:
                abort(HTTPStatus.MISDIRECTED_REQUEST)
        elif request.endpoint != "enter" and not hmac.compare_digest(
            request.cookies.get(door, "").encode(), secret.encode()
        ):
            abort(HTTPStatus.FORBIDDEN)
        if request.method == "POST" and (
            request.mimetype != "application/json" or request.headers.get("Sec-Fetch-Site", "none") not in SAME_SITE
        ):
            abort(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)

    @app.after_request
    def harden(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    @app.errorhandler(Refused)
    def refused(reason: Refused) -> tuple[Response, int]:
        return _json({"refused": str(reason)}), HTTPStatus.CONFLICT

    @app.errorhandler(HTTPException)
    def failed(error: HTTPException) -> tuple[Response, int]:
        code = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
        if request.path == "/":  # a person reads this
            text = "You need the link that was sent to you." if code == HTTPStatus.FORBIDDEN else "This does not work."
            return Response(text, mimetype="text/plain"), code
        return _json({"refused": HTTPStatus(code).phrase}), code

    @app.get("/enter/<given>")
    def enter(given: str) -> Any:
        if secret is None or not hmac.compare_digest(given.encode(), secret.encode()):
            abort(HTTPStatus.FORBIDDEN)
        response = redirect("/")
        # Lax: the link may be followed from a letter, and the page it leads to must see the cookie
        response.set_cookie(door, given, max_age=A_MONTH, httponly=True, samesite="Lax")
        return response

    @app.get("/")
    def page() -> str:
        return render_template("page.html", config=study.config, consent=study.consent)

    @app.post("/join")
    def join() -> Response:
        if not _read(request, _Joining).consent:
            abort(HTTPStatus.BAD_REQUEST)
        if not often["joining"].allows(request.remote_addr):
            abort(HTTPStatus.TOO_MANY_REQUESTS)
        code = store.join()
        return with_token(_json({}), code)

    @app.post("/resume")
    def resume() -> Response:
        given = _read(request, _Code).code
        if not often["codes"].allows(request.remote_addr):
            abort(HTTPStatus.TOO_MANY_REQUESTS)
        if store.find(given) is None:
            abort(HTTPStatus.UNAUTHORIZED)
        return with_token(_json({}), given)

    @app.post("/leave")
    def leave() -> Response:
        response = _json({})
        response.delete_cookie(token, httponly=True, samesite="Strict")
        return response

    @app.get("/trial")
    def trial() -> Response:
        number = participant()
        return _json({**_told(store.current(number)), "code": request.cookies[token]})

    @app.get("/image/<name>/<int:place>")
    def image(name: str, place: int) -> Response:
        showing = store.showing(participant(), name)
        if place >= len(showing.trial.shown):
            abort(HTTPStatus.NOT_FOUND)
        return Response(study.image(showing.trial, place).read_bytes(), mimetype="image/png")

    @app.post("/begin")
    def begin() -> Response:
        number = participant()
        store.begin(number, _read(request, _Named).trial)
        return _json({})

    @app.post("/answer")
    def answer() -> Response:
        number = participant()
        given = _read(request, _Answer)
        measured = Measured(given.exposure, given.frame, given.response, given.hidden)
        return _json(_told(store.answer(number, given.trial, given.choice, measured)))

    return app


def _told(showing: Showing | None) -> dict[str, Any]:
    """What a page is told of the trial it is to show."""
    if showing is None:
        return {"done": True}
    return {
        "done": False, "trial": showing.name, "place": showing.place, "of": showing.of,
        "images": len(showing.trial.shown),
    }  # fmt: skip


def _read(given: Request, model: Callable[..., Any]) -> Any:
    try:
        return model.model_validate_json(given.get_data())  # type: ignore[attr-defined]
    except ValidationError:
        abort(HTTPStatus.BAD_REQUEST)


def _json(value: dict[str, Any]) -> Response:
    return Response(json.dumps(value), mimetype="application/json")


MOST_REMEMBERED = 10_000


class RateLimit:
    """At most ``burst`` requests at once and ``rate`` a second in the long run, for each key.

    Parameters
    ----------
    rate : float
        Requests a second.
    burst : int
        Requests at once.
    clock : callable
        Seconds, never going back.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst, self.clock = rate, burst, clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def allows(self, key: Hashable) -> bool:
        """Take a token; False if there is none."""
        now = self.clock()
        with self._lock:
            tokens, then = self._buckets.pop(key, (float(self.burst), now))
            tokens = min(float(self.burst), tokens + (now - then) * self.rate)
            allowed = tokens >= 1
            self._buckets[key] = (tokens - allowed, now)
            if len(self._buckets) > MOST_REMEMBERED:  # whoever asked longest ago has a full bucket by now, or nearly
                self._buckets.popitem(last=False)
        return allowed
