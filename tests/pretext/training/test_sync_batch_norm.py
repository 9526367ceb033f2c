"""Batch normalisation over several processes: what each process contributes to the statistics."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from pretext.training.distributed import Distributed
from pretext.training.sync_batch_norm import share_statistics


class WithPeer(Distributed):
    """The second of two processes; the sums of the first are worked out here from its rows."""

    def __init__(self, peer: Tensor) -> None:
        super().__init__(rank=1, world_size=2)
        centred = peer - peer.mean(dim=0)
        self.peer = [torch.cat([peer.sum(dim=0), torch.tensor([float(len(peer))])]), centred.square().sum(dim=0)]

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        (tensor,) = tensors
        tensor += self.peer.pop(0)


@pytest.mark.parametrize("rows", [0, 1])
def test_a_process_without_rows_adds_nothing_to_the_statistics(rows: int) -> None:
    generator = torch.Generator().manual_seed(0)
    peer = torch.randn(6, 3, generator=generator)
    plain, shared = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    expected = plain(peer)
    processes = WithPeer(peer)
    processes.idle = True  # it computes with a row of the peer, or with none, which does not count
    share_statistics(shared, processes)
    torch.testing.assert_close(shared(peer[:rows]), expected[:rows])
    torch.testing.assert_close(shared.running_mean, plain.running_mean)
    torch.testing.assert_close(shared.running_var, plain.running_var)
