"""Measure the training speed of cGML, of algorithm 1 as printed and of L1 alone.

Algorithm 1 as printed is tests/pretext/methods/algorithm_1.py.
Run ``python benchmarks/cgml_speed.py --out benchmarks/results/cgml-speed.json`` on a machine that
does nothing else. All variants have the same networks, initial weights, batches, random numbers and
numbers of steps. The variants take turns batch by batch, so that a change of the machine's speed
affects all of them. The result also holds the final losses, the error of the predictions that each
latent optimiser infers, the share of time of each part, and the share of the speed of a matrix
product.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transforms import cores_in_use, matrix_product_speed, median_seconds, wait_until_quiet

from pretext.data.batch import Example, Problem
from pretext.losses.reconstruction import sample_error
from pretext.method import build_seeded
from pretext.methods.cgml.config import CGMLConfig
from pretext.methods.cgml.model import CGML
from pretext.methods.regression import Regression, RegressionConfig
from pretext.networks import basic_layers
from pretext.optimisation import run_whole_batch
from pretext.randomness import seeded_generator
from spectral_ssl.ground.config import build_config
from spectral_ssl.ground.provenance import environment

# name: shape of the map, batch, settings
CASES: dict[str, tuple[tuple[int, int, int], int, dict[str, Any]]] = {
    "images-64": ((3, 64, 64), 32, {"width": 64, "code": 1024, "step_size": 30.0}),
    "modelnet10-maps": ((11, 21, 21), 64, {"width": 64, "code": 512, "step_size": 30.0}),
    "tiny": ((2, 16, 16), 8, {"width": 8, "code": 16, "hidden": 16, "steps": 5}),
}
# Few, long gradient steps and no penalty, as in the recipes with a flow.
FLOW: dict[str, dict[str, Any]] = {
    "images-64": {"dynamics": "flow", "steps": 3, "step_size": 100.0, "lipschitz": 0.0},
    "modelnet10-maps": {"dynamics": "flow", "steps": 3, "step_size": 100.0, "lipschitz": 0.0},
    "tiny": {"dynamics": "flow", "steps": 2, "lipschitz": 0.0},
}
TWO_STEPS = {"steps": 2, "step_size": 150.0}  # as far as the three steps go together
FACTORS = 16  # factors of the synthetic data
WARM_UP = 2  # first batches, which are not timed
MODES = 4  # predictions for each held-out condition


def load_transcription() -> ModuleType:
    """Load the module of the test tree by its path, because its folder has the name of a package."""
    path = Path(__file__).parents[1] / "tests" / "pretext" / "methods" / "algorithm_1.py"
    spec = spec_from_file_location("algorithm_1", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made_up_batch(shape: tuple[int, int, int], size: int, bounded: bool, generator: torch.Generator) -> Example:
    """Create mixtures of fixed smooth patterns with a hidden block, which the visible part determines."""
    channels, height, width = shape
    pattern_generator = seeded_generator(0, "patterns")
    rows = torch.linspace(0, math.pi, height)[:, None]
    columns = torch.linspace(0, math.pi, width)[None, :]
    waves, phases = (
        3 * torch.rand(2, FACTORS, channels, 1, 1, generator=pattern_generator),
        torch.rand(FACTORS, channels, 1, 1, generator=pattern_generator),
    )
    patterns = torch.cos(waves[0] * rows + waves[1] * columns + 6.3 * phases)  # (FACTORS, C, H, W)
    target = torch.einsum("bf,fchw->bchw", torch.randn(size, FACTORS, generator=generator), patterns) / FACTORS**0.5
    target = torch.tanh(target) if bounded else target
    inside = torch.zeros(size, 1, height, width)
    for sample in range(size):
        top, left = (int(torch.randint(0, side // 2 + 1, (), generator=generator)) for side in (height, width))
        inside[sample, :, top : top + height // 2, left : left + width // 2] = 1
    return Example(target * (1 - inside), target, (0.2 + 0.8 * inside).expand_as(target).contiguous())


class PartTimes:
    """Seconds that each step of a CGML spends on the latent path and on Z. The rest belongs to H and G."""

    def __init__(self, method: CGML) -> None:
        self.parts: dict[str, list[float]] = {"latent_path": [], "latent_optimiser": []}
        method.latent_path = self._timed(method.latent_path, "latent_path")
        method._train_latent_optimiser = self._timed_steps(method._train_latent_optimiser, "latent_optimiser")

    def _timed(self, call: Callable[..., Any], part: str) -> Callable[..., Any]:
        def timed(*values: Any) -> Any:
            begin = time.perf_counter()
            result = call(*values)
            self.parts[part].append(time.perf_counter() - begin)
            return result

        return timed

    def _timed_steps(self, call: Callable[..., Any], part: str) -> Callable[..., Any]:
        def timed(*values: Any) -> Any:
            begin = time.perf_counter()
            result = yield from call(*values)
            self.parts[part].append(time.perf_counter() - begin)
            return result

        return timed

    def shares(self, seconds: float) -> dict[str, float]:
        """Return the share of each part in the median time of a step."""
        measured = {part: statistics.median(times[WARM_UP:]) / seconds for part, times in self.parts.items()}
        return {**measured, "encoder_and_generator": 1 - sum(measured.values())}


def train_on(method: Any, example: Example, generator: torch.Generator) -> dict[str, float]:
    """Train a method, or the transcription of the algorithm, on one batch; return the losses."""
    if hasattr(method, "optimisation_steps"):
        return run_whole_batch(method, example, generator)
    losses: dict[str, float] = method.training_step(example, generator)
    return losses


def compare(name: str, batches: int) -> dict[str, Any]:
    """Train all variants on the same batches."""
    shape, size, settings = CASES[name]
    bounded = name == "images-64"
    problem = Problem(shape, shape, bounded)

    def make(**more: Any) -> CGML:
        method: CGML = build_seeded(CGML, 0, build_config(CGMLConfig, {**settings, **more}, "method"), problem)
        return method

    def make_regression() -> Regression:
        chosen = {key: settings[key] for key in ("width", "code")}
        method: Regression = build_seeded(Regression, 0, build_config(RegressionConfig, chosen, "method"), problem)
        return method

    build = {
        "transcription": lambda: load_transcription().Algorithm1(make()),
        "each-step": make,
        "whole-path": lambda: make(latent_updates="whole-path"),
        "flow": lambda: make(**FLOW[name]),
        "flow-two-steps": lambda: make(**{**FLOW[name], **TWO_STEPS}),
        "regression": make_regression,
    }
    variants: dict[str, Any] = {variant: build_variant() for variant, build_variant in build.items()}

    work, is_available = {}, basic_layers.available
    basic_layers.available = False  # The counter of torch does not know the compiled layers.
    for variant, build_variant in build.items():
        with FlopCounterMode(display=False) as counter:
            train_on(
                build_variant(), made_up_batch(shape, size, bounded, seeded_generator("count")), seeded_generator(0)
            )
        work[variant] = counter.get_total_flops()
    basic_layers.available = is_available

    parts = {variant: PartTimes(variants[variant]) for variant in ("each-step", "whole-path", "flow", "flow-two-steps")}
    seconds: dict[str, list[float]] = {variant: [] for variant in variants}
    losses: dict[str, list[dict[str, float]]] = {variant: [] for variant in variants}
    for step in range(batches):
        example = made_up_batch(shape, size, bounded, seeded_generator("batch", step))
        turn = step % len(variants)
        order = list(variants)[turn:] + list(variants)[:turn]  # No variant always runs first.
        for variant in order:
            begin = time.perf_counter()
            losses[variant].append(train_on(variants[variant], example, seeded_generator("step", step)))
            seconds[variant].append(time.perf_counter() - begin)

    held_out = made_up_batch(shape, size, bounded, seeded_generator("held out"))
    result: dict[str, Any] = {}
    last = max(1, batches // 5)
    for variant, method in variants.items():
        predictor = method
        if variant == "transcription":
            predictor = make()
            method.copy_into(predictor)
        median = statistics.median(seconds[variant][WARM_UP:])
        result[variant] = {
            "images_per_second": size / median,
            "milliseconds_per_step": 1e3 * median,
            "gigaflop_per_step": 1e-9 * work[variant],
            "gigaflops": 1e-9 * work[variant] / median,
            "mean_losses_of_the_last_fifth": {
                loss: statistics.fmean(row[loss] for row in losses[variant][-last:]) for loss in losses[variant][0]
            },
            "inferred_error_held_out": inferred_error(predictor, held_out),
            "speed_ratio": statistics.median(seconds["transcription"][WARM_UP:]) / median,
            "steps_of_regression": median / statistics.median(seconds["regression"][WARM_UP:]),
        }
        if isinstance(predictor, CGML):
            result[variant]["oracle_error_held_out"] = oracle_error(predictor, held_out)
        if variant in parts:
            result[variant]["share_of_time"] = parts[variant].shares(median)
    return {"shape": shape, "batch": size, "settings": settings, "batches": batches, "variants": result}


def inferred_error(method: CGML | Regression, example: Example) -> float:
    """Compute the mean error of predictions that are inferred without the target."""
    predictions: Tensor = method.complete(example.condition, MODES, seeded_generator("answers"))
    return statistics.fmean(float(sample_error(predictions[:, mode], example).mean()) for mode in range(MODES))


def oracle_error(method: CGML, example: Example) -> float:
    """Compute the mean error of predictions whose latents follow the true error, as in the method's own training."""
    predictions: Tensor = method.oracle(example, MODES, seeded_generator("answers"))
    return statistics.fmean(float(sample_error(predictions[:, mode], example).mean()) for mode in range(MODES))


