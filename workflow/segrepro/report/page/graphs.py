"""The two graphs of the page: what each system is made of, and how the workflow's rules follow one another."""

import re
from pathlib import Path

from segrepro.errors import UserError
from segrepro.graph import MODEL, SYSTEM, WEIGHTS, Graph, walk
from segrepro.report.page.layered import acyclic, draw, reduced

NODE = re.compile(r'^\s*(\d+)\[label = "([^"]+)"', re.MULTILINE)
EDGE = re.compile(r"^\s*(\d+) -> (\d+)\s*$", re.MULTILINE)
TARGETS = ("all", "page")  # everything leads there: drawn, they would hide the rest


def lineage_svg(graph: Graph) -> str:
    """Draw datasets, weights, models and systems: from what each system was made."""
    made = [node for node in graph.nodes if node[0] in (MODEL, SYSTEM)]
    drawn = [node for node in walk(made, graph.parents) if node[0] in (MODEL, SYSTEM, WEIGHTS)]
    nodes = {f"{kind} {name}": (name, kind) for kind, name in drawn}
    edges: list[tuple[str, str]] = []
    for kind, name in drawn:
        if kind != SYSTEM:
            for seen in graph.seen((kind, name)):
                nodes[f"data {seen.name}"] = (seen.name, "data")
                edges.append((f"data {seen.name}", f"{kind} {name}"))
        parents = (f"{each} {parent}" for each, parent in graph.parents((kind, name)))
        edges += [(parent, f"{kind} {name}") for parent in parents if parent in nodes]
    return draw(nodes, edges, title="From datasets and weights by models to systems")


def rules_svg(path: Path) -> str:
    """Draw the rule graph that ``snakemake --rulegraph dot`` printed; edges that a longer path stands for left out.

    A rule may feed itself, or two each other (a CRF on an ensemble of CRFs): what leads back is not drawn.

    Raises:
        UserError: the file is missing or holds no such graph.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; make it with `snakemake --rulegraph dot`.") from None
    names = dict(NODE.findall(text))
    edges = {(names.get(start), names.get(end)) for start, end in EDGE.findall(text)}
    if not edges or any(None in pair for pair in edges):
        raise UserError(f"{path}: not a rule graph of Snakemake; make it with `snakemake --rulegraph dot`.")
    kept = reduced(acyclic((start, end) for start, end in edges if end not in TARGETS))
    return draw(
        {name: (name, "rule") for name in names.values() if name not in TARGETS}, kept, title="The workflow's rules"
    )
