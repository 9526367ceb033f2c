"""Codes reach the samples they belong to, neighbours follow, and what does not fit is refused."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_random_maps

from data_prep.basis import pixel_basis, zernike_basis
from data_prep.maps.reader import MapFile
from downstream.features.store import Features, write_features
from pretext.neighbours.exact import find_exact_neighbours
from pretext.tasks.codes.feature_codes import find_codes, settle_codes
from pretext.tasks.codes.from_code import FromCodeConfig, from_code, from_code_problem
from pretext.tasks.codes.neighbour_pairs import CodedTrainingSplit, describe_duration
from spectral_ssl.ground.errors import UserError


def write_codes(path: Path, ids: list[str], values: np.ndarray, labels: np.ndarray | None = None) -> FromCodeConfig:
    about = dict.fromkeys(("layer", "pooling", "checkpoint_digest", "data_digest", "config", "basis", "source"), "")
    known = np.zeros(len(ids), np.int64) if labels is None else labels
    splits = np.full(len(ids), "train")
    write_features(path, Features(values, tuple(ids), known, splits, ("a", "b"), about), overwrite=True)
    return FromCodeConfig(features=str(path))


@pytest.fixture
def coded(tmp_path: Path, random_maps: MapFile) -> FromCodeConfig:
    """Codes of the maps, in another order, with others among them."""
    generator = np.random.default_rng(0)
    ids = [*random_maps.ids, "stranger"]
    order = generator.permutation(len(ids))
    values = generator.normal(size=(len(ids), 5)).astype(np.float32)
    return write_codes(tmp_path / "codes.h5", [ids[row] for row in order], values[order])


def expected(maps: MapFile) -> np.ndarray:
    generator = np.random.default_rng(0)
    generator.permutation(len(maps) + 1)
    return generator.normal(size=(len(maps) + 1, 5)).astype(np.float32)[:-1]


def test_codes_are_matched_by_their_ids(random_maps: MapFile, coded: FromCodeConfig) -> None:
    settled = settle_codes(coded, random_maps)
    assert settled.dimensions == 5
    assert len(settled.features_digest) == 64
    assert np.array_equal(find_codes(settled, random_maps), expected(random_maps))


def test_neighbours_follow_the_samples(random_maps: MapFile, coded: FromCodeConfig) -> None:
    settled = settle_codes(replace(coded, nearest="set", farthest="set"), random_maps)
    data = CodedTrainingSplit(random_maps, settled)
    codes = expected(random_maps)[random_maps.rows("train")]
    found = find_exact_neighbours(codes)
    places = torch.tensor([3, 40, 7])
    batch = data.batch(places)
    assert batch.codes is not None
    everyone = np.concatenate([places.numpy(), found.nearest[places, 0], found.farthest[places, 0]])
    assert np.array_equal(batch.codes.numpy(), codes[everyone])
    assert torch.equal(batch.maps, data.standardise(random_maps.read(data.rows[everyone])))
    example = from_code(batch, settled, torch.Generator())
    problem = from_code_problem(random_maps.basis, settled)
    assert problem.followers == ("nearest", "farthest")
    assert example.condition.shape == (9, *problem.condition)
    assert example.target.shape == (9, *problem.target)


def test_kept_neighbours_are_the_mined_ones(
    tmp_path: Path, random_maps: MapFile, coded: FromCodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled = settle_codes(coded, random_maps)
    first = CodedTrainingSplit(random_maps, settled)
    (kept,) = tmp_path.glob("*neighbours*.npz")
    monkeypatch.setattr(
        "pretext.tasks.codes.neighbour_pairs.find_exact_neighbours", None
    )  # what is kept is not mined again
    assert torch.equal(CodedTrainingSplit(random_maps, settled).followers[0], first.followers[0])
    monkeypatch.undo()
    kept.write_bytes(b"damaged")
    assert torch.equal(CodedTrainingSplit(random_maps, settled).followers[0], first.followers[0])
    other = CodedTrainingSplit(random_maps, replace(settled, metric="l2", nearest="set"))
    assert len(list(tmp_path.glob("*neighbours*.npz"))) == 2
    assert len(other.followers[0]) == len(first.followers[0])


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("damage", ["header", "compressed", "pickled", "length", "encrypted"])
def test_kept_neighbours_of_somebody_else_are_mined_again(
    damage: str, tmp_path: Path, random_maps: MapFile, coded: FromCodeConfig
) -> None:
    settled = settle_codes(coded, random_maps)
    first = CodedTrainingSplit(random_maps, settled)
    (kept,) = tmp_path.glob("*neighbours*.npz")
    count = len(first.followers[0])
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED if damage == "compressed" else zipfile.ZIP_STORED) as archive:
        for side in ("nearest", "farthest"):
            shape = (10**14,) if damage == "header" else (count,)
            head = io.BytesIO()
            np.lib.format.write_array_header_1_0(
                head, {"descr": "|O" if damage == "pickled" else "<i8", "fortran_order": False, "shape": shape}
            )
            archive.writestr(f"{side}.npy", head.getvalue() + bytes(8 * count - (damage == "length")))
            archive.infolist()[-1].flag_bits |= damage == "encrypted"  # as a single turned bit says
    assert torch.equal(CodedTrainingSplit(random_maps, settled).followers[0], first.followers[0])
    with np.load(kept) as written:  # as they were
        assert np.array_equal(written["nearest"], first.followers[0].numpy())


def test_labels_are_the_codes_of_the_labelled_baseline(random_maps: MapFile) -> None:
    settled = settle_codes(FromCodeConfig(features="labels"), random_maps)
    assert settled.dimensions == 3
    assert settled.followers == ()
    assert np.array_equal(find_codes(settled, random_maps).argmax(axis=1), random_maps.labels)


def test_without_features_there_is_one_code_for_all(random_maps: MapFile) -> None:
    config = settle_codes(FromCodeConfig(), random_maps)
    example = from_code(CodedTrainingSplit(random_maps, config).batch(torch.arange(4)), config, torch.Generator())
    assert torch.equal(example.condition, torch.zeros(4, 1, 1, 1))
    assert not from_code_problem(random_maps.basis, config).coded


def test_what_does_not_fit_is_refused(tmp_path: Path, random_maps: MapFile, coded: FromCodeConfig) -> None:
    ids = list(random_maps.ids)
    values = np.random.default_rng(1).normal(size=(len(ids), 4)).astype(np.float32)
    settled = settle_codes(coded, random_maps)
    with pytest.raises(UserError, match="ids do not match"):
        settle_codes(write_codes(tmp_path / "fewer.h5", ids[:-1], values[:-1]), random_maps)
    with pytest.raises(UserError, match="constant features"):
        settle_codes(write_codes(tmp_path / "constant.h5", ids, np.ones_like(values)), random_maps)
    with pytest.raises(UserError, match="not finite"):
        settle_codes(write_codes(tmp_path / "nan.h5", ids, values * np.nan), random_maps)
    with pytest.raises(UserError, match="nowhere"):
        settle_codes(FromCodeConfig(features=str(tmp_path / "nowhere.h5")), random_maps)
    write_codes(tmp_path / "codes.h5", ids, values)
    with pytest.raises(UserError, match="features differ from those of the run"):
        find_codes(settled, random_maps)
    single = write_random_maps(tmp_path / "single.h5", zernike_basis(4), classes=1)
    with pytest.raises(UserError, match="a single class"):
        settle_codes(FromCodeConfig(features="labels"), single)
    unlabelled = write_random_maps(tmp_path / "unlabelled.h5", zernike_basis(4), labelled=False)
    with pytest.raises(UserError, match="the task needs labels"):
        settle_codes(FromCodeConfig(features="labels"), unlabelled)
    with pytest.raises(UserError, match="single images"):
        from_code_problem(pixel_basis(6, 8, 8, paired=True), FromCodeConfig())
    alone = write_random_maps(tmp_path / "alone.h5", zernike_basis(4), train=1, test=3)
    few = write_codes(tmp_path / "few.h5", list(alone.ids), values[:4])
    with pytest.raises(UserError, match="constant features"):
        CodedTrainingSplit(alone, settle_codes(few, alone))


def test_a_long_search_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    # differences of N² D: about 19 min at most, above that neighbours are approximate
    said = {
        count: describe_duration(np.broadcast_to(np.float32(0), (count, 10_000))) for count in (5_000, 30_000, 40_000)
    }
    assert said[5_000] == said[40_000] == ""
    assert said[30_000].startswith(", about 17 min (")
