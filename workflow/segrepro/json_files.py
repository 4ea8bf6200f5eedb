"""Reading the JSON files that pass between the verbs.

Apart from `segrepro.files`, which every training runs: its code is part of what a model is made by, this is not.
"""

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from segrepro.errors import UserError
from segrepro.schema import explain
from segrepro.unique_keys import KeyTwiceError, unique_keys

Model = TypeVar("Model", bound=BaseModel)


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """Read a JSON mapping, which is what all files of the workflow hold.

    Args:
        path: the file.
        remedy: what to do where it cannot be read, e.g. "make it with `segrepro audit`".

    Raises:
        UserError: there is no such file, or it holds no JSON or no mapping, or a key twice.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        content = json.loads(text, object_pairs_hook=unique_keys, parse_constant=_refuse_constant)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(f"{path}: no such file; {remedy}.") from None
    except KeyTwiceError as error:
        raise UserError(f"{path}: {error}; {remedy}.") from None
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, NaN, too long a number, too deep
        raise UserError(f"{path}: not JSON ({error}); {remedy}.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a mapping; {remedy}.")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")  # Python reads what JSON has no word for, and every limit lets it pass


def read_model(path: Path, model: type[Model], remedy: str) -> Model:
    """Read a JSON mapping of a declared form.

    Args:
        path: the file.
        model: the form, a pydantic model.
        remedy: as of `read_json`.

    Raises:
        UserError: as of `read_json`, or the first key that is not of the form.
    """
    content = read_json(path, remedy)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error, model)[0]}; {remedy}.") from None
