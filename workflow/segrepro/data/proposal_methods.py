"""The methods that propose boxes, by name.

A method is a frozen dataclass whose fields are its settings; `proposal_method` makes one from a name and a mapping,
`segrepro.data.proposal_base.ProposalMethod.find` gives a picture's boxes, best first.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from segrepro.data.edge_boxes import EdgeBoxes
from segrepro.data.proposal_base import ProposalMethod
from segrepro.data.selective_search import SelectiveSearch
from segrepro.errors import UserError

METHODS: dict[str, type[ProposalMethod]] = {method.name: method for method in (SelectiveSearch, EdgeBoxes)}


def proposal_method(name: str, settings: Mapping[str, Any]) -> ProposalMethod:
    """Make a method from its name and settings.

    Args:
        name: one of `METHODS`.
        settings: values of the method's fields; the others keep their defaults.

    Raises:
        UserError: the method or a setting is unknown, a value is of the wrong type or out of range, or a file that
            the method needs is missing or unusable.
    """
    if name not in METHODS:
        raise UserError(f"proposal method '{name}' is unknown: use one of {', '.join(METHODS)}.")
    fields = {field.name: field for field in dataclasses.fields(METHODS[name])}
    for key in settings:
        if key not in fields:
            raise UserError(f"{name}: setting '{key}' is unknown: use one of {', '.join(fields)}.")
    return METHODS[name](**{key: _checked(name, fields[key], value) for key, value in settings.items()})


def _checked(method: str, field: dataclasses.Field, value: Any) -> Any:
    if value is None and field.default is None:
        return None
    kind = str if field.default is None else type(field.default)
    try:
        if isinstance(value, bool) or (kind is int and int(value) != float(value)):
            raise ValueError
        value = kind(value)
    except (TypeError, ValueError):
        raise UserError(f"{method}: {field.name} is {value!r}; give it as {kind.__name__}.") from None
    low, high = field.metadata["low"], field.metadata["high"]
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        bounds = f"{low} or more" if high is None else f"{low} to {high}"
        raise UserError(f"{method}: {field.name} is {value}; it must be {bounds}.")
    return value
