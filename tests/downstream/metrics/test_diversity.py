"""Diversity against its definition over all pairs, its drawing of pairs, and its two distances."""

import numpy as np
import pytest
import torch
from torch import Tensor

from data_prep.basis import zernike_basis
from data_prep.layout import find_valid_cells
from downstream.metrics.diversity import make_perceptual_distance, make_rms_distance, prediction_diversity
from downstream.metrics.lpips import load_perceptual_distance, perceptual_distances
from spectral_ssl.ground.errors import UserError


def numbered(count: int) -> Tensor:
    """Predictions that are 0, 1, 3, 7 ...: each pair has a difference of its own."""
    values = 2.0 ** torch.arange(count) - 1
    return values.reshape(1, count, 1, 1, 1)


def test_ten_different_pairs_of_twenty_predictions() -> None:
    seen: list[Tensor] = []

    def distance(first: Tensor, second: Tensor) -> Tensor:
        seen.append((first - second).abs().flatten())
        return seen[-1]

    predictions = numbered(20).repeat(3, 1, 1, 1, 1)
    values = prediction_diversity(predictions, distance, torch.Generator().manual_seed(0))
    assert [len(set(differences.tolist())) for differences in seen] == [10, 10, 10]
    assert all((differences > 0).all() for differences in seen)
    assert len({frozenset(differences.tolist()) for differences in seen}) == 3  # other pairs for every input
    np.testing.assert_allclose(values, [differences.mean().item() for differences in seen])
    again = prediction_diversity(predictions, distance, torch.Generator().manual_seed(0))
    assert np.array_equal(values, again)
    assert not np.array_equal(values, prediction_diversity(predictions, distance, torch.Generator().manual_seed(1)))


def test_few_predictions_give_the_mean_of_all_pairs() -> None:
    valid = torch.ones(1, 1, 1, dtype=torch.bool)
    values = prediction_diversity(numbered(4), make_rms_distance(valid), torch.Generator())
    assert values == pytest.approx([(1 + 3 + 7 + 2 + 6 + 4) / 6])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_spectral_maps_count_only_their_coefficients(dtype: torch.dtype) -> None:
    basis = zernike_basis(6)
    valid = torch.from_numpy(find_valid_cells(basis))
    generator = torch.Generator().manual_seed(0)
    predictions = torch.randn(2, 20, *basis.shape, generator=generator, dtype=dtype)
    values = prediction_diversity(predictions, make_rms_distance(valid), torch.Generator().manual_seed(1))
    assert values == pytest.approx([2**0.5] * 2, rel=0.1)  # independent noise
    spoilt = predictions + 100 * ~valid * torch.randn(predictions.shape, generator=generator)
    same = prediction_diversity(spoilt, make_rms_distance(valid), torch.Generator().manual_seed(1))
    np.testing.assert_allclose(same, values, rtol=1e-6)
    deviation = torch.rand(basis.shape, generator=generator, dtype=dtype) + 0.5
    own_units = prediction_diversity(
        predictions * deviation, make_rms_distance(valid, deviation), torch.Generator().manual_seed(1)
    )
    np.testing.assert_allclose(own_units, values, rtol=1e-5)
    assert prediction_diversity(
        predictions[:, :1].expand(-1, 5, -1, -1, -1), make_rms_distance(valid), generator
    ).tolist() == [
        0,
        0,
    ]


def test_images_by_the_perceptual_distance() -> None:
    network = load_perceptual_distance()
    predictions = torch.rand(1, 3, 3, 24, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1
    value = prediction_diversity(predictions, make_perceptual_distance(network), torch.Generator())
    pairs = perceptual_distances(network, predictions[0, [0, 0, 1]], predictions[0, [1, 2, 2]])
    assert value == pytest.approx([pairs.mean().item()], rel=1e-6)


def test_unusable_predictions_are_refused() -> None:
    predictions, distance = torch.zeros(2, 3, 1, 4, 4), make_rms_distance(torch.ones(1, 4, 4, dtype=torch.bool))
    for broken in (predictions[0], predictions[:, :1], predictions[:0], predictions * torch.nan):
        with pytest.raises(UserError):
            prediction_diversity(broken, distance, torch.Generator())
    with pytest.raises(UserError, match="pairs"):
        prediction_diversity(predictions, distance, torch.Generator(), pairs=0)
    with pytest.raises(UserError, match="cells"):
        make_rms_distance(torch.zeros(1, 4, 4, dtype=torch.bool))
    with pytest.raises(UserError, match="deviations"):
        make_rms_distance(torch.ones(1, 4, 4, dtype=torch.bool), torch.zeros(1, 4, 4))
