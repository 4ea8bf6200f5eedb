"""The report page: its data files, its text, and what it refuses."""

import base64
import csv
import json
import re
import zlib
from graphlib import TopologicalSorter
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from page_builders import HOSTILE, SYSTEMS, build_page, write_split_files
from segrepro.cli import main
from segrepro.evaluation.confusion import confusion
from segrepro.evaluation.metrics import picture_mious
from segrepro.labels import VOC21, VOID
from segrepro.report.page.content import best_systems, read_table
from segrepro.report.page.graphs import acyclic, draw, reduced, rules_svg
from segrepro.report.page.pictures import PARTS, differing, picture_scores
from segrepro.report.page.run_times import read_run_times
from segrepro.report.page.scripts import packed_labels, write_script


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    return build_page(tmp_path_factory.mktemp("page"))


def received(script: Path) -> dict:
    """The value in a data file."""
    text = script.read_text(encoding="ascii")
    return json.loads(re.fullmatch(r"segrepro\.receive\(\"\w+\",(.*)\);\n", text, re.DOTALL)[1])


def error_of(*arguments) -> str:
    with pytest.raises(SystemExit) as stopped:
        main([*map(str, arguments)])
    return stopped.value.code


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_label_maps_survive_packing(labels):
    changes = np.frombuffer(zlib.decompress(base64.b64decode(packed_labels(labels))), np.uint8)
    assert np.array_equal(np.bitwise_xor.accumulate(changes.reshape(labels.shape), axis=0), labels)


def test_a_data_file_is_plain_ascii_and_cannot_leave_its_string(tmp_path):
    value = {"id": HOSTILE + "\u2028é"}
    write_script(tmp_path / "a.js", "labels", value)
    assert received(tmp_path / "a.js") == value


@given(arrays(np.uint8, (4, 3, 5), elements=st.sampled_from([0, 1, 7, VOID])))
def test_differences_count_the_scored_pixels_of_every_pair(maps):
    scored = [(y, x) for y in range(3) for x in range(5) if maps[0, y, x] != VOID]
    expected = [
        round(PARTS * sum(a[place] != b[place] for place in scored) / max(1, len(scored)))
        for a, b in combinations(maps, 2)
    ]
    assert differing(maps).tolist() == expected


@given(arrays(np.uint8, (6, 6), elements=st.sampled_from([0, 3, VOID])), arrays(np.uint8, (6, 6), elements=st.just(3)))
def test_a_pictures_scores_are_those_of_the_metrics(truth, prediction):
    counts = confusion(truth, prediction, len(VOC21))
    labels, parts = picture_scores(counts)
    assert labels == [label for label in np.unique(truth).tolist() if label != VOID]
    if labels:
        assert np.mean(parts) / PARTS == pytest.approx(picture_mious(counts[None])[0], abs=1 / PARTS)


def test_a_split_holds_every_picture_map_and_score(page):
    split = received(page / "pictures/toy/index.js")
    assert [system["name"] for system in split["systems"]] == SYSTEMS
    assert [entry["id"] for entry in split["pictures"]] == sorted(entry["id"] for entry in split["pictures"])
    for number, entry in enumerate(split["pictures"], start=1):
        assert (page / "pictures/toy" / entry["file"]).read_bytes()[:2] == b"\xff\xd8"
        layers = received(page / f"pictures/toy/{number}.js")["layers"]
        assert len(layers) == 1 + len(SYSTEMS)
        assert len(entry["iou"]) == len(SYSTEMS)
        assert all(len(values) == len(entry["classes"]) for values in entry["iou"])
    assert {entry["label"]: entry["name"] for entry in split["classes"]}[VOID] == "void"


