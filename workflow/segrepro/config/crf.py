"""The typed config of a CRF: preset, single parameters, and the search for them."""

from typing import Annotated, Literal, get_args

from pydantic import Field, create_model, model_validator

from segrepro.config.data import Part
from segrepro.schema import Confidence, Positive, Section, Share

# Below a width of 1e-5, pydensecrf's lattice overflows and ends the process; weights above 1e38 give nan.
Width = Annotated[float, Field(ge=0.01, le=1000)]
Weight = Annotated[float, Field(ge=0, le=10_000)]


class GivenParameters(Section):
    """Single parameters of a CRF; null: the preset's."""

    iterations: Positive | None = Field(None, description="iterations of mean field")
    gaussian_sxy: Width | None = Field(None, description="width of the smoothness kernel, pixels")
    gaussian_compat: Weight | None = Field(None, description="weight of the smoothness kernel; 0: none")
    bilateral_sxy: Width | None = Field(None, description="width of the appearance kernel in position, pixels")
    bilateral_srgb: Width | None = Field(
        None, description="width of the appearance kernel in colour, in grey levels of 0 to 255"
    )
    bilateral_compat: Weight | None = Field(None, description="weight of the appearance kernel; 0: none")
    normalisation: Literal["symmetric", "before", "after", "none"] | None = Field(
        None, description="normalisation of both kernels"
    )
    gt_prob: Confidence | None = Field(
        None,
        description="start from hard labels that are right with this probability (above 0.5); null: from probabilities"
        " where there are any",
    )

    @property
    def given(self) -> dict[str, int | float | str]:
        """The parameters that are set here instead of by the preset."""
        return {name: getattr(self, name) for name in PARAMETERS if getattr(self, name) is not None}


PARAMETERS = tuple(GivenParameters.model_fields)

SearchedParameters = create_model(
    "SearchedParameters",
    __base__=Section,
    **{
        name: (
            Annotated[list[get_args(field.annotation)[0]], Field(min_length=1)] | None,
            Field(None, description=f"values to try: {field.description}"),
        )
        for name, field in GivenParameters.model_fields.items()
    },
)


class CrfSearch(SearchedParameters):
    """The search for a CRF's parameters on pictures that are not scored; see segrepro.fusion.crf_search."""

    tune_on: str = Field(description="a dataset with masks, none of whose pictures is in the system's splits")
    pictures: Positive | None = Field(
        None, description="number of tuning pictures, taken at equal steps of the sorted list; null: all"
    )
    method: Literal["grid", "random"] = Field(
        "grid", description="grid: every combination; random: draws between the smallest and the largest value"
    )
    trials: Positive | None = Field(None, description="random: number of draws")

    @property
    def part(self) -> Part:
        """The tuning pictures."""
        return Part(self.tune_on, self.pictures)

    @property
    def searched(self) -> dict[str, list]:
        """The parameters that have values here."""
        return {name: getattr(self, name) for name in PARAMETERS if getattr(self, name) is not None}

    @model_validator(mode="after")
    def _combinations(self) -> "CrfSearch":
        if all(len(set(values)) == 1 for values in self.searched.values()):
            raise ValueError("bilateral_sxy: no parameter has two values to search; give one, as [30, 80]")
        for name, values in self.searched.items():
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: {values} names a value twice; give each once")
        if (self.trials is None) == (self.method == "random"):
            raise ValueError("trials: 'method: random' needs it, and no other takes it")
        if self.method == "random":
            for name, values in self.searched.items():
                if name != "normalisation" and min(values) <= 0:
                    raise ValueError(f"{name}: 'method: random' draws on a log scale; start above 0")
        return self


class Crf(GivenParameters):
    """A system refined by a fully connected CRF; see segrepro.fusion.densecrf. Null parameters are the preset's."""

    members: Annotated[list[str], Field(min_length=1, max_length=1)] = Field(description="the system that is refined")
    preset: Literal["deconvnet", "deeplab_vgg", "deeplabv2_resnet101", "pydensecrf_example", "report2"] = Field(
        description="whose parameters; docs/protocols.md has the numbers"
    )
    drop_below: Annotated[Share, Field(lt=1)] = Field(
        0.0,
        description="drop labels that are nowhere in a picture as probable as this: faster, less exact; 0: keep all",
    )
    storage_stride: Positive = Field(1, description="stride of the stored map, pixels; 1 keeps every label")
    store: Literal["labels"] | None = Field(
        None,
        description="labels: store the label of each pixel alone, a few kilobytes per picture, where a vote, "
        "another CRF or nothing reads them; null: the marginals of all labels",
    )
    search: CrfSearch | None = Field(None, description="choose parameters on other pictures; null: as given here")

    @model_validator(mode="after")
    def _given_or_searched(self) -> "Crf":
        twice = [name for name in self.given if self.search and name in self.search.searched]
        if twice:
            raise ValueError(f"{twice[0]}: is searched too; remove it here or from 'search'")
        if self.store and self.storage_stride != 1:
            raise ValueError("storage_stride: labels are stored at every pixel; remove it, or 'store'")
        return self
