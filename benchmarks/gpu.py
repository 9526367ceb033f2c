"""Train on a GPU as on the CPU, and measure how fast and whether data keep up.

    python benchmarks/gpu.py                                   # the first CUDA device
    python benchmarks/gpu.py --device cpu --minutes 0.1 --out /tmp/gpu.json      # a short trial

The script needs nothing but the package: it prepares the built-in shapes and digits. It runs the
tests that are marked ``gpu`` if pytest is installed. Then each case trains the same few steps on the
CPU and on the device in float32, and the losses are compared. Then it trains on the device for
``--minutes`` with the default precision. The result holds the samples a second, the share of time
that training waited for data, the largest memory, and the speed in parts of that of a matrix product in
float32. It is written to benchmarks/results/gpu-NAME.json, where NAME is that of the device.
"""

import argparse
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import spectral_ssl
from pretext.networks import basic_layers
from pretext.training.devices import choose_device
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import write_text
from spectral_ssl.ground.provenance import environment
from spectral_ssl.ground.run_folder import read_metrics

ROOT = Path(__file__).parent.parent
TOLERANCE = 0.02  # relative difference of the losses after the same steps on CPU and device
PRODUCT = 4096  # side of the matrices of the product that is the reference


@dataclass(frozen=True)
class Case:
    """One training: a built-in data set, a method with its task, and settings."""

    data: str
    method: str
    task: str
    settings: tuple[str, ...] = ()


CASES = {
    "default": Case("shapes", "joint-embedding", "views"),
    "cgml": Case("shapes", "cgml", "complete-shape", ("dynamics=flow", "steps=4", "step_size=60", "lipschitz=0")),
    "mr-gan": Case("digits", "mr-gan", "inpaint", ("width=16",)),
    "lsc-gan": Case("digits", "lsc-gan", "from-code", ("width=16", "task.features=labels")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, mps, or cpu for a trial")
    parser.add_argument("--minutes", type=float, default=2.0, help="of each training that is timed")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--no-tests", action="store_true", help="leave out the tests that are marked gpu")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    try:
        device = choose_device(arguments.device)
    except UserError as error:
        print(f"gpu.py: {error}", file=sys.stderr)
        sys.exit(2)
    name = torch.cuda.get_device_name() if device.type == "cuda" else device.type
    peak = measure_product(device)
    result: dict[str, Any] = {"device": name, "product_gigaflops": peak, "environment": environment(), "cases": {}}
    result["tests"] = None if arguments.no_tests else run_tests()
    with tempfile.TemporaryDirectory() as folder:
        data = prepare(Path(folder))
        for case in arguments.cases:
            result["cases"][case] = measure(CASES[case], data, device, arguments.minutes, Path(folder) / case, peak)
            print(case, json.dumps(result["cases"][case]), flush=True)
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    out = arguments.out or ROOT / "benchmarks" / "results" / f"gpu-{slug}.json"
    write_text(out, json.dumps(result, indent=1) + "\n")
    print(out)


def prepare(folder: Path) -> dict[str, Path]:
    """Prepare the data that the package brings along."""
    shapes = spectral_ssl.prep("shapes", out=folder / "shapes.h5", keep_points=True, workspace=folder)
    digits = spectral_ssl.prep("digits", size=32, out=folder / "digits.h5", workspace=folder)
    return {"shapes": shapes.path, "digits": digits.path}


def measure(
    case: Case, data: dict[str, Path], device: torch.device, minutes: float, folder: Path, peak: float
) -> dict[str, Any]:
    """Compare a training with that on the CPU, and time it."""
    short = {"epochs": 1, "precision": "fp32"}
    before = time.monotonic()
    losses = {}
    for place in dict.fromkeys(("cpu", device.type)):
        before_counting = basic_layers.available
        basic_layers.available = False  # The counter of torch does not know the compiled layers.
        with FlopCounterMode(display=False) as counter:
            row = train(case, data, place, folder / f"short-{place}", **short)
        basic_layers.available = before_counting
        losses[place] = row["loss"]
    work = counter.get_total_flops() / place_of(folder / f"short-{device.type}")["step"]
    compared = time.monotonic() - before
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    last = train(case, data, device.type, folder / "long", epochs=100_000, max_minutes=minutes)
    batch = spectral_ssl.load_run(folder / "long").plan.train.batch_size
    reached = place_of(folder / "long")
    rate = reached["step"] / reached["seconds"]
    difference = abs(losses[device.type] - losses["cpu"]) / max(abs(losses["cpu"]), 1e-9)
    return {
        "losses": losses,
        "relative_difference": difference,
        "agrees": difference < TOLERANCE,
        "seconds_of_comparison": compared,
        "steps": reached["step"],
        "samples_per_second": rate * batch,
        "waiting_for_data": last.get("waiting"),
        "largest_memory": torch.cuda.max_memory_allocated() if device.type == "cuda" else None,
        "gigaflop_per_step": 1e-9 * work,
        "share_of_product": 1e-9 * work * rate / peak,
    }


def train(case: Case, data: dict[str, Path], device: str, out: Path, **options: Any) -> dict[str, Any]:
    """Train a case, and return the last row of its metrics; none if not even one epoch was completed."""
    spectral_ssl.pretrain(
        data[case.data], method=case.method, task=case.task, settings=case.settings, device=device, out=out,
        report=False, **options,
    )  # fmt: skip
    rows = read_metrics(out / "metrics.jsonl")
    return rows[-1] if rows else {}


def place_of(run: Path) -> dict[str, Any]:
    """Return how far a run is."""
    place: dict[str, Any] = spectral_ssl.load_run(run).checkpoint["place"]
    return place


def measure_product(device: torch.device) -> float:
    """Measure the gigaflops of a product of square float32 matrices."""
    left, right = torch.rand(2, PRODUCT, PRODUCT, device=device)
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        (left @ right).sum().item()  # which waits for the device
        seconds.append(time.perf_counter() - begin)
    return 2e-9 * PRODUCT**3 / min(seconds)


def run_tests() -> dict[str, Any] | None:
    """Run the tests that need a GPU; None where pytest or the tests are missing."""
    if importlib.util.find_spec("pytest") is None or not (ROOT / "tests").is_dir():
        return None
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "gpu"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {"status": ended.returncode, "last_line": ended.stdout.strip().splitlines()[-1:]}


if __name__ == "__main__":
    main()
