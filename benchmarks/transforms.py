"""How fast the transforms are, next to direct sums in scipy and to the machine's matrix product.

Run ``python benchmarks/transforms.py --out benchmarks/results/transforms.json`` on a machine that
does nothing else. Every time is the median of several calls, all in this one run, so that ratios
compare like with like.
"""

import argparse
import json
import os
import pickle
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import eval_jacobi, sph_harm_y
from threadpoolctl import threadpool_limits

from data_prep.basis import zernike_basis
from data_prep.geometry.surface_sampling import sample_points
from data_prep.geometry.unit_ball import move_to_unit_ball
from data_prep.layout import list_indices
from data_prep.sources.built_in.shapes import make_shape
from data_prep.transforms import moment_sums as moments
from data_prep.transforms.ducc_moments import ACCURACY
from data_prep.transforms.recurrences import build_zernike_tables
from data_prep.transforms.shell_harmonics import shell_moments
from data_prep.transforms.zernike import zernike_moments

POINTS = 2048


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    """The median time of one call, after one that is not counted."""
    call()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def idle_seconds() -> float:
    """Time that all cores together were idle since the machine started; 0 where Linux does not tell."""
    listing = Path("/proc/stat")
    if not listing.exists():
        return 0.0
    numbers = [int(word) for word in listing.read_text().splitlines()[0].split()[1:]]
    return (numbers[3] + numbers[4]) / os.sysconf("SC_CLK_TCK")


def cores_in_use(seconds: float) -> float:
    """How many cores all processes of the machine use, over some seconds."""
    before, begin = idle_seconds(), time.perf_counter()
    time.sleep(seconds)
    idle = (idle_seconds() - before) / (time.perf_counter() - begin)
    return max(0.0, (os.cpu_count() or 1) - idle)


def wait_until_quiet(most_seconds: float = 120.0) -> float:
    """Wait for others to leave the machine alone, for a while; gives the cores still in use, to be recorded."""
    end = time.monotonic() + most_seconds
    while (used := cores_in_use(1.0)) > 0.1 and time.monotonic() < end:
        pass
    return used


def clouds(objects: int) -> NDArray[np.float32]:
    """Random clouds that fill the unit ball."""
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(objects, POINTS, 3))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    return (vectors * generator.random((objects, POINTS, 1)) ** (1 / 3) * 0.999).astype(np.float32)


def zernike_speed(degree: int, threads: int, radial: int | None = None, dtype: str = "float32") -> dict[str, Any]:
    batch = clouds(256 if degree <= 20 else 64)  # 20 ms and more for each thread: shorter ones may share a core
    seconds = median_seconds(
        lambda: zernike_moments(batch, degree, radial=radial, dtype=dtype, threads=threads), 9
    ) / len(batch)
    coefficients = build_zernike_tables(degree, radial).coefficients
    return {
        "degree": degree,
        "radial": radial,
        "threads": threads,
        "dtype": dtype,
        "milliseconds_per_cloud": 1e3 * seconds,
        "clouds_per_second": 1 / seconds,
        "minutes_for_55000": 55_000 * seconds / 60,
        # two per point and coefficient; making the functions is not counted
        "useful_gigaflops": 2e-9 * POINTS * coefficients / seconds,
    }


def harmonics_speed(degree: int, shells: int, threads: int) -> dict[str, Any]:
    batch = clouds(16)
    seconds = median_seconds(lambda: shell_moments(batch, degree, shells, threads=threads), 9) / len(batch)
    return {
        "degree": degree,
        "shells": shells,
        "threads": threads,
        "milliseconds_per_cloud": 1e3 * seconds,
        "clouds_per_second": 1 / seconds,
    }


