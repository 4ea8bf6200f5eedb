"""What the parts of the typed config share: the base class of a section, and constrained values."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator
from pydantic_core import PydanticCustomError

# Names become those of files, which have room for 255 bytes, of which temporary names need some.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]*$", max_length=100)]
# Below 2 ** 31: products of two such numbers fit what TensorFlow and HDF5 count with.
Positive = Annotated[int, Field(gt=0, lt=2**31)]
Bytes = Annotated[int, Field(gt=0, lt=2**63)]
Count = Annotated[int, Field(ge=0, lt=2**31)]
Share = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(gt=0, lt=1)]
# That a label is right: no more than half would make a label of two the less probable one.
Confidence = Annotated[float, Field(gt=0.5, lt=1)]
# A file's or picture's own name: no path, nothing that a shell or Snakemake would read otherwise.
PlainName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=150)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]+$")]

# pydantic's type of the error, for `segrepro.config.errors`.
NAMED_TWICE = "named_twice"


class Section(BaseModel):
    """A part of the config.

    Unknown keys, values of another type, numbers without end and lists that name something twice are refused.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="after")
    @classmethod
    def _named_once(cls, value: Any) -> Any:
        for names in value.values() if isinstance(value, dict) else [value]:
            if isinstance(names, list):
                for name in names:
                    if isinstance(name, str) and names.count(name) > 1:
                        raise PydanticCustomError(
                            NAMED_TWICE, "{name} is named twice; name it once", {"name": repr(name)}
                        )
        return value
