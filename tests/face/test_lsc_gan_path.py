"""The latent-space-conditioned GAN as a user runs it: features of a run, samples on demand, clusters, no labels."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

import spectral_ssl
from data_prep.basis import pixel_basis
from data_prep.maps.reader import open_maps
from data_prep.maps.writer import MapWriter
from pretext.runs.trained_run import load_run
from pretext.training.checkpoint import load_checkpoint
from pretext.training.feature_statistics import effective_rank, knn_accuracy
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.run_folder import read_metrics
from spectral_ssl.planning.code_features import take_extractor

TINY = ("width=4", "latent=4", "batch_size=8")


def write_pictures(path: Path, labels: list[int], *, names: str = "picture") -> Path:
    """40 smooth pictures to train on and 12 to test with, the same whatever their labels."""
    coarse = 2 * torch.rand(52, 1, 4, 4, generator=torch.Generator().manual_seed(0)) - 1
    maps = torch.nn.functional.interpolate(coarse, size=16, mode="bilinear").numpy()
    basis = pixel_basis(1, 16, 16)
    with MapWriter(
        path, basis, source="made-up", source_digest="0", classes=["a", "b"], count=52, created_by="test"
    ) as writer:
        writer.append(maps, [f"{names}-{row}" for row in range(52)], labels, ["train"] * 40 + ["test"] * 12)
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with pictures, the same ones with other labels, and an extractor."""
    home = tmp_path_factory.mktemp("lsc-gan")
    generator = np.random.default_rng(0)
    labels = (np.arange(52) % 2).tolist()
    write_pictures(home / "pictures.h5", labels)
    write_pictures(home / "shuffled.h5", generator.permutation(labels).tolist())
    write_pictures(home / "strangers.h5", labels, names="stranger")
    spectral_ssl.pretrain(
        home / "pictures.h5",
        method="rotation-prediction",
        epochs=0,
        settings=("width=4", "layer=2", "pool=2"),
        out=home / "runs" / "extractor",
        workspace=home,
    )
    return home


def train(
    home: Path, out: str, *settings: str, data: str = "pictures.h5", features: object = None, **given: object
) -> Path:
    run = spectral_ssl.pretrain(
        home / data,
        method="lsc-gan",
        features=features,
        settings=(*TINY, *settings),
        out=home / "runs" / out,
        workspace=home,
        **{"epochs": 2, **given},
    )
    return run.folder


@pytest.fixture(scope="module")
def run(home: Path) -> Path:
    return train(home, "whole", features=home / "runs" / "extractor")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_checkpoint(folder / "checkpoints" / "last.pt")["model"])


def same(first: Path, second: Path) -> bool:
    others = weights(second)
    return all(torch.equal(value, others[name]) for name, value in weights(first).items())


def test_the_run_records_its_features(home: Path, run: Path) -> None:
    config = load_run(run).plan.task_config
    assert config.features == str(home / "features" / "extractor-pictures.h5")
    assert config.extractor == str((home / "runs" / "extractor").resolve())
    assert len(config.features_digest) == 64
    assert config.dimensions == 32


def test_no_label_reaches_the_gan(home: Path, run: Path) -> None:
    file = home / "features" / "extractor-pictures.h5"
    assert same(run, train(home, "other-labels", features=file, data="shuffled.h5"))
    with h5py.File(file, "r+") as features:  # nor those of the feature file
        features["labels"][:] = features["labels"][:][::-1]
    assert same(run, train(home, "other-labels-in-the-file", features=file))
    labelled = train(home, "labelled", "conditioning=code", features="labels")
    assert not same(labelled, train(home, "mislabelled", "conditioning=code", features="labels", data="shuffled.h5"))


@pytest.mark.usefixtures("figures")
def test_a_resumed_run_equals_an_uninterrupted_one(home: Path, run: Path) -> None:
    half = train(home, "half", features=home / "runs" / "extractor", epochs=1)
    spectral_ssl.pretrain(resume=half, epochs=2, workspace=home)
    assert same(run, half)
    assert (half / "samples" / "answers.png").stat().st_size > 1000


