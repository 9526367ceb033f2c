"""What a server does beside its pages: replies of one length, one server, locks of others, idle connections."""

import resource
import socket
import sqlite3
import time
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from study_client import GENEROUS, SHORT, Client, answer_to, write_study

from downstream.study.answers import read_answers
from downstream.study.design import StudyConfig
from downstream.study.folder import Study
from downstream.study.serving import ServedStudy, listen
from spectral_ssl.ground.errors import UserError


def test_the_length_of_a_response_tells_nothing(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", StudyConfig(trials=6, checks=6, exposure=SHORT))
    originals = study.list_images()
    for number, path in enumerate(originals[::2]):  # computed images are often shorter files than real ones
        Image.new("RGB", (16, 16), (9 * number % 256, 0, 0)).save(path)
    assert len({path.stat().st_size for path in originals}) > 1
    decoded = {np.asarray(Image.open(path)).tobytes() for path in originals}
    lengths: dict[str, set[str]] = {}

    def look(method: str, path: str, body: Any = None) -> Any:
        status, content, headers = client.ask(method, path, body)
        assert status == 200, path
        lengths.setdefault(path.split("/")[1], set()).add(headers["Content-Length"])
        return content

    with listen(study, port=0, limits=GENEROUS).in_background() as served:
        client = Client(served.link)
        client.join()
        trial = look("GET", "/trial")
        for _ in range(12):
            assert look("GET", "/trial")["trial"] == trial["trial"]
            for place in range(trial["images"]):
                image = Image.open(BytesIO(look("GET", f"/image/{trial['trial']}/{place}")))
                image.verify()
                image = Image.open(BytesIO(look("GET", f"/image/{trial['trial']}/{place}")))
                assert np.asarray(image).tobytes() in decoded
            look("POST", "/begin", {"trial": trial["trial"]})
            time.sleep(SHORT)
            trial = look("POST", "/answer", answer_to(trial, 0, SHORT))
        assert trial["done"]
    assert {path: len(different) for path, different in lengths.items()} == {
        "trial": 1, "image": 1, "begin": 1, "answer": 1,
    }  # fmt: skip


def test_a_study_is_served_once(served: ServedStudy, study: Study) -> None:
    with pytest.raises(UserError, match="this study is served already"):
        listen(study, port=0)


def test_a_missing_image_is_one_line(study: Study) -> None:
    study.list_images()[3].unlink()
    with pytest.raises(UserError, match="the images cannot be read"):
        listen(study, port=0)


def test_a_lock_of_another_program_is_a_short_request_to_repeat(
    study: Study, client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    trial = client.trial()
    with closing(sqlite3.connect(study.answers, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        status, content, _ = client.ask("POST", "/begin", {"trial": trial["trial"]})
        assert (status, content) == (503, {"refused": "the server is busy"})
        assert time.monotonic() - started < 5
    assert client.answer(trial, 0, SHORT)[0] == 200
    assert [answer.choice for _, _, answers in read_answers(study.answers) for answer in answers] == [0]
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("sent", [b"", b"GET /trial HTTP/1.1\r\nHost: 127.0.0.1\r\n"], ids=["silent", "half a request"])
def test_connections_that_say_nothing_keep_nobody_out(served: ServedStudy, client: Client, sent: bytes) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2000:
        pytest.skip("this machine allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2000), hard))
    host, _, port = served.link.removeprefix("http://").rstrip("/").partition(":")
    opened = []
    try:
        for _ in range(550):
            opened.append(socket.create_connection((host, int(port)), timeout=10))
            opened[-1].sendall(sent)
        started = time.monotonic()
        late = Client(served.link)
        late.join()
        assert not late.trial()["done"]
        assert time.monotonic() - started < 10
        # who was there before is served too; a browser opens another connection for a closed one
        client.connection.close()
        assert not client.trial()["done"]
    finally:
        for each in opened:
            each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
