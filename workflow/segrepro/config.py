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
from segrepro.config_references import reference_problems
from segrepro.data.datasets import DATASETS
from segrepro.errors import UserError
from segrepro.labels import LABEL_SPACES

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

    format: Literal[
        "keras_applications", "tf1_slim_imagenet", "tf1_deeplabv3_resnet_v2", "tf1_deeplabv3plus_xception", "segrepro"
    ] = Field(description="who wrote the file, hence its names")
    averages: Literal["plain", "ema"] = Field("plain", description="TF1: the variables, or their moving averages")


class Network(Section):
    """An architecture with its hyper-parameters."""

    architecture: Literal["deeplabv3", "deeplabv3plus"]
    backbone: Literal[
        *("resnet_v2_152", "resnet_v2_101", "resnet_v2_50", "resnet_v2_tiny"),
        *("resnet_v1_152", "resnet_v1_101", "resnet_v1_50", "resnet_v1_tiny"),
        *("xception_65", "xception_tiny"),
    ]
    variant: Literal["slim", "keras", "released"] = Field(
        description="whose graph: TF-slim's ResNet-v2 (report 2), keras.applications', or the released Xception's"
    )
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
    batch_norm_epsilon: Annotated[float, Field(gt=0)] | None = Field(
        None, description="of all batch norms; null: the variant's in the backbone, 1e-5 in the head"
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="of the projected ASPP features (v3+ release: 0.1)"
    )
    low_level_channels: Positive | None = Field(None, description="deeplabv3plus: 1x1 of the low level (paper: 48)")
    decoder_channels: Positive | None = Field(None, description="deeplabv3plus: 3x3 of the decoder (paper: 256)")
    separable: bool | None = Field(None, description="deeplabv3plus: separable convolutions in ASPP and decoder")
    normalisation: Literal["mean_rgb", "caffe", "keras_tf"] = Field(
        description="input: RGB minus mean; BGR minus mean; scaled to [-1, 1]"
    )
    resize: Literal["legacy", "half_pixel", "align_corners"] = Field(
        description="bilinear mapping of logits to pictures: TF1 default, TF2 default, aligned corners"
    )

    @model_validator(mode="after")
    def _architecture_keys(self) -> "Network":
        for key in ("low_level_channels", "decoder_channels", "separable"):
            given = getattr(self, key) is not None
            if given != (self.architecture == "deeplabv3plus"):
                raise ValueError(
                    f"{key}: belongs to 'architecture: deeplabv3plus'; "
                    + ("remove it" if given else "it is required there and missing")
                )
        return self


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
    weight_decay_on: Literal["all", "kernels", "full_kernels"] = Field(
        description="all trainables (report 2's code); kernels: no bias, no batch norm; full_kernels: nor depthwise"
    )
    bias_rate_factor: Annotated[float, Field(gt=0)] = Field(
        1.0, description="learning-rate factor of biases (Caffe's lr_mult; 2 for DeconvNet and FCN)"
    )
    freeze_batch_norm: bool = Field(
        False, description="keep the initial model's batch norms (DeepLabv3's second phase)"
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


class Repeat(Section):
    """Classes whose pictures come several times in an epoch."""

    classes: Annotated[list[str], Field(min_length=1)] = Field(description="of the dataset's label space")
    times: Annotated[int, Field(ge=2)] = Field(description="how often such a picture comes in an epoch")


class Model(Section):
    """A network trained by a protocol on a dataset, or one that published weights stand in for."""

    network: str
    protocol: str | None = Field(None, description="required unless `train` is false")
    dataset: str = Field(description="what it trains on, or what its published weights were trained on")
    init: Init | None = None
    repeat: Repeat | None = None
    train: bool = Field(True, description="false: `weights` stand in for training")
    weights: str | None = Field(None, description="train: false: an entry of the section `weights`")

    @model_validator(mode="after")
    def _trained_or_published(self) -> "Model":
        if self.train and (self.protocol is None or self.weights is not None):
            key = "protocol" if self.protocol is None else "weights"
            raise ValueError(f"{key}: a model that is trained needs 'protocol', and takes no 'weights' (but 'init')")
        if not self.train and (self.weights is None or self.protocol or self.init or self.repeat):
            raise ValueError("weights: with 'train: false' give 'weights', and no 'protocol', 'init' or 'repeat'")
        return self


class Reported(Section):
    """What a paper or report says of a system on a split, in percent."""

    miou: Annotated[float, Field(ge=0, le=100)]
    pixel_accuracy: Annotated[float, Field(ge=0, le=100)] | None = None
    source: str


class Prediction(Section):
    """Test-time augmentation, and windows for pictures that do not fit; see segrepro.inference.augmented."""

    scales: Annotated[list[Annotated[float, Field(gt=0, le=8)]], Field(min_length=1)] = Field(
        [1.0], description="factors of the picture's size (papers: 0.5, 0.75 .. 1.75)"
    )
    flip: bool = Field(False, description="also predict each scale mirrored")
    output_stride: Literal[8, 16, 32] | None = Field(None, description="at test time; null: as trained")
    average_at: Literal["picture", "stride"] = Field("picture", description="where probabilities are averaged")
    storage_stride: Positive | None = Field(None, description="pixels, of the stored average; null: 4")
    window: Positive | None = Field(None, description="side of sliding windows, pixels; null: whole pictures")
    window_stride: Positive | None = Field(None, description="pixels between windows; null: two thirds of them")

    @model_validator(mode="after")
    def _combinations(self) -> "Prediction":
        if len(set(self.scales)) < len(self.scales):
            raise ValueError(f"scales: {self.scales} names a scale twice; give each once")
        if self.window_stride is not None and (self.window is None or self.window_stride > self.window):
            raise ValueError("window_stride: needs 'window', and may be at most its side")
        if self.storage_stride is not None and self.average_at == "stride":
            raise ValueError("storage_stride: has no meaning for 'average_at: stride'; remove it")
        return self


class System(Section):
    """Anything that fills a score store: a row of the tables."""

    model: str
    prediction: Prediction = Prediction()
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
        if problems := reference_problems(self):
            raise ValueError("\n".join(problems))
        return self


def parse_config(merged: dict[str, Any]) -> Config:
    """Validate a merged config mapping.

    Raises:
        UserError: with one line for each faulty key: its full path, what is wrong, and the remedy.
    """
    tables = ("datasets", "weights", "networks", "protocols", "models", "systems")
    merged = {key: _present(value) if key in tables else value for key, value in merged.items()}
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise UserError("config: " + "\nconfig: ".join(explain(error, Config))) from None


def _present(table: Any) -> Any:
    """Drop the entries that an overlay set to null: that is how it leaves one out."""
    return {name: entry for name, entry in table.items() if entry is not None} if isinstance(table, dict) else table


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
        "repeat": _plain(model.repeat),
        "label_space": dataset.label_space,
        "classes": len(LABEL_SPACES[dataset.label_space]),
        "network": config.networks[model.network].model_dump(mode="json", exclude_none=True),
        "protocol": _plain(config.protocols[model.protocol]) if model.protocol else None,
        "init": (model.init.model_dump(mode="json") | _weights_spec(config, model.init.weights))
        if model.init
        else None,
        "weights": _weights_spec(config, model.weights) or None,
    }


def _plain(section: Section | None) -> dict[str, Any] | None:
    return section.model_dump(mode="json") if section else None


def _weights_spec(config: Config, name: str | None) -> dict[str, Any]:
    """Return what tells one file of weights from another, wherever it is fetched from."""
    if name is None:
        return {}
    return config.weights[name].model_dump(mode="json", include={"file", "format", "averages", "md5", "sha256"})


def json_schema() -> str:
    """Return the config's JSON schema, as stored in ``workflow/schemas/config.schema.json``."""
    return json.dumps(Config.model_json_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
