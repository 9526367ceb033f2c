"""List every table and figure of the three papers with the command that repeats it, and run one of them.

    python benchmarks/papers.py                                        # the list
    python benchmarks/papers.py run cgml-figure-3 --workspace WS
    python benchmarks/papers.py run cgml-table-2 --workspace WS --minutes 5
    python benchmarks/papers.py page                                   # write docs/papers.md

The rows are in benchmarks/papers.toml. A row has a command, or a reason why there is none. Raw data
must be in WS/raw/DATASET, because nothing is downloaded. ``run`` leaves out a command whose
``--out`` exists already. Scores of completions get a name with the minutes and "again"; the other
programs replace the stored result of their own name. Trainings take the row's minutes on one core,
or those of ``--minutes``.
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spectral_ssl.ground.errors import unknown_name
from spectral_ssl.ground.files import write_text
from spectral_ssl.ground.run_folder import read_status

HERE = Path(__file__).parent
ROWS = HERE / "papers.toml"
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "papers.md"
PAPERS = {
    "cgml": "cGML: Conditional generative modeling via learning the latent space (ICLR 2021)",
    "mr-gan": "MR-GAN: Harmonizing maximum likelihood with GANs for multimodal conditional generation (ICLR 2019)",
    "lsc-gan": "LSC-GAN: Latent space conditioning on generative adversarial networks (VISAPP 2021)",
}
INTRODUCTION = """# Experiments of the three papers

    python benchmarks/papers.py                                        # this list
    python benchmarks/papers.py run cgml-figure-3 --workspace WS       # repeat one; `--minutes M` for each training

Each table and figure of the papers has a row. "Measured" names the newest result in `benchmarks/results`
with the commit that made it. "Ready" has a command and no stored result. "No command" says why. Data must
be in `WS/raw/DATASET`. Minutes are those of each training on one core, as in our results; the papers
trained for longer on GPUs. PieAPP (no weights in any package) and the Inception Score (its network cannot be
fetched here) are not computed: [metrics](metrics.md) has what takes their place.

This page is written by `python benchmarks/papers.py page`.
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A table or figure of a paper.

    Attributes
    ----------
    name : str
        E.g. ``cgml-table-2``.
    shows, data : str
        What it shows, and the data that the command needs.
    command : tuple of str
        Commands, one after the other, with WORKSPACE and MINUTES in place of values; or none.
    minutes : float, optional
        Minutes of each training, if the commands have MINUTES.
    reason : str
        Why there is no command; empty if there is one.
    results : tuple of str
        Files in benchmarks/results, the newest first.
    pages : tuple of str
        Pages of the manual with the images or numbers.
    """

    name: str
    shows: str
    data: str
    command: tuple[str, ...] = ()
    minutes: float | None = None
    reason: str = ""
    results: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """The state of the row: measured, ready or no command."""
        if not self.command:
            return "no command"
        return "measured" if self.results else "ready"


def read_rows() -> dict[str, Row]:
    """Read all rows, by name."""
    rows = tomllib.loads(ROWS.read_text(encoding="utf-8"))
    return {
        name: Row(name=name, **{key: tuple(value) if isinstance(value, list) else value for key, value in row.items()})
        for name, row in rows.items()
    }


def fill_in(row: Row, workspace: str, minutes: float | None) -> list[list[str]]:
    """Return the commands of a row, in words, with values for WORKSPACE and MINUTES."""
    given = row.minutes if minutes is None else minutes
    values = {"WORKSPACE": shlex.quote(workspace), "MINUTES": "" if given is None else f"{given:g}"}
    return [shlex.split(re.sub("|".join(values), lambda found: values[found[0]], line)) for line in row.command]


def run(row: Row, workspace: Path, minutes: float | None) -> int:
    """Run the commands of a row, and return the exit status of the first that fails, or 0."""
    for words in fill_in(row, str(workspace), minutes):
        out = Path(words[words.index("--out") + 1]) if "--out" in words else None
        if out is not None and out.exists():
            if out.is_dir() and read_status(out)["state"] not in ("finished", "stopped"):
                print(f"unfinished: {out}; remove it, or go on with `pretrain --resume {out}`")
                return 2
            print(f"kept: {out}, however long it was trained")
            continue
        print(shlex.join(words), flush=True)
        done = subprocess.run([sys.executable, *words[1:]], cwd=HERE.parent)
        if done.returncode:
            return done.returncode
    return 0


def find_commit(result: Any) -> str:
    """Return the commit of a stored result, from the first environment in it; empty if it has none."""
    if isinstance(result, dict):
        packages = result.get("environment")
        if isinstance(packages, dict) and "commit" in packages:
            return str(packages["commit"])
        result = list(result.values())
    if isinstance(result, list):
        return next(filter(None, map(find_commit, result)), "")
    return ""


def describe_result(name: str) -> str:
    """Describe a stored result with its commit."""
    commit = find_commit(json.loads((RESULTS / name).read_text(encoding="utf-8")))
    return f"`{name}`" + (f" ({commit})" if commit else "")


def write_page(rows: dict[str, Row]) -> str:
    """Write the page of the manual."""
    lines = [INTRODUCTION]
    for prefix, title in PAPERS.items():
        chosen = [row for row in rows.values() if row.name.startswith(prefix)]
        lines += [f"## {title}", "", "| row | shows | data | state | minutes | newest result, pages |"]
        lines += ["|---|---|---|---|---|---|"]
        for row in chosen:
            links = [f"[{page.split('.md')[0]}]({page})" for page in row.pages]
            found = [describe_result(row.results[0])] if row.results else []
            state = row.state + (f": {row.reason}" if row.reason else "")
            minutes = "" if row.minutes is None else f"{row.minutes:g}"
            cells = [row.name, row.shows, row.data, state, minutes, ", ".join([*found, *links])]
            lines.append(f"| {' | '.join(cells)} |")
        lines += ["", "Commands:", ""]
        commands = [shlex.join(words) for row in chosen for words in fill_in(row, "WS", None)]
        lines += [f"    {line.replace('python -m spectral_ssl', 'spectral-ssl')}" for line in dict.fromkeys(commands)]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def parse_arguments() -> argparse.Namespace:
    """Read the command line, and end with a message if a row is unknown or has no command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["list", "run", "page"], default="list")
    parser.add_argument("name", nargs="?", help="row to run")
    parser.add_argument("--workspace", type=Path, default=Path("workspace"))
    parser.add_argument("--minutes", type=float, help="minutes of each training [those of the row]")
    arguments = parser.parse_args()
    rows = read_rows()
    if arguments.what == "run":
        if arguments.name is None:
            parser.error("name a row, e.g. cgml-figure-3")
        if arguments.name not in rows:
            parser.error(str(unknown_name("row", arguments.name, rows)))
        if not rows[arguments.name].command:
            parser.error(f"{arguments.name} has no command: {rows[arguments.name].reason}")
        if arguments.minutes is not None and not arguments.minutes > 0:
            parser.error(f"--minutes must be above 0: got {arguments.minutes:g}")
    return arguments


def main() -> None:
    arguments, rows = parse_arguments(), read_rows()
    if arguments.what == "run":
        sys.exit(run(rows[arguments.name], arguments.workspace.resolve(), arguments.minutes))
    if arguments.what == "page":
        write_text(PAGE, write_page(rows))
        print(PAGE)
        return
    for row in rows.values():
        print(f"{row.name:24} {row.state:11} {row.shows}" + (f" ({row.reason})" if row.reason else ""))


if __name__ == "__main__":
    main()
