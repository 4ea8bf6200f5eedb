"""The two graphs of the page: what each system is made of, and how the workflow's rules follow one another.

Both are drawn in layers, sources at the left and every edge to the right, after Sugiyama, Tagawa and Toda, "Methods for
visual understanding of hierarchical system structures" (1981). No randomness: same graph, same drawing.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from graphlib import TopologicalSorter
from html import escape
from itertools import pairwise
from pathlib import Path
from statistics import fmean

from segrepro.errors import UserError
from segrepro.graph import MODEL, SYSTEM, WEIGHTS, Graph, walk

RULE = re.compile(r'^\s*(\d+)\[label = "([^"]+)"', re.MULTILINE)
EDGE = re.compile(r"^\s*(\d+) -> (\d+)\s*$", re.MULTILINE)
TARGETS = ("all", "page")  # everything leads there: drawn, they would hide the rest

# Lengths in pixels.
LINE_HEIGHT = 26
NODE_HEIGHT = 20
LETTER = 6.7  # of 11.5 px type, on average
PADDING = 9
LAYER_GAP = 34
MARGIN = 6
SWEEPS = 12

Edge = tuple[str, str]  # from, to


def lineage_svg(graph: Graph) -> str:
    """Draw datasets, weights, models and systems: from what each system was made."""
    made = [node for node in graph.nodes if node[0] in (MODEL, SYSTEM)]
    drawn = [node for node in walk(made, graph.parents) if node[0] in (MODEL, SYSTEM, WEIGHTS)]
    nodes = {f"{kind} {name}": (name, kind) for kind, name in drawn}
    edges: list[Edge] = []
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
    names = dict(RULE.findall(text))
    edges = {(names.get(start), names.get(end)) for start, end in EDGE.findall(text)}
    if not edges or any(None in pair for pair in edges):
        raise UserError(f"{path}: not a rule graph of Snakemake; make it with `snakemake --rulegraph dot`.")
    kept = reduced(acyclic((start, end) for start, end in edges if end not in TARGETS))
    nodes = {name: (name, "rule") for name in names.values() if name not in TARGETS}
    return draw(nodes, kept, title="The workflow's rules")


def _children(edges: Iterable[Edge]) -> dict[str, list[str]]:
    children: dict[str, list[str]] = {}
    for start, end in sorted(set(edges)):
        children.setdefault(start, []).append(end)
    return children


def acyclic(edges: Iterable[Edge]) -> list[Edge]:
    """Leave out every edge that leads back to where a walk along the others came from, loops included; sorted."""
    children = _children(edges)
    entered = {end for ends in children.values() for end in ends}
    kept: list[Edge] = []

    def follow(node: str, path: frozenset[str]) -> None:
        for child in children.pop(node, ()):  # each node once
            if child not in path:
                kept.append((node, child))
                follow(child, path | {child})

    for node in sorted(children, key=lambda name: (name in entered, name)):  # from the sources first
        follow(node, frozenset({node}))
    return sorted(kept)


def reduced(edges: Collection[Edge]) -> list[Edge]:
    """Leave out every edge of an acyclic graph that a longer path stands for; sorted."""
    children = _children(edges)

    def by_others(start: str, end: str) -> Mapping:
        return walk([child for child in children[start] if child != end], lambda node: children.get(node, ()))

    return sorted((start, end) for start, end in edges if end not in by_others(start, end))


def draw(nodes: Mapping[str, tuple[str, str]], edges: Iterable[Edge], *, title: str) -> str:
    """Draw an acyclic graph as an ``<svg>`` element, whose colours are the page's, by class; nothing for no nodes.

    Args:
        nodes: of each node its text and the CSS class of its kind.
        edges: between them; a cycle raises `graphlib.CycleError`.
        title: what the drawing shows, for those who cannot see it.
    """
    if not nodes:
        return ""
    layer = _layers(nodes, edges := sorted(set(edges)))
    # An edge that passes layers is a chain, with a node without text in each of these: it needs a place there too.
    chains = [[a, *((a, b, number) for number in range(layer[a] + 1, layer[b])), b] for a, b in edges]
    layer |= {node: node[2] for chain in chains for node in chain[1:-1]}
    columns = [[node for node in layer if layer[node] == number] for number in range(1 + max(layer.values()))]
    y = _heights(columns, [link for chain in chains for link in pairwise(chain)])
    wide = {node: LETTER * len(text) + 2 * PADDING for node, (text, _) in nodes.items()}
    ends, left = [], {}
    for members in columns:
        start = ends[-1] + LAYER_GAP if ends else MARGIN
        left |= dict.fromkeys(members, start)
        ends.append(start + max(wide.get(node, 0) for node in members))

    def link(a: str | tuple, b: str | tuple) -> str:
        end = ends[layer[a]]  # level to the end of the layer, so that no edge runs behind a wider node
        middle = (end + left[b]) / 2
        return f"H{end:.1f}C{middle:.1f} {y[a]:.1f} {middle:.1f} {y[b]:.1f} {left[b]:.1f} {y[b]:.1f}"

    width, height = ends[-1] + MARGIN, max(y.values()) + NODE_HEIGHT / 2 + MARGIN
    parts = [
        f'<svg class="graph" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        f'role="img" aria-label="{escape(title)}">'
    ]
    for a, *rest in chains:
        path = "".join(link(*pair) for pair in pairwise([a, *rest]))
        parts.append(f'<path class="edge" d="M{left[a] + wide[a]:.1f} {y[a]:.1f}{path}"/>')
    for name, (text, kind) in nodes.items():
        top = y[name] - NODE_HEIGHT / 2
        parts.append(
            f'<g class="node {escape(kind)}"><rect x="{left[name]:.1f}" y="{top:.1f}" width="{wide[name]:.1f}" '
            f'height="{NODE_HEIGHT}" rx="4"/>'
            f'<text x="{left[name] + PADDING:.1f}" y="{top + 14:.1f}">{escape(text)}</text></g>'
        )
    return "".join([*parts, "</svg>"])


def _layers(nodes: Iterable[str], edges: list[Edge]) -> dict:
    """Place each node behind its farthest source, and then as near to its nearest child as it may be."""
    parents: dict[str, list[str]] = {node: [] for node in nodes}
    for start, end in edges:
        parents[end].append(start)
    order = list(TopologicalSorter(parents).static_order())
    layer: dict[str, int] = {}
    for node in order:
        layer[node] = 1 + max((layer[parent] for parent in parents[node]), default=-1)
    children = _children(edges)
    for node in reversed(order):
        if node in children:
            layer[node] = min(layer[child] for child in children[node]) - 1
    return layer


def _heights(columns: list[list], links: list[tuple]) -> dict:
    """Return the middle of each node: in each column a line apart at least, and near its neighbours' mean.

    Sweeps to and fro sort each column by these means, which also removes crossings.
    """
    neighbours: tuple[dict, dict] = ({}, {})  # at the left, at the right
    for start, end in links:
        neighbours[0].setdefault(end, []).append(start)
        neighbours[1].setdefault(start, []).append(end)
    y = {node: number * LINE_HEIGHT for members in columns for number, node in enumerate(members)}
    for sweep in range(SWEEPS):
        for members in columns[:: -1 if sweep % 2 else 1]:
            wanted = {node: fmean(y[each] for each in neighbours[sweep % 2].get(node, [node])) for node in members}
            members.sort(key=wanted.__getitem__)  # stable
            for above, node in pairwise([None, *members]):
                y[node] = wanted[node] if above is None else max(wanted[node], y[above] + LINE_HEIGHT)
            down = fmean(y[node] - wanted[node] for node in members)
            y |= {node: y[node] - down for node in members}
    top = min(y.values())
    return {node: value - top + NODE_HEIGHT / 2 + MARGIN for node, value in y.items()}
