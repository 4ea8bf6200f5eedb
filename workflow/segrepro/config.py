"""The typed config: the one place that says what may be configured, with units and sources.

``config.yaml`` holds the published experiment; ``workflow/scales/<scale>.yaml`` is laid over it; files given by
``--configfile`` and values given by ``--config`` over both. ``parse_config`` turns the merged mapping into a
`Config` or raises a `UserError` that names each faulty key by its full path. The JSON schema in
``workflow/schemas/`` is generated from these classes.
"""

import json
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import Field, ValidationError, model_validator

from segrepro.config_crf import Crf, CrfSearch
from segrepro.config_detail import Detail
from segrepro.config_errors import explain
from segrepro.config_figures import Figures, without_systems
from segrepro.config_networks import Network
from segrepro.config_protocols import Protocol
from segrepro.config_references import reference_problems
from segrepro.config_tables import Ablation, Server, StatisticsSettings, ablations_of
from segrepro.config_types import Bytes, Digest, Name, PlainName, Positive, Section, Share
from segrepro.data.datasets import DATASETS
from segrepro.errors import UserError
from segrepro.labels import LABEL_SPACES


class Archive(Section):
    """A file to fetch: tried mirror by mirror, verified before anything reads it."""

    file: PlainName = Field(description="file name, as its official home has it")
    urls: list[str] = Field(description="mirrors in order: http(s)://, file:///absolute or file:relative")
    md5: Digest | None = Field(None, description="official md5, hexadecimal")
    sha256: Digest | None = Field(None, description="sha256, hexadecimal")
    bytes: Bytes | None = Field(None, description="size in bytes")
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


class SelectiveSearch(Section):
    """Object proposals by selective search (Uijlings et al. 2013), OpenCV's."""

    method: Literal["selective_search"]
    strategy: Literal["fast", "quality"] = "fast"
    max_boxes: Positive = Field(2000, description="a picture, best first")


class EdgeBoxes(Section):
    """Object proposals by EdgeBoxes (Zitnick and Dollar 2014), OpenCV's."""

    method: Literal["edge_boxes"]
    model: Archive | None = Field(None, description="structured-forest model; null: gradients stand in for it")
    max_boxes: Positive = Field(2000, description="a picture, best first")


Proposals = Annotated[SelectiveSearch | EdgeBoxes, Field(discriminator="method")]


class Init(Section):
    """Where a model's first weights come from; the rest is initialised from the seed."""

    model: str | None = Field(None, description="a model of this config")
    weights: str | None = Field(None, description="a file of the section `weights`, for the backbone")
    head: Literal["keep", "replace", "extend"] = Field(
        "keep",
        description="replace: the classifier starts anew; extend: so do the layers that the initial model lacks",
    )

    @model_validator(mode="after")
    def _one_source(self) -> "Init":
        if (self.model is None) == (self.weights is None):
            raise ValueError("model: give either this key or 'weights'")
        return self


class ObjectExamples(Section):
    """DeconvNet's stage 1: one example an object, all else is background."""

    kind: Literal["objects"]
    enlarge: Annotated[float, Field(ge=1)] = Field(1.2, description="factor of the tight box (paper: 1.2)")
    min_area: Positive = Field(1, description="pixels, of the smallest object that becomes an example")
    balance: bool = Field(True, description="repeat the examples of rare classes until all classes are equal")
    max_repeats: Positive | None = Field(None, description="most repeats of an example; null: no bound")


class ProposalExamples(Section):
    """DeconvNet's stage 2: one example a proposal, all classes labelled."""

    kind: Literal["proposals"]
    proposals: str = Field(description="an entry of the section `proposals`")
    enlarge: Annotated[float, Field(ge=1)] = Field(1.2, description="factor of the proposal (paper: 1.2)")
    min_overlap: Share = Field(0.5, description="smallest IoU of a proposal with an object's box")
    max_a_picture: Positive | None = Field(None, description="proposals a picture, best first; null: all that fit")
    add_ground_truth: bool = Field(False, description="the objects' own boxes too")
    min_area: Positive = Field(1, description="pixels, of the smallest object that counts")
    balance: bool = Field(True, description="repeat the examples of rare classes until all classes are equal")
    max_repeats: Positive | None = Field(None, description="most repeats of an example; null: no bound")


