"""Algorithm 1 of the cGML poster, transcribed line by line and made no faster than it is written.

What ``pretext.methods.cgml.model`` must agree with (tests/pretext/methods/test_algorithm_1.py) and is timed against
(benchmarks/cgml_speed.py). h and z are joined by tiling and concatenation, G is run whole in every latent step, its
weights gather gradients there that nobody uses, Z is stepped inside the loop, and Adam is torch's plain one. No skips,
no stages, no perceptrons.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretext.data.batch import Example
from pretext.methods.cgml.latent_path import draw_latents, project
from pretext.methods.cgml.model import CGML
from pretext.networks.encoder_decoder import Generator, LatentOptimiser


class JoinedGenerator(nn.Module):
    """G with one first layer over [h, z], from the weights of a ``Generator``."""

    def __init__(self, split: Generator) -> None:
        super().__init__()
        self.geometry, self.bounded = split.geometry, split.bounded
        weight = torch.cat([split.first_h.weight, split.first_z.weight], dim=0)
        channels, after_first, *_ = weight.shape
        self.first = nn.ConvTranspose2d(channels, after_first, 4, stride=2, padding=1)
        self.first.weight.data = weight.detach().clone()
        self.first.bias.data = split.first_h.bias.detach().clone()
        self.norm, self.grow, self.last = (
            copy.deepcopy(part) for part in (split.first_norm, split.grow, split.last)
        )  # fmt: skip

    def forward(self, h: Tensor, z: Tensor) -> Tensor:
        tiled = z[:, :, None, None].expand(-1, -1, *self.geometry.side)
        maps = torch.relu(self.norm(self.first(torch.cat([h, tiled], dim=1))))
        for grow in self.grow:
            maps = grow(maps)
        maps = self.last(maps)[..., : self.geometry.height, : self.geometry.width]
        return torch.tanh(maps) if self.bounded else maps


class JoinedLatentOptimiser(nn.Module):
    """Z with one first layer over [h, z], from the weights of a ``LatentOptimiser``; gives r and rho side by side."""

    def __init__(self, split: LatentOptimiser) -> None:
        super().__init__()
        weight = torch.cat([split.first_h.weight, split.first_z.weight], dim=1)
        self.first = nn.Linear(weight.shape[1], weight.shape[0])
        self.first.weight.data = weight.detach().clone()
        self.first.bias.data = split.first_h.bias.detach().clone()
        self.second, self.last = copy.deepcopy(split.second), copy.deepcopy(split.last)

    def forward(self, h: Tensor, z: Tensor) -> Tensor:
        hidden = functional.leaky_relu(self.first(torch.cat([h.flatten(1), z], dim=1)), 0.2)
        out = self.last(functional.leaky_relu(self.second(hidden), 0.2))
        return torch.cat([torch.tanh(out[:, :-1]), functional.softplus(out[:, -1:])], dim=1)


class Algorithm1:
    """The state of a ``CGML`` taken over into joined networks, and the training step written out.

    Parameters
    ----------
    method : CGML
        Gives settings and initial weights, which are copied.
    """

    def __init__(self, method: CGML) -> None:
        self.config = method.config
        self.H = copy.deepcopy(method.encoder)
        self.G = JoinedGenerator(method.generator)
        self.Z = JoinedLatentOptimiser(method.latent_optimiser)
        self.adam_main = torch.optim.Adam(
            [*self.H.parameters(), *self.G.parameters()], lr=self.config.optimisation.learning_rate
        )
        self.adam_latent = torch.optim.Adam(self.Z.parameters(), lr=self.config.optimisation.latent_learning_rate)

    @torch.no_grad()
    def copy_into(self, method: CGML) -> None:
        """Give the weights to a ``CGML`` of the same shapes, which can infer answers with them."""
        method.encoder.load_state_dict(self.H.state_dict())
        split_g, split_z, channels = method.generator, method.latent_optimiser, method.generator.first_h.in_channels
        split_g.first_h.weight.copy_(self.G.first.weight[:channels])
        split_g.first_z.weight.copy_(self.G.first.weight[channels:])
        split_g.first_h.bias.copy_(self.G.first.bias)
        split_g.first_norm.load_state_dict(self.G.norm.state_dict())
        split_g.grow.load_state_dict(self.G.grow.state_dict())
        split_g.last.load_state_dict(self.G.last.state_dict())
        values = split_z.first_h.in_features
        split_z.first_h.weight.copy_(self.Z.first.weight[:, :values])
        split_z.first_z.weight.copy_(self.Z.first.weight[:, values:])
        split_z.first_h.bias.copy_(self.Z.first.bias)
        split_z.second.load_state_dict(self.Z.second.state_dict())
        split_z.last.load_state_dict(self.Z.last.state_dict())

    def training_step(self, example: Example, generator: torch.Generator) -> dict[str, float]:
        """One batch."""
        config = self.config
        H, G, Z = self.H, self.G, self.Z

        def noise(like: Tensor) -> Tensor:
            return config.optimisation.lipschitz_noise * torch.randn(like.shape, generator=generator)

        def between(one: Tensor, other: Tensor) -> Tensor:  # Z's loss
            return (
                (one - other).abs().mean() if config.optimisation.path_loss == "l1" else (one - other).square().mean()
            )

        def error(answer: Tensor, target: Tensor) -> Tensor:  # E of each sample
            distance = (answer - target).abs() if config.optimisation.loss == "l1" else (answer - target).square()
            return (distance * example.weight).sum(dim=(1, 2, 3)) / example.weight.sum(dim=(1, 2, 3))

        h = H(example.condition)
        z = draw_latents(len(h), config.path.latent, config.path.domain, generator)
        m = torch.zeros_like(z)
        frozen = h.detach()
        start, path_losses, rho = 0.0, [], torch.zeros(1)
        for step in range(config.path.steps):
            z = z.detach().requires_grad_()
            errors = error(G(frozen, z), example.target)
            if step == 0:
                start = errors.mean().item()
            errors.sum().backward()
            m = config.path.momentum * m + config.path.step_size * z.grad
            z_next = project(z.detach() - m, config.path.domain)
            rho = (z_next - z.detach()).norm(dim=1, keepdim=True)
            z = z.detach()
            said = Z(frozen, z)
            path_loss = between(said, torch.cat([z_next, rho], dim=1))
            e_h, e_z = noise(frozen), noise(z)
            path_loss = path_loss + config.optimisation.lipschitz * between(Z(frozen + e_h, z + e_z), said)
            self.adam_latent.zero_grad()
            path_loss.backward()
            self.adam_latent.step()
            path_losses.append(path_loss.item())
            z = z_next

        answer = G(h, z)
        loss = error(answer, example.target).mean()
        e_h, e_z = noise(h), noise(z)
        lipschitz = error(G(h + e_h, z + e_z), answer).mean()
        self.adam_main.zero_grad()  # what the latent steps left in G's weights as well
        (loss + config.optimisation.lipschitz * lipschitz).backward()
        self.adam_main.step()
        return {
            "loss": loss.item(),
            "loss_start": start,
            "lipschitz": lipschitz.item(),
            "path": sum(path_losses) / max(1, len(path_losses)),
            "rho": rho.mean().item(),
        }
