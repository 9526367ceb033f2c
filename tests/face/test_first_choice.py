"""What is trained by default, for data of any size."""

import shlex
from pathlib import Path

import numpy as np
import pytest
from command_line import call
from conftest import write_random_maps
from scipy.spatial.transform import Rotation

from data_prep.basis import Basis, harmonics_basis, pixel_basis, zernike_basis
from data_prep.maps.reader import MapFile, open_maps
from data_prep.maps.writer import MapWriter
from data_prep.pipeline.shape_to_map import clouds_to_maps
from pretext.data.training_split import TrainingSplit
from pretext.methods.catalogue import METHODS
from pretext.training.config import TrainConfig
from spectral_ssl.ground.config import build_config
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.defaults import choose_sections, has_bfloat16, list_advice
from spectral_ssl.planning.pretrain_options import PretrainOptions
from spectral_ssl.planning.recipe import read_recipe
from spectral_ssl.planning.run_plan import plan_run


def with_clouds(path: Path, train: int) -> MapFile:
    basis = zernike_basis(2, points=4)
    with MapWriter(
        path, basis, source="made-up", source_digest="0", classes=["a"], count=train, created_by="test", keep_points=4
    ) as writer:
        clouds = np.zeros((train, 4, 3))
        maps = np.zeros((train, *basis.shape), np.float32)
        writer.append(maps, [str(row) for row in range(train)], [0] * train, ["train"] * train, clouds)
    return open_maps(path)


@pytest.mark.parametrize(
    ("objects", "epochs", "batch"),
    [(20, 60, 10), (480, 60, 128), (3928, 60, 128), (9843, 26, 128), (40_000, 10, 128)],
)
def test_epochs_and_batches_follow_the_data(objects: int, epochs: int, batch: int, tmp_path: Path) -> None:
    sections = choose_sections(with_clouds(tmp_path / "maps.h5", objects))
    assert sections["run"] == {"method": "joint-embedding", "task": "views"}
    precision = "bf16" if has_bfloat16() else "fp32"
    assert sections["train"] == {"epochs": epochs, "batch_size": batch, "precision": precision}
    build_config(TrainConfig, sections["train"], "train")
    if objects == 3928:  # ModelNet10: what was measured
        recipe = read_recipe("joint-embedding-modelnet10")
        assert {**recipe["train"], "precision": precision} == sections["train"]
        assert recipe.get("method", {}) == sections.get("method", {})


def test_what_is_given_is_kept(tmp_path: Path) -> None:
    clouds = with_clouds(tmp_path / "maps.h5", 20)

    def names(maps: MapFile, method: str | None, task: str | None) -> tuple[str, str]:
        run = choose_sections(maps, method, task)["run"]
        return run["method"], run["task"]

    assert names(clouds, "joint-embedding", None) == ("joint-embedding", "views")
    assert names(clouds, None, "views") == ("joint-embedding", "views")
    assert names(clouds, "cgml", None) == ("cgml", "denoise")
    assert names(clouds, None, "complete-shape") == ("cgml", "complete-shape")
    assert names(clouds, "joint-embedding", "denoise") == ("joint-embedding", "denoise")
    assert names(clouds, "lsc-gan", None) == ("lsc-gan", "from-code")
    assert "train" not in choose_sections(clouds, "regression", None)


@pytest.mark.parametrize("method", [name for name, entry in METHODS.items() if not entry.reads_codes])
def test_a_method_that_reads_no_codes_is_refused_for_them(method: str, tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "maps.h5", pixel_basis(1, 16, 16))
    for features in (None, "labels"):
        options = PretrainOptions(maps, method=method, task="from-code", features=features)
        with pytest.raises(UserError, match=r"reads no codes: got .*; take --method lsc-gan or rotation-prediction"):
            plan_run(options, Workspace(tmp_path))


def test_rotations_of_images_whose_channels_the_task_changes_are_refused(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "maps.h5", pixel_basis(3, 32, 32))
    plan, _ = plan_run(PretrainOptions(maps, method="rotation-prediction", task="colorize"), Workspace(tmp_path))
    with pytest.raises(UserError, match="does not change the channels: got conditions of 1 channels, targets of 2"):
        plan.build(TrainingSplit(maps).standardise)


def test_shapes_without_clouds_and_tiny_images_get_cgml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, basis in (("spectral", zernike_basis(3)), ("tiny", pixel_basis(1, 1, 1))):
        maps = write_random_maps(tmp_path / f"{name}.h5", basis)
        assert choose_sections(maps)["run"] == {"method": "cgml", "task": "denoise"}
        error = capsys.readouterr().err
        assert ("--keep-points" in error) == (name == "spectral")
        assert ("images below 8 pixels, too small for the joint embedding: training cgml" in error) == (name == "tiny")
    one = write_random_maps(tmp_path / "one.h5", pixel_basis(1, 16, 16), train=1)
    assert choose_sections(one)["run"] == {"method": "cgml", "task": "denoise"}
    needs = "one.h5 has 1 training image; the joint embedding needs two: training cgml"
    assert capsys.readouterr().err.endswith(f"{needs}\n")


