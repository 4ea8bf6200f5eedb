"""The typed config: the one place that says what may be configured, with units and sources.

``config.yaml`` holds the published experiment; ``workflow/scales/<scale>.yaml`` is laid over it; files given by
``--configfile`` and values given by ``--config`` over both. ``parse_config`` turns the merged mapping into a
`Config` or raises a `UserError` that names each faulty key by its full path. The JSON schema in
``workflow/schemas/`` is generated from these classes.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from segrepro.config_errors import explain
from segrepro.data.datasets import DATASETS
from segrepro.errors import UserError
from segrepro.labels import LABEL_SPACES, VOC_CLASSES
from segrepro.models.geometry import is_crop_allowed

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]*$")]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]+$")]


class Section(BaseModel):
    """A part of the config: unknown keys and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Archive(Section):
    """A file to fetch: tried mirror by mirror, verified before anything reads it."""

    file: str = Field(description="file name, as its official home has it")
    urls: list[str] = Field(description="mirrors in order: http(s)://, file:///absolute or file:relative")
    md5: Digest | None = Field(None, description="official md5, hexadecimal")
    sha256: Digest | None = Field(None, description="sha256, hexadecimal")
    bytes: Positive | None = Field(None, description="size in bytes")
    sha256_list: str | None = Field(None, description="path of a SHA256SUMS file that lists this archive")


class Archives(Section):
    """The official archives."""

    voc2012_trainval: Archive
    voc2012_test: Archive | None = Field(None, description="VOC test pictures; null leaves VOC test out")
    sbd: Archive
    coco2017_train: Archive
    coco2017_val: Archive
    coco2017_annotations: Archive


class SampleData(Section):
    """How many pictures the generated archives hold (scale: sample)."""

    voc_train: Positive
    voc_val: Positive
    voc_test: Positive
    sbd_extra: Positive = Field(description="SBD pictures outside VOC train and val")
    coco_train: Positive
    coco_val: Positive


class Coco(Section):
    """COCO conversion."""

    min_pixels: Annotated[int, Field(ge=0)] = Field(
        description="COCO-20 keeps pictures with more wanted pixels than this (DeepLabv3 paper: 1000)"
    )


class DatasetChecks(Section):
    """What a dataset must be, checked before anything trains on it."""

    pictures: Positive | None = Field(None, description="expected number of pictures")
    ids_sha256: Digest | None = Field(None, description="sha256 of the sorted ids, one a line")
    disjoint_from: list[str] = Field([], description="datasets that must share no picture with this one")
    absent_classes: list[str] = Field([], description="classes that this dataset is known not to hold")
    min_classes: Positive | None = Field(
        None, description="ask for this many object classes instead of every class of the label space"
    )
    min_void_share: Share = Field(0.0, description="smallest share of void pixels, of all pixels")


class LabelChecks(Section):
    """Bounds outside of which a label set is taken to be wrong (shifted, stuff, void trained)."""

    max_void_share: Share = Field(description="largest share of void pixels; VOC train has about 0.05")
    min_background_share: Share = Field(description="of the pixels that are not void; VOC train: about 0.73")
    max_background_share: Share = Field(description="of the pixels that are not void")


class Weights(Archive):
    """A file of pretrained weights."""

    format: Literal["keras_applications"] = Field(description="who wrote the file, hence its layer names")


