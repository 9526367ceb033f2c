"""Score real digits by the rules of the tasks whose modes are known, as a limit of what a network can reach.

    python benchmarks/known_modes_limit.py --data WS/maps/mnist-32-pixels.h5

The predictions for a test digit are the hidden parts of the 20 training digits whose visible parts
are nearest to its own (10 for ``corrupted``). Nothing is trained. ``alternate`` adds the mark to a share of them. Each
prediction is a real digit, so what counts as "between" or as not clean here is due to the rule and
not to a blurred network. The script writes benchmarks/results/known-modes-limit.json.
"""

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from downstream.metrics.modes import score_clean_mode, score_marks
from pretext.data.batch import Batch, Example
from pretext.data.training_split import TrainingSplit, read_batch
from pretext.randomness import seeded_generator
from pretext.runs.evaluation import select_held_out_rows
from pretext.tasks.alternate import AlternateConfig, alternate, find_absent_mark
from pretext.tasks.corrupted import CorruptedConfig, corrupt_halves, list_wrong_targets
from spectral_ssl import open_maps
from spectral_ssl.ground.provenance import environment

# inputs and predictions for each, as in the tables of docs/completion-results.md
ALTERNATE, CORRUPTED = (256, 20), (128, 10)
OUT = Path(__file__).parent / "results" / "known-modes-limit.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="the map file of MNIST, 32 x 32 pixels")
    parser.add_argument("--rates", nargs="+", type=float, default=[0.1, 0.3, 0.5])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    maps = open_maps(arguments.data)
    train, test = TrainingSplit(maps, "train"), TrainingSplit(maps, "test")
    digits = train.read_samples(torch.arange(len(train))).maps  # (N, 1, 32, 32)

    def read(count: int) -> Batch:
        return read_batch(maps, test.standardise, select_held_out_rows(maps, count), with_points=False)

    rows = [score_alternate(read(ALTERNATE[0]), digits, rate, ALTERNATE[1]) for rate in arguments.rates]
    rows.append(score_corrupted(read(CORRUPTED[0]), digits, CORRUPTED[1]))
    for row in rows:
        print(row)
    content = {"rows": rows, "environment": environment()}
    OUT.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(OUT)


def score_alternate(batch: Batch, digits: Tensor, rate: float, modes: int) -> dict[str, float | str]:
    """Score real digits of which the share ``rate`` has the mark."""
    config = AlternateConfig(rate=0.0)
    example = alternate(batch, config, seeded_generator(0, "limit"))
    predictions = find_alike(example, digits, modes)  # (B, K, C, H, W)
    mark = find_absent_mark(config, *example.target.shape[2:])
    assert mark is not None
    has_mark = torch.rand(*predictions.shape[:2], 1, 1, 1, generator=seeded_generator(0, "marks")) < rate
    marked = torch.where(has_mark & mark, 1.0, predictions)
    return {
        "task": "alternate",
        "rate": rate,
        "inputs": len(batch.maps),
        "predictions": modes,
        **score_marks(example.target, marked, mark),
    }


def score_corrupted(batch: Batch, digits: Tensor, modes: int) -> dict[str, float | str]:
    """Score real digits against the clean target and twenty corrupted ones."""
    config = CorruptedConfig(share=0.0)
    example = corrupt_halves(batch, config, seeded_generator(0, "limit"))
    wrong = list_wrong_targets(example, config)
    assert wrong is not None
    return {
        "task": "corrupted",
        "inputs": len(batch.maps),
        "predictions": modes,
        **score_clean_mode(example, find_alike(example, digits, modes), wrong),
    }


def find_alike(example: Example, digits: Tensor, count: int) -> Tensor:
    """Find for each target the digits with the nearest visible part (Euclidean distance); (B, K, C, H, W)."""
    visible = (example.weight == 0).float().flatten(1)  # (B, P)
    targets, others = visible * example.target.flatten(1), digits.flatten(1)  # (B, P) and (N, P)
    # the squared distance over the visible pixels, less a term that is the same for all digits
    distances = visible @ others.square().T - 2 * targets @ others.T  # (B, N)
    return digits[distances.topk(count, largest=False).indices]


if __name__ == "__main__":
    main()
