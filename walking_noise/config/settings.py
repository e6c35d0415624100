"""Groups of settings of a run: the type, the default and the meaning of each setting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, create_model

from walking_noise import data, models
from walking_noise.fields.setting_groups import ADDED_LATER, Group
from walking_noise.fields.setting_types import (
    LARGEST_INTEGER,
    LIST,
    REAL,
    WHOLE,
    Flag,
    Level,
    OneOf,
    Positive,
    Ratio,
    Seed,
    in_words,
)
from walking_noise.noise import noise_kinds


def _keywords(words: tuple[str, ...]) -> tuple[str, ...] | None:
    """Allow distinct words, in the order of their classes. Return None for the words of MLPerf Tiny, the default."""
    distinct = len(set(words)) == len(words) > 0 and data.NOT_KEYWORDS.isdisjoint(words)
    if not distinct or not all(word.isidentifier() for word in words):
        raise ValueError
    return None if words == data.KEYWORDS else words


def _other_widths(widths: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return None for the widths that a model has by default."""
    return None if any(model.hidden == widths for model in models.models().values()) else widths


LARGEST_EXECUTIONS, LARGEST_WIDTH = 100_000, 100_000
"""Most executions of a layer, and most neurons."""
KEYWORDS_IN_WORDS = (
    f"a list of distinct words, none of them {' or '.join(sorted(data.NOT_KEYWORDS))}; "
    "in YAML put yes, no, on, off in quotes"
)
POINTS_IN_WORDS = "products, modules, or a pattern of module names such as layer1.*; each also with +residual behind it"
Keywords = Annotated[tuple[str, ...], LIST, AfterValidator(_keywords), in_words(KEYWORDS_IN_WORDS)]
LevelPerPoint = Annotated[tuple[Level, ...], LIST, in_words("a list of them, one for each noise point")]
RatioPerPoint = Annotated[tuple[Ratio, ...], LIST, in_words("a list of them, one for each noise point")]
Count = Annotated[int, Field(ge=1, le=LARGEST_EXECUTIONS), WHOLE]
Executions = Count | Annotated[tuple[Count, ...], LIST, in_words("a list of them, one for each noise point")]
Width = Annotated[int, Field(ge=1, le=LARGEST_WIDTH), WHOLE]
Hidden = Annotated[
    tuple[Width, ...],
    Field(min_length=1),
    LIST,
    AfterValidator(_other_widths),
    in_words(f"a list of whole numbers 1..{LARGEST_WIDTH}"),
]
PointNumber = Annotated[int, Field(ge=0), WHOLE, in_words("the number of a noise point")]


class DataConfig(Group):
    """Data set, transform of its samples, samples for validation, and keywords of a speech data set."""

    name: Annotated[str, OneOf(data.sources, or_own=True)] = "mnist5k"
    """Data set; mnist5k: 5,000 real digits, no download; gsc: Google Speech Commands v2; or a function of your own,
    my_package.module:load."""
    transform: Literal["release", "fresh", "none"] = "release"
    """release: preprocessing of the papers' code; none: scaled to [0, 1] only (fashion_mnist, svhn, cifar10), no
    background noise (gsc); fresh (gsc): background noise drawn anew for every run and epoch."""
    validation: Literal["test", "holdout"] = "test"
    """test: the official test split, as in the papers; holdout: a tenth of the training set, or the official
    validation list (gsc)."""
    keywords: Keywords | None = None
    """gsc: the words to classify; default: the ten of MLPerf Tiny. Silence and all other words are two more classes."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width of the network's input."""
        return tuple(data.source(self.name).shape)

    @property
    def classes(self) -> int:
        """The number of classes."""
        return data.source(self.name).count_classes(self.keywords)


class ModelConfig(Group):
    """Model, whether it has BatchNorm, and its noise points and widths."""

    name: Annotated[str, OneOf(models.models, or_own=True)] = "mlp"
    """Model; cnn_s takes 10 MFCC × 49 frames (gsc); or a function of your own, my_package.module:build."""
    batch_norm: Flag = False
    """BatchNorm after each layer but the last."""
    points: Annotated[str, Field(min_length=1), in_words(POINTS_IN_WORDS), ADDED_LATER] = models.PRODUCTS
    """Noise points of resnet20, or of a model of your own that places none: at the outputs of the modules that multiply
    and accumulate, of all modules without submodules, or of the modules whose name a pattern fits; with +residual also
    at sums."""

    hidden: Annotated[Hidden | None, ADDED_LATER] = None
    """Widths of the hidden layers of the mlp; default: [64, 64, 64]."""