class Network(Section):
    """An architecture with its hyper-parameters."""

    architecture: Literal["deeplabv3"]
    backbone: Literal["resnet_v2_101", "resnet_v2_50", "resnet_v2_tiny"]
    variant: Literal["slim", "keras"] = Field(description="whose graph: TF-slim's (report 2) or keras.applications'")
    features: Literal["post_norm", "raw_sum"] | None = Field(
        None, description="what the head reads: after the last batch norm, or the sum before it; null: the variant's"
    )
    output_stride: Literal[8, 16, 32] = Field(description="input pixels a feature, along one side")
    multi_grid: Annotated[list[Positive], Field(min_length=3, max_length=3)] = Field(
        description="factors of block4's rates: (1,2,4) in the paper, (1,1,1) as report 2's code acts"
    )
    aspp_channels: Positive = Field(description="channels of each ASPP branch (paper: 256)")
    aspp_rates: list[Positive] = Field(description="at output stride 16; doubled at 8 (paper: 6, 12, 18)")
    batch_norm_decay: Annotated[float, Field(gt=0, lt=1)] = Field(description="of the moving averages")
    batch_norm_epsilon: Annotated[float, Field(gt=0)]
    normalisation: Literal["mean_rgb", "caffe", "keras_tf"] = Field(
        description="input: RGB minus mean; BGR minus mean; scaled to [-1, 1]"
    )
    resize: Literal["legacy", "half_pixel", "align_corners"] = Field(
        description="bilinear mapping of logits to pictures: TF1 default, TF2 default, aligned corners"
    )


class Protocol(Section):
    """How a network is trained."""

    steps: Positive = Field(description="optimiser updates")
    micro_batch: Positive = Field(description="examples a forward pass; batch norm sees this many")
    accumulation: Positive = Field(1, description="micro-batches a step: batch = micro_batch x accumulation")
    crop: Positive = Field(description="side of the square training crop, pixels")
    scale_range: Annotated[list[float], Field(min_length=2, max_length=2)] = Field(
        description="smallest and largest random scale of the picture"
    )
    scale_step: Annotated[float, Field(gt=0)] | None = Field(
        None, description="draw scales from a grid of this step; null: uniformly"
    )
    flip: bool = Field(description="mirror horizontally with probability 0.5")
    sharpen_share: Share = Field(0.0, description="share of the crops that are sharpened (unsharp mask)")
    blur_share: Share = Field(0.0, description="share of the crops that are blurred (Gaussian, 0.5 to 1.5 pixels)")
    pad_picture: Literal["zero", "mean"] = Field(description="what fills a crop beside the picture")
    schedule: Literal["poly", "step"] = Field(description="of the learning rate")
    learning_rate: Annotated[float, Field(gt=0)] = Field(description="at step 0")
    end_learning_rate: Annotated[float, Field(ge=0)] = Field(0.0, description="poly: at the last step")
    power: Annotated[float, Field(gt=0)] = Field(0.9, description="poly: exponent")
    step_every: Positive | None = Field(None, description="step: steps between two reductions")
    step_factor: Annotated[float, Field(gt=0, lt=1)] = Field(0.1, description="step: factor of a reduction")
    momentum: Annotated[float, Field(ge=0, lt=1)]
    momentum_form: Literal["tf1", "caffe"] = Field(
        "tf1", description="v <- m v + g, w <- w - lr v (tf1) or v <- m v + lr g, w <- w - v (caffe)"
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        description="coupled L2: weight_decay x weight is added to the gradient"
    )
    weight_decay_on: Literal["all", "kernels"] = Field(
        description="all trainables (report 2's code), or kernels only: no bias, no batch norm"
    )
    bias_rate_factor: Annotated[float, Field(gt=0)] = Field(
        1.0, description="learning-rate factor of biases (Caffe's lr_mult; 2 for DeconvNet and FCN)"
    )
    loss_at: Literal["label", "stride"] = Field(
        description="upsample logits to the labels (paper: 77.21) or downsample labels (75.94)"
    )
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    log_every: Positive = Field(description="steps a row of history.csv")

    @model_validator(mode="after")
    def _combinations(self) -> "Protocol":
        low, high = self.scale_range
        if not 0 < low <= high:
            raise ValueError(f"scale_range: {low}..{high} is no range; give [smallest, largest], both above 0")
        if self.sharpen_share + self.blur_share > 1:
            raise ValueError("blur_share: with sharpen_share it exceeds 1; a crop is sharpened, blurred or neither")
        if self.schedule == "step" and self.step_every is None:
            raise ValueError("step_every: must be set for 'schedule: step'")
        if self.schedule == "poly" and self.step_every is not None:
            raise ValueError("step_every: has no meaning for 'schedule: poly'; remove it")
        return self


