"""How a learning rate goes over a training."""

import math


def rate_at(step: int, warm_up: int, cosine_steps: int) -> float:
    """The part of the highest learning rate at a step: a straight rise, half a cosine to 0.01, and that ever after.

    With ``cosine_steps = 0``, where nobody said how long the training is, it does not fall.
    """
    rise = min(1.0, (step + 1) / max(warm_up, 1))
    fallen = min(step / cosine_steps, 1.0) if cosine_steps else 0.0
    return rise * (0.01 + 0.99 * (1 + math.cos(math.pi * fallen)) / 2)
