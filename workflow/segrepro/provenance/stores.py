"""Which code filled a score store: of each module that had a part in it, a hash of what it and its imports do.

A store of a system that combines others lists their code too. Neither commit nor place are in it, so that the same
code writes the same bytes in any checkout; a change of comments, of a figure or of another writer changes no hash.
"""

from typing import Any

from segrepro.provenance.code import module_sha256
from segrepro.provenance.made import OLDER, SAME, oldest
from segrepro.stores.codes import UNKNOWN, Written, joined


def written_by(module: str, *read: Written) -> Written:
    """Return the code of a store.

    Args:
        module: full name of the module that writes it, its ``__name__``.
        read: the code of the stores that it is made from.
    """
    return joined(((module, module_sha256(module)),), *read)


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
