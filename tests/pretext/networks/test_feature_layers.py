"""The layers of every encoder by name, what joins them, and that they are what the network computes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_random_maps
from torch import Tensor

import spectral_ssl
from data_prep.basis import pixel_basis, zernike_basis
from data_prep.maps.reader import MapFile
from downstream.features.store import read_features
from pretext.methods.catalogue import METHODS
from pretext.networks.feature_layers import DEFAULT, describe_pooling, pool_activations, select_layer
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError

Train = Callable[..., TrainedRun]

DENOISING = [name for name, entry in METHODS.items() if entry.task == "denoise"]  # the others have tests of their own


@pytest.mark.parametrize(
    ("method", "settings", "first", "last"),
    [
        *((name, (), "stage1", "bottleneck-flat") for name in DENOISING if name != "joint-embedding"),
        ("joint-embedding", (), "stage1", "code"),
        ("joint-embedding", ("encoder=perceptron",), "block1", "code"),
        ("joint-embedding", ("encoder=pictures",), "stage1", "code"),
    ],
)
def test_every_encoder_names_its_layers(
    method: str, settings: tuple[str, ...], first: str, last: str, random_maps: MapFile, trained_once: Train
) -> None:
    run = trained_once(method, *settings)
    sizes = run.layers()
    assert list(sizes)[:2] == [DEFAULT, first]
    assert list(sizes)[-1] == last
    maps = random_maps.read()
    for name, size in sizes.items():
        features = run.at_layer(name).encode(maps)
        assert features.shape == (72, size)
        assert features.dtype == np.float32
        assert features.std(axis=0).max() > 1e-4, f"{name} says nothing"
    np.testing.assert_array_equal(run.at_layer(DEFAULT).encode(maps), run.encode(maps))
    joined = run.at_layer(f"{last}+{first}").encode(maps)
    np.testing.assert_array_equal(joined[:, : sizes[last]], run.at_layer(last).encode(maps))
    np.testing.assert_array_equal(joined[:, sizes[last] :], run.at_layer(first).encode(maps))
    assert run.at_layer(first).untrained(3).layer == first


def test_the_default_is_made_of_named_layers(random_maps: MapFile, trained_once: Train) -> None:
    maps = random_maps.read()
    for method, made_of in (("cgml", "bottleneck-flat"), ("joint-embedding", "stage3-parts+code")):
        run = trained_once(method)
        np.testing.assert_array_equal(run.encode(maps), run.at_layer(made_of).encode(maps))


def test_data_without_extent_has_layers_of_units(tmp_path: Path) -> None:
    run = spectral_ssl.pretrain(
        spectral_ssl.prep("toy", out=tmp_path / "toy.h5"),
        recipe="toy",
        epochs=0,
        settings=("code=8", "hidden=8"),
        out=tmp_path / "run",
    )
    assert run.layers() == {DEFAULT: 8, "layer1": 8, "layer2": 8, "bottleneck": 8}


def test_what_pooling_gives() -> None:
    convolution = torch.arange(2 * 3 * 4 * 6.0).view(2, 3, 4, 6)
    found = pool_activations({"a": convolution, "cube": torch.ones(2, 3, 4, 4, 4), "small": torch.ones(2, 3, 1, 1)})
    assert {name: tuple(values.shape) for name, values in found.items()} == {
        "a": (2, 3),
        "a-parts": (2, 12),
        "a-flat": (2, 72),
        "cube": (2, 3),
        "cube-parts": (2, 24),
        "cube-flat": (2, 192),
        "small": (2, 3),
    }
    assert torch.equal(found["a"], convolution.mean(dim=(2, 3)))
    assert found["a-parts"][1, 5] == convolution[1, 1, :2, 3:].mean()
    assert torch.equal(found["a-flat"], convolution.flatten(1))


def test_mistakes_in_a_layers_name_are_said() -> None:
    layers: dict[str, Tensor] = {"stage1": torch.ones(1, 2), "code": torch.ones(1, 3)}
    with pytest.raises(UserError, match="did you mean 'stage1'"):
        select_layer(layers, "stgae1")
    with pytest.raises(UserError, match="twice"):
        select_layer(layers, "code+code")
    assert select_layer(layers, "code + stage1").shape == (1, 5)


def test_export_writes_the_layer_and_says_which(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "images.h5", pixel_basis(1, 16, 16))
    settings = ("width=4", "code=8", "batch_size=16")
    run = spectral_ssl.pretrain(
        maps, method="regression", task="denoise", epochs=1, settings=settings, out=tmp_path / "run"
    )
    path = spectral_ssl.export(run, layer="stage1-parts+code", workspace=tmp_path / "ws")
    assert path.name == "run-images-stage1-parts+code.h5"
    features = read_features(path)
    assert features.about["layer"] == "stage1-parts+code"
    assert features.about["pooling"] == describe_pooling("stage1-parts+code")
    assert features.about["pooling"].startswith("averages over 2 parts")
    assert features.values.shape == (72, 4 * 4 + 8)
    plain = spectral_ssl.export(run, workspace=tmp_path / "ws")
    assert plain.name == "run-images.h5"
    np.testing.assert_array_equal(read_features(plain).values, run.encode(maps.read()))
    with pytest.raises(UserError, match="unknown layer"):
        spectral_ssl.export(run, layer="stage9", workspace=tmp_path / "ws")


def test_list_says_the_layers_of_a_run(trained_once: Train, tmp_path: Path) -> None:
    run = trained_once("regression")
    listed = spectral_ssl.list_names("layers", run=run.folder)
    assert listed == {"layers": {name: f"{size} features" for name, size in run.layers().items()}}
    with pytest.raises(UserError, match="layers only"):
        spectral_ssl.list_names("runs", run=run.folder)
    assert "layers" not in spectral_ssl.list_names(workspace=tmp_path)


def test_layers_hand_a_gradient_on_and_encode_does_not(trained_once: Train) -> None:
    run = trained_once("regression")
    condition = torch.randn(4, *zernike_basis(8).shape, generator=torch.Generator().manual_seed(0))
    assert run.features(condition).requires_grad
    assert all(values.requires_grad for values in run.method.layers(condition).values())
    assert not run.method.encode(condition).requires_grad
