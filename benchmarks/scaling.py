"""Measure training throughput: 1 process with 1 or 2 threads, and 2 processes with 1 thread each.

    python benchmarks/scaling.py                            # needs 2 cores of a quiet machine
    taskset -c 1 python benchmarks/scaling.py --epochs 2 --out /tmp/scaling.json      # a short trial

Each setting trains on the same batches of the built-in shapes (order 20, with clouds). The methods
are joint-embedding on the task views, which computes maps from clouds in each step, and cgml on
denoise. The measured time is that of training after the first epoch. It includes the row of metrics
at the end of each epoch. The collapse monitor is off. The result also holds the last losses, which
must agree, because all settings should train the same model. The settings take turns ``--rounds``
times, and the median is reported. The script writes benchmarks/results/scaling.json.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import spectral_ssl
from spectral_ssl.ground.files import write_text
from spectral_ssl.ground.provenance import environment
from spectral_ssl.ground.run_folder import read_metrics

RESULTS = Path(__file__).parent / "results"
SETTINGS = {"1 process, 1 thread": (1, 1), "1 process, 2 threads": (1, 2), "2 processes, 1 thread each": (2, 1)}
CASES: dict[str, tuple[str, ...]] = {
    "joint-embedding": ("--task", "views", "--precision", "fp32"),
    "cgml": ("--task", "denoise", "--set", "steps=10"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=4, help="number of epochs; the first is not timed")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--out", type=Path, default=RESULTS / "scaling.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        maps = spectral_ssl.prep("shapes", out=folder / "shapes.h5", keep_points=True, workers=0, workspace=folder)
        samples = len(maps.rows("train"))
        measurements: dict[str, dict[str, list[dict[str, float]]]] = {}
        for turn in range(arguments.rounds):
            for method in arguments.methods:
                for setting, (processes, threads) in SETTINGS.items():
                    run = folder / f"{method}-{processes}-{threads}-{turn}"
                    measured = train(
                        maps.path, method, processes, threads, arguments.epochs, arguments.batch_size, run, samples
                    )
                    measurements.setdefault(method, {}).setdefault(setting, []).append(measured)
                    print(f"{method}, {setting}: {measured['samples_per_second']:.1f} samples/s", flush=True)
    result = {
        "environment": environment(),
        "data": "the built-in shapes, Zernike order 20, with clouds",
        "training_maps": samples,
        "batch_size": arguments.batch_size,
        "epochs_counted": arguments.epochs - 1,
        "rounds": arguments.rounds,
        "cores_allowed": len(os.sched_getaffinity(0)),
        "methods": {method: summary(measured) for method, measured in measurements.items()},
    }
    write_text(arguments.out, json.dumps(result, indent=1) + "\n")


def train(
    maps: Path, method: str, processes: int, threads: int, epochs: int, batch_size: int, run: Path, samples: int
) -> dict[str, float]:
    """Train once, and return the samples per second and the last loss."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [
        sys.executable, *launcher, "-m", "spectral_ssl", "pretrain", "--data", str(maps), "--method", method,
        *CASES[method], "--epochs", str(epochs), "--set", f"batch_size={batch_size}", "--set", "watch=0",
        "--set", "checkpoint_every=1000", "--out", str(run),
    ]  # fmt: skip
    variables = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")}
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **variables})
    rows = read_metrics(run / "metrics.jsonl")
    seconds = rows[-1]["seconds"] - rows[0]["seconds"]
    return {"samples_per_second": samples * (epochs - 1) / seconds, "last_loss": rows[-1]["loss"]}


def summary(measured: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Summarise each setting: median rate, all rates, and the ratio to the first setting."""
    rates = {name: [each["samples_per_second"] for each in rounds] for name, rounds in measured.items()}
    first = statistics.median(next(iter(rates.values())))
    return {
        name: {
            "samples_per_second": statistics.median(values),
            "all": values,
            "times_the_first": statistics.median(values) / first,
            "last_loss": measured[name][0]["last_loss"],
        }
        for name, values in rates.items()
    }


if __name__ == "__main__":
    main()