def test_the_same_inputs_give_the_same_bytes_whatever_the_processes(page, tmp_path):
    again = build_page(tmp_path, threads=2)
    files = sorted(path.relative_to(page) for path in page.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert [name for name in files if (page / name).read_bytes() != (again / name).read_bytes()] == []


def test_names_and_texts_are_escaped(page):
    html = (page / "index.html").read_text(encoding="utf-8")
    assert HOSTILE not in html
    assert "<img src=x" not in html
    assert "&lt;img src=x" in html


def test_the_page_names_nothing_outside_its_folder(page):
    html = (page / "index.html").read_text(encoding="utf-8")
    places = re.findall(r'(?:src|href)="([^"#]+)"', html)
    assert len(places) > 8
    for place in set(places) - {"data:,"}:
        assert not re.match(r"[a-z]+:|/|\.\.", place), place
        assert (page / place).is_file(), place
    for asset in (page / "assets").iterdir():
        assert not re.search(r"https?://(?!www\.w3\.org)|@import|fetch\(", asset.read_text(encoding="utf-8")), asset


def test_leaking_systems_keep_their_mark_and_are_not_called_best(page, tmp_path):
    table = read_table(page / "tables/miou.csv", page / "tables")
    marked = {row[0].text for row in table.rows}
    assert {f"{SYSTEMS[2]} †", SYSTEMS[0]} <= marked
    assert best_systems([table]) == [{"split": "toy", "system": SYSTEMS[1], "value": "61.20", "count": "2"}]


def test_a_column_is_a_number_only_if_every_cell_is(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,c,d\n1,-2.50,x,\n,3,4,\n")
    table = read_table(path, tmp_path)
    assert table.numeric == [True, True, False, False]
    assert [cell.number for cell in table.rows[0]] == [1.0, -2.5, None, None]


def test_run_times_are_summed_by_rule_and_gaps_are_no_zeros(tmp_path):
    head = "s\th:m:s\tmax_rss\tcpu_time\n"
    (tmp_path / "train").mkdir()
    (tmp_path / "train/a.tsv").write_text(head + "10.5\t0:00:10\t300\t12\n")
    (tmp_path / "train/b.tsv").write_text(head + "4.5\t0:00:04\t-\tNA\n")
    (tmp_path / "audit.tsv").write_text(head + "1\t0:00:01\t-\t-\n")
    times = read_run_times(tmp_path)
    assert times["rules"] == [
        {"rule": "train", "jobs": 2, "seconds": 15.0, "cpu_seconds": 12.0, "memory_mb": 300.0},
        {"rule": "audit", "jobs": 1, "seconds": 1.0, "cpu_seconds": None, "memory_mb": None},
    ]
    assert [job["job"] for job in times["slowest"]] == ["a", "b", ""]


def test_benchmarks_that_a_killed_run_left_empty_are_of_jobs_that_were_not_measured(tmp_path):
    (tmp_path / "audit.tsv").write_text("")
    (tmp_path / "page.tsv").write_text("s\th:m:s\tmax_rss\tcpu_time\n")
    times = read_run_times(tmp_path)
    unmeasured = {"seconds": None, "cpu_seconds": None, "memory_mb": None, "jobs": 1}
    assert times["rules"] == [{"rule": rule} | unmeasured for rule in ("audit", "page")]


def test_run_times_are_of_the_named_jobs_only(tmp_path):
    """A run in two shards; before, there were one job and three shards, and a system that is gone."""
    left = ("predict/a/val", "predict/a/val/1-of-3", "predict/gone/val", "train/gone", "fuse/a/val")
    timed = ("predict/a/val/1-of-2", "predict/a/val/2-of-2", "train/a")
    for seconds, job in enumerate((*left, *timed), start=1):
        (tmp_path / job).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{job}.tsv").write_text(f"s\n{seconds}\n")
    times = read_run_times(tmp_path, ["train/a", "predict/a/val/*-of-2", "train/never_timed"])
    assert {row["rule"]: (row["jobs"], row["seconds"]) for row in times["rules"]} == {
        "predict": (2, 6 + 7),
        "train": (1, 8),
    }
    assert [job["job"] for job in times["slowest"]] == ["a", "a/val/2-of-2", "a/val/1-of-2"]
    assert sum(row["jobs"] for row in read_run_times(tmp_path)["rules"]) == len(left) + len(timed)


def test_edges_that_a_longer_path_stands_for_are_left_out():
    assert reduced([("a", "b"), ("b", "c"), ("a", "c"), ("c", "d"), ("a", "d")]) == [("a", "b"), ("b", "c"), ("c", "d")]


EDGES = st.sets(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef")))


@given(EDGES)
def test_without_what_leads_back_no_cycle_is_left_and_nothing_else_is_lost(edges):
    kept = acyclic(edges)
    order = {}
    for start, end in kept:
        order.setdefault(end, set()).add(start)
        order.setdefault(start, set())
    tuple(TopologicalSorter(order).static_order())  # raises on a cycle
    assert set(kept) <= edges
    if all(start < end for start, end in edges):
        assert set(kept) == edges


def test_rules_that_feed_themselves_or_each_other_are_drawn(tmp_path):
    names = ["all", "train", "fuse", "crf"]
    lines = [f'{n}[label = "{name}", color = "red"]' for n, name in enumerate(names)]
    (tmp_path / "r.dot").write_text("\n".join([*lines, "1 -> 1", "1 -> 2", "2 -> 3", "3 -> 2", "3 -> 0"]))
    drawn = rules_svg(tmp_path / "r.dot")
    assert drawn.count('class="edge"') == 2
    assert ">all<" not in drawn


@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda pair: pair[0] < pair[1])))
def test_a_drawing_has_every_node_apart_and_every_edge_to_the_right(edges):
    nodes = {str(n): (f"node {n}", "rule") for n in range(10)}
    drawn = draw(nodes, [(str(a), str(b)) for a, b in edges], title="t")
    boxes = {
        text: (float(x), float(y))
        for x, y, text in re.findall(r'<rect x="([\d.]+)" y="([\d.-]+)"[^>]*/><text[^>]*>node (\d)</text>', drawn)
    }
    assert len(boxes) == 10
    assert drawn.count('class="edge"') == len(edges)
    for a, b in edges:
        assert boxes[str(a)][0] < boxes[str(b)][0]
    columns: dict[float, list[float]] = {}
    for x, y in boxes.values():
        columns.setdefault(x, []).append(y)
    for heights in columns.values():
        assert all(below - above > 20 for above, below in pairwise(sorted(heights)))