Examples = Annotated[ObjectExamples | ProposalExamples, Field(discriminator="kind")]


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
    examples: Examples | None = Field(None, description="boxes of the dataset's pictures instead of whole pictures")
    train: bool = Field(True, description="false: `weights` stand in for training")
    weights: str | None = Field(None, description="train: false: an entry of the section `weights`")

    @model_validator(mode="after")
    def _trained_or_published(self) -> "Model":
        if self.train and (self.protocol is None or self.weights is not None):
            key = "protocol" if self.protocol is None else "weights"
            raise ValueError(f"{key}: a model that is trained needs 'protocol', and takes no 'weights' (but 'init')")
        extras = (self.protocol, self.init, self.repeat, self.examples)
        if not self.train and (self.weights is None or any(extras)):
            raise ValueError(
                "weights: with 'train: false' give 'weights', and no 'protocol', 'init', 'repeat' or 'examples'"
            )
        if self.repeat and self.examples:
            raise ValueError("repeat: has no meaning beside 'examples', which balance the classes themselves")
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


class ProposalWise(Section):
    """Prediction box by box, as DeconvNet does; see segrepro.inference.proposalwise."""

    proposals: str | None = Field(None, description="an entry of the section `proposals`; null: the whole picture")
    count: Positive = Field(50, description="boxes a picture, best first (paper: 50)")
    min_side: Annotated[int, Field(ge=0)] = Field(112, description="of a box, pixels (release: half of 224)")
    enlarge: Annotated[float, Field(ge=1)] = Field(1.0, description="factor of the box")
    aggregate: Literal["max", "mean"] = Field("max", description="over the boxes of a pixel (paper: either)")
    of: Literal["probabilities", "scores"] = Field(
        "probabilities", description="what is aggregated; released code: raw scores, from 0"
    )
    storage_stride: Positive = Field(4, description="pixels, of the stored map")


class Fusion(Section):
    """Several systems made one; see segrepro.fusion."""

    kind: Literal["vote", "mean", "product", "release_product"] = Field(
        description="majority of labels; mean or product of probabilities; EDeconvNet's product as released"
    )
    members: list[str] = Field(description="systems, in order")
    weights: list[Annotated[float, Field(gt=0)]] | None = Field(None, description="of the members; null: equal")
    ties: Literal["probability", "lowest", "member"] | None = Field(
        None, description="vote: label of the largest summed probability, lowest label (report 2), or first member's"
    )
    storage_stride: Positive = Field(4, description="pixels, of the stored map; a vote is stored at full size")

    @model_validator(mode="after")
    def _combinations(self) -> "Fusion":
        least = 3 if self.kind == "vote" else 2
        exact = self.kind == "release_product"
        if len(self.members) < least or (exact and len(self.members) != 2):
            raise ValueError(f"members: '{self.kind}' needs {least}{'' if exact else ' or more'}")
        if len(set(self.members)) < len(self.members):
            raise ValueError("members: names a system twice; use 'weights' to count one more")
        if self.weights is not None and len(self.weights) != len(self.members):
            raise ValueError("weights: give one for each member")
        if self.ties is not None and self.kind != "vote":
            raise ValueError(f"ties: has no meaning for 'kind: {self.kind}'; remove it")
        return self


class Stacking(Section):
    """A learned combination of several systems; see segrepro.fusion.stacker."""

    kind: Literal["network", "shared", "linear"] = Field(
        description="three layers on all scores; three with weights that all classes share; a weight a member and class"
    )
    members: Annotated[list[str], Field(min_length=2)] = Field(description="systems, in order")
    folds: Annotated[int, Field(ge=2)] | None = Field(None, description="of the scored pictures; null: 5")
    fit_on: str | None = Field(None, description="a dataset to fit on instead; shares no picture with the splits")
    hidden: Positive | None = Field(None, description="channels of two layers; null: 64, shared 16")
    kernel: Literal[1, 3] | None = Field(None, description="side of the kernels, cells; null: 1")
    steps: Positive = Field(300, description="updates of each fit")
    batch: Positive = Field(8, description="crops a step")
    crop: Positive = Field(16, description="side of a crop, in cells")
    learning_rate: Annotated[float, Field(gt=0)] = Field(3e-3, description="of Adam, at first; half a cosine to 0")
    weight_decay: Annotated[float, Field(ge=0)] = Field(1e-4, description="coupled L2, on kernels")
    balance: Share = Field(0.5, description="class weights frequency^-b in the loss; 0: none")
    storage_stride: Positive = Field(4, description="pixels, side of a cell: read, fitted and stored")

    @model_validator(mode="after")
    def _combinations(self) -> "Stacking":
        if len(set(self.members)) < len(self.members):
            raise ValueError("members: names a system twice")
        if self.fit_on is not None and self.folds is not None:
            raise ValueError("folds: has no meaning beside 'fit_on'; remove it")
        if self.kind == "linear" and (self.hidden is not None or self.kernel is not None):
            raise ValueError("kind: 'linear' takes no 'hidden' and no 'kernel'")
        return self


