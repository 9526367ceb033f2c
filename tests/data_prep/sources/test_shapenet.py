"""ShapeNet with and without its table of splits."""

from pathlib import Path

import pytest
from source_layouts import check_source, write

from data_prep.sources.catalogue import open_source
from data_prep.sources.shapenet import SYNSETS
from spectral_ssl.ground.errors import UserError

OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 3 1 4\n"


@pytest.mark.parametrize("file", ["model.obj", "models/model_normalized.obj"])
def test_shapenet(tmp_path: Path, file: str) -> None:
    for synset, model in (("02691156", "a"), ("02691156", "b"), ("04379243", "a"), ("04379243", "c")):
        write(tmp_path / synset / model / file, OBJ)
    (tmp_path / "02691156" / "empty").mkdir()
    source = open_source("shapenet", tmp_path)
    check_source(source)
    assert source.up == "+y"
    assert len(source.classes) == 57
    assert [(item.id, source.classes[item.label], item.split) for item in source.items] == [
        ("02691156/a", "airplane", "train"),
        ("02691156/b", "airplane", "train"),
        ("04379243/a", "table", "train"),
        ("04379243/c", "table", "train"),
    ]
    assert source.missing == (("02691156/empty", "no model file"),)

    rows = ["000,02691156,02691156,a,train", "001,02691156,,b,test", "002,2691156,,gone,val", "003,04379243,,a,val"]
    write(tmp_path / "all.csv", "\n".join(["id,synsetId,subSynsetId,modelId,split", *rows, "004,03001627,,x,train"]))
    source = open_source("shapenet", tmp_path)
    assert [(item.id, item.split) for item in source.items] == [
        ("02691156/a", "train"),
        ("02691156/b", "test"),
        ("04379243/a", "val"),
    ]
    # chairs (03001627) are listed too, but there is no folder of them at all
    assert dict(source.missing) == {
        "02691156/empty": "no model file",
        "02691156/gone": "no model file",
        "04379243/c": "not in all.csv",
    }


def test_shapenet_bad_tables_and_empty_folders(tmp_path: Path) -> None:
    write(tmp_path / "02691156" / "a" / "model.obj", OBJ)
    write(tmp_path / "all.csv", "a,b\n1,2\n")
    with pytest.raises(UserError, match="not the official split table"):
        open_source("shapenet", tmp_path)
    write(tmp_path / "all.csv", "id,synsetId,subSynsetId,modelId,split\n0,02691156,,a,both\n")
    with pytest.raises(UserError, match="unknown split"):
        open_source("shapenet", tmp_path)
    (tmp_path / "all.csv").unlink()
    (tmp_path / "03001627").mkdir()
    with pytest.raises(UserError, match="empty synset folder 03001627"):
        open_source("shapenet", tmp_path)
    assert len(set(SYNSETS.values())) == len(SYNSETS) == 57
    assert list(SYNSETS) == sorted(SYNSETS)
