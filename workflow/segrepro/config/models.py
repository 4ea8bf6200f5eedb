"""The part of the config that says what a model is: its data, its protocol, where its first weights come from."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from segrepro.config.data import Archive
from segrepro.schema import Positive, Section


class Weights(Archive):
    """A file of pretrained weights."""

    format: Literal[
        *("keras_applications", "tf1_slim_imagenet", "tf1_deeplabv3_resnet_v2", "tf1_deeplabv3plus_xception"),
        *("tf1_deeplabv3_mobilenet_v2", "segrepro"),
    ] = Field(description="who wrote the file, and hence how its layers are called")
    averages: Literal["plain", "ema"] = Field("plain", description="TF1: the variables, or their moving averages")
    trained_on: list[str] = Field(
        [],
        description="datasets of this config (besides ImageNet) whose labels the file has seen; the leakage audit "
        "reads it",
    )


class Init(Section):
    """Where a model's first weights come from; the rest is initialised from the seed."""

    model: str | None = Field(None, description="a model of this config")
    weights: str | None = Field(None, description="a file of the section `weights`, for the backbone")
    head: Literal["keep", "replace", "extend"] = Field(
        "keep", description="replace: the classifier starts over; extend: so do the layers that the initial model lacks"
    )

    @model_validator(mode="after")
    def _one_source(self) -> "Init":
        if (self.model is None) == (self.weights is None):
            raise ValueError("model: give either this key or 'weights'")
        return self


class ObjectExamples(Section):
    """DeconvNet's stage 1: one example per object; everything else is background."""

    kind: Literal["objects"]
    # Section 4.2 of the paper: "enlarge the tight bounding boxes by 1.2 times".
    enlarge: Annotated[float, Field(ge=1, le=100)] = Field(
        1.2, description="factor that the tight box is enlarged by (paper: 1.2)"
    )
    # Neither the paper nor the release names a limit; of the 1,969 objects in the real subset's trainaug none has fewer
    # than 64 pixels.
    min_area: Positive = Field(1, description="area of the smallest object that becomes an example, pixels")
    balance: bool = Field(True, description="repeat the examples of rare classes until all classes are equal")
    max_repeats: Positive | None = Field(None, description="most repeats of an example; null: no bound")


class ProposalExamples(Section):
    """DeconvNet's stage 2: one example per proposal, with the labels of all classes."""

    kind: Literal["proposals"]
    proposals: str = Field(description="an entry of the section `proposals`")
    enlarge: Annotated[float, Field(ge=1, le=100)] = Field(
        1.2, description="factor that the proposal is enlarged by (paper: 1.2)"
    )
    # R-CNN's threshold for a positive region (arXiv 1311.2524); the object is about as large in its box as in stage 1.
    min_overlap: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="smallest IoU of a proposal with an object's box"
    )
    max_per_picture: Positive | None = Field(None, description="proposals per picture, best first; null: all that fit")
    add_ground_truth: bool = Field(False, description="take the objects' own boxes too")
    min_area: Positive = Field(1, description="area of the smallest object that counts, pixels")
    balance: bool = Field(True, description="repeat the examples of rare classes until all classes are equal")
    max_repeats: Positive | None = Field(None, description="most repeats of an example; null: no bound")


Examples = Annotated[ObjectExamples | ProposalExamples, Field(discriminator="kind")]


class Repeat(Section):
    """Classes whose pictures come several times in an epoch."""

    classes: Annotated[list[str], Field(min_length=1)] = Field(
        description="names of the classes, in the dataset's label space"
    )
    times: Annotated[int, Field(ge=2, le=1000)] = Field(description="how many times such a picture comes in an epoch")


class Model(Section):
    """A network trained by a protocol on a dataset, or one that published weights stand in for."""

    network: str
    protocol: str | None = Field(None, description="required unless `train` is false")
    dataset: str = Field(description="what it trains on, or what its published weights were trained on")
    init: Init | None = None
    repeat: Repeat | None = None
    examples: Examples | None = Field(None, description="train on boxes of the pictures instead of whole pictures")
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