class System(Section):
    """Anything that fills a score store: a row of the tables."""

    model: str | None = Field(None, description="the model that predicts")
    prediction: Prediction = Prediction()
    proposal_wise: ProposalWise | None = Field(None, description="box by box instead of whole pictures (DeconvNet)")
    fusion: Fusion | None = Field(None, description="of other systems, instead of a model")
    stacking: Stacking | None = Field(None, description="of other systems, learned, instead of a model")
    crf: Crf | None = Field(None, description="on another system, instead of a model")
    splits: Annotated[list[str], Field(min_length=1)] = Field(description="datasets it is scored on")
    reported: dict[str, Reported] = Field({}, description="split -> published numbers")
    server: Server | None = Field(None, description="what the VOC server answered to this run's own submission")

    @model_validator(mode="after")
    def _one_source(self) -> "System":
        sources = {"model": self.model, "fusion": self.fusion, "stacking": self.stacking, "crf": self.crf}
        given = [name for name, source in sources.items() if source is not None]
        if len(given) != 1:
            raise ValueError("model: give either this key or one of 'fusion', 'stacking' and 'crf'")
        if self.model is None and (self.proposal_wise or self.prediction != Prediction()):
            raise ValueError(f"{given[0]}: takes its members' predictions; remove 'prediction' and 'proposal_wise'")
        if self.proposal_wise and self.prediction != Prediction():
            raise ValueError("prediction: has no meaning beside 'proposal_wise'; remove it")
        return self

    @property
    def members(self) -> list[str]:
        """The systems that it is made of; none for a model's."""
        combined = self.fusion or self.stacking or self.crf
        return combined.members if combined else []

    @property
    def combination(self) -> str:
        """The key that names its members."""
        return "fusion" if self.fusion else "stacking" if self.stacking else "crf"


class Submission(Section):
    """Archives for VOC's evaluation server; see segrepro.report.submission."""

    systems: list[str] = Field([], description="systems whose answers to VOC's test pictures are packed")


class Runtime(Section):
    """What changes how a run goes, but no result: changing it reruns nothing."""

    checkpoint_every: Positive = Field(description="steps between two checkpoints")
    tensorboard: bool = Field(False, description="also log to results/models/<model>/tensorboard (package needed)")
    shards: Positive = Field(1, description="jobs that share a split's prediction, or its CRF, between them")
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
    weights: dict[Name, Weights] = Field({}, description="files of pretrained weights")
    proposals: dict[Name, Proposals] = Field({}, description="ways to find object proposals")
    networks: dict[Name, Network]
    protocols: dict[Name, Protocol]
    models: dict[Name, Model]
    systems: dict[Name, System]
    detail: Detail = Detail()
    figures: Figures
    submission: Submission = Submission()
    statistics: StatisticsSettings = StatisticsSettings()
    ablations: dict[Name, Ablation] = Field({}, description="systems that are compared with a baseline, by question")
    runtime: Runtime

    @property
    def tuning(self) -> dict[str, CrfSearch]:
        """The searches of CRFs by the name of their pictures."""
        searches = [system.crf.search for system in self.systems.values() if system.crf and system.crf.search]
        return {search.split: search for search in searches}

    def dataset_of(self, split: str) -> str:
        """Return the dataset that a split's pictures are of: itself, but for the part that a CRF is tuned on."""
        tuning = self.tuning
        return tuning[split].tune_on if split in tuning else split

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
    left_out = _left_out(merged.get("systems"))
    merged = _without_nulls(Config, merged)
    if "ablations" in merged:
        merged["ablations"] = ablations_of(merged["ablations"], left_out)
    if "figures" in merged:
        merged["figures"] = without_systems(merged["figures"], left_out)
    if "submission" in merged:
        merged |= without_systems({"submission": merged["submission"]}, left_out)
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise UserError("config: " + "\nconfig: ".join(explain(error, Config))) from None


def _without_nulls(kind: Any, values: Any) -> Any:
    """Drop the entries of tables (of any depth) that an overlay set to null: that is how it leaves one out.

    Args:
        kind: what the values are to be: a section, or a table of them (``dict[str, section]``).
        values: as read; what is no mapping is left to the validation.
    """
    if not isinstance(values, dict):
        return values
    if get_origin(kind) is dict:
        entry = get_args(kind)[1]
        return {name: _without_nulls(entry, value) for name, value in values.items() if value is not None}
    if isinstance(kind, type) and issubclass(kind, Section):
        fields = kind.model_fields
        return {
            key: _without_nulls(fields[key].annotation, value) if key in fields else value
            for key, value in values.items()
        }
    return values


def _left_out(table: Any) -> set[str]:
    """Return the names of the entries that an overlay set to null."""
    return {name for name, entry in table.items() if entry is None} if isinstance(table, dict) else set()


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
        "examples": _plain(model.examples),
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
