"""The encoder of a run as one module, from maps as they lie in a map file to features: what can be exported.

Standardising is part of it, so that whoever loads it needs neither statistics nor this toolkit.
"""

import torch
from torch import Tensor, nn

from pretext.data.batch import Batch
from pretext.data.standardise import LARGEST_VALUE
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError


class EncoderGraph(nn.Module):
    """Maps (N, C, H, W) float32, not standardised, to features (N, D) float32; the same as ``TrainedRun.encode``.

    Parameters
    ----------
    run : TrainedRun
        At the layer whose features are wanted.

    Raises
    ------
    UserError
        When its features are taken from several looks at each object: those are made outside of the network.
    """

    mean: Tensor
    std: Tensor
    valid: Tensor

    def __init__(self, run: TrainedRun) -> None:
        super().__init__()
        looks = run.plan.looks(torch.zeros(1, *run.basis.shape).numpy(), run.standardise)
        if len(list(looks)) > 1:
            found = f"several looks at each object, task {run.plan.task!r} with pose {run.plan.task_config.pose!r}"
            raise UserError("features that no single network gives", found, "export features instead of the encoder")
        self.run = run
        self.network = run.method  # registered, so that its parameters are part of the module
        self.register_buffer("mean", run.standardise.mean)
        self.register_buffer("std", run.standardise.std)
        self.register_buffer("valid", run.standardise.valid)

    def forward(self, maps: Tensor) -> Tensor:
        """Features of maps."""
        standard = ((maps - self.mean) / self.std * self.valid).clamp(-LARGEST_VALUE, LARGEST_VALUE)
        return self.run.features(self.run.plan.view(Batch(standard, self.run.standardise)))
