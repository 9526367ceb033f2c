"""Send scripted participants through a study in a real browser. This tests the page, not a method.

    spectral-ssl study create --kind turing --from RUN --from RUN --out STUDY
    python benchmarks/scripted_participants.py STUDY --oracles 3 --coins 3 --mistaken 3 --lefts 1 --results

There are four kinds of participants. An oracle knows which images are real, and prefers the first
method if none is. A mistaken one is an oracle that errs in a fifth of its trials. A coin guesses. A
left one always presses the left button. They are not people, so the scores say nothing about how
real the images look. The script prints the share of trials whose measured exposure is within one
frame of the configured one. It needs chromium, playwright and the extra study.
"""

import argparse
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from downstream.study.design import REAL, Trial
from downstream.study.folder import Study, open_study
from downstream.study.serving import listen
from spectral_ssl.verbs.study.results import study_results

FRAME_OF_60_HZ = 1000 / 60
ERROR_RATE = 0.2
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

Decide = Callable[[Trial], int]


def oracle(trial: Trial) -> int:
    """Return the correct button."""
    if len(trial.shown) == 1:
        return 0 if trial.shown == (REAL,) else 1
    return trial.shown.index(REAL if REAL in trial.shown else "0")


def mistaken(rate: float, seed: int) -> Decide:
    """Create an oracle that errs in a share ``rate`` of its trials, but passes all attention checks."""
    generator = np.random.default_rng(seed)

    def decide(trial: Trial) -> int:
        right, buttons = oracle(trial), max(2, len(trial.shown))
        if trial.check or generator.random() >= rate:
            return right
        return (right + int(generator.integers(1, buttons))) % buttons

    return decide


def coin(seed: int) -> Decide:
    """Create a participant that presses random buttons, also in attention checks."""
    generator = np.random.default_rng(seed)
    return lambda trial: int(generator.integers(max(2, len(trial.shown))))


def always_left(trial: Trial) -> int:
    """Return the left button."""
    return 0


def click_through(page: Page, link: str, study: Study, decide: Decide, most: int = 100_000) -> int:
    """Complete up to ``most`` trials of a study by the keyboard, and return their number."""
    page.goto(link)
    page.locator("#consent").check()
    page.locator("#start").click()
    # wait_for_function is not possible: it evaluates text in the page, which its policy forbids.
    page.wait_for_selector("#ready:enabled")
    trials = _latest_schedule(study)
    for index, trial in enumerate(trials[:most]):
        page.wait_for_selector(f"#trial[data-place='{index}'] #ready:enabled")
        page.keyboard.press("Space")
        page.wait_for_selector("#choices button:enabled")
        page.keyboard.press(str(decide(trial) + 1))
    following = f"#trial[data-place='{most}'] #ready:enabled"
    page.wait_for_selector(following if most < len(trials) else "#done:not([hidden])")
    return min(most, len(trials))


def _latest_schedule(study: Study) -> list[Trial]:
    connection = sqlite3.connect(study.answers)
    (text,) = connection.execute("SELECT schedule FROM participants ORDER BY number DESC LIMIT 1").fetchone()
    connection.close()
    return [Trial.from_json(value) for value in json.loads(text)]


def exposures(study: Study) -> dict[str, Any]:
    """Summarise the exposures of all trials: share within one frame (60 Hz) of the configured time, and errors."""
    connection = sqlite3.connect(study.answers)
    timings = np.array(connection.execute("SELECT exposure, frame FROM answers").fetchall()).reshape(-1, 2)
    connection.close()
    error = timings[:, 0] - 1000 * study.config.exposure
    return {
        "trials": len(timings),
        "asked_ms": 1000 * study.config.exposure,
        "within_one_frame": float((np.abs(error) <= FRAME_OF_60_HZ + 0.1).mean()),
        "error_ms_quantiles_0_5_50_95_100": np.percentile(error, [0, 5, 50, 95, 100]).round(2).tolist(),
        "median_frame_ms": float(np.median(timings[:, 1]).round(2)),
    }


def launch(playwright: Any) -> Browser:
    """Start the chromium of this machine without a window."""
    return playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


def main() -> None:
    """Send the participants through a study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--oracles", type=int, default=1)
    parser.add_argument("--mistaken", type=int, default=0)
    parser.add_argument("--coins", type=int, default=1)
    parser.add_argument("--lefts", type=int, default=1)
    parser.add_argument(
        "--results",
        action="store_true",
        help="write results, marked as scripted",
    )
    arguments = parser.parse_args()
    study = open_study(arguments.study)
    crowd: list[Decide] = [oracle] * arguments.oracles
    crowd += [mistaken(ERROR_RATE, 100 + number) for number in range(arguments.mistaken)]
    crowd += [coin(number) for number in range(arguments.coins)] + [always_left] * arguments.lefts
    with sync_playwright() as playwright, listen(study, port=0).in_background() as served:
        browser = launch(playwright)
        for decide in crowd:
            context = browser.new_context(viewport={"width": 1000, "height": 800})
            print(click_through(context.new_page(), served.link, study, decide), "trials", flush=True)
            context.close()
        browser.close()
    print(json.dumps(exposures(study), indent=1))
    if arguments.results:
        results = study_results(study, note="scripted participants, not people")
        print(json.dumps({"scores": results["scores"], "everyone": results["scores_of_everyone"]}, indent=1))


if __name__ == "__main__":
    main()
