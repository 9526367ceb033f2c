"""The discriminators are those of the authors' public code: numbers of parameters, patches and what each logit sees."""

import pytest
import torch
from made_up import seeded
from torch import Tensor, nn

from pretext.method import build_seeded
from pretext.methods.mr_gan.dilated_generator import GlobalLocalDiscriminator
from pretext.methods.mr_gan.residual_generator import EnlargementDiscriminator
from pretext.networks import PatchDiscriminator, TwoScaleDiscriminator

# Counted by hand from the layer lists of the public code: a k x k convolution from a to b channels has a b k^2 weights,
# and b biases where the code has one; batch normalisation has 2 b parameters, BicycleGAN's instance normalisation none.
PIX2PIX = (6 * 16 + 1) * 64 + 16 * (64 * 128 + 128 * 256 + 256 * 512) + 2 * (128 + 256 + 512) + 512 * 16 + 1
BICYCLE_WHOLE = (3 * 16 + 1) * 64 + 16 * (64 * 128 + 128 * 256 + 256 * 512) + (128 + 256 + 512) + 512 * 16 + 1
BICYCLE_HALVED = (3 * 16 + 1) * 32 + 16 * (32 * 64 + 64 * 128 + 128 * 256) + (64 + 128 + 256) + 256 * 16 + 1
SRGAN_PAIRS = ((3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512))
SRGAN = sum((9 * a + 1) * b + 2 * b for a, b in SRGAN_PAIRS) - 2 * 64 + (512 + 1) * 1024 + 1024 + 1
GLCIC_PAIRS = ((3, 64), (64, 128), (128, 256), (256, 512), (512, 512), (512, 512))
GLCIC_PARTS = [sum((25 * a + 1) * b + 2 * b for a, b in GLCIC_PAIRS[:n]) + (512 * 4 + 1) * 1024 for n in (6, 5)]


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        (PatchDiscriminator((6, 256, 256), 64), PIX2PIX),
        (TwoScaleDiscriminator((3, 256, 256), 64), BICYCLE_WHOLE + BICYCLE_HALVED),
        (EnlargementDiscriminator(3, 64), SRGAN),
        (GlobalLocalDiscriminator((3, 128, 128), 64), sum(GLCIC_PARTS) + 2 * 1024 + 1),
    ],
    ids=["pix2pix", "bicycle-gan", "srgan", "glcic"],
)
def test_parameters_at_full_width_are_as_many_as_in_the_public_code(network: nn.Module, parameters: int) -> None:
    assert sum(value.numel() for value in network.parameters()) == parameters


def without_normalisation(network: nn.Module) -> None:
    """Group normalisation lets far values in through mean and variance; without it the reach is the kernels' alone."""
    for module in network.modules():
        if isinstance(module, nn.GroupNorm):
            module.forward = lambda given: given  # type: ignore[method-assign]


def seen_rows(logits: Tensor, maps: Tensor) -> tuple[int, int]:
    """Return the first and the last row of maps (1, 1, S, S) that the logit in the middle depends on."""
    (gradient,) = torch.autograd.grad(logits, maps, retain_graph=True)
    rows = gradient[0, 0].abs().sum(dim=1).nonzero()
    return int(rows.min()), int(rows.max())


@pytest.mark.parametrize("height", [64, 128, 256])
def test_a_patch_has_70_pixels(height: int) -> None:
    network = build_seeded(PatchDiscriminator, 0, (1, height, height), 4)
    maps = torch.randn(1, 1, height, height, generator=seeded()).requires_grad_()
    without_normalisation(network)
    logits = network(maps)
    side = height // 8 - 2
    assert logits.shape == (1, side**2)
    for row in (0, side // 2, side - 1):
        # Each of five kernels of 4 begins one value before its place: 8 r - 1 - 2 - 4 - 8 - 8 and 69 further.
        first = 8 * row - 23
        expected = (max(first, 0), min(first + 69, height - 1))
        assert seen_rows(logits[0, row * side + row], maps) == expected


def test_the_second_scale_sees_a_map_of_half_the_size() -> None:
    network = build_seeded(TwoScaleDiscriminator, 0, (1, 128, 128), 4)
    maps = torch.randn(1, 1, 128, 128, generator=seeded()).requires_grad_()
    without_normalisation(network)
    whole, halved = network(maps)
    assert whole.shape == (1, 14**2)
    assert halved.shape == (1, 6**2)
    first, last = seen_rows(halved[0, 2 * 6 + 2], maps)
    # 70 values of the halved map begin at 16 - 23 = -7 and end at 62; each covers three pixels around twice its place.
    assert (first, last) == (0, 2 * 62 + 1)
    assert torch.equal(halved, network.halved(nn.AvgPool2d(3, 2, 1, count_include_pad=False)(maps)))


@pytest.mark.parametrize(("side", "patches"), [(64, 6), (100, 11), (130, 15)])
def test_only_as_much_is_padded_as_three_halvings_need(side: int, patches: int) -> None:
    logits = build_seeded(PatchDiscriminator, 0, (1, side, side), 4)(torch.zeros(1, 1, side, side))
    assert logits.shape == (1, patches**2)


@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("sides", [(1, 5), (2, 2), (3, 3), (4, 4), (4, 32), (7, 9), (21, 21), (23, 23), (28, 28)])
def test_small_maps_are_told_apart(sides: tuple[int, int], width: int) -> None:
    network = build_seeded(TwoScaleDiscriminator, 0, (2, *sides), width)
    maps = torch.randn(3, 2, *sides, generator=seeded()).requires_grad_()
    for logits in network(maps):
        assert logits.shape[0] == 3
        assert (logits[0] - logits[1]).abs().max() > 1e-5  # rounding is a thousandth of that
        (gradient,) = torch.autograd.grad(logits[0, 0], maps, retain_graph=True)
        assert gradient.isfinite().all()
        assert gradient.abs().max() > 1e-5
    for whole, alone in zip(network(maps), network(maps[:1]), strict=True):
        torch.testing.assert_close(alone, whole[:1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("sides", [(16, 16), (20, 33), (64, 64)])
def test_completions_are_judged_at_every_size(sides: tuple[int, int], width: int) -> None:
    network = build_seeded(GlobalLocalDiscriminator, 0, (3, *sides), width)
    images = torch.randn(2, 3, *sides, generator=seeded()).requires_grad_()
    weight = torch.zeros(2, 3, *sides)
    weight[..., 4:9, 3:8] = 1.0
    logits = network(images, weight)
    assert logits.shape == (2, 1)
    assert (logits[0] - logits[1]).abs() > 1e-5
    (gradient,) = torch.autograd.grad(logits.sum(), images)
    assert gradient.isfinite().all()
    assert gradient[..., 4:9, 3:8].abs().max() > 1e-6
