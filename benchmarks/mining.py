"""Time exact neighbour mining of 60,000 x 256 features and approximate mining of 1,000,000 x 128 features.

    python benchmarks/mining.py --threads 2                 # both parts; needs 3 GiB of memory
    python benchmarks/mining.py --parts exact --threads 2

The features are synthetic. Samples of a mixture of 1000 clusters in 16 dimensions are mapped to 256
(128) dimensions by a random linear map, ReLU and some noise in all dimensions. Pure noise in 128
dimensions has no meaningful neighbours, and no index finds them faster than a search of all pairs.
Exact results are compared with float64 brute force for 200 samples, and with the flat index of
faiss, which finds the nearest neighbours only. The result holds wall-clock seconds and processor
seconds. The script writes benchmarks/results/mining.json.
"""

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np

from pretext.neighbours.approximate import find_approximate_neighbours
from pretext.neighbours.exact import find_exact_neighbours
from spectral_ssl.ground.files import write_text
from spectral_ssl.ground.provenance import environment

RESULTS = Path(__file__).parent / "results"
CHECKED = 200
CLUSTERS, INNER = 1000, 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=["exact", "approximate"], default=["exact", "approximate"])
    parser.add_argument("--metrics", nargs="+", choices=["l1", "l2"], default=["l1", "l2"], help="exact part only")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--samples", type=int, default=60_000, help="samples of the exact part")
    parser.add_argument("--many", type=int, default=1_000_000, help="samples of the approximate part")
    parser.add_argument("--out", type=Path, default=RESULTS / "mining.json")
    arguments = parser.parse_args()
    find_exact_neighbours(features(300, 8), threads=1)  # The first call compiles the kernels.
    find_exact_neighbours(features(300, 8), 1, "l2", threads=1)
    result: dict[str, Any] = {"threads": arguments.threads}
    if "exact" in arguments.parts:
        result["exact"] = [exact(arguments.samples, metric, arguments.threads) for metric in arguments.metrics]
        save(result, arguments.out)
    if "approximate" in arguments.parts:
        result["approximate"] = approximate(arguments.many, arguments.threads)
        save(result, arguments.out)


def features(samples: int, dimensions: int) -> Any:
    """Create synthetic features (N, D) float32, in blocks."""
    generator = np.random.default_rng(0)
    centres = 2 * generator.normal(size=(CLUSTERS, INNER)).astype(np.float32)
    turn = generator.normal(size=(INNER, dimensions)).astype(np.float32) / INNER**0.5
    made = np.empty((samples, dimensions), np.float32)
    for start in range(0, samples, 50_000):
        block = made[start : start + 50_000]
        inner = centres[generator.integers(CLUSTERS, size=len(block))]
        inner = inner + generator.normal(size=inner.shape).astype(np.float32)
        block[:] = np.maximum(inner @ turn, 0) + 0.1 * generator.normal(size=block.shape).astype(np.float32)
    return made


def exact(samples: int, metric: Any, threads: int) -> dict[str, Any]:
    """Time exact mining of the nearest and farthest samples in 256 dimensions."""
    import faiss
    from scipy.spatial.distance import cdist

    values = features(samples, 256)
    mined, seconds, processor = timed(lambda: find_exact_neighbours(values, 1, metric, threads=threads))
    rows = np.random.default_rng(1).permutation(samples)[:CHECKED]
    name = "cityblock" if metric == "l1" else "euclidean"
    distances = cdist(values[rows].astype(np.float64), values.astype(np.float64), name)
    distances[np.arange(CHECKED), rows] = np.nan
    agree = (np.nanargmin(distances, axis=1) == mined.nearest[rows, 0]) & (
        np.nanargmax(distances, axis=1) == mined.farthest[rows, 0]
    )
    faiss.omp_set_num_threads(threads)
    flat = faiss.METRIC_L1 if metric == "l1" else faiss.METRIC_L2
    (_, theirs), faiss_seconds, faiss_processor = timed(lambda: faiss.knn(values, values, 2, metric=flat))
    first = np.where(theirs[:, 0] == np.arange(samples), theirs[:, 1], theirs[:, 0])
    row = {
        "metric": metric,
        "samples": samples,
        "dimensions": 256,
        "seconds": seconds,
        "processor seconds": processor,
        "share that agrees with brute force": float(agree.mean()),
        "bar": seconds < 60,
        "faiss flat, nearest only: seconds": faiss_seconds,
        "faiss flat: processor seconds": faiss_processor,
        "faiss flat finds the same nearest": float(np.mean(first == mined.nearest[:, 0])),
        "peak MiB": peak(),
    }
    print(row, flush=True)
    return row


def approximate(samples: int, threads: int) -> dict[str, Any]:
    """Time approximate mining of the nearest and farthest samples in 128 dimensions."""
    values = features(samples, 128)
    mined, seconds, processor = timed(lambda: find_approximate_neighbours(values, 1, "l2", threads=threads))
    row = {
        "metric": "l2",
        "samples": samples,
        "dimensions": 128,
        "seconds": seconds,
        "processor seconds": processor,
        "recall at 1, nearest": mined.nearest_recall,
        "recall at 1, farthest": mined.farthest_recall,
        "cells": mined.cells,
        "probes": mined.probes,
        "rim": mined.rim,
        "bar": seconds < 600 and mined.nearest_recall >= 0.95,
        "peak MiB": peak(),
    }
    print(row, flush=True)
    return row


def timed(work: Any) -> tuple[Any, float, float]:
    """Run a function, and return its result, the wall-clock seconds and the processor seconds."""
    clock, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - clock, time.process_time() - processor


def peak() -> float:
    """Return the peak memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def save(result: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"environment": environment(), **result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
