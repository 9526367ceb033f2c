"""The optional fast transform of scattered points agrees with our own sum, and is never chosen silently."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from numpy.typing import NDArray

from data_prep.transforms import ducc_moments as ducc_harmonics
from data_prep.transforms.shell_harmonics import shell_moments
from spectral_ssl.ground.errors import ObjectError, UserError


def _clouds(objects: int = 3, points: int = 500) -> NDArray[np.float64]:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(objects, points, 3))
    radius = generator.random((objects, points, 1)) ** (1 / 3) * 0.999
    return vectors / np.linalg.norm(vectors, axis=2, keepdims=True) * radius


def test_unknown_back_ends_are_refused() -> None:
    with pytest.raises(UserError, match="unknown back end"):
        shell_moments(_clouds(), 5, 1, backend="other")


def test_without_ducc_its_back_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ducc0", None)
    ducc_harmonics._load_transform.cache_clear()
    with pytest.raises(UserError, match=r"ducc0 is not installed.*spectral-ssl\[ducc\]"):
        shell_moments(_clouds(), 5, 1, backend="ducc")


class TestWithDucc:
    @pytest.fixture(autouse=True)
    def _there(self) -> None:
        pytest.importorskip("ducc0", reason="the ducc extra is not installed")

    @pytest.mark.parametrize(("degree", "shells"), [(1, 1), (8, 3), (63, 1), (63, 8), (100, 2)])
    @pytest.mark.parametrize(("dtype", "relative"), [("float64", 1e-12), ("float32", 1e-6)])
    def test_agrees_with_our_sum(self, degree: int, shells: int, dtype: str, relative: float) -> None:
        clouds = _clouds()
        clouds[0, :5] = [[0, 0, 0], [0, 0, 0.5], [0, 0, -0.5], [0.4, 0, 0], [-0.4, -0.0, 0]]  # centre, poles, cut
        weights = np.random.default_rng(1).random((3, 500))
        weights /= weights.sum(axis=1, keepdims=True)
        exact = shell_moments(clouds, degree, shells, weights, dtype="float64")
        computed = shell_moments(clouds, degree, shells, weights, dtype=dtype, backend="ducc")
        assert computed.dtype == dtype
        assert computed.shape == exact.shape
        assert np.abs(computed - exact).max() < relative * np.abs(exact).max()

    def test_logs_once_that_it_is_used(self, caplog: pytest.LogCaptureFixture) -> None:
        ducc_harmonics._load_transform.cache_clear()
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                shell_moments(_clouds(), 5, 1, backend="ducc")
            shell_moments(_clouds(), 5, 1)
        assert [record.message.count("ducc0") for record in caplog.records] == [1]

    @pytest.mark.parametrize("bad", [2.0, np.nan])
    def test_refuses_what_our_sum_refuses(self, bad: float) -> None:
        clouds = _clouds()
        clouds[1, 7, 0] = bad
        with pytest.raises(ObjectError, match="object 1 of the batch"):
            shell_moments(clouds, 5, 1, backend="ducc")
        with pytest.raises(UserError, match="precision"):
            shell_moments(_clouds(), 5, 1, dtype="float16", backend="ducc")

    def test_compiles_alone_and_logs_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        inside: list[str] = []

        @contextmanager
        def alone(announcement: str) -> Iterator[None]:
            yield
            inside.append(announcement)

        monkeypatch.setattr(ducc_harmonics, "compile_alone", alone)
        ducc_harmonics._precompile.cache_clear()
        shell_moments(_clouds(), 5, 2, backend="ducc")
        shell_moments(_clouds(), 7, 1, backend="ducc")
        assert inside == ["compiling the angles of points (once on this machine, some seconds)"]
        # The transform needs no other signature of the functions.
        kernels = (ducc_harmonics._add, ducc_harmonics.compute_angles)
        counts = [len(kernel.signatures) for kernel in kernels]
        shell_moments(_clouds()[:, ::2], 6, 3, np.full(250, 1 / 250), backend="ducc")
        assert [len(kernel.signatures) for kernel in kernels] == counts
