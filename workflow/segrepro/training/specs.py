"""Model specs as files: what a network was built and trained by, and whether a model file is of that spec."""

from pathlib import Path
from typing import Any

import yaml

from segrepro.errors import UserError
from segrepro.keys import refuse_twins


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
