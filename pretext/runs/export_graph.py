"""The encoder of a run as one module that can be exported: from maps as stored in a map file to features.

The module standardises the maps itself, so that a program that loads it needs neither statistics
nor this package.
"""

import torch
from torch import Tensor, nn

from pretext.data.batch import Batch
from pretext.data.standardise import LARGEST_VALUE
from pretext.networks.feature_layers import DEFAULT
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError


class EncoderGraph(nn.Module):
    """Maps (N, C, H, W) float32, not standardised, to features (N, D) float32: those of ``TrainedRun.encode``.

    Parameters
    ----------
    run : TrainedRun
        The run, at the layer whose features are wanted.

    Raises
    ------
    UserError
        If the features are computed from several views of each object, which are made outside of
        the network.
    """

    mean: Tensor
    std: Tensor
    valid: Tensor
    whitening_mean: Tensor
    whitening_matrix: Tensor

    def __init__(self, run: TrainedRun) -> None:
        super().__init__()
        views = run.plan.inference_views(torch.zeros(1, *run.basis.shape).numpy(), run.standardise)
        if len(list(views)) > 1:
            got = f"several views of each object, task {run.plan.task!r} with pose {run.plan.task_config.pose!r}"
            raise UserError("no single network computes these features", got, "export features, not the encoder")
        self.run = run
        self.network = run.method  # registered, so that its parameters are part of the module
        self.register_buffer("mean", run.standardise.mean)
        self.register_buffer("std", run.standardise.std)
        self.register_buffer("valid", run.standardise.valid)
        if run.whitening is not None:
            self.register_buffer("whitening_mean", run.whitening.mean)
            self.register_buffer("whitening_matrix", run.whitening.matrix)

    def forward(self, maps: Tensor) -> Tensor:
        """Compute features of maps."""
        standard = ((maps - self.mean) / self.std * self.valid).clamp(-LARGEST_VALUE, LARGEST_VALUE)
        features = self.run.features(self.run.plan.view(Batch(standard, self.run.standardise)))
        if self.run.whitening is None or self.run.layer != DEFAULT:
            return features
        return (features - self.whitening_mean) @ self.whitening_matrix
