"""The joint embedding: VICReg's terms by hand, its minimisers, its encoders, and that it says what it cannot do."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import spectral_ssl
from data_prep.basis import harmonics_basis, zernike_basis
from data_prep.maps.reader import MapFile
from data_prep.pipeline.shape_to_map import clouds_to_maps
from data_prep.transforms.rotation import rotate_about_vertical
from pretext.data.batch import Example, Problem
from pretext.data.standardise import Standardiser
from pretext.losses.vicreg import off_diagonal_covariance, spread_shortfall
from pretext.method import build_seeded
from pretext.methods.joint_embedding import (
    JointEmbedding,
    JointEmbeddingConfig,
)
from pretext.networks.coefficient_encoder import CoefficientEncoder
from pretext.networks.grids.grid_encoder import GridEncoder
from pretext.optimisation import rate_at, run_whole_batch
from spectral_ssl.ground.config import build_config
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.run_folder import read_metrics

BASIS = zernike_basis(6)
SMALL = {"width": 4, "code": 8, "projector": 12, "grid": 8, "warm_up": 1}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def standardiser(basis: Any = BASIS) -> Standardiser:
    mean, std = 0.1 * torch.randn(basis.shape, generator=seeded(1)), 0.5 + torch.rand(basis.shape, generator=seeded(2))
    return Standardiser.from_statistics(basis, mean, std)


def make(basis: Any = BASIS, seed: int = 0, **settings: object) -> JointEmbedding:
    problem = Problem(basis.shape, basis.shape, False, standardise=standardiser(basis))
    return build_seeded(
        JointEmbedding, seed, build_config(JointEmbeddingConfig, {**SMALL, **settings}, "method"), problem
    )


def pairs(count: int = 16, basis: Any = BASIS, noise: float = 0.1, seed: int = 3) -> Example:
    """Maps of noise, and the same with a little more."""
    valid = standardiser(basis).valid
    first = torch.randn(count, *basis.shape, generator=seeded(seed)) * valid
    second = first + noise * torch.randn(first.shape, generator=seeded(seed + 1)) * valid
    return Example(first, second, valid.expand_as(first).float())


def test_the_terms_by_hand() -> None:
    embeddings = torch.tensor([[1.0, 0.0, 2.0], [-1.0, 0.0, 0.0], [0.0, 0.3, 1.0]], dtype=torch.float64)
    # variances with n - 1: 1, 0.03, 1; covariances 01: 0, 02: 1, 12: 0
    expected = ((1 - math.sqrt(0.0301)) + 0.0 + 0.0) / 3
    assert spread_shortfall(embeddings).item() == pytest.approx(expected, abs=1e-12)
    assert off_diagonal_covariance(embeddings).item() == pytest.approx(2 * 1.0 / 3, abs=1e-12)
    assert torch.allclose(embeddings.T.cov()[0, 2], torch.tensor(1.0).double())


def test_the_terms_have_the_gradients_of_their_values() -> None:
    embeddings = 0.5 * torch.randn(6, 4, generator=seeded(), dtype=torch.float64)
    assert (embeddings.std(dim=0) < 0.95).any()  # away from the corner of the hinge, and some on its slope
    assert torch.autograd.gradcheck(spread_shortfall, embeddings.requires_grad_())
    assert torch.autograd.gradcheck(off_diagonal_covariance, embeddings)


def test_the_minimisers() -> None:
    # uncorrelated dimensions of any spread above 1 cost nothing
    white = torch.linalg.qr(torch.randn(50, 5, generator=seeded(), dtype=torch.float64) - 0.0).Q
    white = torch.linalg.qr(white - white.mean(dim=0)).Q  # zero mean is kept by the second step
    for spread in (1.0, 3.0):
        scaled = spread * white * math.sqrt(49)
        assert spread_shortfall(scaled).item() < 1e-4
        assert off_diagonal_covariance(scaled).item() < 1e-20
    collapsed = torch.ones(50, 5)
    assert spread_shortfall(collapsed).item() == pytest.approx(0.99)
    assert off_diagonal_covariance(collapsed).item() == 0
    copied = white[:, :1].expand(-1, 5) * math.sqrt(49)
    assert off_diagonal_covariance(copied).item() == pytest.approx(4.0, rel=1e-6)


def test_the_loss_is_the_weighted_sum_and_training_lowers_it() -> None:
    settings = {"invariance": 3.0, "variance": 5.0, "covariance": 7.0, "learning_rate": 1e-2}
    method, example = make(**settings), pairs()
    losses = [run_whole_batch(method, example, seeded()) for _ in range(20)]
    first = losses[0]
    total = 3 * first["invariance"] + 5 * first["variance"] + 7 * first["covariance"]
    assert first["loss"] == pytest.approx(total, rel=1e-5)
    assert losses[-1]["loss"] < 0.8 * first["loss"]


def test_nothing_is_learnt_from_a_lone_pair() -> None:
    method = make()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    assert set(run_whole_batch(method, pairs(1), seeded()).values()) == {0.0}
    changed = [name for name, value in method.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == ["steps_done"]


def test_the_learning_rate_follows_the_steps_done() -> None:
    assert [rate_at(step, 4, 100) for step in (0, 1)] == pytest.approx([0.25, 0.5], rel=1e-3)
    assert rate_at(50, 4, 100) == pytest.approx(0.01 + 0.99 / 2)
    assert rate_at(100, 4, 100) == rate_at(10_000, 4, 100) == pytest.approx(0.01)
    assert rate_at(4, 4, 0) == rate_at(10_000, 4, 0) == 1  # a training of unknown length
    for cosine_steps, total_steps in ((4, 1000), (0, 4)):
        method = make(learning_rate=0.5, cosine_steps=cosine_steps, warm_up=0)
        method.total_steps = total_steps
        rates = []
        for _ in range(5):
            run_whole_batch(method, pairs(), seeded())
            rates.append(method.optimizers["main"].param_groups[0]["lr"])
        assert rates == pytest.approx([0.5 * rate_at(step, 0, 4) for step in range(5)])


def test_the_rate_falls_over_the_whole_training_also_of_a_resumed_run(random_maps: MapFile, tmp_path: Path) -> None:
    settings = ("width=4", "code=8", "projector=16", "grid=8", "batch_size=20", "warm_up=0")
    for limit in (0.0, 1e-6):  # 48 maps: 3 steps an epoch; the limit stops after the first step
        out = tmp_path / f"run-{limit}"
        spectral_ssl.pretrain(
            random_maps, method="joint-embedding", epochs=2, max_minutes=limit, settings=settings, out=out
        )
        run = spectral_ssl.pretrain(random_maps, resume=out, max_minutes=0)
        rate = run.method.optimizers["main"].param_groups[0]["lr"]
        assert rate == pytest.approx(2e-3 * rate_at(5, 0, 6))


@pytest.mark.parametrize("encoder", ["grid", "pooled-grid", "perceptron", "pictures"])
def test_encode_sees_the_condition_alone_and_each_map_by_itself(encoder: str) -> None:
    method, example = make(encoder=encoder), pairs()
    state = {key: value.clone() for key, value in method.state_dict().items()}
    features = []
    for shift in (0.0, 100.0):
        run_whole_batch(method, example._replace(target=example.target + shift), seeded())
        method.load_state_dict(state)
        features.append(method.encode(example.condition))
    assert torch.equal(features[0], features[1])
    torch.testing.assert_close(features[0][4:5], method.encode(example.condition[4:5]), atol=1e-5, rtol=1e-4)
    assert not features[0].requires_grad
    assert features[0].std(dim=0).max() > 1e-3


def test_the_grid_holds_the_density_of_the_points() -> None:
    basis, generator = zernike_basis(16), np.random.default_rng(0)
    centres = np.array([[0.5, 0.0, 0.0], [0.0, -0.5, 0.2], [-0.2, 0.3, -0.5]])
    clouds = np.stack([centre + 0.03 * generator.normal(size=(200, 3)) for centre in centres])
    standardise = standardiser(basis)
    encoder = GridEncoder(standardise, 0, 16, 4, 8)
    density = encoder.density(standardise(clouds_to_maps(clouds, basis)))
    assert density.shape == (3, 16, 16, 16)
    for field, centre in zip(density, centres, strict=True):
        place = np.unravel_index(int(field.argmax()), field.shape)
        found = (np.array(place) + 0.5) / 8 - 1
        assert np.abs(found - centre).max() < 0.13  # a cell
    assert (density[:, 0, 0, 0] == 0).all()  # a corner of the cube
    low = GridEncoder(standardise, 4, 16, 4, 8)
    assert low.density(standardise(clouds_to_maps(clouds, basis))).max() < density.max() / 4


@pytest.mark.parametrize("basis", [BASIS, harmonics_basis(5, 3)])
def test_the_perceptron_reads_ring_norms_that_no_turn_changes(basis: Any) -> None:
    standardise = standardiser(basis)
    encoder = CoefficientEncoder(standardise, 0, 16, 8)
    seen: list[Tensor] = []
    encoder.first.register_forward_hook(lambda module, given, out: seen.append(given[0]))
    maps = standardise.undo(pairs(basis=basis).condition).numpy()
    turned = rotate_about_vertical(maps, basis, np.linspace(0, 6, len(maps))).astype(np.float32)
    with torch.no_grad():
        for each in (maps, turned):
            encoder(standardise(each))
    count = len(encoder.places)
    torch.testing.assert_close(seen[0][:, count:], seen[1][:, count:], atol=2e-5, rtol=1e-4)
    assert (seen[0][:, :count] - seen[1][:, :count]).abs().max() > 0.5
    assert count == int(standardise.valid.sum())


def test_coefficients_above_the_highest_order_are_not_read() -> None:
    for encoder in ("grid", "perceptron"):
        method, example = make(encoder=encoder, highest_order=3), pairs()
        changed = example.condition.clone()
        changed[:, 0, 4:, :] += 1  # k = 0, l >= 4
        assert torch.equal(method.encode(example.condition), method.encode(changed))
        changed[:, 0, 2, 0] += 1
        assert not torch.equal(method.encode(example.condition), method.encode(changed))


def test_encoders_refuse_what_they_cannot_read() -> None:
    with pytest.raises(UserError, match="Zernike"):
        make(harmonics_basis(4, 2), encoder="grid")
    with pytest.raises(UserError, match="two views of one shape"):
        JointEmbedding(JointEmbeddingConfig(), Problem((1, 8, 8), (2, 8, 8), True))
    with pytest.raises(UserError, match="set encoder=pictures"):
        JointEmbedding(
            build_config(JointEmbeddingConfig, {"encoder": "perceptron"}, "method"), Problem((1, 8, 8), (1, 8, 8), True)
        )


@pytest.mark.usefixtures("figures")
def test_a_run_trains_logs_and_encodes_and_says_that_it_has_no_answers(random_maps: MapFile, tmp_path: Path) -> None:
    settings = ("width=4", "code=8", "projector=16", "grid=8", "batch_size=20", "precision=bf16")
    run = spectral_ssl.pretrain(
        random_maps, method="joint-embedding", epochs=2, settings=settings, out=tmp_path / "run"
    )
    rows = read_metrics(run.folder / "metrics.jsonl")
    assert all(np.isfinite(value) for row in rows for value in row.values())
    assert rows[0]["effective_rank"] > 1
    features = run.encode_file(random_maps)
    assert features.shape[0] == len(random_maps)
    assert features.dtype == np.float32
    assert not (run.folder / "samples" / "answers.png").exists()
    assert (run.folder / "samples" / "losses.png").exists()
    for verb in (spectral_ssl.complete, spectral_ssl.evaluate):
        with pytest.raises(UserError, match="features and no completions"):
            verb(run)