def torch_products(threads: int) -> dict[str, float]:
    """Measure the float32 matrix product and a convolution of torch, which come from different libraries."""
    left, right = torch.rand(2, 2048, 2048, generator=seeded_generator("product"))
    maps = torch.rand(32, 128, 16, 16, generator=seeded_generator("maps")).contiguous(memory_format=torch.channels_last)
    kernel = torch.rand(256, 128, 3, 3, generator=seeded_generator("kernel"))
    product = median_seconds(lambda: left @ right, 7)
    convolution = median_seconds(lambda: torch.nn.functional.conv2d(maps, kernel, padding=1), 15)
    return {
        "threads": threads,
        "matrix_product_gigaflops": 2e-9 * 2048**3 / product,
        "convolution_gigaflops": 2e-9 * 32 * 256 * 128 * 9 * 16 * 16 / convolution,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/cgml-speed.json"))
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=["images-64", "modelnet10-maps"])
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--wait", type=float, default=120.0, help="longest wait for a quiet machine, in seconds")
    arguments = parser.parse_args()
    if arguments.batches <= WARM_UP:
        parser.error(f"--batches must be above {WARM_UP}")
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)  # Training sets this too.
    wait_until_quiet(arguments.wait)
    result: dict[str, Any] = {"environment": environment(), "cores_in_use_before": cores_in_use(2.0)}
    result["numpy_matrix_product"] = matrix_product_speed(arguments.threads)
    result["torch_products"] = torch_products(arguments.threads)
    # The reference is the faster of both dense products. The matrix product and the convolutions of
    # torch come from two libraries. On processors that are not made by Intel, the second is much
    # faster.
    peak = max(result["torch_products"]["matrix_product_gigaflops"], result["torch_products"]["convolution_gigaflops"])
    result["cases"] = {name: compare(name, arguments.batches) for name in arguments.cases}
    for case in result["cases"].values():
        for row in case["variants"].values():
            row["share_of_fastest_product"] = row["gigaflops"] / peak
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
