"""Imports run down the house's list of rooms, and no modules import one another in a circle."""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "workflow/segrepro"

# Rooms from the top to the bottom: a module imports those of its own room and of rooms further down. A module that is
# named by itself stands there, and not where its room does. What is not named is at the bottom: errors, files, words.
ROOMS = [
    *("__main__", "cli", "verbs", "plan", "report"),
    *("fusion", "inference", "evaluation", "training", "models", "provenance", "data"),
    *("stores", "config", "graph"),
    *("data.datasets", "data.id_lists", "stores.manifests", "labels"),
]


@cache
def modules() -> dict[str, Path]:
    """Return every module's file, by its name below the package."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "segrepro"] = path
    return found


def imported(source: str, *, within_functions: bool) -> set[str]:
    """Return the modules of the package that a module imports, but for those that only type checkers import."""
    found = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.FunctionDef) and not within_functions:
                continue
            if isinstance(child, ast.Import):
                names = [alias.name for alias in child.names]
            elif isinstance(child, ast.ImportFrom):
                names = [f"{child.module}.{alias.name}" for alias in child.names]
            else:
                names = []
            for name in names:
                if name.split(".")[0] == "segrepro":
                    below = name.removeprefix("segrepro.")
                    found.add(below if below in modules() else below.rpartition(".")[0] or "segrepro")
            visit(child)

    visit(ast.parse(source))
    return found


def level(module: str) -> int:
    """Return the place of a module in the list of rooms."""
    while module not in ROOMS and "." in module:
        module = module.rpartition(".")[0]
    return ROOMS.index(module) if module in ROOMS else len(ROOMS)


def test_no_import_runs_up():
    """Not even one within a function, which only hides the direction."""
    up = {
        f"{name} -> {other}"
        for name, path in modules().items()
        for other in imported(path.read_text(), within_functions=True)
        if level(other) < level(name)
    }
    assert up == set(), "these imports run up; move what they want to a room further down"


def test_no_modules_import_one_another_in_a_circle():
    """Also not by way of a package, whose ``__init__`` runs before any of its modules."""
    graph = {name: set() for name in modules()}
    for name, path in modules().items():
        for other in imported(path.read_text(), within_functions=False):
            parents = [".".join(other.split(".")[:depth]) for depth in range(1, other.count(".") + 1)]
            graph[name] |= {each for each in (other, *parents) if not f"{name}.".startswith(f"{each}.")}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(reversed(error.args[1])))


def names_of(source: str) -> set[str]:
    """Return the names that a module has when it has been imported."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def test_what_is_imported_is_there():
    """Also within functions, whose imports no start of the program tries."""
    names = {name: names_of(path.read_text()) for name, path in modules().items()}
    missing = []
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "segrepro":
                there = node.module.removeprefix("segrepro.")
                if there not in names:
                    missing.append(f"{name}: {node.module}")
                elif "__getattr__" not in names[there]:
                    inner = "" if there == "segrepro" else f"{there}."
                    wanted = {alias.name for alias in node.names} - names[there]
                    missing += [f"{name}: {node.module}.{each}" for each in wanted if inner + each not in names]
    assert missing == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from segrepro.config import Config", {"config"}),
        ("from segrepro import graph", {"graph"}),
        ("import segrepro.config.digest\nimport numpy", {"config.digest"}),
        ("if TYPE_CHECKING:\n    from segrepro.config import Config", set()),
        ("def f():\n    from segrepro.labels import VOID", {"labels"}),
        ("from segrepro import __version__", {"segrepro"}),
    ],
)
def test_imports_are_read_as_python_means_them(source, found):
    assert imported(source, within_functions=True) == found
