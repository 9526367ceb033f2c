"""Measure from which rate of an alternate mode cGML finds both modes (section 5.1, figure 5).

    python benchmarks/alternate_rates.py --workspace WS --rates 0.1 0.3 0.5 --minutes 6 --name alternate-rates-flow

The script trains the recipe ``alternate`` at each rate and counts the predictions with and without
the mark. It writes benchmarks/results/NAME.json and docs/NAME.png. It reads MNIST from WS/raw/mnist.
"""

import argparse
import json
from pathlib import Path

import torch
from matplotlib.figure import Figure

import spectral_ssl
from spectral_ssl.ground.files import replace_nan

ROOT = Path(__file__).parent.parent
NAMES = ("with the mark", "without", "between", "both found")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", required=True, type=Path)
    parser.add_argument("--rates", nargs="+", type=float, default=[0.1, 0.2, 0.3, 0.4, 0.5])
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--set", action="append", default=[], help="settings of the training")
    parser.add_argument("--name", default="alternate-rates", help="of the runs, the result and the figure")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = []
    for rate in arguments.rates:
        run = spectral_ssl.pretrain(
            recipe="alternate",
            epochs=1000,
            max_minutes=arguments.minutes,
            settings=[*arguments.set, f"task.rate={rate}"],
            out=arguments.workspace / "runs" / f"{arguments.name}-{rate:g}",
            workspace=arguments.workspace,
        )
        # At rate 0 the targets are clean, so the evaluation knows what "without" the mark means.
        result = spectral_ssl.evaluate(run, settings=["rate=0"], workspace=arguments.workspace)
        rows.append({"rate": rate, "steps": run.checkpoint["place"]["step"], "evaluation": result})
    out = ROOT / "benchmarks" / "results" / f"{arguments.name}.json"
    out.write_text(json.dumps(replace_nan({"rows": rows}), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axis, which in zip(figure.subplots(1, 2, sharey=True), ("random z", "z moved by Z"), strict=True):
        for name in NAMES:
            values = [
                next(part[name] for part in row["evaluation"]["rows"] if part["answers"].endswith(which))
                for row in rows
            ]
            axis.plot(arguments.rates, values, marker="o", label=name)
        axis.plot(arguments.rates, arguments.rates, color="grey", linestyle=":", label="rate in training")
        axis.set_title(which, fontsize=9)
        axis.set_xlabel("rate of the mark in training")
        axis.set_ylim(-0.02, 1.02)
    axis.legend(fontsize=7)
    figure.savefig(ROOT / "docs" / f"{arguments.name}.png", dpi=110)
    print(out)


if __name__ == "__main__":
    main()