def test_scores_of_other_pictures_are_refused(tmp_path):
    arguments = write_split_files(tmp_path)
    (tmp_path / "masks" / "b.png").rename(tmp_path / "masks" / "z.png")
    manifest = tmp_path / "toy.csv"
    rows = list(csv.reader(manifest.open(newline="")))
    manifest.write_text("\n".join(",".join(row) for row in rows[:2]) + "\n")
    message = error_of("page-pictures", *arguments, "--out", tmp_path / "out")
    assert "are not in" in message
    assert not (tmp_path / "out").exists()


def test_a_picture_that_is_gone_leaves_nothing_behind(tmp_path):
    arguments = write_split_files(tmp_path)
    next((tmp_path / "images").iterdir()).unlink()
    message = error_of("page-pictures", *arguments, "--out", tmp_path / "out")
    assert "no such picture" in message
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["images", "masks", "toy.csv", "stores"])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"config": "not json"}, "not JSON"),
        ({"config": "[1]"}, "not a mapping"),
        ({"pictures": "elsewhere"}, "not inside"),
        ({"pictures": "report/nothing"}, "not a folder of packed pictures"),
        ({"tables": "a,b\n1\n"}, "differ in length"),
        ({"rules": "digraph {}"}, "not a rule graph"),
        ({"benchmark": "a\n1\n"}, "not a benchmark of Snakemake"),
    ],
)
def test_what_the_page_cannot_use_is_named(tmp_path, change, sentence):
    files = {
        "config": "{}",
        "tables": "a\n1\n",
        "rules": '0[label = "a"\n1[label = "b"\n1 -> 0\n',
        "benchmark": "s\n1\n",
    }
    files |= {key: value for key, value in change.items() if key in files}
    names = {"config": "config.json", "tables": "tables/t.csv", "rules": "rules.dot", "benchmark": "times/train.tsv"}
    for key, text in files.items():
        (tmp_path / names[key]).parent.mkdir(exist_ok=True)
        (tmp_path / names[key]).write_text(text)
    extra = ["--pictures", tmp_path / change["pictures"]] if "pictures" in change else []
    message = error_of(
        *("page", "--results", tmp_path, "--tables", tmp_path / "tables/t.csv", "--config", tmp_path / "config.json"),
        *("--rule-graph", tmp_path / "rules.dot", "--benchmarks", tmp_path / "times", "--out", tmp_path / "report"),
        *extra,
    )
    assert sentence in message
    assert "\n" not in message
    assert not (tmp_path / "report/index.html").exists()
