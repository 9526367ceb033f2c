"""The compiled sum behind Zernike moments and shell harmonics: sum over points of weight * R_kl(r) * Y_lm(u).

The kernel processes one block of points at a time, with rows that are contiguous in points. It
first computes the radial rows of the block. Then it computes the harmonics two orders at a time
(rows cos m, sin m, cos m+1, sin m+1) upwards in l, in two small buffers that stay in the
first-level cache. It multiplies each finished level with its radial rows in register tiles of at
most 3 x 4 sums: 12 accumulators and their operands fit the 16 vector registers of AVX2. It applies
the normalisation constants once, to the finished sums. Sums within a block have the precision of
the computation; sums of blocks are float64.

Spherical harmonics in shells use the same recurrences. The points are sorted by shell, a block
never crosses a shell, and its only radial row holds the weights.

Values below a threshold in the chains r^l and (x + iy)^m become zero, because subnormal numbers are
slow on many processors. The threshold is 1e-28 in float32 and 1e-150 in float64. It is so small
that later recurrences could raise such a value only to less than the rounding error.
"""

from typing import Any

import numpy as np

from data_prep.compiling import compile_kernel


@compile_kernel
def _add_three(radial: Any, row: int, level: Any, sums: Any, column: int) -> None:
    r0, r1, r2 = radial[row], radial[row + 1], radial[row + 2]
    y0, y1, y2, y3 = level[0], level[1], level[2], level[3]
    zero = radial.dtype.type(0)
    a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = c0 = c1 = c2 = c3 = zero
    for i in range(r0.size):
        a0 += r0[i] * y0[i]
        a1 += r0[i] * y1[i]
        a2 += r0[i] * y2[i]
        a3 += r0[i] * y3[i]
        b0 += r1[i] * y0[i]
        b1 += r1[i] * y1[i]
        b2 += r1[i] * y2[i]
        b3 += r1[i] * y3[i]
        c0 += r2[i] * y0[i]
        c1 += r2[i] * y1[i]
        c2 += r2[i] * y2[i]
        c3 += r2[i] * y3[i]
    _store(sums[row], column, a0, a1, a2, a3)
    _store(sums[row + 1], column, b0, b1, b2, b3)
    _store(sums[row + 2], column, c0, c1, c2, c3)


@compile_kernel
def _add_two(radial: Any, row: int, level: Any, sums: Any, column: int) -> None:
    r0, r1 = radial[row], radial[row + 1]
    y0, y1, y2, y3 = level[0], level[1], level[2], level[3]
    zero = radial.dtype.type(0)
    a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = zero
    for i in range(r0.size):
        a0 += r0[i] * y0[i]
        a1 += r0[i] * y1[i]
        a2 += r0[i] * y2[i]
        a3 += r0[i] * y3[i]
        b0 += r1[i] * y0[i]
        b1 += r1[i] * y1[i]
        b2 += r1[i] * y2[i]
        b3 += r1[i] * y3[i]
    _store(sums[row], column, a0, a1, a2, a3)
    _store(sums[row + 1], column, b0, b1, b2, b3)


@compile_kernel
def _add_one(r0: Any, level: Any, target: Any, column: int) -> None:
    y0, y1, y2, y3 = level[0], level[1], level[2], level[3]
    zero = r0.dtype.type(0)
    a0 = a1 = a2 = a3 = zero
    for i in range(r0.size):
        a0 += r0[i] * y0[i]
        a1 += r0[i] * y1[i]
        a2 += r0[i] * y2[i]
        a3 += r0[i] * y3[i]
    _store(target, column, a0, a1, a2, a3)


@compile_kernel
def _store(target: Any, column: int, a0: Any, a1: Any, a2: Any, a3: Any) -> None:
    target[column] += a0
    target[column + 1] += a1
    target[column + 2] += a2
    target[column + 3] += a3


@compile_kernel
def _add_level(radial: Any, first: int, channels: int, level: Any, sums: Any, shell: int, column: int) -> None:
    """Add one level's four rows, times each of its radial rows, to the sums."""
    if shell >= 0:  # Harmonics in shells have one radial row: the weights.
        _add_one(radial[0], level, sums[first + shell], column)
        return
    row, end = first, first + channels
    while end - row >= 3:
        _add_three(radial, row, level, sums, column)
        row += 3
    if end - row == 2:
        _add_two(radial, row, level, sums, column)
    elif end - row == 1:
        _add_one(radial[row], level, sums[row], column)


@compile_kernel
def _turn(cosine: Any, sine: Any, x: Any, y: Any, factor: Any, tiny: Any) -> None:
    """Raise the order by one: c + i s <- factor (c + i s)(x + i y); flush tiny results to zero."""
    zero = cosine.dtype.type(0)
    for i in range(cosine.size):
        c = factor * (cosine[i] * x[i] - sine[i] * y[i])
        s = factor * (sine[i] * x[i] + cosine[i] * y[i])
        cosine[i] = c if abs(c) > tiny else zero
        sine[i] = s if abs(s) > tiny else zero