def test_features_are_watched_without_the_neighbours_and_the_training_does_not_feel_it(home: Path, run: Path) -> None:
    assert load_run(run).plan.task_config.followers == ("nearest",)
    rows = read_metrics(run / "metrics.jsonl")
    own = load_run(run).encode_file(open_maps(home / "pictures.h5"))[:40]
    labels = torch.arange(40) % 2
    assert rows[-1]["knn_accuracy"] == pytest.approx(knn_accuracy(torch.from_numpy(own), labels))
    assert rows[-1]["effective_rank"] == pytest.approx(effective_rank(torch.from_numpy(own)), rel=1e-4)
    assert same(run, train(home, "unwatched", "watch=0", features=home / "runs" / "extractor"))


@pytest.mark.parametrize(
    ("name", "settings", "features"),
    [
        ("plain", ("conditioning=none",), None),
        ("standard", ("conditioning=code", "nearest=batch"), "extractor"),
        ("printed", ("nearest=batch", "farthest=batch"), "extractor"),
        ("both", ("nearest=set", "farthest=set", "metric=l2", "generator_updates=2"), "extractor"),
    ],
)
def test_baselines_and_minings_train(home: Path, name: str, settings: tuple[str, ...], features: str | None) -> None:
    folder = train(home, name, *settings, epochs=1, features=home / "runs" / features if features else None)
    with h5py.File(spectral_ssl.complete(folder, modes=2, count=3, workspace=home)) as file:
        assert file["answers"].shape == (3, 2, 1, 16, 16)
        assert np.isfinite(file["answers"][:]).all()


def test_samples_on_demand(home: Path, run: Path) -> None:
    by_id = spectral_ssl.complete(run, like="picture-45", modes=16, out=home / "id.h5", workspace=home)
    with h5py.File(by_id) as file:
        assert file["answers"].shape == (1, 16, 1, 16, 16)
        assert file["ids"][0] == b"picture-45"
        code, answers, picture = file["condition"][:], file["answers"][:], file["target"][0, 0]
    Image.fromarray(np.round((picture + 1) * 127.5).astype(np.uint8)).save(home / "alike.png")
    by_image = spectral_ssl.complete(run, like=home / "alike.png", modes=16, out=home / "image.h5", workspace=home)
    with h5py.File(by_image) as file:
        # the same picture but for its rounding to bytes
        assert np.allclose(file["condition"][:], code, atol=0.05)
        assert np.allclose(file["answers"][:], answers, atol=0.1)
    for ending in ("id.png", "image.png"):
        assert (home / ending).exists()


def test_the_other_verbs_take_such_a_run(home: Path, run: Path) -> None:
    features = spectral_ssl.export(run, out=home / "exported.h5", workspace=home)
    result = spectral_ssl.cluster(features, how="kmeans", neighbours=True)
    assert set(result["scores"]) == {"NMI", "ARI", "purity"}
    assert set(result["neighbours"]) == {1, 2, 5}
    with h5py.File(result["path"]) as file:
        assert file["clusters"].shape == (52,)
        assert set(np.unique(file["clusters"])) == {0, 1}
    part = spectral_ssl.cluster(features, clusters=3, how="spectral", split="test", out=home / "part.h5")
    assert part["samples"] == 12


def test_an_extractor_that_was_replaced_encodes_no_image(home: Path, tmp_path: Path) -> None:
    def make_extractor(pool: int) -> Path:
        settings = ("width=4", "layer=2", f"pool={pool}")
        out = tmp_path / "replaced"
        data = home / "pictures.h5"
        return spectral_ssl.pretrain(
            data, method="rotation-prediction", epochs=0, settings=settings, out=out, workspace=home
        ).folder

    folder = train(home, "of-a-replaced-extractor", features=make_extractor(1), epochs=0)
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(tmp_path / "grey.png")
    options = {"like": tmp_path / "grey.png", "modes": 2, "workspace": home}
    spectral_ssl.complete(folder, out=tmp_path / "first.h5", **options)
    shutil.rmtree(tmp_path / "replaced")
    make_extractor(2)
    with pytest.raises(UserError, match=r"has changed since.*32 values of .*replaced, not 8"):
        spectral_ssl.complete(folder, out=tmp_path / "second.h5", **options)


