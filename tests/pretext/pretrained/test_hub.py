"""Encoders go to the Hugging Face hub and come back, through a server on this machine; no network."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
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


FRESH = """
import sys
from pathlib import Path
from pretext.pretrained.hub import download_encoder, upload_encoder
print(upload_encoder(Path(sys.argv[1]), "me/parts"), download_encoder("me/parts"))
"""


def test_a_fresh_process_sends_and_downloads(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_text(name)
    with serve_hub() as (served, address):
        settings = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_made_up"}
        done = subprocess.run(
            [sys.executable, "-c", FRESH, str(folder)],
            env=os.environ | settings | {"HF_HUB_DISABLE_TELEMETRY": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    name, found = done.stdout.split()
    assert name == "hf:me/parts"
    assert {path.name: path.read_text() for path in Path(found).iterdir()} == {name: name for name in FILES}
    assert sorted(served.repositories["me/parts"]) == sorted(FILES)


def test_what_differs_from_the_loaded_encoder_is_sent_as_it_is(hub: Hub, tmp_path: Path) -> None:
    encoder = load_encoder(make_run().save(tmp_path / "parts", recipe="as it was loaded"))
    maps = np.random.default_rng(0).normal(size=(9, *encoder.basis.shape)).astype(np.float32)
    moved = replace(encoder, folder=tmp_path / "results")
    moved.push_to_hub("me/same")
    assert hub.repositories["me/same"][FACTS] == (tmp_path / "parts" / FACTS).read_bytes()
    changed = {
        "layer": encoder.at_layer("stage1"),
        "whitened": encoder.whiten(maps, 3),
        "random": encoder.untrained(5),
        "noise": encoder.with_task_settings(["noise=0.5"]),
    }
    for name, other in changed.items():
        other.push_to_hub(f"me/{name}")
        loaded = load_encoder(f"hf:me/{name}")
        assert loaded.name == name
        assert (loaded.layer, loaded.plan.task_config) == (other.layer, other.plan.task_config)
        assert np.allclose(loaded.encode(maps), other.encode(maps), atol=0.02)
        assert b"as it was loaded" not in hub.repositories[f"me/{name}"]["CARD.md"]
    assert load_encoder(changed["random"].save(tmp_path / "any")).name == "untrained-parts"


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
