"""Verbs without the figures and the report at their end: these take 20 times longer than a tiny training.

A ``conftest.py`` that imports ``no_figures`` turns them off in its folder; a test asks for them with ``figures``.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import pytest

from spectral_ssl.verbs import pretrain, probe

DRAWN = [(pretrain, "draw_run"), (pretrain, "draw_losses"), (pretrain, "write_short_report")]
DRAWN += [(probe, "_draw_confusion"), (probe, "write_short_report")]
ORIGINALS = [(verb, name, getattr(verb, name)) for verb, name in DRAWN]


def do_nothing(*_: Any, **__: Any) -> None:
    """Stand in for a function that draws."""


def leave_out_figures() -> None:
    """Let ``pretrain`` and ``probe`` draw no figures and write no report for the rest of this process."""
    for verb, name in DRAWN:
        setattr(verb, name, do_nothing)


@contextmanager
def figures_off() -> Iterator[None]:
    """Let ``pretrain`` and ``probe`` draw no figures and write no report."""
    with ExitStack() as stack:
        for verb, name in DRAWN:
            stack.enter_context(patch.object(verb, name, do_nothing))
        yield


@pytest.fixture(scope="module", autouse=True)
def no_figures() -> Iterator[None]:
    """The tests of a module draw no figures, and its fixtures draw none either."""
    with figures_off():
        yield


@pytest.fixture
def figures(no_figures: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """This test draws its figures and writes its reports."""
    for verb, name, original in ORIGINALS:
        monkeypatch.setattr(verb, name, original)