@pytest.mark.parametrize(
    ("shape", "train", "epochs", "batch", "side", "mirror"),
    [
        ((1, 8, 8), 200, 100, 100, 0, False),
        ((3, 32, 32), 200, 100, 100, 24, True),
        ((3, 64, 48), 300, 100, 150, 0, True),
        ((1, 28, 28), 2000, 50, 256, 0, False),
        ((3, 64, 64), 5, 100, 2, 48, True),
    ],
)
def test_images_get_the_joint_embedding_sized_to_them(
    shape: tuple[int, int, int], train: int, epochs: int, batch: int, side: int, mirror: bool, tmp_path: Path
) -> None:
    maps = write_random_maps(tmp_path / "images.h5", pixel_basis(*shape), train=train, test=0)
    sections = choose_sections(maps)
    assert sections["run"] == {"method": "joint-embedding", "task": "picture-views"}
    assert (sections["train"]["epochs"], sections["train"]["batch_size"]) == (epochs, batch)
    assert sections["task"] == {"side": side, "mirror": mirror}
    plan, _ = plan_run(PretrainOptions(maps), Workspace(tmp_path))  # the settings are those of the method and the task
    assert plan.method_config.networks.filters == 400
    assert choose_sections(maps, "cgml")["run"] == {"method": "cgml", "task": "denoise"}
    assert choose_sections(maps, None, "inpaint")["run"] == {"method": "cgml", "task": "inpaint"}
    assert choose_sections(maps, "joint-embedding")["run"] == sections["run"]


@pytest.mark.usefixtures("few_shapes")
@pytest.mark.parametrize("basis", [zernike_basis(4), zernike_basis(4, radial=3), harmonics_basis(3, radial=2)])
def test_the_advice_on_few_shapes_works_as_typed(basis: Basis, tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "my maps.h5", basis, train=30, labelled=False)
    (line,) = list_advice(plan_run(PretrainOptions(maps), Workspace(tmp_path))[0], maps)
    prep, train, export = (shlex.split(command) for command in line.split("`")[1::2])
    assert train == ["spectral-ssl", "pretrain", "--data", "shapes.h5"]
    assert export == ["spectral-ssl", "export", "--data", str(maps.path)]
    done = call(*prep[1:], "--workers", "0", folder=tmp_path, workspace=tmp_path)
    assert done.returncode == 0, done.stderr
    shapes = open_maps(tmp_path / "shapes.h5")
    assert basis.find_conflicts(shapes.basis) == []
    assert shapes.has_points
    (line,) = list_advice(plan_run(PretrainOptions(shapes), Workspace(tmp_path))[0], shapes)
    assert line.endswith("More objects help")


def test_few_data_and_no_common_pose_are_said(tmp_path: Path, shapes_file: Path) -> None:
    few = write_random_maps(tmp_path / "few.h5", pixel_basis(1, 8, 8), train=199, test=0)
    enough = write_random_maps(tmp_path / "enough.h5", pixel_basis(1, 8, 8), train=200, test=0)
    (line,) = list_advice(plan_run(PretrainOptions(few), Workspace(tmp_path))[0], few)
    assert line.startswith("few data: 199 maps to train on")
    assert line.endswith("often as good; compare with `spectral-ssl probe`. More images help")
    assert list_advice(plan_run(PretrainOptions(enough), Workspace(tmp_path))[0], enough) == []

    aligned = open_maps(shapes_file)  # 48 training objects
    basis, clouds = aligned.basis, aligned.read_points(aligned.rows("train"))
    turned = np.einsum("nij,npj->npi", Rotation.random(len(clouds), random_state=0).as_matrix(), clouds)
    with MapWriter(
        tmp_path / "turned.h5", basis, source="made-up", source_digest="0", classes=["a"], count=len(turned),
        created_by="test", keep_points=turned.shape[1],
    ) as writer:  # fmt: skip
        ids = [str(row) for row in range(len(turned))]
        writer.append(clouds_to_maps(turned, basis), ids, [0] * len(turned), ["train"] * len(turned), turned)
    for maps, options, is_said in (
        (aligned, {}, False),
        (open_maps(tmp_path / "turned.h5"), {}, True),
        (open_maps(tmp_path / "turned.h5"), {"settings": ("pose=principal",)}, False),
        (open_maps(tmp_path / "turned.h5"), {"method": "cgml", "task": "complete-shape"}, False),
    ):
        plan, _ = plan_run(PretrainOptions(maps, **options), Workspace(tmp_path))
        lines = list_advice(plan, maps)
        assert any("no common pose" in line and "`--set pose=principal`" in line for line in lines) == is_said