def direct_zernike_sum(cloud: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    """What one would write first: loops over scipy's functions, each evaluated once, and a mean per moment."""
    radius = np.linalg.norm(cloud, axis=1)
    polar, azimuth = np.arccos(cloud[:, 2] / radius), np.arctan2(cloud[:, 1], cloud[:, 0])
    angular: dict[tuple[int, int], NDArray[np.float64]] = {}
    for ell in range(degree + 1):
        for m in range(ell + 1):
            value = sph_harm_y(ell, m, polar, azimuth) * (-1.0) ** m * (np.sqrt(2) if m else 1)
            angular[ell, -m], angular[ell, m] = value.imag, value.real
    radial = {
        (k, ell): np.sqrt(2 * (ell + 2 * k) + 3) * radius**ell * eval_jacobi(k, 0, ell + 0.5, 2 * radius**2 - 1)
        for ell in range(degree + 1)
        for k in range((degree - ell) // 2 + 1)
    }
    return np.array(
        [np.mean(radial[k, ell] * angular[ell, m]) for k, ell, m in list_indices(zernike_basis(degree)).tolist()]
    )


def direct_harmonics_sum(cloud: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    """Every harmonic by itself from scipy; one evaluation serves the orders m and -m."""
    radius = np.linalg.norm(cloud, axis=1)
    polar, azimuth = np.arccos(cloud[:, 2] / radius), np.arctan2(cloud[:, 1], cloud[:, 0])
    sums = np.empty((degree + 1) ** 2)
    for ell in range(degree + 1):
        for m in range(ell + 1):
            value = np.mean(sph_harm_y(ell, m, polar, azimuth)) * (-1.0) ** m * (np.sqrt(2) if m else 1)
            sums[ell * ell + ell - m] = value.imag
            sums[ell * ell + ell + m] = value.real
    return sums


def against_direct_zernike_sum() -> dict[str, Any]:
    batch = clouds(64)
    ours = median_seconds(lambda: zernike_moments(batch, 20), 9) / len(batch)
    one = batch[0].astype(np.float64)
    direct = median_seconds(lambda: direct_zernike_sum(one, 20), 3)
    difference = np.abs(direct_zernike_sum(one, 20) - zernike_moments(batch[:1], 20)[0]).max()
    return _ratio(ours, direct, difference, degree=20)


def against_direct_harmonics_sum() -> dict[str, Any]:
    batch = clouds(16)
    ours = median_seconds(lambda: shell_moments(batch, 63, 1), 9) / len(batch)
    one = batch[0].astype(np.float64)
    direct = median_seconds(lambda: direct_harmonics_sum(one, 63), 3)
    difference = np.abs(direct_harmonics_sum(one, 63) - shell_moments(batch[:1], 63, 1)[0]).max()
    return _ratio(ours, direct, difference, degree=63)


def occupied_voxels(side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A built-in chair on a grid that fits into the unit ball: the grid of 0 and 1, and the centres of the ones."""
    shape = make_shape("chair/train-000")
    points = move_to_unit_ball(sample_points(shape, 20 * POINTS, np.random.default_rng(0)), "+z")
    width = 2 / np.sqrt(3) / side  # the corners of the grid touch the sphere
    places = np.unique(np.floor(points / np.sqrt(3) / width).astype(int) + side // 2, axis=0)
    grid = np.zeros((side, side, side))
    grid[tuple(places.T)] = 1
    return grid, (places + 0.5 - side / 2) * width


def against_zmpy3d() -> dict[str, Any] | None:
    """ZMPY3D's moments of the occupied voxels of a grid, against ours of the voxels' centres; None where it is absent.

    ZMPY3D (GPL-3, not a dependency) is called as its own command does, from the voxels to the
    scaled moments, its tables loaded before. It integrates over the voxels, which the centres do to
    a few percent at high orders.
    """
    try:
        import ZMPY3D
    except ImportError:
        return None
    order, side = 20, 32
    grid, centres = occupied_voxels(side)
    with (Path(ZMPY3D.__file__).parent / "cache_data" / f"LogG_CLMCache_MaxOrder{order:02d}.pkl").open("rb") as stream:
        cache = pickle.load(stream)  # the installed package's own tables, read as it reads them itself
    tables = [cache[name] for name in ("GCache_complex", "GCache_pqr_linear", "GCache_complex_index", "CLMCache3D")]
    middle, radius = [side / 2] * 3, side / 2 * np.sqrt(3)

    def theirs() -> NDArray[np.complex128]:
        sample = ZMPY3D.get_bbox_moment_xyz_sample(middle, radius, grid.shape)
        _, _, geometric = ZMPY3D.calculate_bbox_moment(grid, order, sample)
        scaled: NDArray[np.complex128] = ZMPY3D.calculate_bbox_moment_2_zm(order, *tables, geometric)[0]
        return scaled

    batch = np.repeat(centres[None].astype(np.float32), 64, axis=0)
    ours_seconds = median_seconds(lambda: zernike_moments(batch, order), 9) / len(batch)
    with threadpool_limits(1):  # as ours
        theirs_seconds = median_seconds(theirs, 9)
    # norms over m of both, in Novotni and Klein's scaling and for a mass of one
    weights = np.where(np.arange(order + 1) > 0, 2.0, 1.0)
    moments_here = zernike_moments(centres[None], order, dtype="float64")[0]
    addresses = list_indices(zernike_basis(order))
    squares = np.abs(theirs()) ** 2 / (grid.sum() * radius**-3.0) ** 2 * weights
    differences, sizes = [], []
    for k, ell in sorted({(int(k), int(ell)) for k, ell, _ in addresses}):
        own = np.sum(moments_here[(addresses[:, 0] == k) & (addresses[:, 1] == ell)] ** 2) * 3 / (4 * np.pi)
        differences.append(np.sqrt(own) - np.sqrt(np.nansum(squares[ell + 2 * k, ell])))
        sizes.append(own)
    return {
        **_ratio(ours_seconds, theirs_seconds, float(np.abs(differences).max()), degree=order),
        "norm_of_differences_over_norm": float(np.linalg.norm(differences) / np.sqrt(np.sum(sizes))),
        "occupied_voxels": len(centres),
        "version": version("ZMPY3D"),
    }


def against_ducc() -> dict[str, Any] | None:
    """ducc0 called directly with angles at hand, our call of it, and our own sum; None where it is absent.

    The three take turns, so that a change of the machine's speed meets all of them.
    """
    try:
        import ducc0
    except ImportError:
        return None
    batch = clouds(16).astype(np.float64)
    angles = np.stack([np.arctan2(np.hypot(batch[..., 0], batch[..., 1]), batch[..., 2]),
                       np.arctan2(batch[..., 1], batch[..., 0]) % (2 * np.pi)], axis=-1)  # fmt: skip
    mass = np.full((1, POINTS), 1 / POINTS, np.float32)
    options = {"spin": 0, "lmax": 63, "epsilon": ACCURACY["float32"], "nthreads": 1}

    def raw() -> None:
        for places in angles:
            ducc0.sht.adjoint_synthesis_general(map=mass, loc=places, **options)

    calls = {
        "raw": raw,
        "ours": lambda: shell_moments(batch, 63, 1, backend="ducc"),
        "own_sum": lambda: shell_moments(batch, 63, 1),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(30):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - begin) / len(batch))
    medians = {name: statistics.median(found[3:]) for name, found in times.items()}
    exact = shell_moments(batch, 63, 1, dtype="float64")
    return {
        "degree": 63,
        "threads": 1,
        **{f"{name}_milliseconds": 1e3 * seconds for name, seconds in medians.items()},
        "overhead": medians["ours"] / medians["raw"] - 1,
        "own_sum_over_ducc": medians["own_sum"] / medians["ours"],
        "difference_over_largest": {
            name: float(np.abs(shell_moments(batch, 63, 1, backend=name) - exact).max() / np.abs(exact).max())
            for name in ("own", "ducc")
        },
        "version": version("ducc0"),
    }


def _ratio(ours: float, direct: float, difference: float, degree: int) -> dict[str, Any]:
    return {
        "degree": degree,
        "threads": 1,
        "ours_milliseconds": 1e3 * ours,
        "direct_milliseconds": 1e3 * direct,
        "ratio": direct / ours,
        "largest_difference": float(difference),
    }


def matrix_product_speed(threads: int) -> dict[str, Any]:
    """The float32 matrix product of numpy: what the machine's library reaches with so many threads."""
    size = 2048
    one, two = np.random.default_rng(0).random((2, size, size), dtype=np.float32)
    with threadpool_limits(threads):
        seconds = median_seconds(lambda: one @ two, 5)
    return {
        "size": size,
        "threads": threads,
        "gigaflops": 2e-9 * size**3 / seconds,
        "library": np.show_config(mode="dicts")["Build Dependencies"]["blas"].get("name"),
        # where set, these fix the library's kernels and threads, and the figure is not the
        # machine's best
        "environment": {
            name: value for name, value in os.environ.items() if name.startswith(("OPENBLAS", "OMP_", "MKL"))
        },
    }


def compile_seconds() -> dict[str, Any]:
    """Time to make the kernels ready in a fresh process: with nothing compiled yet, and from the disk cache."""
    code = (
        "import time, logging; begin = time.perf_counter()\n"
        "from data_prep.transforms.moment_sums import precompile; precompile('float32')\n"
        "print(time.perf_counter() - begin)"
    )
    seconds = {}
    with tempfile.TemporaryDirectory() as empty:
        for state in ("nothing_compiled", "from_cache"):
            done = subprocess.run(
                [sys.executable, "-c", code],
                env={**os.environ, "NUMBA_CACHE_DIR": empty},
                capture_output=True,
                text=True,
                check=True,
            )
            seconds[state] = float(done.stdout)
    return seconds


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    model = platform.processor()
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        names = [line.partition(":")[2].strip() for line in listing.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent)
    changed = subprocess.run(
        ["git", "status", "--porcelain"], capture_output=True, text=True, cwd=Path(__file__).parent
    )
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "cores_in_use_before": cores_in_use(2.0),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("numpy", "scipy", "numba", "llvmlite")},
        "commit": commit.stdout.strip() if commit.returncode == 0 else None,
        "uncommitted_changes": bool(changed.stdout.strip()),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def against_others(names: list[str]) -> dict[str, Any]:
    """Comparisons with direct sums and other programs, by their names in the results."""
    compare: dict[str, Callable[[], dict[str, Any] | None]] = {
        "direct_zernike_sum": against_direct_zernike_sum,
        "direct_harmonics_sum": against_direct_harmonics_sum,
        "zmpy3d": against_zmpy3d,
        "ducc0": against_ducc,
    }
    return {name: call() for name, call in compare.items() if name in names}


COMPARISONS = ["direct_zernike_sum", "direct_harmonics_sum", "zmpy3d", "ducc0"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/transforms.json"))
    parser.add_argument("--only", choices=COMPARISONS, help="measure this comparison anew in an existing result file")
    arguments = parser.parse_args()
    out: Path = arguments.out
    if arguments.only:
        wait_until_quiet()
        result = json.loads(out.read_text(encoding="utf-8"))
        found = against_others([arguments.only])
        if found[arguments.only] is not None:
            found[arguments.only]["machine"] = machine()
        result |= found
        out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        print(json.dumps(found, indent=2))
        return
    wait_until_quiet()
    result: dict[str, Any] = {"machine": machine(), "points": POINTS, "compile": compile_seconds()}
    moments.precompile(np.float32)
    moments.precompile(np.float64)
    result["matrix_product"] = [matrix_product_speed(threads) for threads in (1, 2)]
    result["zernike"] = [
        *(zernike_speed(20, threads) for threads in (1, 2)),
        *(zernike_speed(40, threads) for threads in (1, 2)),
        zernike_speed(64, 1),
        zernike_speed(15, 1, radial=8),
        zernike_speed(20, 1, dtype="float64"),
    ]
    for entry in result["zernike"]:
        product = result["matrix_product"][entry["threads"] - 1]
        entry["share_of_matrix_product"] = entry["useful_gigaflops"] / product["gigaflops"]
    result["harmonics"] = [harmonics_speed(63, 1, 1), harmonics_speed(15, 8, 1), harmonics_speed(15, 8, 2)]
    result |= against_others(COMPARISONS)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
