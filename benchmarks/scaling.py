"""Training throughput of 1 process with 1 thread, 1 process with 2 threads, and 2 processes with 1 thread each.

    python benchmarks/scaling.py                            # 2 cores, nothing else running
    taskset -c 1 python benchmarks/scaling.py --epochs 2 --out /tmp/scaling.json      # does it run at all?

The same batches of the built-in shapes (order 20, clouds kept) are trained on in each setting:
joint-embedding on the task views, whose maps are made of clouds in each step, and cgml on denoise.
What is counted is the time of the training after its first epoch, with all that belongs to it (the
row of metrics at the end of an epoch; no features are watched). The last losses stand beside the
rates: they must agree, for the settings are to train the same. Settings take turns, ``--rounds``
times, and the median counts. Writes benchmarks/results/scaling.json.
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
    parser.add_argument("--epochs", type=int, default=4, help="of which the first is not counted")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--out", type=Path, default=RESULTS / "scaling.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        maps = spectral_ssl.prep("shapes", out=folder / "shapes.h5", keep_points=True, workers=0, workspace=folder)
        samples = len(maps.rows("train"))
        found: dict[str, dict[str, list[dict[str, float]]]] = {}
        for turn in range(arguments.rounds):
            for method in arguments.methods:
                for setting, (processes, threads) in SETTINGS.items():
                    run = folder / f"{method}-{processes}-{threads}-{turn}"
                    measured = train(
                        maps.path, method, processes, threads, arguments.epochs, arguments.batch_size, run, samples
                    )
                    found.setdefault(method, {}).setdefault(setting, []).append(measured)
                    print(f"{method}, {setting}: {measured['samples_per_second']:.1f} samples/s", flush=True)
    result = {
        "environment": environment(),
        "data": "the built-in shapes, Zernike order 20, with clouds",
        "training_maps": samples,
        "batch_size": arguments.batch_size,
        "epochs_counted": arguments.epochs - 1,
        "rounds": arguments.rounds,
        "cores_allowed": len(os.sched_getaffinity(0)),
        "methods": {method: summary(measured) for method, measured in found.items()},
    }
    write_text(arguments.out, json.dumps(result, indent=1) + "\n")


def train(
    maps: Path, method: str, processes: int, threads: int, epochs: int, batch_size: int, run: Path, samples: int
) -> dict[str, float]:
    """Samples a second of one training, and its last loss."""
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
    """Median rates, all rates, and how many times the first setting's each is."""
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
