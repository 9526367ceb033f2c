"""The benchmark table of docs/preparation.md, from the results.

Run ``python benchmarks/table.py`` to write it into the manual, or with ``--check`` to see whether it is up to date.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
MANUAL = Path(__file__).parent.parent / "docs" / "preparation.md"
BEGIN, END = "<!-- benchmarks: made by benchmarks/table.py -->", "<!-- end of benchmarks -->"
MISSING = "not measured: not installed"

Row = tuple[str, str, str]


def transforms(found: dict[str, Any]) -> list[Row]:
    """What, measured, aimed at."""
    zernike = {(row["degree"], row["radial"], row["threads"], row["dtype"]): row for row in found["zernike"]}
    one, two = zernike[20, None, 1, "float32"], zernike[20, None, 2, "float32"]
    forty = zernike[40, None, 2, "float32"]
    rows = [
        ("Zernike degree 20, 2 threads", f"{two['clouds_per_second']:,.0f} clouds/s", ">= 2,500"),
        ("the same, ShapeNet's 55,000 clouds", f"{60 * two['minutes_for_55000']:.0f} s", "< 25 s"),
        ("Zernike degree 40, 55,000 clouds, 2 threads", f"{60 * forty['minutes_for_55000']:.0f} s", "< 180 s"),
        (
            "useful flops of degree 20, 1 thread, of numpy's float32 matrix product",
            f"{one['useful_gigaflops']:.0f} GF/s, {100 * one['share_of_matrix_product']:.0f} %",
            "stated",
        ),
        (
            "Zernike degree 20 against a direct sum in scipy",
            f"{found['direct_zernike_sum']['ratio']:.0f} x",
            ">= 300 x",
        ),
    ]
    zmpy3d = found["zmpy3d"]
    what = "Zernike degree 20 against ZMPY3D, occupied voxels of 32^3"
    rows.append((what, f"{zmpy3d['ratio']:.0f} x" if zmpy3d else MISSING, ">= 100 x"))
    harmonics = found["direct_harmonics_sum"]
    rows.append(("harmonics degree 63 against a direct sum in scipy", f"{harmonics['ratio']:.0f} x", ">= 300 x"))
    ducc = found["ducc0"]
    what = "our call of ducc0 (degree 63) above ducc0 alone"
    if ducc is None:
        return [*rows, (what, MISSING, "< 10 %")]
    return [
        *rows,
        (what, f"{100 * ducc['overhead']:.0f} % of {ducc['raw_milliseconds']:.2f} ms", "< 10 %"),
        ("our own sum, in times of our call of ducc0", f"{ducc['own_sum_over_ducc']:.1f} x", "stated"),
        (
            "difference from float64 over the largest moment, own and ducc0",
            " and ".join(f"{value:.0e}" for value in ducc["difference_over_largest"].values()),
            "< 1e-6",
        ),
    ]


def preparation(found: dict[str, Any]) -> list[Row]:
    """What, measured, aimed at."""
    off = found["reading_off"]
    what = f"reading an OFF file of {off['faces']:,} faces against trimesh"
    rows = [(what, f"{off['ratio']:.1f} x ({off['ours_milliseconds']:.1f} ms)", ">= 4 x")]
    for run in found["preparation"]:
        what = f"{run['objects']:,.0f} {run['kind']}, {run['workers']} workers"
        rows += [
            (f"{what}: time", f"{run['seconds']:.1f} s, {run['objects_per_second']:.0f} objects/s", "linear"),
            (
                f"{what}: largest memory of the writer, of a worker",
                f"{run['peak_megabytes_of_the_writer']:.0f} MB, {run['peak_megabytes_of_a_worker']:.0f} MB",
                "flat",
            ),
        ]
        if run["workers"]:
            busy = f"{100 * run['busy_of_what_was_free']:.0f} % ({100 * run['busy']:.0f} % of all time)"
            rows.append((f"{what}: cores busy, of the time that others left free", busy, ">= 90 %"))
    return rows


def table() -> str:
    """All rows in Markdown, each file's machine above its own."""
    parts = []
    for name, rows_of in (("transforms", transforms), ("preparation", preparation)):
        path = RESULTS / f"{name}.json"
        if not path.exists():
            continue
        found = json.loads(path.read_text(encoding="utf-8"))
        machine = found["machine"]
        later = [
            f"; {case} measured later, {entry['machine']['cores_in_use_before']:.2f} cores in use by others before, "
            f"commit {_commit(entry['machine'])}"
            for case, entry in found.items()
            if isinstance(entry, dict) and "machine" in entry
        ]
        versions = ", ".join(f"{package} {number}" for package, number in machine["versions"].items())
        parts.append(
            f"`benchmarks/results/{name}.json`: {machine['processor']}, {machine['cores']} cores, "
            f"{machine['cores_in_use_before']:.2f} of them in use by others before; {versions}; "
            f"commit {_commit(machine)}{''.join(later)}.\n"
        )
        lines = ["| what | measured | aim |", "|---|---|---|"]
        lines += [f"| {' | '.join(row)} |" for row in rows_of(found)]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _commit(machine: dict[str, Any]) -> str:
    return f"{(machine['commit'] or 'unknown')[:9]}{' + changes' if machine['uncommitted_changes'] else ''}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check: bool = parser.parse_args().check
    text = MANUAL.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    made = f"{before}{BEGIN}\n\n{table()}\n{END}{after}"
    if check:
        sys.exit(0 if made == text else f"{MANUAL} is not what {Path(__file__).name} makes of the results: run it")
    MANUAL.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
