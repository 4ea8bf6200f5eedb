"""What the parts of the typed config share: the base class of a section, and constrained values."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]*$")]
# Below 2 ** 31: products of two such numbers fit what TensorFlow and HDF5 count with.
Positive = Annotated[int, Field(gt=0, lt=2**31)]
Bytes = Annotated[int, Field(gt=0, lt=2**63)]
Count = Annotated[int, Field(ge=0, lt=2**31)]
Share = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(gt=0, lt=1)]
# That a label is right: no more than half would make a label of two the less probable one.
Confidence = Annotated[float, Field(gt=0.5, lt=1)]
# A file's or picture's own name: no path, nothing that a shell or Snakemake would read otherwise.
PlainName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]+$")]


class Section(BaseModel):
    """A part of the config: unknown keys, values of another type and numbers without end are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
