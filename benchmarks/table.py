"""Make the benchmark tables of docs/preparation.md from the results.

Run ``python benchmarks/table.py`` to write them into the manual. With ``--check`` the program only
checks that they are up to date.
"""

import argparse
import json
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
MANUAL = Path(__file__).parent.parent / "docs" / "preparation.md"
BEGIN, END = "<!-- benchmarks: made by benchmarks/table.py -->", "<!-- end of benchmarks -->"
MISSING = "not measured: not installed"
WIDTH = 100  # columns of prose in the manual

Row = tuple[str, ...]
TARGETS = ("case", "measured", "target")
RUNS = ("objects", "seconds", "objects/s", "writer, MB", "worker, MB", "busy, of free time", "busy, of all time")


def list_transforms(results: dict[str, Any]) -> list[Row]:
    """List the rows of the transforms: case, measured, target."""
    zernike = {(row["degree"], row["radial"], row["threads"], row["dtype"]): row for row in results["zernike"]}
    single, double = zernike[20, None, 1, "float32"], zernike[20, None, 2, "float32"]
    forty = zernike[40, None, 2, "float32"]
    rows = [
        ("Zernike degree 20, 2 threads", f"{double['clouds_per_second']:,.0f} clouds/s", ">= 2,500"),
        ("the same, 55,000 clouds (ShapeNet)", f"{60 * double['minutes_for_55000']:.0f} s", "< 25 s"),
        ("Zernike degree 40, 55,000 clouds, 2 threads", f"{60 * forty['minutes_for_55000']:.0f} s", "< 180 s"),
        ("useful flops, degree 20, 1 thread", f"{single['useful_gigaflops']:.0f} GF/s", "none"),
        (
            "the same, share of numpy's float32 matrix product",
            f"{100 * single['share_of_matrix_product']:.0f} %",
            "none",
        ),
        (
            "speed-up, Zernike degree 20 over a direct sum in scipy",
            f"{results['direct_zernike_sum']['ratio']:.0f} x",
            ">= 300 x",
        ),
    ]
    zmpy3d, ducc = results["zmpy3d"], results["ducc0"]
    rows.append(
        (
            "speed-up, Zernike degree 20 over ZMPY3D, occupied voxels of 32^3",
            f"{zmpy3d['ratio']:.0f} x" if zmpy3d else MISSING,
            ">= 100 x",
        )
    )
    harmonics = results["direct_harmonics_sum"]
    rows.append(("speed-up, harmonics degree 63 over a direct sum in scipy", f"{harmonics['ratio']:.0f} x", ">= 300 x"))
    overhead = "overhead of our call of ducc0, degree 63"
    if ducc is None:
        return [*rows, (overhead, MISSING, "< 10 %")]
    return [
        *rows,
        (overhead, f"{100 * ducc['overhead']:.0f} % of {ducc['raw_milliseconds']:.2f} ms", "< 10 %"),
        ("time of our own sum over our call of ducc0", f"{ducc['own_sum_over_ducc']:.1f} x", "none"),
        (
            "largest error against float64 over the largest moment, own and ducc0",
            " and ".join(f"{value:.0e}" for value in ducc["difference_over_largest"].values()),
            "< 1e-6",
        ),
    ]


def list_preparations(results: dict[str, Any]) -> list[Row]:
    """List a row for each whole preparation."""
    return [
        (
            f"{run['objects']:,.0f} {run['kind']}, {run['workers']} workers",
            f"{run['seconds']:.1f}",
            f"{run['objects_per_second']:.0f}",
            f"{run['peak_megabytes_of_the_writer']:.0f}",
            f"{run['peak_megabytes_of_a_worker']:.0f}",
            f"{100 * run['busy_of_what_was_free']:.0f} %" if run["workers"] else "",
            f"{100 * run['busy']:.0f} %" if run["workers"] else "",
        )
        for run in results["preparation"]
    ]


def list_reading(results: dict[str, Any]) -> list[Row]:
    """List the rows of the OFF reader and of images in an array: case, measured, target."""
    off = results["reading_off"]
    measured = f"{off['ratio']:.1f} x ({off['ours_milliseconds']:.1f} ms)"
    rows: list[Row] = [(f"speed-up, reading an OFF file of {off['faces']:,} faces over trimesh", measured, ">= 4 x")]
    if "images_in_an_array" in results:
        images = results["images_in_an_array"]
        case = f"speed-up in processor time, {images['images']:,} images in an array over one by one"
        rows.append((case, f"{images['ratio']:.1f} x ({images['microseconds_an_image']:.0f} us an image)", ">= 5 x"))
    return rows


def build_tables() -> str:
    """Build all tables in Markdown, those of each file of results after a paragraph on its machine."""
    parts = []
    for name, tables in TABLES.items():
        path = RESULTS / f"{name}.json"
        if not path.exists():
            continue
        results = json.loads(path.read_text(encoding="utf-8"))
        parts.append(f"{textwrap.fill(_describe_machine(name, results), WIDTH, break_on_hyphens=False)}\n")
        for head, list_rows in tables:
            lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
            lines += [f"| {' | '.join(row)} |" for row in list_rows(results)]
            parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _describe_machine(name: str, results: dict[str, Any]) -> str:
    """Describe machine, versions and commit of a file of results."""
    machine = results["machine"]
    versions = ", ".join(f"{package} {number}" for package, number in machine["versions"].items())
    sentences = [
        f"`benchmarks/results/{name}.json`: {machine['processor']}, {machine['cores']} cores. Other programs used "
        f"{machine['cores_in_use_before']:.2f} of them before the run. Versions: {versions}. "
        f"Commit {_commit(machine)}."
    ]
    sentences += [
        f"`{case}` was measured later, at commit {_commit(entry['machine'])}. Other programs used "
        f"{entry['machine']['cores_in_use_before']:.2f} cores before it."
        for case, entry in results.items()
        if isinstance(entry, dict) and "machine" in entry
    ]
    return " ".join(sentences)


TABLES: dict[str, list[tuple[Row, Callable[[dict[str, Any]], list[Row]]]]] = {
    "transforms": [(TARGETS, list_transforms)],
    "preparation": [(TARGETS, list_reading), (RUNS, list_preparations)],
}


def _commit(machine: dict[str, Any]) -> str:
    return f"{(machine['commit'] or 'unknown')[:9]}{' + changes' if machine['uncommitted_changes'] else ''}"


def main() -> None:
    """Write the tables into the manual, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check: bool = parser.parse_args().check
    text = MANUAL.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    page = f"{before}{BEGIN}\n\n{build_tables()}\n{END}{after}"
    if check:
        sys.exit(0 if page == text else f"{MANUAL} is not what {Path(__file__).name} makes of the results: run it")
    MANUAL.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
