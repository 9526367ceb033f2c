"""The limit of the tasks with known modes: the nearest real digits, found by their visible parts alone."""

import torch
from known_modes_limit import find_alike

from pretext.data.batch import Example


def test_the_nearest_visible_parts_are_found_whatever_is_hidden() -> None:
    generator = torch.Generator().manual_seed(0)
    digits = torch.rand(50, 1, 6, 6, generator=generator) * 2 - 1
    targets = torch.rand(4, 1, 6, 6, generator=generator) * 2 - 1
    weight = torch.zeros(4, 1, 6, 6)
    for sample in range(4):  # each target has another hole
        weight[sample, :, sample : sample + 2, 1:4] = 1
    found = find_alike(Example(targets, targets, weight), digits, 5)
    for sample, (target, hidden) in enumerate(zip(targets, weight, strict=True)):
        distances = ((digits - target).square() * (1 - hidden)).flatten(1).sum(dim=1)
        assert torch.equal(found[sample], digits[distances.argsort()[:5]])
    # what is hidden does not matter
    changed = Example(targets, torch.where(weight > 0, 9.0, targets), weight)
    assert torch.equal(find_alike(changed, digits, 5), found)
