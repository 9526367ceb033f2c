"""The encoders that ship: their files, their size, and features that are the same on every machine.

``python benchmarks/make_encoders.py`` writes golden.json.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from make_encoders import GOLDEN, LARGEST, LICENCE, MAKING, golden_clouds

import spectral_ssl
from data_prep.basis import zernike_basis
from pretext.networks.grids import density
from pretext.pretrained.facts import FACTS, read_facts
from pretext.pretrained.find import DEFAULT_ENCODER, SHIPPED, find_encoder
from pretext.pretrained.folder import CARD, WEIGHTS
from spectral_ssl.ground.files import hash_file
from spectral_ssl.planning.recipe import list_recipes

# Other processors round differently: float16 weights and float32 sums. Golden values have three decimals.
TOLERANCE = 5e-3  # of the largest feature


@pytest.mark.parametrize("name", SHIPPED)
def test_an_encoder_that_ships_gives_its_golden_features(name: str) -> None:
    encoder = spectral_ssl.load(name)
    golden = json.loads(GOLDEN.read_text())[name]
    assert encoder.checkpoint_digest == golden["digest"], "run benchmarks/make_encoders.py"
    features, wanted = encoder.encode(golden_clouds()), np.array(golden["features"])
    assert features.shape == wanted.shape
    assert np.abs(features - wanted).max() <= TOLERANCE * np.abs(wanted).max()
    lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(wanted, axis=1)
    assert ((features * wanted).sum(axis=1) / lengths).min() > 0.9999
    # The four shapes differ, so that features which ignore the shape would fail.
    assert np.abs(wanted[:, None] - wanted[None]).max(axis=2)[np.triu_indices(4, 1)].min() > 0.1
    assert encoder.basis == zernike_basis()  # the default of `prep`


@pytest.mark.parametrize("name", SHIPPED)
def test_the_files_of_an_encoder_that_ships(name: str) -> None:
    folder = find_encoder(name)
    facts, card = read_facts(folder), (folder / CARD).read_text()
    assert sorted(path.name for path in folder.iterdir()) == sorted((CARD, FACTS, WEIGHTS))
    assert sum(path.stat().st_size for path in folder.iterdir()) <= LARGEST
    assert facts.name == name
    assert facts.digest == hash_file(folder / WEIGHTS)
    assert facts.licence == LICENCE
    for part in (facts.digest, LICENCE, facts.recipe, "## Scores", "## Limits"):
        assert part in card
    assert MAKING[name].recipe in list_recipes()
    assert str(Path.home()) not in (folder / FACTS).read_text()


def test_the_default_ships() -> None:
    assert DEFAULT_ENCODER in SHIPPED
    assert spectral_ssl.load().name == DEFAULT_ENCODER


@pytest.mark.parametrize("name", SHIPPED)
def test_loading_computes_the_functions_on_the_grid_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []
    compute = density.zernike_functions
    monkeypatch.setattr(density, "zernike_functions", lambda *given: computed.append(given) or compute(*given))
    run = spectral_ssl.load(name)
    assert len(computed) == 1
    # The check of sizes, which reads shapes only, still knows the network.
    with pytest.raises(ValueError, match="nothing in the file"):
        run.plan.check_sizes(run.standardise, {}, features_only=True)
    assert len(computed) == 1
