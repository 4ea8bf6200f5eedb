"""A small layered drawing of a directed graph as SVG: sources at the left, every edge to the right.

After Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system structures" (1981): layers by
the longest path from a source, dummy nodes where an edge passes a layer, barycentre sweeps against crossings, and
positions by isotonic regression towards the neighbours. No randomness: same graph, same drawing.
"""

from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from html import escape

# Lengths in pixels.
LINE_HEIGHT = 26
NODE_HEIGHT = 20
LETTER = 6.7  # of 11.5 px type, on average
PADDING = 9
LAYER_GAP = 34
MARGIN = 6
SWEEPS = 12

Dummy = tuple[str, str, int]


def acyclic(edges: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave out every edge that leads back to where a walk along the others came from, loops included; sorted."""
    children: dict[str, list[str]] = {}
    for start, end in sorted(set(edges)):
        children.setdefault(start, []).append(end)
    entered = {end for ends in children.values() for end in ends}
    kept: list[tuple[str, str]] = []
    done: set[str] = set()

    def walk(node: str, path: frozenset[str]) -> None:
        done.add(node)
        for child in children.get(node, []):
            if child in path:
                continue
            kept.append((node, child))
            if child not in done:
                walk(child, path | {child})

    for node in sorted(children, key=lambda name: (name in entered, name)):  # from the sources first
        if node not in done:
            walk(node, frozenset({node}))
    return sorted(kept)


def reduced(edges: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave out every edge that a longer path stands for; sorted.

    Args:
        edges: (from, to) pairs of an acyclic graph.
    """
    children: dict[str, set[str]] = {}
    for start, end in edges:
        children.setdefault(start, set()).add(end)
        children.setdefault(end, set())
    below: dict[str, set[str]] = {}
    for node in TopologicalSorter(children).static_order():  # children first
        below[node] = children[node].union(*(below[child] for child in children[node]))
    return sorted(
        (start, end)
        for start, ends in children.items()
        for end in ends
        if not any(end in below[other] for other in ends if other != end)
    )


def draw(nodes: Mapping[str, tuple[str, str]], edges: Iterable[tuple[str, str]], *, title: str) -> str:
    """Draw a graph.

    Args:
        nodes: of each node its text and the CSS class of its kind.
        edges: (from, to) pairs between them; acyclic.
        title: what the drawing shows, for those who cannot see it.

    Returns:
        An ``<svg>`` element; colours are the page's, by class.

    Raises:
        graphlib.CycleError: the graph has a cycle.
    """
    edges = sorted(set(edges))
    layer = _layers(nodes, edges)
    layers, links = _with_dummies(layer, edges)
    _order(layers, links)
    y = _heights(layers, links)
    widths = [max([_width(nodes[n][0]) for n in members if n in nodes], default=0) for members in layers]
    lefts = [MARGIN + sum(widths[:i]) + i * LAYER_GAP for i in range(len(layers))]
    width = lefts[-1] + widths[-1] + MARGIN if layers else 0
    height = max(y.values(), default=0) + NODE_HEIGHT / 2 + MARGIN
    parts = [
        f'<svg class="graph" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        f'role="img" aria-label="{escape(title)}">'
    ]
    for start, end in edges:
        parts.append(f'<path class="edge" d="{_curve(start, end, layer, nodes, lefts, widths, y)}"/>')
    for name, (text, kind) in nodes.items():
        left, top = lefts[layer[name]], y[name] - NODE_HEIGHT / 2
        parts.append(
            f'<g class="node {escape(kind)}"><rect x="{left:.1f}" y="{top:.1f}" width="{_width(text):.1f}" '
            f'height="{NODE_HEIGHT}" rx="4"/>'
            f'<text x="{left + PADDING:.1f}" y="{top + 14:.1f}">{escape(text)}</text></g>'
        )
    return "".join([*parts, "</svg>"])


def _width(text: str) -> float:
    return LETTER * len(text) + 2 * PADDING


def _layers(nodes: Iterable[str], edges: list[tuple[str, str]]) -> dict[str, int]:
    """Place each node behind its farthest source, and then as near to its nearest child as it may be."""
    parents: dict[str, list[str]] = {node: [] for node in nodes}
    children: dict[str, list[str]] = {node: [] for node in nodes}
    for start, end in edges:
        parents[end].append(start)
        children[start].append(end)
    order = list(TopologicalSorter(parents).static_order())
    layer: dict[str, int] = {}
    for node in order:
        layer[node] = 1 + max((layer[parent] for parent in parents[node]), default=-1)
    for node in reversed(order):
        if children[node]:
            layer[node] = min(layer[child] for child in children[node]) - 1
    return layer


def _with_dummies(
    layer: dict[str, int], edges: list[tuple[str, str]]
) -> tuple[list[list[str | Dummy]], list[tuple[str | Dummy, str | Dummy]]]:
    """Return the members of each layer, and links that pass one layer each, by way of dummy nodes."""
    layers: list[list[str | Dummy]] = [[] for _ in range(1 + max(layer.values(), default=-1))]
    for node, number in layer.items():
        layers[number].append(node)
    links = []
    for start, end in edges:
        before: str | Dummy = start
        for number in range(layer[start] + 1, layer[end]):
            dummy = (start, end, number)
            layers[number].append(dummy)
            links.append((before, dummy))
            before = dummy
        links.append((before, end))
    return layers, links


def _neighbours(links: list[tuple]) -> tuple[dict, dict]:
    left: dict = {}
    right: dict = {}
    for start, end in links:
        right.setdefault(start, []).append(end)
        left.setdefault(end, []).append(start)
    return left, right


def _order(layers: list[list], links: list[tuple]) -> None:
    """Sort each layer, in place, by the mean place of its neighbours, sweeping to and fro."""
    left, right = _neighbours(links)
    for sweep in range(SWEEPS):
        sides, passed = (left, layers) if sweep % 2 == 0 else (right, layers[::-1])
        place = {node: i for members in layers for i, node in enumerate(members)}
        for members in passed:
            at = {node: _mean([place[n] for n in sides.get(node, ())], place[node]) for node in members}
            members.sort(key=at.__getitem__)  # stable
            place |= {node: i for i, node in enumerate(members)}


def _heights(layers: list[list], links: list[tuple]) -> dict:
    """Return the middle of each node: near its neighbours', the order kept, a line apart."""
    left, right = _neighbours(links)
    y = {node: i * LINE_HEIGHT for members in layers for i, node in enumerate(members)}
    for sweep in range(SWEEPS):
        sides, passed = (left, layers) if sweep % 2 == 0 else (right, layers[::-1])
        for members in passed:
            wanted = [_mean([y[n] for n in sides.get(node, ())], y[node]) for node in members]
            y |= dict(zip(members, _apart(wanted), strict=True))
    top = min(y.values(), default=0)
    return {node: value - top + NODE_HEIGHT / 2 + MARGIN for node, value in y.items()}


def _apart(wanted: list[float]) -> list[float]:
    """Return the places nearest to those wanted (least squares) that keep the order and a line between any two."""
    blocks: list[list[float]] = []  # sum, count: pool adjacent violators
    for number, value in enumerate(wanted):
        blocks.append([value - number * LINE_HEIGHT, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] >= blocks[-1][0] / blocks[-1][1]:
            total, count = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += count
    flat = [total / count for total, count in blocks for _ in range(int(count))]
    return [value + number * LINE_HEIGHT for number, value in enumerate(flat)]


def _mean(values: list[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _curve(start: str, end: str, layer: dict, nodes: Mapping, lefts: list, widths: list, y: dict) -> str:
    x0, y0 = lefts[layer[start]] + _width(nodes[start][0]), y[start]
    path = f"M{x0:.1f} {y0:.1f}"
    for number in range(layer[start] + 1, layer[end] + 1):
        node = end if number == layer[end] else (start, end, number)
        x1, y1 = lefts[number], y[node]
        # level with the end of the layer that was passed, so that no edge runs behind a wider node
        edge = lefts[number - 1] + widths[number - 1]
        if edge > x0:
            path += f"H{edge:.1f}"
            x0 = edge
        middle = (x0 + x1) / 2
        path += f"C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
        x0, y0 = x1, y1
    return path
