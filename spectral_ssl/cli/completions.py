"""The commands about predictions: complete and evaluate."""

from pathlib import Path

import spectral_ssl
from spectral_ssl.cli.options import JsonOption, QuietOption
from spectral_ssl.cli.tables import print_scores
from spectral_ssl.ground.terminal import process_rank, show
from spectral_ssl.planning.run_options import CompleteOptions, EvaluateOptions


def complete(options: CompleteOptions, quiet: QuietOption = False) -> None:
    """Complete corrupted maps, several times each."""
    written = spectral_ssl.complete(**vars(options))
    show(f"{written} and {written.with_suffix('.png')}")


def evaluate(options: EvaluateOptions, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Score a run's predictions for corrupted maps. Other runs can be scored on the same inputs."""
    result = spectral_ssl.evaluate(**vars(options))
    if process_rank() != 0:
        return
    if as_json:
        print(Path(result["path"]).read_text(encoding="utf-8"), end="")
        return
    print_scores(result)
    show(f"written to {result['path']}")