@compile_kernel
def _climb(newer: Any, older: Any, z2: Any, factor: Any) -> None:
    """Raise the degree of ``older`` by two, in place: older <- 2 z newer - factor older."""
    for i in range(z2.size):
        older[i] = z2[i] * newer[i] - factor * older[i]


@compile_kernel
def _radial_rows(
    radial: Any, power: Any, radius: Any, stretched: Any, weight: Any, jacobi: Any, channels: Any, tiny: Any
) -> None:
    """Fill the rows weight * r^l * P_k(2 r^2 - 1) for all l and k of one block."""
    zero = radial.dtype.type(0)
    power[:] = radial.dtype.type(1)
    first = 0
    for ell in range(channels.size):
        if ell > 0:
            for i in range(power.size):
                p = power[i] * radius[i]
                power[i] = p if p > tiny else zero
        row = radial[first]
        for i in range(power.size):
            row[i] = weight[i] * power[i]
        for k in range(1, channels[ell]):
            a, b, c = jacobi[ell, k, 0], jacobi[ell, k, 1], jacobi[ell, k, 2]
            row, one_down = radial[first + k], radial[first + k - 1]
            # For k = 1, c is zero, so any row serves.
            two_down = radial[first + k - 2] if k > 1 else one_down
            for i in range(power.size):
                row[i] = (a * stretched[i] + b) * one_down[i] - c * two_down[i]
        first += channels[ell]


@compile_kernel
def _walk_harmonics(
    x: Any, y: Any, z2: Any, radial: Any, channels: Any, sectoral: Any, upward: Any, tiny: Any, shell: int,
    levels: Any, cosine: Any, sine: Any, sums: Any,
) -> None:  # fmt: skip
    """Compute every harmonic of one block and add its products with the radial rows to the sums."""
    degree, width = channels.size - 1, x.size
    # The rows of one order are adjacent, so one pass raises the degree of both.
    pairs = levels.reshape(2, 2, 2 * width)
    cosine[:] = sectoral[0]
    sine[:] = radial.dtype.type(0)
    first_of_order = 0  # radial rows of the degrees below m
    for m in range(0, degree + 1, 2):
        if m > 0:
            _turn(cosine, sine, x, y, sectoral[m], tiny)
        first, column, newest = first_of_order, 2 * m, 0
        levels[0, 0, :], levels[0, 1, :] = cosine, sine
        pairs[0, 1, :] = radial.dtype.type(0)
        pairs[1, 0, :] = radial.dtype.type(0)
        for ell in range(m, degree + 1):
            if ell > m:
                newest = 1 - newest
                _climb(pairs[1 - newest, 0], pairs[newest, 0], z2, upward[ell, m])
                if ell == m + 1:
                    _turn(cosine, sine, x, y, sectoral[ell], tiny)
                    levels[newest, 2, :], levels[newest, 3, :] = cosine, sine
                else:
                    _climb(pairs[1 - newest, 1], pairs[newest, 1], z2, upward[ell, m + 1])
            _add_level(radial, first, channels[ell], levels[newest], sums, shell, column)
            first += channels[ell]
            if ell == m + 1:
                first_of_order = first


@compile_kernel
def _aligned(rows: int, width: int, like: Any) -> Any:
    """Allocate a flat array that begins at a cache line."""
    spare = 64 // like.itemsize
    memory = np.empty(rows * width + spare, like.dtype)
    past = (memory.ctypes.data % 64) // like.itemsize
    begin = (spare - past) % spare
    return memory[begin : begin + rows * width]


@compile_kernel
def sort_by_shell(points: Any, shells: int, order: Any, ends: Any) -> None:
    """Sort the points of one object by shell: fill ``order`` with indices and ``ends`` with each shell's end.

    The sort is stable.
    """
    total = points.shape[0]
    shell_of = np.empty(total, np.int64)
    ends[:] = 0
    for i in range(total):
        radius = np.sqrt(points[i, 0] ** 2 + points[i, 1] ** 2 + points[i, 2] ** 2)
        shell_of[i] = min(int(radius * shells), shells - 1)
        ends[shell_of[i]] += 1
    for k in range(1, shells):
        ends[k] += ends[k - 1]
    for j in range(total):
        i = total - 1 - j
        ends[shell_of[i]] -= 1
        order[ends[shell_of[i]]] = i
    for k in range(shells - 1):
        ends[k] = ends[k + 1]
    ends[shells - 1] = total


@compile_kernel
def _largest_radius(cloud: Any) -> float:
    largest = 0.0
    for i in range(cloud.shape[0]):
        square = cloud[i, 0] ** 2 + cloud[i, 1] ** 2 + cloud[i, 2] ** 2
        if not square <= largest:  # This is true for a NaN as well.
            largest = square
            if not square >= 0.0:
                break
    return np.sqrt(largest)