class Init(Section):
    """Where a model's first weights come from; the rest is initialised from the seed."""

    model: str | None = Field(None, description="a model of this config")
    weights: str | None = Field(None, description="a file of the section `weights`, for the backbone")
    head: Literal["keep", "replace"] = Field("keep", description="of the initial model: keep or start anew")

    @model_validator(mode="after")
    def _one_source(self) -> "Init":
        if (self.model is None) == (self.weights is None):
            raise ValueError("model: give either this key or 'weights'")
        return self


class Model(Section):
    """A network trained by a protocol on a dataset."""

    network: str
    protocol: str
    dataset: str = Field(description="what it trains on")
    init: Init | None = None


class Reported(Section):
    """What a paper or report says of a system on a split, in percent."""

    miou: Annotated[float, Field(ge=0, le=100)]
    pixel_accuracy: Annotated[float, Field(ge=0, le=100)] | None = None
    source: str


class System(Section):
    """Anything that fills a score store: a row of the tables."""

    model: str
    splits: Annotated[list[str], Field(min_length=1)] = Field(description="datasets it is scored on")
    reported: dict[str, Reported] = Field({}, description="split -> published numbers")


class Grid(Section):
    """The figure that shows picture, ground truth and predictions."""

    rows: Positive = Field(description="pictures shown, chosen from best to worst when no ids are given")
    ids: list[str] = Field([], description="pictures to show, by id")


class Figures(Section):
    """Figure settings; changing them reruns no training and no prediction."""

    grid: Grid


class Runtime(Section):
    """What changes how a run goes, but no result: changing it reruns nothing."""

    checkpoint_every: Positive = Field(description="steps between two checkpoints")
    tensorboard: bool = Field(False, description="also log to results/models/<model>/tensorboard (package needed)")
    fetch_attempts: Positive = Field(5, description="attempts a mirror, in a row without progress")
    fetch_stall_seconds: Positive = Field(60, description="seconds (almost) without a byte before an attempt ends")


class Config(Section):
    """The whole experiment."""

    scale: Literal["sample", "full"]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(description="of initial weights, shuffling, augmentation")
    archives_dir: str | None = Field(None, description="folder that holds the archives already; used in place")
    archives: Archives
    sample: SampleData | None = Field(None, description="only for scale: sample")
    coco: Coco
    voc2011_val: str | None = Field(None, description="VOC 2011's segmentation val list, for FCN's exact seg11valid")
    datasets: dict[str, DatasetChecks]
    label_checks: LabelChecks
    weights: dict[Name, Weights] = {}
    networks: dict[Name, Network]
    protocols: dict[Name, Protocol]
    models: dict[Name, Model]
    systems: dict[Name, System]
    figures: Figures
    runtime: Runtime

    @model_validator(mode="after")
    def _references(self) -> "Config":
        problems = [
            *_dataset_problems(self),
            *_model_problems(self),
            *_system_problems(self),
            *_init_cycles(self),
        ]
        if problems:
            raise ValueError("\n".join(problems))
        return self


def _unknown(path: str, value: str, known: Any, what: str) -> str:
    return f"{path}: '{value}' names no {what}; there are {', '.join(known) or 'none'}"


def _dataset_problems(config: Config) -> list[str]:
    problems = []
    for name, checks in config.datasets.items():
        path = f"datasets.{name}"
        if name not in DATASETS:
            problems.append(_unknown("datasets", name, DATASETS, "dataset"))
            continue
        problems += [
            _unknown(f"{path}.disjoint_from", other, DATASETS, "dataset")
            for other in checks.disjoint_from
            if other not in DATASETS
        ]
        space = DATASETS[name].label_space
        classes = [c for c in LABEL_SPACES[space].classes if c] if space else list(VOC_CLASSES)
        problems += [
            _unknown(f"{path}.absent_classes", c, classes, "class") for c in checks.absent_classes if c not in classes
        ]
    return problems


