"""Encoders are saved and loaded: every method, what is left out, and folders that are refused."""

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_random_maps
from every_method import CASES
from untrained_runs import BASES, make_case, make_run

from downstream.features.export import extract_features
from pretext.methods.catalogue import METHODS
from pretext.pretrained.facts import FACTS, read_facts
from pretext.pretrained.find import find_encoder
from pretext.pretrained.folder import CARD, WEIGHTS
from pretext.pretrained.weights import read_weights, write_weights
from pretext.runs.folder import find_run_data
from pretext.runs.load_encoder import load_encoder
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import hash_file

ONE_CASE = {method: name for name, (data, method, _, _) in CASES.items() if data in BASES}


def round_to_half(run: TrainedRun) -> TrainedRun:
    """Round the parameters of a run as they are saved."""
    with torch.no_grad():
        for parameter in run.method.parameters():
            parameter.copy_(parameter.half())
    return run


@pytest.mark.parametrize("method", METHODS)
def test_the_encoder_of_every_method_is_saved_and_loaded(method: str, tmp_path: Path) -> None:
    run = round_to_half(make_case(ONE_CASE[method]))
    encoder = load_encoder(run.save(tmp_path / "saved"))
    maps = np.random.default_rng(0).normal(size=(3, *run.basis.shape)).astype(np.float32)
    if run.plan.task == "from-code":  # its conditions are codes, not maps
        state, loaded = run.method.feature_state(), encoder.method.feature_state()
        assert all(torch.equal(loaded[name], value) for name, value in state.items())
        return
    assert np.array_equal(encoder.encode(maps), run.encode(maps))
    assert encoder.layers() == run.layers()
    last = [*run.layers()][-1]
    assert np.array_equal(encoder.at_layer(last).encode(maps), run.at_layer(last).encode(maps))
    if run.method.has_completions:
        condition = torch.from_numpy(maps)
        one, two = (each.method.complete(condition, 2, torch.Generator().manual_seed(0)) for each in (run, encoder))
        assert torch.equal(one, two)


def test_what_a_folder_holds_and_what_an_encoder_can_do(tmp_path: Path) -> None:
    run = round_to_half(make_run()).at_layer("stage1+code")
    folder = run.save(tmp_path / "parts", recipe="spectral-ssl pretrain | more", licence="MIT")
    assert sorted(path.name for path in folder.iterdir()) == sorted((CARD, FACTS, WEIGHTS))
    assert [path for path in tmp_path.iterdir() if path.suffix == ".part"] == []
    tensors, text = read_weights(folder / WEIGHTS), (folder / FACTS).read_text()
    assert not any("projector" in name for name in tensors)
    assert {value.dtype for name, value in tensors.items() if name.endswith("weight")} == {torch.float16}
    assert "made-up.h5" in text
    assert str(Path.cwd()) not in text  # no path of this machine
    facts, card = read_facts(folder), (folder / CARD).read_text()
    assert facts.digest == hash_file(folder / WEIGHTS)
    assert facts.digest in card
    assert "MIT" in card
    assert "pretrain \\| more" in card
    encoder = load_encoder(folder)
    assert (encoder.name, encoder.layer, encoder.folder) == ("parts", "stage1+code", folder)
    assert encoder.checkpoint_digest == facts.digest
    assert encoder.checkpoint["place"]["step"] == 10
    assert facts.dimensions == encoder.encode(np.zeros((1, *encoder.basis.shape))).shape[1]
    maps = write_random_maps(tmp_path / "random.h5", BASES["random"])
    assert np.array_equal(encoder.encode(maps), run.encode(maps))
    assert np.array_equal(pickle.loads(pickle.dumps(encoder)).encode(maps), run.encode(maps))
    assert not np.array_equal(encoder.untrained(5).encode(maps), run.encode(maps))
    assert encoder.with_task_settings(["noise=0.5"]).plan.task_config.noise == 0.5
    with pytest.raises(UserError, match="name one with --data"):
        find_run_data(None, encoder.plan)
    again = encoder.save(tmp_path / "again")
    assert (again / WEIGHTS).read_bytes() == (folder / WEIGHTS).read_bytes()


def test_existing_folders_are_kept_unless_they_may_be_overwritten(tmp_path: Path) -> None:
    run, folder = make_run(), tmp_path / "parts"
    run.save(folder)
    (folder / "report.html").write_text("mine")
    before = (folder / WEIGHTS).read_bytes()
    with pytest.raises(UserError, match="exists already"):
        run.save(folder)
    other = replace(run, method=run.plan.build(run.standardise, 5))
    other.save(folder, overwrite=True)
    assert (folder / WEIGHTS).read_bytes() != before
    assert (folder / "report.html").read_text() == "mine"
    with pytest.raises(UserError, match="name of the encoder"):
        run.save(tmp_path / "new", name="../elsewhere")
    assert not (tmp_path / "new").exists()


def test_values_beyond_half_precision_keep_theirs(tmp_path: Path) -> None:
    run = make_run()
    with torch.no_grad():
        first = next(run.method.parameters())
        first.flatten()[0] = 1e6
    encoder = load_encoder(run.save(tmp_path / "large"))
    assert next(encoder.method.parameters()).flatten()[0] == 1e6


