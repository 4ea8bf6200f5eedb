"""Which code filled a score store: of each module that had a part in it, a hash of what it and its imports do.

A store of a system that combines others lists their code too. Neither commit nor place are in it, so that the same
code writes the same bytes in any checkout; a change of comments, of a figure or of another writer changes no hash.
"""

import json
from typing import Any

from segrepro.provenance.code import UNKNOWN, module_sha256
from segrepro.provenance.made import OLDER, SAME, oldest

# (name of the module that wrote, its hash) pairs, sorted.
Written = tuple[tuple[str, str], ...]

# Of a store that does not say.
NOBODY_KNOWS: Written = ((UNKNOWN, UNKNOWN),)


def written_by(module: str, *read: Written) -> Written:
    """Return the code of a store.

    Args:
        module: full name of the module that writes it, its ``__name__``.
        read: the code of the stores that it is made from.
    """
    return joined(((module, module_sha256(module)),), *read)


def joined(*codes: Written) -> Written:
    """Return what several stores were written by, as if they were one."""
    return tuple(sorted({pair for code in codes for pair in code}))


def to_text(code: Written) -> str:
    """Write the code of a store as its attribute."""
    return json.dumps(code)


def from_text(text: Any) -> Written:
    """Read the code of a store from its attribute; `NOBODY_KNOWS` where there is none or it is empty.

    Raises:
        ValueError: the attribute is something else.
    """
    if text is None:
        return NOBODY_KNOWS
    pairs = json.loads(text)
    if not isinstance(pairs, list) or not all(_is_pair(pair) for pair in pairs):
        raise ValueError("no list of modules and hashes")
    return tuple((module, digest) for module, digest in pairs) or NOBODY_KNOWS


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)


def age_of_module(module: str, digest: str) -> str:
    """Compare a module's hash with the code that runs: ``same``, ``older`` (another, or gone) or ``unknown``."""
    if digest == UNKNOWN:
        return UNKNOWN
    return SAME if digest == module_sha256(module) else OLDER


def described(code: Written) -> dict[str, Any]:
    """Return what metrics say of the code that filled their score store.

    Returns:
        ``scores``: module, sha256 and code (same, older or unknown beside the code that runs) of each; and
        ``scores_code``, the worst of these.
    """
    entries = [{"module": module, "sha256": digest, "code": age_of_module(module, digest)} for module, digest in code]
    return {"scores": entries, "scores_code": oldest([entry["code"] for entry in entries])}
