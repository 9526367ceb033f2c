"""Runs, checkpoints and recipes that version 0.1.0 wrote, before settings had groups, still load and go on.

``tests/data/written_by_0.1.0`` holds a run of each method whose settings have groups now, trained for one epoch; the
features that 0.1.0 computed of it; and its features after an epoch more. Paths in the configs are relative.
"""

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import spectral_ssl
from data_prep.maps.reader import open_maps
from pretext.losses import moment_matching
from pretext.runs.trained_run import load_run
from pretext.training.checkpoint import content_digest, save_tensors
from spectral_ssl.ground.config import bare_key, flatten
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.provenance import environment

WRITTEN = Path(__file__).parents[2] / "data" / "written_by_0.1.0"
RUNS = ["cgml", "joint-cgml", "joint-embedding", "lsc-gan", "mr-gan", "mr-gan-inpaint"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of all that 0.1.0 wrote, which is the working directory."""
    shutil.copytree(WRITTEN, tmp_path / "written")
    monkeypatch.chdir(tmp_path / "written")
    return tmp_path / "written"


NEW_DISCRIMINATORS = ["mr-gan", "mr-gan-inpaint"]
LATER_SETTINGS_OF_CGML = {
    "dynamics": "equation-4",
    "flow_steps": 16,
    "flow_solver": "euler",
    "candidates": 1,
    "modulate": False,
    "residual": False,
    "rho_factor": 1.0,
    "latent_loss": "same",
    "width_limit": 8,
}
LATER_SETTINGS = {
    "cgml": LATER_SETTINGS_OF_CGML,
    "joint-cgml": LATER_SETTINGS_OF_CGML,
    "joint-embedding": {"blocks": 0, "mirrored": False},
    "lsc-gan": {"code_weight": 0.0},
}


def data_of(name: str) -> Path:
    return Path("images.h5" if name == "mr-gan-inpaint" else "shapes.h5")


def average_middle(samples: torch.Tensor) -> torch.Tensor:
    """The median of samples (B, K, C, H, W) as it was in 0.1.0."""
    ordered, count = samples.sort(dim=1).values, samples.shape[1]
    return (ordered[:, (count - 1) // 2] + ordered[:, count // 2]) / 2


def assert_same(features: np.ndarray, file: str, name: str) -> None:
    """Equal to the last bit on the kind of processor and with the torch that 0.1.0 ran on; elsewhere nearly equal."""
    with np.load(WRITTEN / file) as stored:
        expected = stored[name]
    before, now = json.loads((WRITTEN / name / "environment.json").read_text()), environment()
    is_same_machine = all(before[key] == now[key] for key in ("processor", "cores")) and (
        before["packages"]["torch"] == now["packages"]["torch"]
    )
    if is_same_machine:
        np.testing.assert_array_equal(features, expected)
    elif (file, name) != ("features_of_two_epochs.npz", "joint-cgml"):
        np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4)
    else:
        # Training amplifies rounding: on an AMD EPYC this run ends a twentieth of what its
        # second epoch changes away. A resumption that skipped or repeated a part would end a whole epoch off.
        with np.load(WRITTEN / "features.npz") as stored:
            moved = np.abs(expected - stored[name]).max()
        assert np.abs(features - expected).max() <= max(0.1 * moved, 1e-4)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_loads_with_the_same_settings_and_features(name: str, folder: Path) -> None:
    before = tomllib.loads((folder / name / "config.toml").read_text())
    run = load_run(folder / name)
    after = flatten(tomllib.loads(run.plan.to_toml())["method"])
    now = {bare_key(key): value for key, value in after.items()}
    added = {key: value for key, value in now.items() if key not in before["method"]}
    assert {key: now[key] for key in before["method"]} == before["method"]
    # what a run of before did has these values of settings that came later
    assert added == LATER_SETTINGS.get(name, {})
    assert not set(before["method"]) >= set(after)  # it is written with groups
    assert_same(run.encode_file(open_maps(data_of(name))), "features.npz", name)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_resumed_and_then_written_with_groups(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # 0.1.0 took the mean of the middle two of an even number of samples, and this run has two.
    monkeypatch.setattr(moment_matching, "sample_median", average_middle)
    run = spectral_ssl.pretrain(resume=folder / name, epochs=2, report=False, workspace=folder)
    features = run.encode_file(open_maps(data_of(name)))
    is_said = "its discriminator is of an earlier version" in capsys.readouterr().err
    assert is_said == (name in NEW_DISCRIMINATORS)
    if name == "mr-gan-inpaint":  # its second epoch is against another discriminator; that of mr-gan steps P alone
        with np.load(WRITTEN / "features.npz") as before, np.load(WRITTEN / "features_of_two_epochs.npz") as expected:
            moved = np.abs(expected[name] - before[name]).max()
            assert 0 < np.abs(features - expected[name]).max() < moved
    else:
        assert_same(features, "features_of_two_epochs.npz", name)
    text = (folder / name / "config.toml").read_text()
    assert text == run.plan.to_toml()
    assert "[method.networks]\n" in text
    assert load_run(folder / name).plan == run.plan


@pytest.mark.parametrize("name", RUNS)
def test_only_a_discriminator_of_other_layers_is_replaced(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = torch.load(folder / name / "checkpoints" / "last.pt", weights_only=True)
    run = load_run(folder / name)
    assert capsys.readouterr().err == ""  # what is loaded for its features says nothing
    now, fresh = run.method.state_dict(), run.plan.build(run.standardise).state_dict()
    for key, value in now.items():
        is_new = name in NEW_DISCRIMINATORS and key.startswith("discriminator")
        assert torch.equal(value, fresh[key] if is_new else stored["model"][key]), key
    for part, optimizer in run.method.optimizers.items():
        is_new = name in NEW_DISCRIMINATORS and part == "discriminator"
        assert len(optimizer.state_dict()["state"]) == (0 if is_new else len(stored["optimizers"][part]["state"])), part


@pytest.mark.parametrize(("method", "part"), [("pix2pix", "discriminator"), ("bicycle-gan", "discriminators.0")])
def test_a_baseline_with_the_discriminator_of_before_is_loaded_and_goes_on(
    method: str, part: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["width=4", "code=8", "latent=2"]
    run = spectral_ssl.pretrain(
        "shapes.h5", method=method, task="denoise", settings=settings, epochs=1, report=False, out=folder / "run",
        workspace=folder,
    )  # fmt: skip
    content = dict(run.checkpoint)
    names = [key for key in content["model"] if key.startswith("discriminator")]
    model = {key: value for key, value in content["model"].items() if key not in names}
    save(folder / "run", content, {**model, f"{part}.halve.0.weight": torch.zeros(4, 22, 4, 4)})
    older = load_run(folder / "run")
    for key, value in older.method.state_dict().items():
        assert key in names or torch.equal(value, model[key]), key
    again = spectral_ssl.pretrain(resume=folder / "run", epochs=2, report=False, workspace=folder)
    assert again.checkpoint["place"]["epoch"] == 2
    assert "its discriminator is of an earlier version" in capsys.readouterr().err


def test_a_discriminator_of_a_method_that_did_not_change_must_fit(folder: Path) -> None:
    content = torch.load(folder / "lsc-gan" / "checkpoints" / "last.pt", weights_only=True)
    name = next(key for key in content["model"] if key.startswith("discriminator") and content["model"][key].ndim == 4)
    wrong = content["model"][name].repeat(2, 1, 1, 1)
    save(folder / "lsc-gan", content, {**content["model"], name: wrong})
    with pytest.raises(UserError, match="checkpoint does not fit its config"):
        load_run(folder / "lsc-gan")


def save(folder: Path, content: dict[str, Any], model: dict[str, torch.Tensor]) -> None:
    """Write a checkpoint with other parameters and the digest that fits them."""
    content = {key: value for key, value in content.items() if key != "digest"} | {"model": model}
    content["digest"] = content_digest(content)
    path = folder / "checkpoints" / "last.pt"
    path.unlink()
    (folder / "checkpoints" / "previous.pt").unlink(missing_ok=True)
    save_tensors(content, path)


def test_a_run_without_a_checkpoint_starts_again_with_its_settings(folder: Path) -> None:
    before = load_run(folder / "cgml")
    shutil.rmtree(folder / "cgml" / "checkpoints")
    (folder / "cgml" / "checkpoints").mkdir()
    run = spectral_ssl.pretrain(resume=folder / "cgml", report=False, workspace=folder)
    assert run.plan.method_config == before.plan.method_config
    assert_same(run.encode_file(open_maps("shapes.h5")), "features.npz", "cgml")


def test_a_recipe_with_flat_keys_makes_the_plan_of_the_tables(folder: Path) -> None:
    flat = tomllib.loads((folder / "recipe.toml").read_text())["method"]
    run = spectral_ssl.pretrain(
        "shapes.h5", recipe="recipe.toml", settings=["method.path.steps=2", "method.hidden=16"], epochs=0,
        report=False, out=folder / "new", workspace=folder,
    )  # fmt: skip
    written = tomllib.loads((folder / "new" / "config.toml").read_text())["method"]
    assert {"path", "networks", "optimisation", "experimental"} == set(written)
    now = {bare_key(key): value for key, value in flatten(written).items()}
    assert {key: now[key] for key in flat} == {**flat, "steps": 2, "hidden": 16}
    assert run.plan.method_config.experimental.tolerance == flat["tolerance"]


def test_a_recipe_of_one_method_gives_another_the_sizes_that_both_know(folder: Path) -> None:
    for recipe in ("recipe.toml", "complete-shape"):
        run = spectral_ssl.pretrain(
            "shapes.h5", recipe=recipe, method="regression", settings=["code=8"], epochs=0, report=False,
            out=folder / Path(recipe).stem, workspace=folder,
        )  # fmt: skip
        assert run.plan.method_config.width == (4 if recipe == "recipe.toml" else 32)
