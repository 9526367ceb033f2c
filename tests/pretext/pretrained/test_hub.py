"""Encoders go to the Hugging Face hub and come back, through a server on this machine; no network."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_stub import Hub, serve_hub
from huggingface_hub import constants, hf_api
from untrained_runs import make_run

from pretext.pretrained.facts import FACTS
from pretext.pretrained.folder import FILES
from pretext.runs.load_encoder import load_encoder
from spectral_ssl.ground.errors import UserError


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub of this machine; the package reads its address when it is imported, so its constants are set."""
    with serve_hub() as (served, address):
        for name, value in {
            "ENDPOINT": address,
            "HUGGINGFACE_CO_URL_TEMPLATE": address + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "HF_HUB_DISABLE_TELEMETRY": True,
        }.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setattr(hf_api.api, "endpoint", address)
        monkeypatch.setenv("HF_TOKEN", "hf_made_up")
        yield served


def test_an_encoder_goes_to_the_hub_and_comes_back(hub: Hub, tmp_path: Path) -> None:
    run = make_run()
    assert run.push_to_hub("me/parts", licence="MIT") == "hf:me/parts"
    assert sorted(hub.repositories["me/parts"]) == sorted(FILES)
    encoder = load_encoder("hf:me/parts")
    assert encoder.name == "parts"
    hub.repositories["me/parts"]["other.bin"] = bytes(100)  # is not fetched
    assert load_encoder("hf:me/parts").checkpoint_digest == encoder.checkpoint_digest
    assert not any("other.bin" in line for line in hub.asked if "resolve" in line)
    assert encoder.push_to_hub("me/again") == "hf:me/again"  # the files as they were loaded
    assert hub.repositories["me/again"][FACTS] == hub.repositories["me/parts"][FACTS]


def test_what_the_hub_refuses_is_one_line(hub: Hub) -> None:
    hub.repositories["me/empty"] = {"README.md": b"nothing"}
    hub.repositories["me/damaged"] = {FACTS: b"{", "weights.safetensors": b""}
    for name, message in {
        "hf:me/none": "no such repository",
        "hf:me/empty": "a repository without an encoder",
        "hf:me/damaged": "not the description",
    }.items():
        with pytest.raises(UserError, match=message):
            load_encoder(name)
    hub.forbidden.add("hf_made_up")
    with pytest.raises(UserError, match="HF_TOKEN"):
        make_run().push_to_hub("me/parts")
    with pytest.raises(UserError, match="give OWNER/NAME"):
        make_run().push_to_hub("parts")


def test_no_network_is_one_line(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hf_api.api, "endpoint", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="cannot be reached"):
        load_encoder("hf:me/parts")


def test_the_package_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"pip install 'spectral-ssl\[hub\]'"):
        load_encoder("hf:me/parts")
