"""Model specs as files: what a network was built and trained by, and whether a model file is of that spec."""

import json
import zipfile
from pathlib import Path
from typing import Any

import yaml

from segrepro.differences import first_difference
from segrepro.errors import UserError
from segrepro.unique_keys import refuse_twins


def read_spec(path: Path) -> dict[str, Any]:
    """Read a model spec (YAML, written by ``segrepro spec``).

    Raises:
        UserError: the file is missing, no spec, or has a key twice.
    """
    try:
        refuse_twins(path)
        spec = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot read the model spec ({error}); make it with `segrepro spec`.") from None
    if not isinstance(spec, dict) or not {"network", "protocol", "classes", "seed", "label_space"} <= spec.keys():
        raise UserError(f"{path}: not a model spec; make it with `segrepro spec`.")
    return spec


# In a .keras file, which is a zip archive: the spec that the model was made by, as sorted JSON. Keras passes it over.
SPEC_MEMBER = "segrepro_spec.json"


def spec_content(spec: dict[str, Any]) -> str:
    """Return what `SPEC_MEMBER` holds."""
    return json.dumps(spec, sort_keys=True)


def read_spec_of(model: Path, path: Path) -> dict[str, Any]:
    """Read the spec of a model, and compare it with the one that the model file carries.

    A prediction takes label space, resize mode and boxes from it: another model's would give other numbers. Models
    that were written before this was carried are taken as they come.

    Args:
        model: the model file.
        path: the spec.

    Raises:
        UserError: as of `read_spec`; or the model was made by another spec.
    """
    spec = read_spec(path)
    made_by = _carried_spec(model)
    if made_by is not None and (found := first_difference(spec, made_by)):
        raise UserError(
            f"{path}: not the spec of {model}: {found.key} is {found.first!r} here, and {found.second!r} in what the "
            "model was made by; give the spec.yaml that was written with it."
        )
    return spec


def check_init(model: Path, name: str) -> None:
    """Refuse a model file to start from that says that it is another model than the spec names.

    Raises:
        UserError: it is another one.
    """
    made_by = _carried_spec(model)
    if made_by is not None and made_by.get("name") != name:
        raise UserError(
            f"{model}: is model '{made_by.get('name')}', and the spec starts from '{name}' (init.model); give the file "
            "of that one by --init."
        )


def _carried_spec(model: Path) -> dict[str, Any] | None:
    try:
        with zipfile.ZipFile(model) as archive:
            return json.loads(archive.read(SPEC_MEMBER))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):  # whoever loads the model says what is wrong with it
        return None
