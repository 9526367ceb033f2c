"""cGML: conditional generation by learning how the latent moves (Ramasinghe et al., ICLR 2021).

H turns the condition x into a bottleneck h, and G(h, z) is a prediction that depends on a latent z
of the unit ball. In training the target y is known, and z follows the gradient of the error E. The
latent optimiser Z learns these moves: Z(h, z) = (r, rho), the next latent and the step length. At
inference y is unknown, and Z moves z.
"""

import torch
from shared import draw_batches, hide_middle, open_training_split, print_losses, read_steps
from torch import Tensor

from pretext.data import Problem
from pretext.losses import path_losses, sample_error
from pretext.networks import LatentOptimiser, build_encoder_and_generator

LATENT, MOVES, BETA = 10, 5, 30.0  # dimensions of z, latent steps M, their size beta


def project(z: Tensor) -> Tensor:
    """Move latents (B, D) into the unit ball."""
    return z / z.norm(dim=1, keepdim=True).clamp_min(1.0)


def draw_latents(count: int) -> Tensor:
    """Draw latents (count, D) from the uniform distribution in the unit ball."""
    direction = torch.nn.functional.normalize(torch.randn(count, LATENT))
    return direction * torch.rand(count, 1) ** (1 / LATENT)


def train(steps: int) -> None:
    """Train Z, then H and G, on each batch: algorithm 1, without the Lipschitz term of H and G."""
    torch.manual_seed(0)
    noise = torch.Generator().manual_seed(0)
    digits = open_training_split("digits")
    shape = digits.maps.basis.shape  # (C, H, W)
    problem = Problem(condition=shape, target=shape, bounded=True)
    encoder, generator, size = build_encoder_and_generator(problem, width=16, code=64, latent=LATENT)  # H, G
    optimiser = LatentOptimiser(size, LATENT, hidden=64)  # Z
    main = torch.optim.Adam([*encoder.parameters(), *generator.parameters()], lr=1e-3)
    other = torch.optim.Adam(optimiser.parameters(), lr=1e-3)
    for step, images in draw_batches(digits, steps):
        example = hide_middle(images)
        h = encoder(example.condition)
        path = [draw_latents(len(images))]  # z_0
        for _ in range(MOVES):  # z_{t+1} = project(z_t - beta grad E(z_t)), with H and G fixed
            z = path[-1].requires_grad_()
            error = sample_error(generator(h.detach(), z), example)
            (gradient,) = torch.autograd.grad(error.sum(), z)
            path.append(project(z.detach() - BETA * gradient))

        moves = torch.stack(path).detach()  # (M + 1, B, D)
        for move in path_losses(
            optimiser, h.detach(), moves, noise, whole=False, kind="l1", lipschitz=0.1, noise=1e-3
        ):  # L1(Z(h, z_t), (z_{t+1}, |z_{t+1} - z_t|)) and its Lipschitz term, at each step t
            other.zero_grad()
            move.backward()
            other.step()

        loss = sample_error(generator(h, moves[-1]), example).mean()  # E(z_M)
        main.zero_grad()
        loss.backward()
        main.step()
        print_losses(step, steps, loss=loss, path=move)

    with torch.no_grad():  # inference, equation 4: z_{t+1} = z_t + rho (r - z_t) / |r - z_t|
        h, z = encoder(example.condition), draw_latents(len(images))
        for _ in range(MOVES):
            r, rho = optimiser(h, z)
            z = project(z + rho[:, None] * (r - z) / (r - z).norm(dim=1, keepdim=True).clamp_min(1e-6))
        print(f"error at inference {sample_error(generator(h, z), example).mean():.4f}")


if __name__ == "__main__":
    train(read_steps(150))