def _dataset_use(config: Config, path: str, name: str) -> list[str]:
    if name not in DATASETS:
        return [_unknown(path, name, DATASETS, "dataset")]
    if not DATASETS[name].has_masks:
        return [f"{path}: '{name}' has no masks; choose a dataset with ground truth"]
    return []


def _model_problems(config: Config) -> list[str]:
    problems = []
    for name, model in config.models.items():
        path = f"models.{name}"
        problems += _dataset_use(config, f"{path}.dataset", model.dataset)
        for key, table in (("network", config.networks), ("protocol", config.protocols)):
            value = getattr(model, key)
            if value not in table:
                problems.append(_unknown(f"{path}.{key}", value, table, key))
        if model.init and model.init.model is not None and model.init.model not in config.models:
            problems.append(_unknown(f"{path}.init.model", model.init.model, config.models, "model"))
        if model.init and model.init.weights is not None and model.init.weights not in config.weights:
            problems.append(_unknown(f"{path}.init.weights", model.init.weights, config.weights, "weights"))
        if model.network in config.networks and model.protocol in config.protocols:
            problems += _crop_problems(config, path, model)
    return problems


def _crop_problems(config: Config, path: str, model: Model) -> list[str]:
    crop = config.protocols[model.protocol].crop
    stride = config.networks[model.network].output_stride
    if is_crop_allowed(crop, stride):
        return []
    below = max((crop - 1) // stride, 1) * stride + 1
    above = below + stride
    return [
        f"protocols.{model.protocol}.crop: {crop} does not fit output stride {stride} of "
        f"networks.{model.network} (used by {path}): take a multiple of {stride} plus 1, e.g. {below} or {above}"
    ]


def _system_problems(config: Config) -> list[str]:
    problems = []
    for name, system in config.systems.items():
        path = f"systems.{name}"
        if system.model not in config.models:
            problems.append(_unknown(f"{path}.model", system.model, config.models, "model"))
        for split in system.splits:
            problems += _dataset_use(config, f"{path}.splits", split)
        problems += [
            _unknown(f"{path}.reported", split, system.splits, "split of this system")
            for split in system.reported
            if split not in system.splits
        ]
    return problems


def _init_cycles(config: Config) -> list[str]:
    def parent(name: str) -> str | None:
        model = config.models.get(name)
        return model.init.model if model and model.init else None

    for start in config.models:
        chain = [start]
        while (following := parent(chain[-1])) is not None and following not in chain:
            chain.append(following)
        if following == start:
            return [f"models.{start}.init.model: the inits run in a circle: {' <- '.join([*chain, start])}"]
    return []


def parse_config(merged: dict[str, Any]) -> Config:
    """Validate a merged config mapping.

    Raises:
        UserError: with one line for each faulty key: its full path, what is wrong, and the remedy.
    """
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise UserError("config: " + "\nconfig: ".join(explain(error, Config))) from None


def model_spec(config: Config, name: str) -> dict[str, Any]:
    """Return the resolved hyper-parameters of one model: all that its weights depend on, besides data and code.

    A change of the config that leaves this mapping equal leaves the model's weights valid.
    """
    model = config.models[name]
    dataset = DATASETS[model.dataset]
    return {
        "name": name,
        "seed": config.seed,
        "dataset": model.dataset,
        "label_space": dataset.label_space,
        "classes": len(LABEL_SPACES[dataset.label_space]),
        "network": config.networks[model.network].model_dump(mode="json"),
        "protocol": config.protocols[model.protocol].model_dump(mode="json"),
        "init": model.init.model_dump(mode="json") if model.init else None,
    }


def json_schema() -> str:
    """Return the config's JSON schema, as stored in ``workflow/schemas/config.schema.json``."""
    return json.dumps(Config.model_json_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
