"""The served study: what a browser receives, what is stored, and what is refused."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from study_client import SECRET, SHORT, Client, answer_to, write_study

from downstream.study.answers import read_answers
from downstream.study.design import SPOILT, StudyConfig
from downstream.study.folder import Study
from downstream.study.serving import ServedStudy, listen
from downstream.study.site import MOST_BYTES, Limits
from spectral_ssl.ground.errors import UserError


def stored(study: Study) -> list[int]:
    return [answer.choice for _, _, answers in read_answers(study.answers) for answer in answers]


def test_a_participant_stops_and_continues_elsewhere(served: ServedStudy, study: Study, client: Client) -> None:
    assert client.finish(SHORT, lambda trial: 0, most=3) == 3
    code = client.trial()["code"]
    assert client.ask("POST", "/leave", {})[0] == 200
    client.cookies = {name: value for name, value in client.cookies.items() if value}
    assert client.ask("GET", "/trial")[0] == 401
    elsewhere = Client(served.link)
    assert elsewhere.ask("POST", "/resume", {"code": "-".join(re.findall("....", code.lower()))})[0] == 200
    assert elsewhere.trial()["place"] == 3
    assert elsewhere.finish(SHORT, lambda trial: 1) == 5
    assert stored(study) == [0, 0, 0, 1, 1, 1, 1, 1]
    assert elsewhere.trial() == {"done": True, "code": code}


def test_a_browser_receives_no_hint_on_what_is_real(served: ServedStudy, study: Study) -> None:
    """Check that no header, page, script or reply holds a method, path, run, file name, id, source or check."""
    client, seen = Client(served.link), []

    def look(method: str, path: str, body: Any = None) -> Any:
        status, content, headers = client.ask(method, path, body)
        assert status == 200, path
        seen.append(f"{path} {headers} {content}")
        return content

    page = look("GET", "/").decode()
    for asset in re.findall(r'(?:src|href)="(/[^"]+)"', page):
        look("GET", asset)
    look("POST", "/join", {"consent": True})
    trial, images = look("GET", "/trial"), []
    while not trial["done"]:
        images += [look("GET", f"/image/{trial['trial']}/{place}") for place in range(trial["images"])]
        look("POST", "/begin", {"trial": trial["trial"]})
        time.sleep(SHORT)
        trial = look("POST", "/answer", answer_to(trial, 0, SHORT))
    everything = "\n".join(seen)
    names = [method.name for method in study.methods] + ["/nowhere", "run-", str(study.folder), "made-up", SPOILT]
    names += [value for row in (*study.rows, *study.check_rows) for value in row.values()]
    names += ["checkpoint", "check-", "Last-Modified: ", SECRET]
    assert [name for name in names if name in everything] == []
    assert "waitress" not in everything
    assert len(images) == 16
    assert all(image.startswith(b"\x89PNG") and b"tEXt" not in image for image in images)
    for headers in seen:
        if headers.startswith("/image"):
            assert "Last-Modified" not in headers
            assert "ETag" not in headers


def test_every_reply_has_the_strict_headers(served: ServedStudy, client: Client) -> None:
    for method, path in (("GET", "/"), ("GET", "/assets/study.js"), ("GET", "/trial"), ("GET", "/none"), ("PUT", "/")):
        _, _, headers = client.ask(method, path)
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; ")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"


def test_scripts_and_other_pages_cannot_use_the_cookie(served: ServedStudy) -> None:
    _, _, headers = Client(served.link).ask("POST", "/join", {"consent": True})
    assert "HttpOnly" in headers["Set-Cookie"]
    assert "SameSite=Strict" in headers["Set-Cookie"]


def test_consent_text_is_escaped(served: ServedStudy) -> None:
    page = Client(served.link).ask("GET", "/")[1].decode()
    assert "Agree to &lt;b&gt;this&lt;/b&gt;." in page


def test_joining_needs_consent(served: ServedStudy, study: Study) -> None:
    client = Client(served.link)
    for wrong in ({"consent": False}, {}, {"consent": "yes"}, {"consent": True, "more": 1}):
        assert client.ask("POST", "/join", wrong)[0] == 400
    assert read_answers(study.answers) == []


def test_forged_and_repeated_answers_are_refused(served: ServedStudy, study: Study, client: Client) -> None:
    other = Client(served.link)
    other.join()
    trial, theirs = client.trial(), other.trial()
    assert client.ask("POST", "/answer", answer_to(trial, 0, SHORT))[0] == 409  # never shown
    assert client.answer(theirs, 0, SHORT)[0] == 409
    assert client.ask("GET", f"/image/{theirs['trial']}/0")[0] == 409
    assert Client(served.link).ask("GET", f"/image/{trial['trial']}/0")[0] == 401
    assert client.ask("GET", f"/image/{trial['trial']}/2")[0] == 404
    assert client.ask("POST", "/begin", {"trial": trial["trial"]})[0] == 200
    assert client.ask("GET", f"/image/{trial['trial']}/0")[0] == 409  # shown already: no second look
    assert client.ask("POST", "/answer", answer_to(trial, 0, SHORT))[0] == 409  # too early to have seen it
    time.sleep(SHORT)
    for wrong in (
        {"choice": -1}, {"choice": 5}, {"choice": True}, {"choice": "0"}, {"exposure": -1}, {"exposure": "30"},
        {"exposure": 1e300}, {"hidden": 0}, {"hidden": None}, {"place": 3}, {"participant": 0}, {"trial": 7},
        {"trial": "x" * 100},
    ):  # fmt: skip
        assert client.ask("POST", "/answer", answer_to(trial, 0, SHORT) | wrong)[0] in (400, 409), wrong
    for raw in (b"", b"[]", b"null", b"{", b"\xff\xfe", b'{"trial": NaN}', b"[" * 1000):
        assert client.ask("POST", "/answer", raw)[0] == 400, raw
    assert stored(study) == []
    good = answer_to(trial, 1, SHORT)
    for cookie in ({}, dict.fromkeys(client.cookies, "0" * 16), dict.fromkeys(client.cookies, "")):
        thief = Client(served.link)
        thief.cookies = cookie
        assert thief.ask("POST", "/answer", good)[0] == 401
    status, following, _ = client.ask("POST", "/answer", good)
    assert status == 200
    assert following["place"] == 1
    assert client.ask("POST", "/answer", good)[0] == 409  # replayed
    assert client.ask("POST", "/answer", good | {"choice": 0})[0] == 409
    assert stored(study) == [1]


def test_one_trial_sent_many_times_at_once_counts_once(served: ServedStudy, study: Study, client: Client) -> None:
    trial = client.trial()
    assert client.ask("POST", "/begin", {"trial": trial["trial"]})[0] == 200
    time.sleep(SHORT)

    def send(number: int) -> int:
        again = Client(served.link)
        again.cookies = client.cookies
        return again.ask("POST", "/answer", answer_to(trial, number % 2, SHORT))[0]

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(send, range(16)))
    assert sorted(statuses) == [200] + [409] * 15
    assert len(stored(study)) == 1


def test_other_pages_cannot_answer_for_a_participant(served: ServedStudy, client: Client) -> None:
    trial = client.trial()["trial"]
    for headers in (
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert client.ask("POST", "/begin", {"trial": trial}, headers)[0] == 415, headers
    assert client.ask("POST", "/begin", {"trial": trial}, {"Sec-Fetch-Site": "same-origin"})[0] == 200
    # a host name elsewhere that points to this machine
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::2]:80"):
        assert client.ask("GET", "/trial", headers={"Host": host})[0] == 421, host
    for host in ("localhost", "localhost:8765", "127.0.0.1", "[::1]:9", "[::1]"):
        assert client.ask("GET", "/trial", headers={"Host": host})[0] == 200, host


def test_large_requests_are_not_read(served: ServedStudy, study: Study, client: Client) -> None:
    assert client.ask("POST", "/begin", b"x" * (MOST_BYTES + 1))[0] == 413
    large = Client(served.link)
    try:
        status = large.ask("POST", "/join", b"x" * 10_000_000)[0]
    except (HTTPException, OSError):
        status = 413  # the server may also close the connection while we send
    assert status == 413
    try:
        status = Client(served.link).ask("GET", "/", headers={"X-Long": "x" * 100_000})[0]
    except (HTTPException, OSError):
        status = 431
    assert status == 431
    assert Client(served.link).ask("GET", "/")[0] == 200  # still there
    for path in ("/image/x/-1", "/image/x/1e9", "/assets/../site.py", "/assets/%2e%2e/site.py", "/study.json"):
        assert client.ask("GET", path)[0] == 404, path


def test_too_many_requests_have_to_wait(study: Study) -> None:
    limits = Limits(requests=(5.0, 10), joining=(0.001, 2), codes=(0.001, 3))
    with listen(study, port=0, limits=limits).in_background() as served:
        client = Client(served.link)
        client.join()
        statuses = [client.ask("GET", "/trial")[0] for _ in range(12)]
        assert statuses[:10] == [200] * 10
        assert 429 in statuses
        other = Client(served.link)
        other.join()
        assert other.ask("GET", "/trial")[0] == 200  # other participants need not wait
        assert Client(served.link).ask("POST", "/join", {"consent": True})[0] == 429
        guesses = [Client(served.link).ask("POST", "/resume", {"code": "0" * 16})[0] for _ in range(5)]
        assert guesses == [401, 401, 401, 429, 429]


def test_an_open_address_needs_the_secret_link(study: Study) -> None:
    with listen(study, address="0.0.0.0", port=0).in_background() as served:
        assert served.secret
        assert served.link.endswith(f"/enter/{SECRET}")
        here = f"http://127.0.0.1:{served.link.split(':')[2].split('/')[0]}/"
        stranger = Client(here)
        for method, path in (("GET", "/"), ("GET", "/assets/study.js"), ("POST", "/join"), ("GET", "/enter/wrong")):
            assert stranger.ask(method, path, {"consent": True} if method == "POST" else None)[0] == 403, path
        assert stranger.ask("GET", "/enter/%C3%A9")[0] == 403
        assert read_answers(study.answers) == []
        guest = Client(here)
        assert guest.ask("GET", f"/enter/{SECRET}")[0] == 302
        assert guest.ask("GET", "/")[0] == 200
        guest.join()
        assert guest.finish(SHORT, lambda trial: 1) == 8


def test_unavailable_addresses_are_refused(tmp_path: Path, served: ServedStudy) -> None:
    study = write_study(tmp_path / "another", StudyConfig(trials=1, checks=0))
    port = int(served.link.split(":")[2].strip("/"))
    for address, wrong in (("127.0.0.1", port), ("203.0.113.7", 0), ("nowhere.example", 0)):
        with pytest.raises(UserError, match="--address"):
            listen(study, address=address, port=wrong)


def take_part(link: str, trials: int, seed: int) -> list[int]:
    client, choices = Client(link), random.Random(seed)
    client.join()
    sent: list[int] = []

    def choose(trial: dict[str, Any]) -> int:
        sent.append(choices.randrange(2))
        return sent[-1]

    assert client.finish(SHORT, choose) == trials
    return sent


def crowd(folder: Path, participants: int, trials: int) -> None:
    """Let participants answer at the same time, under the usual limits, and check that every answer is stored."""
    study = write_study(folder, StudyConfig(trials=trials, checks=0, exposure=SHORT), size=4)
    with listen(study, port=0).in_background() as served, ThreadPoolExecutor(participants) as pool:
        sent = list(pool.map(lambda seed: take_part(served.link, trials, seed), range(participants)))
    stored_choices = [[answer.choice for answer in answers] for _, _, answers in read_answers(study.answers)]
    assert sorted(stored_choices) == sorted(sent)
    assert sum(map(len, stored_choices)) == participants * trials


def test_fifty_participants_at_once_lose_nothing(tmp_path: Path) -> None:
    crowd(tmp_path / "crowd", participants=50, trials=6)


@pytest.mark.slow
def test_fifty_participants_and_ten_thousand_answers_lose_nothing(tmp_path: Path) -> None:
    crowd(tmp_path / "crowd", participants=50, trials=200)


def start_server(study: Study, port: int) -> tuple["subprocess.Popen[str]", str]:
    command = [sys.executable, "-m", "spectral_ssl", "study", "serve", str(study.folder), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    link = server.stdout.readline().strip()
    assert link.startswith("http://127.0.0.1:"), link
    return server, link


@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
def test_a_killed_server_loses_no_accepted_answer(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", StudyConfig(trials=30, checks=2, exposure=SHORT))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server, link = start_server(study, port)
    clients = [Client(link) for _ in range(6)]
    for client in clients:
        client.join()
    accepted = dict.fromkeys(range(len(clients)), 0)

    def take_part_until_killed(number: int) -> None:
        try:
            client = clients[number]
            trial = client.trial()
            while not trial["done"]:
                status, trial = client.answer(trial, number % 2, SHORT)
                assert status == 200
                accepted[number] += 1
        except (HTTPException, OSError):
            return  # the server was killed

    threads = [threading.Thread(target=take_part_until_killed, args=(number,)) for number in accepted]
    for thread in threads:
        thread.start()
    while sum(accepted.values()) < 20:
        time.sleep(0.005)
    server.send_signal(signal.SIGKILL)
    server.wait()
    for thread in threads:
        thread.join()
    counts = [len(answers) for _, _, answers in read_answers(study.answers)]
    assert sum(accepted.values()) < len(clients) * 32, "killed too late to show anything"
    # one more answer may be stored, if its reply was lost
    assert all(accepted[number] <= counts[number] <= accepted[number] + 1 for number in accepted)

    server, again = start_server(study, port)
    try:
        assert again == link
        for number, client in enumerate(clients):
            client.connection.close()
            assert client.finish(SHORT, lambda trial, number=number: number % 2) == 32 - counts[number]
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0
    found = read_answers(study.answers)
    assert [len(answers) for _, _, answers in found] == [32] * len(clients)
    assert all({answer.choice for answer in answers} == {number % 2} for number, _, answers in found)