def test_a_loss_on_codes_trains_and_resumes_with_the_network_that_made_them(home: Path) -> None:
    settings = ("code_weight=2", "code_layer=stage2")
    whole = train(home, "codes", *settings, features=home / "runs" / "extractor")
    half = train(home, "half-codes", *settings, features=home / "runs" / "extractor", epochs=1)
    spectral_ssl.pretrain(resume=half, epochs=2, workspace=home)
    assert same(whole, half)
    assert all(row["code_error"] > 0 for row in read_metrics(whole / "metrics.jsonl"))
    run = load_run(whole)
    encoder = load_run(home / "runs" / "extractor")
    assert run.plan.task_config.dimensions == encoder.layers()["stage2"]
    assert not any(name.startswith("extractor") for name in weights(whole))
    # the network lets gradients through and computes the very codes of the feature file
    take_extractor(run.method, run.plan)
    maps = open_maps(home / "pictures.h5")
    images = torch.from_numpy(maps.read()[:5]).requires_grad_()
    codes = run.method.extractor(images)
    expected = encoder.at_layer("stage2").encode(maps)[:5]
    np.testing.assert_allclose(codes.detach().numpy(), expected, atol=1e-5, rtol=1e-4)
    codes.sum().backward()
    assert images.grad.abs().max() > 0


def test_a_loss_on_codes_does_not_resume_with_another_network(home: Path, tmp_path: Path) -> None:
    extractor = tmp_path / "extractor"
    shutil.copytree(home / "runs" / "extractor", extractor)
    half = train(home, "moved-codes", "code_weight=2", features=extractor, epochs=1)
    shutil.move(extractor, tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"the run that made the features is gone.*bring back its checkpoint"):
        spectral_ssl.pretrain(resume=half, epochs=2, workspace=home)
    shutil.move(tmp_path / "elsewhere", extractor)
    spectral_ssl.pretrain(resume=half, epochs=2, workspace=home)


def test_a_loss_on_codes_needs_the_network_that_made_them(home: Path, run: Path) -> None:
    file = home / "features" / "extractor-pictures.h5"
    with pytest.raises(UserError, match="no network that computes codes"):
        train(home, "never-codes", "code_weight=2", features=file)
    with pytest.raises(UserError, match="no network that computes codes"):
        train(home, "never-codes", "code_weight=2", "conditioning=code", features="labels")
    with pytest.raises(UserError, match="only a run has layers"):
        train(home, "never-codes", "code_layer=stage2", features=file)
    with pytest.raises(UserError, match="layer"):
        train(home, "never-codes", "code_layer=layer99", features=home / "runs" / "extractor")
    assert not (home / "runs" / "never-codes").exists()


def test_mistakes(home: Path, run: Path) -> None:
    extractor = home / "runs" / "extractor"
    file = home / "features" / "extractor-pictures.h5"
    with pytest.raises(UserError, match="ids do not match"):
        train(home, "never", features=file, data="strangers.h5")
    with pytest.raises(UserError, match="no codes to condition on"):
        train(home, "never")
    with pytest.raises(UserError, match="the task denoise has no features"):
        spectral_ssl.pretrain(home / "pictures.h5", method="regression", features=extractor, workspace=home)
    with pytest.raises(UserError, match="makes images from codes"):
        spectral_ssl.pretrain(home / "pictures.h5", method="lsc-gan", task="denoise", workspace=home)
    with pytest.raises(UserError, match="neither an id of the data nor a file"):
        spectral_ssl.complete(run, like="picture-99", out=home / "never.h5", workspace=home)
    with pytest.raises(UserError, match="unreadable image"):
        spectral_ssl.complete(run, like=home / "pictures.h5", out=home / "never.h5", workspace=home)
    direct = train(home, "direct", features=file, epochs=0)
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(home / "black.png")
    with pytest.raises(UserError, match="no network that encodes"):
        spectral_ssl.complete(direct, like=home / "black.png", out=home / "never.h5", workspace=home)
    with pytest.raises(UserError, match="no samples in split"):
        spectral_ssl.cluster(file, split="val", out=home / "never.h5")
    with pytest.raises(UserError, match="number of clusters"):
        spectral_ssl.cluster(file, clusters=53, out=home / "never.h5")
    assert not (home / "runs" / "never").exists()
    assert not (home / "never.h5").exists()