@compile_kernel
def _load_block(cloud: Any, mass: Any, order: Any, start: int, count: int, plane: Any, z2: Any) -> None:
    """Fill rows x, y, radius, 2 r^2 - 1, weight of ``plane``, and 2 z twice in ``z2``; pad with points of no weight."""
    kind = plane.dtype.type
    width = plane.shape[1]
    x, y, radius, stretched, weight = plane[0], plane[1], plane[2], plane[3], plane[4]
    for i in range(count):
        j = order[start + i]
        px, py, pz = cloud[j, 0], cloud[j, 1], cloud[j, 2]
        distance = np.sqrt(px * px + py * py + pz * pz)
        inverse = 1.0 / distance if distance > 0.0 else 0.0
        x[i], y[i], z2[i] = kind(px * inverse), kind(py * inverse), kind(2.0 * pz * inverse)
        radius[i], stretched[i] = kind(distance), kind(2.0 * distance * distance - 1.0)
        weight[i] = kind(mass[j])
    plane[:5, count:] = kind(0)
    z2[count:width] = kind(0)
    z2[width:] = z2[:width]  # once for each of the two rows of an order


@compile_kernel
def _store_moments(sums: Any, channels: Any, gain: Any, radial_gain: Any, out: Any) -> None:
    """Apply the normalisation to the sums of one object; fill ``out`` in lexicographic order of (k, l, m)."""
    kind = out.dtype.type
    position = 0
    for k in range(radial_gain.shape[1]):
        first = 0
        for ell in range(channels.size):
            if k < channels[ell]:
                for m in range(-ell, ell + 1):
                    value = sums[first + k, 2 * m if m >= 0 else 1 - 2 * m]
                    out[position] = kind(value * gain[ell, abs(m)] * radial_gain[ell, k])
                    position += 1
            first += channels[ell]


@compile_kernel
def sum_moments(
    points: Any, weights: Any, shells: int, block: int, limit: float, tiny: Any, channels: Any, sectoral: Any,
    upward: Any, jacobi: Any, gain: Any, radial_gain: Any, out: Any, farthest: Any,
) -> None:  # fmt: skip
    """Fill ``out`` with the moments of every object, in lexicographic order of (k, l, m).

    Parameters
    ----------
    points : (B, N, 3) float64, C-contiguous
    weights : (1 or B, N) float64, C-contiguous
    shells : int
        Number of shells of spherical harmonics; 0 for Zernike moments.
    block : int
        Points per block.
    limit : float
        Largest valid radius. An object with a point beyond it, or with a NaN, gets zeros; see
        ``farthest``.
    tiny : scalar of the computing precision
        Flush threshold.
    channels, sectoral, upward, jacobi, gain, radial_gain
        The arrays of ``data_prep.transforms.recurrences.Tables``; ``sectoral``, ``upward`` and
        ``jacobi`` in the computing precision.
    out : (B, coefficients) array of the computing precision
    farthest : (B,) float64
        Filled with the largest radius of each object; NaN or infinite where a coordinate is not
        finite.
    """
    kind = out.dtype.type
    degree, total = channels.size - 1, points.shape[1]
    rows = channels.sum()
    radial_memory = _aligned(1 if shells else rows, block, out)
    level_memory, plane_memory = _aligned(8, block, out), _aligned(10, block, out)
    sums = np.empty((rows, 2 * degree + 4), np.float64)
    order = np.arange(total)
    ends = np.full(max(shells, 1), total)
    for b in range(points.shape[0]):
        cloud, mass = points[b], weights[b if weights.shape[0] > 1 else 0]
        farthest[b] = _largest_radius(cloud)
        out[b, :] = kind(0)
        if not farthest[b] <= limit:
            continue
        sums[:] = 0.0
        if shells:
            sort_by_shell(cloud, shells, order, ends)
        start, shell = 0, 0
        while start < total:
            while start >= ends[shell]:
                shell += 1
            count = min(block, ends[shell] - start)
            width = (count + 15) // 16 * 16  # Rows hold whole vectors.
            plane = plane_memory[: 10 * width].reshape(10, width)
            z2 = plane_memory[8 * width : 10 * width]
            _load_block(cloud, mass, order, start, count, plane, z2)
            radial_rows = 1 if shells else rows
            radial = radial_memory[: radial_rows * width].reshape(radial_rows, width)
            if shells:
                radial[0, :] = plane[4]
            else:
                _radial_rows(radial, plane[5], plane[2], plane[3], plane[4], jacobi, channels, tiny)
            levels = level_memory[: 8 * width].reshape(2, 4, width)
            _walk_harmonics(
                plane[0], plane[1], z2, radial, channels, sectoral, upward, tiny, shell if shells else -1,
                levels, plane[6], plane[7], sums,
            )  # fmt: skip
            start += count
        _store_moments(sums, channels, gain, radial_gain, out[b])