def test_weights_that_are_not_finite_are_neither_saved_nor_used(tmp_path: Path) -> None:
    run = make_run()
    with torch.no_grad():
        next(run.method.parameters()).fill_(torch.inf)
    with pytest.raises(UserError, match="weights that are not finite"):
        run.save(tmp_path / "broken")
    assert not (tmp_path / "broken").exists()
    with pytest.raises(UserError, match="features that are not finite: got NaN or infinity for item 0"):
        run.encode(np.ones((2, *run.basis.shape), np.float32))
    maps = write_random_maps(tmp_path / "random.h5", BASES["random"])
    with pytest.raises(UserError, match="features that are not finite"):
        run.encode(maps)
    with pytest.raises(UserError, match=f"NaN or infinity for {maps.ids[0]}"):
        extract_features(run, maps)


def change(folder: Path, **values: object) -> None:
    """Change entries of the description."""
    facts = json.loads((folder / FACTS).read_text())
    (folder / FACTS).write_text(json.dumps(facts | values))


def change_weights(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change the tensors, and the digest with them."""
    tensors = read_weights(folder / WEIGHTS)
    edit(tensors)
    write_weights(folder / WEIGHTS, tensors)
    change(folder, digest=hash_file(folder / WEIGHTS))


def flip_a_bit(folder: Path) -> None:
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)


def replace_in_plan(folder: Path, old: str, new: str) -> None:
    plan = json.loads((folder / FACTS).read_text())["plan"]
    assert old in plan
    change(folder, plan=plan.replace(old, new))


ENCODER = "method.encoder.to_code.0.weight"
FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), "missing"),
    "a bit of the weights": (flip_a_bit, "digest"),
    "weights that end early": (lambda folder: (folder / WEIGHTS).write_bytes(b""), "digest"),
    "weights of no format": (
        lambda folder: ((folder / WEIGHTS).write_bytes(b"x"), change(folder, digest=hash_file(folder / WEIGHTS))),
        "damaged weights",
    ),
    "a description that is no JSON": (lambda folder: (folder / FACTS).write_text("{"), "not the description"),
    "a description of something else": (lambda folder: (folder / FACTS).write_text('{"a": 1}'), "not the description"),
    "nested lists": (lambda folder: (folder / FACTS).write_text("[" * 100_000), "not the description"),
    "a later version": (lambda folder: change(folder, format="spectral-ssl encoder 2"), "another version"),
    "a name that leads elsewhere": (lambda folder: change(folder, name="../../tmp"), "name of the encoder"),
    "a seed that is a text": (lambda folder: change(folder, seed="0"), "damaged description"),
    "a plan that is no text": (lambda folder: change(folder, plan=1), "damaged description"),
    "a plan that is no TOML": (lambda folder: change(folder, plan="="), "do not fit"),
    "an unknown method": (lambda folder: replace_in_plan(folder, "joint-embedding", "no-such"), "unknown method"),
    "an unknown layer": (lambda folder: change(folder, layer="stage9"), "unknown layer"),
    "progress of other fields": (lambda folder: change(folder, progress={"steps": 1}), "do not fit"),
    "a basis of other maps": (lambda folder: change(folder, basis={"kind": "zernike"}), "unreadable basis"),
    "a network that is far larger": (lambda folder: replace_in_plan(folder, "width = 4", "width = 4096"), "do not fit"),
    "a tensor too few": (lambda folder: change_weights(folder, lambda all_: all_.pop(ENCODER)), "do not fit"),
    "a tensor too many": (
        lambda folder: change_weights(folder, lambda all_: all_.update({"method.more": torch.zeros(1)})), "do not fit"
    ),
    "statistics of another shape": (
        lambda folder: change_weights(folder, lambda all_: all_.update({"statistics.mean": torch.zeros(2)})),
        "do not fit",
    ),
    "NaN as a weight": (
        lambda folder: change_weights(folder, lambda all_: all_.update({ENCODER: all_[ENCODER] * torch.nan})),
        "weights that are not finite.*to_code.0.weight",
    ),
    "whole numbers as weights": (
        lambda folder: change_weights(folder, lambda all_: all_.update({ENCODER: all_[ENCODER].int()})), "do not fit"
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_damaged_foreign_and_later_folders_are_one_line(fault: str, tmp_path: Path, little_memory: None) -> None:
    folder = make_run().save(tmp_path / "parts")
    damage, message = FAULTS[fault]
    damage(folder)
    with pytest.raises(UserError, match=message) as raised:
        load_encoder(folder)
    assert "\n" not in str(raised.value)


def test_what_is_no_encoder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").touch()
    wrong = {
        "universe-uprigth": "did you mean 'universe-upright'",
        str(tmp_path): "without an encoder",
        str(tmp_path / "run"): "give it as --run",
        str(tmp_path / "none"): "unknown encoder",
        "hf:parts": "give OWNER/NAME",
        "hf:../../etc": "give OWNER/NAME",
        "": "no name of the encoder",
        "x" * 5000: "unknown encoder",
        None: "encoder of the wrong type",
        3: "encoder of the wrong type",
        b"x": "encoder of the wrong type",
    }
    for name, message in wrong.items():
        with pytest.raises(UserError, match=message):
            load_encoder(name)
    with pytest.raises(UserError, match="layer of the wrong type"):
        make_run().at_layer(None)


def test_names_are_found_as_paths_and_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run().save(tmp_path / "universe-upright")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert find_encoder("~/universe-upright") == folder
    shipped = find_encoder("universe-upright")
    assert find_encoder(Path("universe-upright")) == shipped
    monkeypatch.chdir(tmp_path)
    assert find_encoder(Path("universe-upright")).samefile(folder)
    assert find_encoder("universe-upright") == shipped
