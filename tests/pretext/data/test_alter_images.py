"""Training images cut out of enlarged ones and mirrored, beside torch's own resizing."""

import pytest
import torch
from torch.nn import functional

from data_prep.basis import pixel_basis, zernike_basis
from pretext.data import alter_images as alter_images_module
from pretext.data.alter_images import alter_images, check_alterations
from pretext.data.batch import Batch
from pretext.data.standardise import Standardiser
from pretext.methods.catalogue import find_method
from pretext.randomness import Share, seeded_generator
from pretext.runs.plan import Plan
from pretext.tasks.catalogue import find_task
from pretext.training.config import TrainConfig, TrainingDataConfig
from spectral_ssl.ground.errors import UserError


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth_images(count: int) -> torch.Tensor:
    """Images (N, 3, 24, 20), random and smooth."""
    coarse = torch.rand(count, 3, 6, 5, generator=seeded(1)) * 2 - 1
    return functional.interpolate(coarse, (24, 20), mode="bilinear", align_corners=False)


@pytest.mark.parametrize(("top", "left"), [(0, 0), (24, 20), (24, 0), (6, 15)])
def test_images_are_parts_of_those_that_torch_enlarges(top: int, left: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = smooth_images(4)
    draws = torch.tensor([0.9, left / 20, top / 24]).expand(4, 3)
    monkeypatch.setattr(alter_images_module, "rand", lambda *size, generator: draws)
    large = functional.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)  # 48 x 40
    altered = alter_images(images, 1.0, True, seeded())
    torch.testing.assert_close(altered, large[:, :, top : top + 24, left : left + 20], atol=2e-6, rtol=0)


def test_positions_differ_and_fill_the_image() -> None:
    ramp = torch.linspace(-1, 1, 21).expand(400, 1, 21, 21)
    middle = alter_images(ramp, 0.4, False, seeded())[:, 0, :, 10].mean(dim=1)
    # the middle of the part lies within +-(1 - 1 / 1.4) of that of the image, uniformly
    reach = 1 - 1 / 1.4
    assert middle.abs().max() <= reach * 21 / 20 + 1e-6
    assert middle.std().item() == pytest.approx(reach * 21 / 20 / 3**0.5, rel=0.1)


def test_half_of_the_images_are_mirrored_exactly() -> None:
    images = smooth_images(400)
    altered = alter_images(images, 0.0, True, seeded())
    is_same = (altered == images).flatten(1).all(1)
    is_mirrored = (altered == images.flip(3)).flatten(1).all(1)
    assert (is_same ^ is_mirrored).all()
    assert abs(is_mirrored.sum().item() - 200) < 3 * 10  # three standard deviations


def test_values_stay_between_those_of_the_image() -> None:
    images = torch.rand(50, 3, 9, 7, generator=seeded()) * 2 - 1
    altered = alter_images(images, 0.3, True, seeded())
    assert (altered.amax((1, 2, 3)) <= images.amax((1, 2, 3)) + 1e-6).all()
    assert (altered.amin((1, 2, 3)) >= images.amin((1, 2, 3)) - 1e-6).all()
    assert altered.shape == images.shape


def test_a_sample_is_altered_alike_in_a_part_of_its_batch() -> None:
    images = smooth_images(6)
    whole = alter_images(images, 0.2, True, seeded_generator(0))
    generator = seeded_generator(0)
    generator.share = Share(4, 2, 6)
    torch.testing.assert_close(alter_images(images[4:], 0.2, True, generator), whole[4:], rtol=0, atol=1e-6)


def test_a_plan_alters_the_images_of_the_training_only() -> None:
    entry = find_task("inpaint")
    train = TrainConfig(data=TrainingDataConfig(enlarge=0.2, flip=True))
    method_config = find_method("regression").config()
    plan = Plan(
        method="regression",
        task="inpaint",
        train=train,
        data="",
        data_digest="",
        method_config=method_config,
        task_config=entry.config(),
    )
    basis = pixel_basis(3, 24, 20)
    images = smooth_images(8)
    batch = Batch(images, Standardiser.from_statistics(basis, torch.zeros(basis.shape), torch.ones(basis.shape)))
    torch.testing.assert_close(plan.corrupt(batch, seeded()).target, images)
    assert (plan.corrupt_training(batch, seeded()).target != images).flatten(1).any(1).all()


def test_only_images_are_altered() -> None:
    check_alterations(pixel_basis(3, 8, 8), 0.1, True)
    check_alterations(zernike_basis(4), 0.0, False)
    for enlarge, flip, name in ((0.1, False, "train.enlarge"), (0.0, True, "train.flip")):
        with pytest.raises(UserError, match=f"{name} alters images: got maps of kind 'zernike'"):
            check_alterations(zernike_basis(4), enlarge, flip)
        with pytest.raises(UserError, match=f"{name} alters images: got data without extent"):
            check_alterations(pixel_basis(3, 1, 1), enlarge, flip)
