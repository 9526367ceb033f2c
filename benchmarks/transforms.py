"""Time the transforms, and compare them with direct sums in scipy and with the matrix product of the machine.

Run ``python benchmarks/transforms.py --out benchmarks/results/transforms.json`` on a machine that
does nothing else. Every time is the median of several calls. All calls are in one run, so that the
ratios are fair.
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
    """Measure the median time of a call, after one call that is not timed."""
    call()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def idle_seconds() -> float:
    """Read the idle time of all cores together since the start of the machine, or 0 without /proc/stat."""
    listing = Path("/proc/stat")
    if not listing.exists():
        return 0.0
    numbers = [int(word) for word in listing.read_text().splitlines()[0].split()[1:]]
    return (numbers[3] + numbers[4]) / os.sysconf("SC_CLK_TCK")


def cores_in_use(seconds: float) -> float:
    """Measure how many cores all processes of the machine use, over some seconds."""
    before, begin = idle_seconds(), time.perf_counter()
    time.sleep(seconds)
    idle = (idle_seconds() - before) / (time.perf_counter() - begin)
    return max(0.0, (os.cpu_count() or 1) - idle)


def wait_until_quiet(most_seconds: float = 120.0) -> float:
    """Wait until other programs are idle, at most ``most_seconds``, and return the cores still in use."""
    end = time.monotonic() + most_seconds
    while (used := cores_in_use(1.0)) > 0.1 and time.monotonic() < end:
        pass
    return used


def clouds(objects: int) -> NDArray[np.float32]:
    """Create random clouds that fill the unit ball."""
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(objects, POINTS, 3))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    return (vectors * generator.random((objects, POINTS, 1)) ** (1 / 3) * 0.999).astype(np.float32)


def zernike_speed(degree: int, threads: int, radial: int | None = None, dtype: str = "float32") -> dict[str, Any]:
    # Each thread needs at least 20 ms, because shorter ones may share a core.
    batch = clouds(256 if degree <= 20 else 64)
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
        # There are two operations per point and coefficient. Evaluation of the functions is not counted.
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
    """Compute Zernike moments in the simplest way: evaluate each function of scipy once, and average per moment."""
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
    """Compute each harmonic sum separately with scipy; one evaluation gives the orders m and -m."""
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
    cloud = batch[0].astype(np.float64)
    direct = median_seconds(lambda: direct_zernike_sum(cloud, 20), 3)
    difference = np.abs(direct_zernike_sum(cloud, 20) - zernike_moments(batch[:1], 20)[0]).max()
    return _ratio(ours, direct, difference, degree=20)


def against_direct_harmonics_sum() -> dict[str, Any]:
    batch = clouds(16)
    ours = median_seconds(lambda: shell_moments(batch, 63, 1), 9) / len(batch)
    cloud = batch[0].astype(np.float64)
    direct = median_seconds(lambda: direct_harmonics_sum(cloud, 63), 3)
    difference = np.abs(direct_harmonics_sum(cloud, 63) - shell_moments(batch[:1], 63, 1)[0]).max()
    return _ratio(ours, direct, difference, degree=63)


def occupied_voxels(side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Build a voxel grid of a built-in chair in the unit ball, and return it with the centres of its ones."""
    shape = make_shape("chair/train-000")
    points = move_to_unit_ball(sample_points(shape, 20 * POINTS, np.random.default_rng(0)), "+z")
    width = 2 / np.sqrt(3) / side  # The corners of the grid touch the sphere.
    voxels = np.unique(np.floor(points / np.sqrt(3) / width).astype(int) + side // 2, axis=0)
    grid = np.zeros((side, side, side))
    grid[tuple(voxels.T)] = 1
    return grid, (voxels + 0.5 - side / 2) * width


def against_zmpy3d() -> dict[str, Any] | None:
    """Compare ZMPY3D's moments of occupied voxels with ours of the voxel centres, or return None without ZMPY3D.

    ZMPY3D (GPL-3, not a dependency) is called as its own command calls it, from the voxels to the
    scaled moments. Its tables are loaded before. ZMPY3D integrates over the voxels. The sum over
    the centres approximates this integral within a few percent at high orders.
    """
    try:
        import ZMPY3D
    except ImportError:
        return None
    order, side = 20, 32
    grid, centres = occupied_voxels(side)
    with (Path(ZMPY3D.__file__).parent / "cache_data" / f"LogG_CLMCache_MaxOrder{order:02d}.pkl").open("rb") as stream:
        cache = pickle.load(stream)  # The installed package reads its tables in the same way.
    tables = [cache[name] for name in ("GCache_complex", "GCache_pqr_linear", "GCache_complex_index", "CLMCache3D")]
    middle, radius = [side / 2] * 3, side / 2 * np.sqrt(3)

    def theirs() -> NDArray[np.complex128]:
        sample = ZMPY3D.get_bbox_moment_xyz_sample(middle, radius, grid.shape)
        _, _, geometric = ZMPY3D.calculate_bbox_moment(grid, order, sample)
        scaled: NDArray[np.complex128] = ZMPY3D.calculate_bbox_moment_2_zm(order, *tables, geometric)[0]
        return scaled

    batch = np.repeat(centres[None].astype(np.float32), 64, axis=0)
    ours_seconds = median_seconds(lambda: zernike_moments(batch, order), 9) / len(batch)
    with threadpool_limits(1):  # Our call uses one thread too.
        theirs_seconds = median_seconds(theirs, 9)
    # Both sides are norms over m, in the scaling of Novotni and Klein and for a mass of one.
    weights = np.where(np.arange(order + 1) > 0, 2.0, 1.0)
    moments_here = zernike_moments(centres[None], order, dtype="float64")[0]
    addresses = list_indices(zernike_basis(order))
    squares = np.abs(theirs()) ** 2 / (grid.sum() * radius**-3.0) ** 2 * weights
    differences, sizes = [], []
    for k, ell in sorted({(int(k), int(ell)) for k, ell, _ in addresses}):
        square = np.sum(moments_here[(addresses[:, 0] == k) & (addresses[:, 1] == ell)] ** 2) * 3 / (4 * np.pi)
        differences.append(np.sqrt(square) - np.sqrt(np.nansum(squares[ell + 2 * k, ell])))
        sizes.append(square)
    return {
        **_ratio(ours_seconds, theirs_seconds, float(np.abs(differences).max()), degree=order),
        "norm_of_differences_over_norm": float(np.linalg.norm(differences) / np.sqrt(np.sum(sizes))),
        "occupied_voxels": len(centres),
        "version": version("ZMPY3D"),
    }


def against_ducc() -> dict[str, Any] | None:
    """Compare a direct call of ducc0, our call of ducc0 and our own sum, or return None without ducc0.

    The direct call gets precomputed angles. The three take turns, so that a change of the machine's
    speed affects all of them.
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
        for directions in angles:
            ducc0.sht.adjoint_synthesis_general(map=mass, loc=directions, **options)

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
    medians = {name: statistics.median(durations[3:]) for name, durations in times.items()}
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
    """Measure the float32 matrix product of numpy with a number of threads."""
    size = 2048
    left, right = np.random.default_rng(0).random((2, size, size), dtype=np.float32)
    with threadpool_limits(threads):
        seconds = median_seconds(lambda: left @ right, 5)
    return {
        "size": size,
        "threads": threads,
        "gigaflops": 2e-9 * size**3 / seconds,
        "library": np.show_config(mode="dicts")["Build Dependencies"]["blas"].get("name"),
        # These variables fix the kernels and threads of the library. With them, the measured speed may
        # be below the best of the machine.
        "environment": {
            name: value for name, value in os.environ.items() if name.startswith(("OPENBLAS", "OMP_", "MKL"))
        },
    }


def compile_seconds() -> dict[str, Any]:
    """Time the preparation of the kernels in a new process: without and with the disk cache."""
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
    """Describe the machine, the versions and the commit of a measurement."""
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
    """Run the named comparisons with direct sums and other programs."""
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
    parser.add_argument("--only", choices=COMPARISONS, help="repeat this comparison in an existing result file")
    arguments = parser.parse_args()
    out: Path = arguments.out
    wait_until_quiet()
    if arguments.only:
        result = json.loads(out.read_text(encoding="utf-8"))
        comparison = against_others([arguments.only])
        if comparison[arguments.only] is not None:
            comparison[arguments.only]["machine"] = machine()
        result |= comparison
        out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        print(json.dumps(comparison, indent=2))
        return
    result: dict[str, Any] = {"machine": machine(), "points": POINTS, "compile": compile_seconds()}
    moments.precompile(np.float32)
    moments.precompile(np.float64)
    result["matrix_product"] = [matrix_product_speed(threads) for threads in (1, 2)]
    result["zernike"] = [
        *(zernike_speed(degree, threads) for degree in (20, 40) for threads in (1, 2)),
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
