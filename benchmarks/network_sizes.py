"""Count the parameters and multiply-adds of cGML and its baselines (table 7 of the cGML paper) with torch.

Run ``python benchmarks/network_sizes.py``. It writes benchmarks/results/network-sizes.json and the
table of docs/cgml-networks.md. The counter of torch includes convolutions and matrix products. It
does not include sums, normalisations or the arithmetic of the optimisers. One training step of each
method is run. The largest takes minutes and several GB.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from data_prep.basis import zernike_basis
from pretext.data.batch import Example, Problem
from pretext.method import build_seeded
from pretext.methods.catalogue import METHODS
from pretext.methods.cgml.config import CGMLConfig, CGMLExperimentalConfig, CGMLNetworksConfig
from pretext.methods.context_encoder import ContextEncoderConfig
from pretext.methods.pix2pix import Pix2PixConfig
from pretext.methods.regression import RegressionConfig
from pretext.networks import basic_layers
from pretext.optimisation import run_whole_batch
from pretext.randomness import seeded_generator
from spectral_ssl.ground.config import bare_key, flatten
from spectral_ssl.ground.provenance import environment

BATCH = 10
BEGIN, END = "<!-- sizes: begin -->", "<!-- sizes: end -->"
WIDTH, CODE = 64, 4000  # the paper's networks have a code of 4000
SPECTRAL = zernike_basis(20).shape
INPUTS: dict[str, tuple[int, int, int]] = {
    **{f"{side} px": (3, side, side) for side in (32, 64, 128, 256)},
    f"map {' x '.join(map(str, SPECTRAL))}": SPECTRAL,
}
SIZES = CGMLNetworksConfig(width=WIDTH, code=CODE)
PAPERS = "cgml, the paper's widths"
CONFIGS: dict[str, Any] = {
    "cgml": CGMLConfig(networks=SIZES),
    PAPERS: CGMLConfig(networks=replace(SIZES, width_limit=32)),
    "cgml, Z once a batch": CGMLConfig(
        networks=SIZES, experimental=CGMLExperimentalConfig(latent_updates="whole-path")
    ),
    "regression": RegressionConfig(width=WIDTH, code=CODE),
    "context-encoder": ContextEncoderConfig(width=WIDTH, code=CODE),
    "pix2pix": Pix2PixConfig(width=WIDTH, code=CODE),
}


def is_large(shape: tuple[int, int, int]) -> bool:
    """Tell whether the paper's networks for such maps have more channels than 8 times those of the first layer."""
    return min(shape[1:]) >= 128


def multiply_adds(call: Callable[[], object]) -> int:
    """Count the multiply-adds of a call: half the operations that the counter of torch reports."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() // 2


def sizes(name: str, shape: tuple[int, int, int], bounded: bool) -> dict[str, Any]:
    """Count parameters and multiply-adds of one method for one input: networks, training step, inference."""
    config = CONFIGS[name]
    problem = Problem(shape, shape, bounded)
    method: Any = build_seeded(METHODS[name.partition(",")[0]].build, 0, config, problem)
    draw = seeded_generator("network sizes")
    maps = torch.randn(BATCH, *shape, generator=draw)
    settings = {bare_key(key): value for key, value in flatten(asdict(config)).items()}
    latent = torch.zeros(BATCH, settings.get("latent", 0))
    with torch.no_grad():
        bottleneck, skips = method.encoder.with_skips(maps)
        calls: dict[str, tuple[nn.Module, Callable[[], object]]] = {
            "H": (method.encoder, lambda: method.encoder(maps)),
            "G": (method.generator, lambda: method.generator(bottleneck, latent, skips if settings["skips"] else ())),
        }
        if hasattr(method, "latent_optimiser"):
            calls["Z"] = (method.latent_optimiser, lambda: method.latent_optimiser(bottleneck, latent))
        if hasattr(method, "discriminator"):
            condition = maps if name == "context-encoder" else torch.cat([maps, maps], dim=1)
            calls["D"] = (method.discriminator, lambda: method.discriminator(condition))
        networks = {
            letter: {
                "parameters": sum(parameter.numel() for parameter in network.parameters()),
                "multiply_adds": multiply_adds(call),
            }
            for letter, (network, call) in calls.items()
        }
    example = Example(maps, torch.randn(maps.shape, generator=draw), torch.ones_like(maps))
    return {
        "parameters": sum(network["parameters"] for network in networks.values()),
        "networks": networks,
        "inference_multiply_adds": multiply_adds(lambda: method.complete(maps, 1, draw)),
        "training_step_multiply_adds": multiply_adds(lambda: run_whole_batch(method, example, draw)),
        "bottleneck": list(bottleneck.shape[1:]),
    }


def table(result: dict[str, dict[str, Any]]) -> str:
    """Format the counts in Markdown: parameters in millions, multiply-adds of a batch in units of 10^9."""
    lines = [
        "| input | method | H | G | Z or D | all | H | G | Z or D | a completion | a training step |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for shape, methods in result.items():
        for name, counts in methods.items():
            networks = counts["networks"]
            other = networks.get("Z") or networks.get("D") or {}
            cells = [shape, name]
            cells += [
                f"{1e-6 * network['parameters']:.1f}" if network else "–"
                for network in (networks["H"], networks["G"], other, counts)
            ]
            cells += [
                f"{1e-9 * network['multiply_adds']:.2f}" if network else "–"
                for network in (networks["H"], networks["G"], other)
            ]
            cells += [f"{1e-9 * counts[f'{what}_multiply_adds']:.2f}" for what in ("inference", "training_step")]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_between_marks(page: Path, text: str) -> None:
    """Replace the text between the two marks of a page."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page} lacks the lines {BEGIN} and {END}")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/network-sizes.json"))
    parser.add_argument("--page", type=Path, default=Path("docs/cgml-networks.md"))
    arguments = parser.parse_args()
    basic_layers.available = False  # The counter of torch does not know the compiled layers.
    counts = {
        label: {
            name: sizes(name, shape, bounded="px" in label) for name in CONFIGS if name != PAPERS or is_large(shape)
        }
        for label, shape in INPUTS.items()
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    result = {"environment": environment(), "batch": BATCH, "width": WIDTH, "code": CODE, "inputs": counts}
    arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    write_between_marks(arguments.page, table(counts))


if __name__ == "__main__":
    main()
