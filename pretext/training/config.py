"""Settings of the training loop: the section ``[train]`` of a run's ``config.toml``."""

from dataclasses import dataclass, field

from pretext.training.precision import Precision
from spectral_ssl.ground.config import check_ranges, within


@dataclass(frozen=True, kw_only=True)
class TrainingDataConfig:
    """Settings of the training data.

    Attributes
    ----------
    fresh : int
        Number of new shapes of the universe in each epoch (``pretext.data.universe_stream``), which
        replace the maps of the training split; 0 for the maps.
    enlarge : float
        Training images are enlarged by this share of their sides, and a random part of the former
        size is cut out (``pretext.data.alter_images``); 0 for no change. For images only.
    flip : bool
        Whether training images are mirrored left to right with probability 1/2.
    """

    fresh: int = field(default=0, metadata=within(0, 1_000_000_000))
    enlarge: float = field(default=0.0, metadata=within(0.0, 1.0))
    flip: bool = False

    def __post_init__(self) -> None:
        check_ranges(self, "train.data")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of the training loop.

    Attributes
    ----------
    epochs : int
        Number of passes over the training split.
    data : TrainingDataConfig
        What a batch is drawn from, and how images are altered.
    batch_size : int
        Samples in a step, over all processes. The last, smaller batch of an epoch is used too.
    accumulate : int
        Number of parts in which each process works through its rows of a batch, one after the
        other. More parts need less memory, and the step is the same.
    precision : {"auto", "fp32", "bf16", "fp16"}
        Precision of the layers in training (``pretext.training.precision``). bf16 can halve the
        time on CPUs that multiply bfloat16 in hardware; on others it takes longer.
    compile : bool
        Whether torch's compiler makes kernels of the networks first, which takes minutes.
    max_minutes : float
        The training stops cleanly after the step that passes this time; 0 means no limit.
    checkpoint_every : int
        Epochs between checkpoints. One is always written at the end.
    checkpoint_minutes : float
        Longest time between checkpoints, within an epoch too; 0 means no limit.
    log_every : int
        Steps between rows of ``metrics.jsonl``, in addition to the row at the end of each epoch; 0
        for none.
    watch : int
        Largest number of samples of the training split for the feature statistics
        (``pretext.training.feature_statistics``); 0 for none.
    seed : int
        Seed of everything random.
    """

    epochs: int = field(default=20, metadata=within(0, 1_000_000))
    data: TrainingDataConfig = TrainingDataConfig()
    batch_size: int = field(default=64, metadata=within(1, 1_000_000))
    accumulate: int = field(default=1, metadata=within(1, 1_000_000))
    precision: Precision = "auto"
    compile: bool = False
    max_minutes: float = field(default=0.0, metadata=within(0.0, 1e7))
    checkpoint_every: int = field(default=1, metadata=within(1, 1_000_000))
    checkpoint_minutes: float = field(default=10.0, metadata=within(0.0, 1e7))
    log_every: int = field(default=0, metadata=within(0, 1_000_000_000))
    watch: int = field(default=2000, metadata=within(0, 100_000))
    seed: int = field(default=0, metadata=within(0, 2**31 - 1))

    def __post_init__(self) -> None:
        check_ranges(self, "train")
