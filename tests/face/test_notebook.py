"""What a notebook shows of maps, runs and features: a few facts, escaped, never the arrays."""

from dataclasses import replace
from typing import Any

import spectral_ssl
from downstream.features.store import read_features


def test_maps_runs_and_features_show_facts(random_maps: Any, tmp_path: Any) -> None:
    run = spectral_ssl.pretrain(
        random_maps, method="regression", epochs=1, settings={"width": 4, "code": 8}, out=tmp_path / "run"
    )
    features = read_features(spectral_ssl.export(run, out=tmp_path / "features.h5"))
    dimensions = features.values.shape[1]
    assert repr(run).startswith("<Run: folder ")
    assert "method regression, task denoise, data " in repr(run)
    assert "epochs 1, steps " in repr(run)
    assert repr(features).startswith(f"<Features: samples {len(random_maps)}, dimensions {dimensions}, classes ")
    for shown, words in (
        (random_maps._repr_html_(), [f"{len(random_maps)} (", " train", "zernike"]),
        (run._repr_html_(), ["regression", "denoise", "default"]),
        (features._repr_html_(), [str(len(random_maps)), str(dimensions)]),
    ):
        assert shown.startswith("<table>")
        assert len(shown) < 2000
        for word in words:
            assert word in shown, word


def test_names_from_files_are_escaped(random_maps: Any) -> None:
    shown = replace(random_maps, source="<script>alert(1)</script>\x1b[2J")._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "\x1b" not in shown
