"""The part of the config that says what a system is: a model that predicts, or other systems combined."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from segrepro.config.crf import Crf
from segrepro.config.data import Part
from segrepro.config.tables import Percent, Server
from segrepro.schema import Count, NotNegative, Positive, PositiveFloat, Section, Share


class Published(Section):
    """What a paper or report says of a system on a split, in percent."""

    miou: Percent
    pixel_accuracy: Percent | None = None
    source: str
    differs: str | None = Field(
        None, description="what that experiment did differently; the row is then neither reproduced nor not reproduced"
    )


class Prediction(Section):
    """Test-time augmentation, and windows for pictures that do not fit; see segrepro.inference.augmented."""

    scales: Annotated[list[Annotated[float, Field(gt=0, le=8)]], Field(min_length=1)] = Field(
        [1.0], description="factors of the picture's size (papers: 0.5, 0.75 .. 1.75)"
    )
    flip: bool = Field(False, description="also predict each scale mirrored")
    output_stride: Literal[8, 16, 32] | None = Field(None, description="output stride at test time; null: as trained")
    average_at: Literal["picture", "stride"] = Field(
        "picture",
        description="where probabilities are averaged: at the picture's full size (DeepLab release), or at the stride "
        "of the logits, which is many times cheaper and less exact; a single view keeps its logits",
    )
    storage_stride: Positive | None = Field(None, description="stride of the stored map, pixels; null: 4")
    pad_to: Positive | None = Field(
        None,
        description="pad pictures to at least this height and width, pixels (DeepLab release: 513); null: no padding",
    )
    window: Positive | None = Field(None, description="side of sliding windows, pixels; null: whole pictures")
    window_stride: Positive | None = Field(None, description="pixels between windows; null: two thirds of their side")

    @model_validator(mode="after")
    def _combinations(self) -> "Prediction":
        if len(set(self.scales)) < len(self.scales):
            raise ValueError(f"scales: {self.scales} names a scale twice; give each once")
        if self.window_stride is not None and (self.window is None or self.window_stride > self.window):
            raise ValueError("window_stride: needs 'window', and may be at most its side")
        if self.storage_stride is not None and self.average_at == "stride":
            raise ValueError("storage_stride: has no meaning for 'average_at: stride'; remove it")
        if self.pad_to is not None and self.average_at == "stride":
            raise ValueError("pad_to: needs 'average_at: picture'; remove one of the two")
        return self

    @property
    def is_plain(self) -> bool:
        """Whether there is one view, the whole picture: then its logits are stored as they come."""
        return self == Prediction(output_stride=self.output_stride, average_at=self.average_at)

    @property
    def has_logits(self) -> bool:
        """Whether logits are stored, and not log-probabilities: there is one view, in one piece."""
        return len(self.views) == 1 and self.window is None

    @property
    def views(self) -> list[tuple[float, bool]]:
        """The (scale, mirrored) of each view."""
        return [(scale, mirrored) for scale in self.scales for mirrored in ((False, True) if self.flip else (False,))]

    def largest_input(self, height: int, width: int) -> int:
        """Return the pixels of the largest input that a picture gives the network."""
        side = self.window or math.inf
        extents = (max(extent, self.pad_to or 0) * max(self.scales) for extent in (height, width))
        return int(math.prod(min(extent, side) for extent in extents))


class ProposalWise(Section):
    """Prediction box by box, as DeconvNet does; see segrepro.inference.proposalwise."""

    proposals: str | None = Field(None, description="an entry of the section `proposals`; null: the whole picture")
    count: Positive = Field(50, description="boxes per picture, best first (paper: 50)")
    min_side: Count = Field(
        94, description="least side of a box before it is enlarged, pixels (94 x 1.2 is half of 224, as in the release)"
    )
    enlarge: Annotated[float, Field(ge=1, le=100)] = Field(
        1.2, description="factor that a box is enlarged by (release: 1.2, as in training)"
    )
    aggregate: Literal["max", "mean"] = Field(
        "max", description="how the boxes that cover a pixel are combined (paper: either)"
    )
    of: Literal["probabilities", "scores"] = Field(
        "probabilities", description="what is combined; released code: raw scores, starting from 0"
    )
    shrink: Literal["bilinear", "antialias"] = Field(
        "bilinear",
        description="how boxes larger than the input, and scores larger than their box, are shrunk: by two taps per "
        "axis, as in training; or antialiased, as by MATLAB's imresize in the released code",
    )
    batch: Positive = Field(8, description="crops per call of the network; can change a score's last bit")
    storage_stride: Positive = Field(4, description="stride of the stored map, pixels; 1 stores every pixel")


class Fusion(Section):
    """Several systems combined into one; see segrepro.fusion."""

    kind: Literal["vote", "mean", "product", "release_product"] = Field(
        description="majority of labels; mean or product of probabilities; product of raw scores, as in EDeconvNet's "
        "release"
    )
    members: list[str] = Field(description="systems, in order")
    weights: list[PositiveFloat] | None = Field(
        None,
        description="of the members: their votes, their shares of the mean, or exponents in the product; null: equal",
    )
    ties: Literal["probability", "lowest", "member", "miou"] | None = Field(
        None,
        description="vote: which of the labels with equally many votes wins: that of the largest summed probability, "
        "the lowest (report 2), or that of the first member, or of the member with the highest mIoU on other pictures; "
        "null: probability",
    )
    ties_from: str | None = Field(
        None, description="ties: miou: a dataset that all members are scored on, and the vote is not"
    )
    storage_stride: Positive = Field(4, description="stride of the stored map, pixels; a vote is stored at full size")

    @property
    def broken_by(self) -> str:
        """What breaks the ties of a vote."""
        return self.ties or "probability"

    @model_validator(mode="after")
    def _combinations(self) -> "Fusion":
        least = 3 if self.kind == "vote" else 2
        exact = self.kind == "release_product"
        if len(self.members) < least or (exact and len(self.members) != 2):
            raise ValueError(f"members: '{self.kind}' needs {least}{'' if exact else ' or more'}")
        if self.weights is not None and exact:
            raise ValueError("weights: have no meaning for 'kind: release_product'; remove them")
        if self.weights is not None and len(self.weights) != len(self.members):
            raise ValueError("weights: give one for each member")
        if self.ties is not None and self.kind != "vote":
            raise ValueError(f"ties: has no meaning for 'kind: {self.kind}'; remove it")
        if (self.ties_from is None) == (self.ties == "miou"):
            raise ValueError("ties_from: 'ties: miou' needs it, and no other takes it")
        return self


class Stacking(Section):
    """A learned combination of several systems; see segrepro.fusion.stacker."""

    kind: Literal["network", "shared", "linear"] = Field(
        description="three convolutions on all scores; three with weights that all classes share, for few pictures; or "
        "one weight per member and class"
    )
    members: Annotated[list[str], Field(min_length=2)] = Field(description="systems, in order")
    folds: Annotated[int, Field(ge=2)] | None = Field(
        None, description="number of folds of the scored pictures; null: 5"
    )
    fit_on: str | None = Field(None, description="a dataset to fit on instead; shares no picture with the splits")
    fit_pictures: Positive | None = Field(
        None, description="number of pictures of `fit_on`, at equal steps of its sorted list; null: all"
    )
    hidden: Positive | None = Field(
        None, description="channels of the first two convolutions; null: 64, or with `shared` 16 per class"
    )
    kernel: Literal[1, 3] = Field(1, description="side of the kernels, cells")
    residual: bool = Field(True, description="add the network's answer to the members' mean log-probability")
    steps: Positive = Field(300, description="updates of each fit")
    batch: Positive = Field(8, description="crops per step, each of another picture")
    crop: Positive = Field(16, description="side of a crop, in cells")
    learning_rate: PositiveFloat = Field(3e-3, description="first learning rate of Adam; falls to 0 by half a cosine")
    weight_decay: NotNegative = Field(1e-4, description="coupled L2 on kernels")
    balance: Share = Field(
        0.5,
        description="exponent b of the class weights frequency^-b of the loss: 0 is the plain mean, which gives up "
        "rare classes for accuracy; 1 weighs all classes alike",
    )
    storage_stride: Positive = Field(
        4, description="side of a cell, pixels: scores are read, fitted and stored at this stride"
    )

    @model_validator(mode="after")
    def _combinations(self) -> "Stacking":
        if self.fit_on is not None and self.folds is not None:
            raise ValueError("folds: has no meaning beside 'fit_on'; remove it")
        if self.fit_pictures is not None and self.fit_on is None:
            raise ValueError("fit_pictures: needs 'fit_on'")
        if self.kind == "linear" and (self.hidden is not None or self.kernel != 1 or not self.residual):
            raise ValueError("kind: 'linear' has no convolutions; remove 'hidden', 'kernel' and 'residual'")
        return self

    @property
    def parts(self) -> int | None:
        """Into how many folds the scored pictures are dealt; None where it is fitted on others."""
        return None if self.fit_on is not None else self.folds or 5

    @property
    def channels(self) -> int:
        """Channels of the first two convolutions."""
        return self.hidden or {"network": 64, "shared": 16}[self.kind]

    @property
    def margin(self) -> int:
        """Cells around a cell that its answer depends on."""
        return self.layers * (self.kernel - 1) // 2

    @property
    def layers(self) -> int:
        """Number of convolutions, one after the other."""
        return 0 if self.kind == "linear" else 3


class System(Section):
    """Anything that fills a score store: a row of the tables."""

    model: str | None = Field(None, description="the model that predicts")
    prediction: Prediction = Prediction()
    proposal_wise: ProposalWise | None = Field(
        None, description="predict box by box instead of whole pictures (DeconvNet)"
    )
    fusion: Fusion | None = Field(None, description="combine other systems by a rule, instead of a model")
    stacking: Stacking | None = Field(
        None, description="combine other systems by a learned stacker, instead of a model"
    )
    crf: Crf | None = Field(None, description="refine another system, instead of a model")
    splits: Annotated[list[str], Field(min_length=1)] = Field(description="datasets it is scored on")
    published: dict[str, Published] = Field({}, description="split -> published numbers")
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
    def stores_labels(self) -> bool:
        """Whether its score store has labels, and no probabilities."""
        return bool((self.fusion and self.fusion.kind == "vote") or (self.crf and self.crf.store))

    @property
    def held(self) -> Part | None:
        """The pictures, not scored, whose masks decide its own parameters; none where it has none or fits by folds."""
        if self.crf and self.crf.search:
            return self.crf.search.part
        if self.stacking and self.stacking.fit_on is not None:
            return Part(self.stacking.fit_on, self.stacking.fit_pictures)
        if self.fusion and self.fusion.ties_from is not None:
            return Part(self.fusion.ties_from, None)
        return None

    @property
    def held_key(self) -> str:
        """The key that names the dataset of `held`."""
        return {"crf": "search.tune_on", "stacking": "fit_on", "fusion": "ties_from"}[self.combination]

    @property
    def combination(self) -> str:
        """The key that names its members."""
        return "fusion" if self.fusion else "stacking" if self.stacking else "crf"
