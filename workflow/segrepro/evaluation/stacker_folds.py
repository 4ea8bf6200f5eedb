"""What a stacker's report says of its folds: which of the scored pictures it was fitted on when it predicted them."""

from collections.abc import Collection
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from segrepro.errors import UserError
from segrepro.json_files import read_model
from segrepro.stores.same_pictures import refuse_other_pictures

REMEDY = "the folds cannot be audited, make scores and report again by `segrepro stack`"


class _Stacker(BaseModel):
    """One fit; the report's other keys (losses, weights) are not looked at."""

    model_config = ConfigDict(strict=True)

    fitted: list[str] = Field(min_length=1)
    predicted: list[str] = Field(min_length=1)


class _Report(BaseModel):
    model_config = ConfigDict(strict=True)

    system: str
    split: str
    stackers: list[_Stacker] = Field(min_length=1)


def fitted_and_predicted(path: Path, *, system: str, split: str, scored: Collection[str]) -> tuple[frozenset[str], int]:
    """Check a stacker's report against the pictures that it is scored on.

    Args:
        path: the report, as `segrepro stack` writes it.
        system: whose report it must be.
        split: on which pictures.
        scored: their ids.

    Returns:
        The scored pictures that were predicted by a fit that saw them, and the number of fits.

    Raises:
        UserError: the file is missing, no such report or another system's or split's; or a picture is predicted by
            no fit, by two, or is not scored at all.
    """
    report = read_model(path, _Report, REMEDY)
    for what, found, wanted in (("system", report.system, system), ("split", report.split, split)):
        if found != wanted:
            raise _broken(path, f"is of {what} '{found}', not '{wanted}'")
    predicted = [id for stacker in report.stackers for id in stacker.predicted]
    places = {"found_in": f"the folds of {path}", "wanted_in": f"the scored split '{split}'"}
    refuse_other_pictures(predicted, scored, **places, remedy=REMEDY)
    if len(predicted) > len(set(predicted)):
        twice = min(id for id in predicted if predicted.count(id) > 1)
        raise _broken(path, f"two folds predict '{twice}'")
    seen = frozenset(id for stacker in report.stackers for id in set(stacker.fitted) & set(stacker.predicted))
    return seen, len(report.stackers)


def _broken(path: Path, fault: str) -> UserError:
    return UserError(f"{path}: {fault}; {REMEDY}.")
