"""The part of the config that says where data come from and what they must be."""

from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import Field, model_validator

from segrepro.schema import Bytes, Count, Md5, PlainName, Positive, Section, Sha256, Share

# Where the sample's archives are generated; an archive from elsewhere holds real pictures.
GENERATED = "data/sample/archives"

# What systems are measured on: generated pictures, a sample of real ones with shrunken networks, VOC as it is with
# smaller networks than the published ones (`scale: small`), or the experiment as published.
PicturesKind = Literal["generated", "real_sample", "small", "published"]
PICTURES_KINDS: tuple[PicturesKind, ...] = get_args(PicturesKind)


class Expected(Section):
    """What is known of a file before it is fetched."""

    md5: Md5 | None = Field(None, description="md5 that the file must have, hexadecimal")
    sha256: Sha256 | None = Field(None, description="sha256 that the file must have, hexadecimal")
    bytes: Bytes | None = Field(None, description="size that the file must have, in bytes")

    @property
    def digests(self) -> dict[str, str]:
        """The known digests by algorithm."""
        return self.model_dump(include={"md5", "sha256"}, exclude_none=True)


class Archive(Expected):
    """A file to fetch: tried mirror by mirror, verified before anything reads it."""

    file: PlainName = Field(description="file name, as its official home has it")
    urls: list[str] = Field(description="mirrors in order: http(s)://, file:///absolute or file:relative")
    sha256_list: str | None = Field(None, description="path of a SHA256SUMS file that lists this archive")

    @property
    def generated(self) -> list[str]:
        """The places below `GENERATED` among its urls."""
        local = (url.removeprefix("file:") for url in self.urls if url.startswith("file:"))
        return [path for path in local if path.startswith(f"{GENERATED}/")]


class Archives(Section):
    """The official archives."""

    voc2012_trainval: Archive
    voc2012_test: Archive | None = Field(None, description="VOC test pictures; null leaves VOC test out")
    sbd: Archive | None = Field(None, description="null leaves out trainaug, sbd_train and seg11valid")
    coco2017_train: Archive | None = Field(None, description="null leaves out coco20 and coco90")
    coco2017_val: Archive | None = Field(None, description="null leaves out coco20_val and coco90_val")
    coco2017_annotations: Archive | None = Field(None, description="null leaves out all datasets of COCO")

    @property
    def given(self) -> list[Archive]:
        """Those that are not null."""
        archives = (getattr(self, name) for name in type(self).model_fields)
        return [archive for archive in archives if archive is not None]


class Patience(Section):
    """How long a download goes on with one mirror before the next is tried."""

    attempts: Positive = Field(5, description="attempts in a row without progress before the next mirror is tried")
    stall_seconds: Positive = Field(60, description="seconds with (almost) no byte after which an attempt ends")


class SampleData(Section):
    """The generated archives (scale: sample): how many pictures they hold, and which."""

    seed: Count = Field(
        0, description="seed of the drawing; not the experiment's, so that another seed trains on the same pictures"
    )
    voc_train: Positive = Field(80, description="pictures of VOC 2012 train")
    voc_val: Positive = Field(60, description="pictures of VOC 2012 val")
    voc_test: Positive = Field(12, description="pictures of VOC 2012 test, which have no masks")
    sbd_extra: Positive = Field(160, description="pictures of SBD outside VOC train and val")
    coco_train: Positive = Field(120, description="pictures of COCO train2017")
    coco_val: Positive = Field(24, description="pictures of COCO val2017")

    @property
    def counts(self) -> dict[str, int]:
        """How many pictures to draw of each source."""
        return self.model_dump(exclude={"seed"})


class Coco(Section):
    """COCO conversion."""

    # Section 4.3 of DeepLabv3's paper (arXiv 1706.05587).
    min_pixels: Count = Field(
        1000, description="a picture of COCO-20 has more pixels of VOC's classes than this (DeepLabv3's paper: 1000)"
    )


@dataclass(frozen=True)
class Part:
    """Pictures that something is tuned or fitted on instead of being scored: a dataset, or so many pictures of it."""

    dataset: str
    pictures: int | None  # at equal steps of the sorted list; None for all

    @property
    def split(self) -> str:
        """The name by which their manifest and scores are stored: ``voc_train_24``."""
        return self.dataset if self.pictures is None else f"{self.dataset}_{self.pictures}"


class DatasetChecks(Section):
    """What a dataset must be, checked before anything trains on it."""

    pictures: Positive | None = Field(None, description="expected number of pictures")
    ids_sha256: Sha256 | None = Field(None, description="sha256 of the sorted ids, one per line, newline-ended")
    disjoint_from: list[str] = Field([], description="datasets that must share no picture with this one")
    absent_classes: list[str] = Field([], description="classes that need not occur in this dataset")
    min_classes: Positive | None = Field(
        None, description="ask for this many object classes instead of every class of the label space"
    )
    min_void_share: Share = Field(0.0, description="smallest share of void pixels, of all pixels; VOC's masks: 0.005")
    max_empty_share: Share | None = Field(
        None, description="largest share of pictures without an object; null: 0.01 with VOC's labels, 0.1 with COCO's"
    )


class LabelChecks(Section):
    """Bounds outside of which a label set is taken to be wrong (shifted, stuff, void trained).

    Shares of background are of the pixels that are not void. The numbers of the datasets were measured.
    """

    max_void_share: Share = Field(0.25, description="largest share of void pixels; VOC 0.06, SBD 0, COCO 0.01 to 0.06")
    min_background_share: Share = Field(
        0.3, description="smallest share of background; VOC 0.71, SBD 0.61, COCO-20 0.74, COCO-90 0.70"
    )
    max_background_share: Share = Field(0.95, description="largest share of background")
    max_grey_share: Share = Field(
        0.05,
        description="largest share of pictures with one channel; COCO has a few in a thousand, and more means that "
        "colour was lost",
    )

    @model_validator(mode="after")
    def _in_order(self) -> "LabelChecks":
        if self.min_background_share > self.max_background_share:
            raise ValueError("min_background_share: is above max_background_share; no picture could pass")
        return self