class CommonNoiseConfig(Group):
    """Kind, level, place and time of the injected noise. Levels are standard deviations (Walking Noise, section 3)."""

    kind: Annotated[str, OneOf(noise_kinds)] = "additive"
    """Kind of noise."""
    target: Annotated[Literal["activations", "weights"], ADDED_LATER] = "activations"
    """weights: noise on the weights of the layer before each noise point, not on its biases. The gradient passes
    unchanged to the clean weights."""
    unit: Annotated[Literal["absolute", "rms", "absmax", "range"], ADDED_LATER] = "absolute"
    """Unit of the level of additive and uniform noise: root mean square, largest absolute value, or range (maximum -
    minimum) of the layer's clean weights, or of the activations of a run in the mini-batch."""
    per_channel: Annotated[Flag, ADDED_LATER] = False
    """true: the unit is measured for each output channel of a layer's weights."""
    redraw: Annotated[Literal["sample", "batch", "chip"] | None, ADDED_LATER] = None
    """What has draws of its own: every sample; every mini-batch, or block of 250 samples at inference; or every chip,
    that is every noise.seed. Default: sample for activations, batch for weights."""
    training_redraw: Annotated[Literal["sample", "batch", "chip"] | None, ADDED_LATER] = None
    """The same in training; default: noise.redraw. Weights are not drawn for each sample in training."""
    training_seed: Annotated[Seed | None, ADDED_LATER] = None
    """Chip in training, with training_redraw: chip; default: noise.seed, so the run is trained on the chip on which it
    is evaluated."""
    std: Level | LevelPerPoint = 0.0
    """Level of additive, uniform or multiplicative noise, a standard deviation; a list needs noise.point: mapped."""
    amplitude: Level | LevelPerPoint | None = None
    """Mixed noise: amplitude A; the additive level is A·r, the multiplicative level A·(1-r)."""
    ratio: Ratio | RatioPerPoint | None = None
    """Mixed noise: ratio r of the additive level to the amplitude."""
    std_mul: Level | LevelPerPoint | None = None
    """Mixed noise: multiplicative level, instead of amplitude and ratio."""
    std_add: Level | LevelPerPoint | None = None
    """Mixed noise: additive level, instead of amplitude and ratio."""
    executions: Annotated[Executions, ADDED_LATER] = 1
    """Number of executions of each noisy layer at inference, whose mean is used; a list has one number for each noise
    point. Gaussian noise is drawn once, at the level divided by the square root of the number."""
    training_std: Annotated[Level | LevelPerPoint | None, ADDED_LATER] = None
    """Level in training if it is another than at inference, noise.std. Runs trained at one level share a network, which
    is evaluated once; without this setting, the accuracy is the mean after the last five epochs."""
    training_std_mul: Annotated[Level | LevelPerPoint | None, ADDED_LATER] = None
    """Mixed noise: multiplicative level in training; at inference it is noise.std_mul."""
    training_std_add: Annotated[Level | LevelPerPoint | None, ADDED_LATER] = None
    """Mixed noise: additive level in training; at inference it is noise.std_add."""
    point: Literal["global", "mapped"] | PointNumber = "global"
    """Noise at all points, at each point with its own level, or at one point; 0 is the input."""
    on_batch_norm: Flag = True
    """false: no noise at the points after BatchNorm (global noise only)."""
    in_training: Flag = True
    """false: noise at inference only."""
    gradient: Literal["exact", "straight_through"] = "exact"
    """Gradient through multiplicative noise."""
    order: Literal["multiply_first", "add_first"] = "multiply_first"
    """Mixed noise: the term that is applied first."""
    seed: Seed | None = None
    """Seed of the noise at inference; default: the seed of the run."""
    level_draws: Annotated[Literal["shared", "independent"], ADDED_LATER] = "shared"
    """shared: at inference all levels of a seed scale the same draws; independent: each level has draws of its own."""


if TYPE_CHECKING:
    NoiseConfig = CommonNoiseConfig
else:  # with the settings that kinds of noise have of their own
    own_groups = (kind.own for kind in noise_kinds().values() if kind.own)
    NoiseConfig = create_model("NoiseConfig", __base__=(*own_groups, CommonNoiseConfig), __module__=__name__)


class TrainingConfig(Group):
    """Training by Adam on the cross-entropy, with cosine annealing over all epochs; and whether to keep the network."""

    epochs: Annotated[int, Field(ge=1, le=LARGEST_INTEGER), WHOLE] = 20
    """Number of epochs; the learning rate falls to 0 over all of them."""
    batch_size: Annotated[int, Field(ge=2, le=LARGEST_INTEGER), WHOLE] = 128
    """Samples of a mini-batch."""
    learning_rate: Positive = 1e-3
    """Initial learning rate of Adam, with cosine annealing to 0."""
    weight_clamp: Positive | None = None
    """Bound on the weights of conv and linear layers."""
    weight_clip_std: Annotated[Positive | None, ADDED_LATER] = None
    """Bound α on the weights of each conv and linear layer after each step, in standard deviations of these weights."""
    weight_decay: Annotated[float, Field(ge=0), REAL, ADDED_LATER] = 0.0
    """Decay λ of all parameters (AdamW): a step at learning rate η first multiplies them by 1 - η·λ."""
    keep_network: Flag = False
    """true: the trained network is stored in the folder of networks; result.network is its file name."""


class DistillationConfig(Group):
    """Distillation from a teacher: the network trained without noise, with otherwise equal settings."""

    soft_label_share: Annotated[Ratio, ADDED_LATER] = 0.0
    """Share b of the soft labels in the loss (1 - b)·CE + b·T²·CE(z/T, softmax(t/T)), with the logits t of the
    teacher."""
    temperature: Annotated[Positive, ADDED_LATER] = 1.0
    """Temperature T of the soft labels."""
    initialise: Annotated[Flag, ADDED_LATER] = False
    """true: the training starts at the weights of the teacher."""
    teacher_seed: Annotated[Seed | None, ADDED_LATER] = None
    """Seed of the teacher; default: the seed of the run."""


class EvaluationConfig(Group):
    """Measurements in addition to the final accuracy."""

    curve: Flag = False
    """true: the result has the validation accuracy after every epoch."""
    confusion: Annotated[Flag, ADDED_LATER] = False
    """true: the result has the confusion matrix of the last evaluation, summed over its draws."""
    recalibrate: Annotated[Flag, ADDED_LATER] = False
    """true: before the trained network is evaluated, BatchNorm's statistics are estimated again under the run's noise,
    on 50 mini-batches of training data. Only where noise_draws is allowed."""
    noise_draws: Annotated[int, Field(ge=1, le=LARGEST_INTEGER), WHOLE, ADDED_LATER] = 1
    """Number of evaluations of the trained network with independent draws; the accuracy is their mean. Only for noise
    at inference only, or with a level in training of its own."""
