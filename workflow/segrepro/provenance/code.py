"""Which code ran: hashes of the package's sources, and the commit of the checkout that holds them.

Two hashes tell codes apart, with or without git:

- ``sha256`` is of all sources of the package, byte for byte.
- ``training_sha256`` is of what the modules do that a training imports, directly or not (`TRAINING` and all of this
  package that it reaches): comments, docstrings and layout do not count, and neither do figures, tables, the
  config's other sections or prediction. A model whose training hash is not that of the code at hand was made by other
  code.

Score stores carry the hashes of the modules that filled them, made in the same way; a store that combines others lists
their code too. Neither commit nor place are in it, so that the same code writes the same bytes in any checkout.
"""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import segrepro
from segrepro.environment import output_of
from segrepro.stores.codes import UNKNOWN, Written, joined

PACKAGE = Path(segrepro.__file__).parent
NAME = segrepro.__name__
TRAINING = f"{NAME}.training.experiment"
# What notes the code is no part of what it notes.
LEFT_OUT = f"{NAME}.provenance"
GIT_SECONDS = 30

# How old the code that made something is, beside the code that runs.
SAME, OLDER = "same", "older"

Code = dict[str, str | bool]


def code_identity() -> Code:
    """Return ``sha256``, ``training_sha256``, ``commit`` and ``dirty`` of the code that runs."""
    return {"sha256": package_sha256(), "training_sha256": training_sha256(), **git_state()}


def package_sha256(package: Path = PACKAGE) -> str:
    """Return the sha256 of all files of the package but compiled ones: their names and bytes, sorted by name."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            content = path.read_bytes()
            digest.update(f"{path.relative_to(package).as_posix()} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()


def training_sha256(package: Path = PACKAGE) -> str:
    """Return the sha256 of what the modules do that a training imports; see above."""
    return module_sha256(TRAINING, package)


@cache
def module_sha256(module: str, package: Path = PACKAGE) -> str:
    """Return the sha256 of what a module and all that it imports do; `UNKNOWN` where there is no such module."""
    if not _is_module(module, package):
        return UNKNOWN
    digest = hashlib.sha256()
    for name in import_closure(module, package):
        tree = ast.parse(_file(name, package).read_bytes())
        digest.update(f"{name} {_meaning(tree)}\n".encode())
    return digest.hexdigest()


def written_by(module: str, *read: Written) -> Written:
    """Return the code of a score store: of the module that writes it (its ``__name__``) and of the stores it reads."""
    return joined(((module, module_sha256(module)),), *read)


def age(hashes: Iterable[str], current: str) -> str:
    """Compare the hashes of all code that made something with that of the code that runs.

    Returns ``"same"``, ``"unknown"`` where nobody knows what made a part of it, else ``"older"``.
    """
    found = set(hashes)
    if UNKNOWN in found:
        return UNKNOWN
    return SAME if found == {current} else OLDER


def oldest(ages: Iterable[str]) -> str | None:
    """Return the worst of several ages; None where there are none."""
    found = set(ages)
    return next((kind for kind in (OLDER, UNKNOWN, SAME) if kind in found), None)


def import_closure(module: str, package: Path = PACKAGE) -> list[str]:
    """Return the full names of a module and of all of the package that it imports, directly or not, sorted.

    Imports inside functions count; the packages above a module do too.
    """
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or name.startswith(LEFT_OUT):
            continue
        found.add(name)
        waiting += [parent for parent in [name.rpartition(".")[0]] if parent]
        tree = ast.parse(_file(name, package).read_bytes())
        waiting += [imported for imported in _imported(tree) if _is_module(imported, package)]
    return sorted(found)


def _imported(tree: ast.AST) -> Iterable[str]:
    """Give the names of this package that a module imports: modules, and what may be one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_module(name: str, package: Path) -> bool:
    return name.split(".")[0] == NAME and _file(name, package).is_file()


def _file(module: str, package: Path) -> Path:
    path = package.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _meaning(node: Any) -> str:
    """Write a syntax tree as text without docstrings and places.

    Empty fields are left out, so that Pythons that know more fields (3.12: type parameters) write the same.
    """
    if isinstance(node, list):
        return "[" + ",".join(map(_meaning, node)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: value for name, value in ast.iter_fields(node) if value not in (None, []) or name == "value"}
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        body = node.body
        if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body = body[1:]
        fields["body"] = body
    return type(node).__name__ + "(" + ",".join(f"{name}={_meaning(value)}" for name, value in fields.items()) + ")"


def git_state(folder: Path = PACKAGE) -> Code:
    """Return ``commit`` and ``dirty`` of the checkout that holds a folder of sources.

    ``dirty``: a file that git tracks differs from the commit. Both are ``"unknown"`` where there is no git, or where
    the folder merely lies inside somebody's checkout (an installed package in a virtual environment).
    """
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return {"commit": UNKNOWN, "dirty": UNKNOWN}
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if commit is None or changes is None:
        return {"commit": UNKNOWN, "dirty": UNKNOWN}
    return {"commit": commit.strip(), "dirty": bool(changes.strip())}


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what a git command prints; None where it fails. It takes no lock: many jobs ask at once."""
    return output_of(["git", "-C", str(folder), *arguments], seconds=GIT_SECONDS, GIT_OPTIONAL_LOCKS="0")
