"""Where a leaking system is shown, it is marked: in all forms of tables, page, figures; what tables say they show."""

import importlib
import json
import re
from pathlib import Path

import pytest

from all_tables import make_tables
from marks import page_tables, unmarked
from page_builders import SYSTEMS, write_split_files
from segrepro.cli import VERBS, main, verb_parser
from segrepro.config import parse_config
from segrepro.errors import UserError
from segrepro.evaluation.leakage import MARK, MARK_NOTE
from segrepro.labels import VOC_CLASSES
from segrepro.plan import Plan
from segrepro.report.figures import FIGURES
from segrepro.report.measured_on import NOTES, REMARKS
from segrepro.report.needs import inputs, options
from segrepro.report.proposals_figure import figure_title
from segrepro.report.tables import TABLES
from workflow_runs import ROOT

RULES = ROOT / "workflow/rules"
LEAKS = {"deeplabv3plus_trainval": 1.0, "stacking_vote": 0.5, "crf": 0.5, "deeplabv3_trainaug": 0.0}
REFINES = "stacking_vote"


def write_tables(results: Path, measured_on: str = "published") -> None:
    """Make the tables of four systems, three of which leak, and the page of them."""
    results.mkdir()
    marks = {name: {"voc_val": share} for name, share in LEAKS.items()}
    files, names = [], list(LEAKS)
    for number, name in enumerate(names):
        entry = {"system": name, "split": "voc_val", "label_space": "voc21", "pictures": 60, "classes": 21}
        entry |= {"miou": 0.5 + number / 10, "pixel_accuracy": 0.9, "mean_accuracy": 0.8, "fw_iou": 0.7}
        files.append(results / f"{name}.json")
        files[-1].write_text(json.dumps(entry | {"per_class_iou": dict.fromkeys(VOC_CLASSES, 0.5)}))
    estimate = {"value": 0.1, "low": 0.05, "high": 0.2}
    split = {"pictures": 60, "systems": dict.fromkeys(names, estimate)}
    split["differences"] = {a: dict.fromkeys(names[n + 1 :], estimate | {"p": 0.001}) for n, a in enumerate(names)}
    inputs = {
        "statistics": {"method": "BCa", "resamples": 9, "confidence": 0.95, "seed": 0, "splits": {"voc_val": split}},
        "systems": {
            "systems": [{"name": n, "spec": "a", **({"refines": REFINES} if n == "crf" else {})} for n in names],
            "ablations": [{"name": "voting", "baseline": REFINES, "systems": ["deeplabv3plus_trainval", "crf"]}],
        },
        "leakage": marks,
        "config": {"scale": "sample"},
    }
    for name, content in inputs.items():
        (results / f"{name}.json").write_text(json.dumps(content))
    given = {name: [f"{results}/{name}.json"] for name in ("statistics", "systems", "leakage")}
    make_tables(results / "tables", {"metrics": list(map(str, files))} | given, measured_on)
    (results / "tables/provenance.csv").write_text("system,split,seed\nstacking_vote,voc_val,0\n")
    tables = sorted((results / "tables").glob("*.csv"))
    page = [
        "--config",
        str(results / "config.json"),
        "--leakage",
        str(results / "leakage.json"),
        "--measured-on",
        measured_on,
    ]
    main(["page", "--results", str(results), "--tables", *map(str, tables), *page, "--out", str(results / "report")])


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("marks") / "results"
    write_tables(folder, "generated")
    return folder


def test_no_table_in_any_form_shows_a_leaking_system_without_its_mark(results):
    marks = json.loads((results / "leakage.json").read_text())
    assert unmarked(results / "tables", results / "report/index.html", marks) == []
    shown = page_tables((results / "report/index.html").read_text())
    paired = {(row["first"], row["second"]) for row in shown["paired"]}
    assert (f"stacking_vote {MARK}", "deeplabv3_trainaug") in paired
    assert {row["refines"] for row in shown["crf"]} == {f"stacking_vote {MARK}"}


@pytest.mark.parametrize("column", ["leaks", "first_leaks", "second_leaks", "refines_leaks", "baseline_leaks"])
def test_the_walk_finds_a_mark_that_lacks(results, tmp_path, column):
    """The test above would fail: what is taken out of the CSV, Markdown, LaTeX or page is found there."""
    marks = json.loads((results / "leakage.json").read_text())
    tables, page = tmp_path / "tables", results / "report/index.html"
    tables.mkdir()
    for path in (results / "tables").iterdir():
        text = path.read_text()
        (tables / path.name).write_text(re.sub(rf"(?<=,){column}(?=,)", "x", text, count=1))
    faults = unmarked(tables, page, marks)
    assert faults
    assert all(": " in fault for fault in faults)
    for suffix, dagger in ((".md", f" {MARK}"), (".tex", r" \textdagger{}")):
        bare = results / f"tables/crf{suffix}"
        (tables / bare.name).write_text(bare.read_text().replace(dagger, "", 1))
        assert any(fault.startswith(bare.name) for fault in unmarked(tables, page, marks))
    (tmp_path / "index.html").write_text(page.read_text().replace(f"stacking_vote {MARK}<", "stacking_vote<"))
    assert any(fault.startswith("page") for fault in unmarked(tables, tmp_path / "index.html", marks))


def texts(figure) -> str:
    return "\n".join(found.get_text() for found in figure.findobj(lambda artist: hasattr(artist, "get_text")))


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    """Scores, confusions and fine-grained counts of three systems on a split called toy; the last one leaks."""
    folder = tmp_path_factory.mktemp("toy")
    write_split_files(folder)
    for number in range(3):
        scores = ["--manifest", str(folder / "toy.csv"), "--scores", str(folder / f"stores/{number}.h5")]
        outputs = [
            "--json",
            str(folder / "m.json"),
            "--fine-grained",
            str(folder / f"stores/{number}.fine_grained.npz"),
        ]
        main(["evaluate", *scores, *outputs, "--confusions", str(folder / f"stores/{number}.npz")])
    shares = {name: {"toy": 0.4 * (name == "leaking")} for name in SYSTEMS}
    (folder / "leakage.json").write_text(json.dumps(shares))
    return folder


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("grid", "--manifest toy.csv --scores stores/0.h5 stores/2.h5"),
        ("crf", "--manifest toy.csv --scores stores/0.h5 stores/2.h5"),
        ("crf", "--manifest toy.csv --scores stores/2.h5 stores/0.h5"),
        ("class_bars", "--confusions stores/2.npz stores/0.npz --names leaking exact --split toy"),
        ("weak_classes", "--confusions stores/2.npz stores/0.npz --names leaking exact --split toy --weakest 2"),
        ("confusion", "--confusions stores/2.npz --names leaking --split toy"),
        ("trimap", "--fine-grained stores/2.fine_grained.npz stores/0.fine_grained.npz"),
        ("object_sizes", "--fine-grained stores/2.fine_grained.npz stores/0.fine_grained.npz"),
    ],
)
def test_no_figure_shows_a_leaking_system_without_its_mark(toy, monkeypatch, name, options):
    drawn = []
    monkeypatch.setattr("segrepro.report.style.save_figure", lambda figure, paths: drawn.append(figure))
    given = [str(toy / word) if re.search(r"\.(csv|h5|npz)$", word) else word for word in options.split()]
    for leakage in ([], ["--leakage", str(toy / "leakage.json")]):
        main(["figure", name, *given, *leakage, "--out", str(toy / "f.png")])
    without, shown = map(texts, drawn)
    assert MARK not in without
    names = re.findall(rf"leaking( {MARK})?", shown)
    assert names
    assert all(names)
    assert f"exact {MARK}" not in shown
    assert MARK_NOTE in shown


def test_the_figure_of_proposals_names_its_system_with_the_mark(toy):
    parser = verb_parser("figure proposals")
    needed = ["--model", "m", "--spec", "s", "--manifest", str(toy / "toy.csv"), "--proposals", "p", "--out", "o.png"]
    leakage = ["--leakage", str(toy / "leakage.json")]
    title = figure_title(parser.parse_args([*needed, *leakage, "--system", "leaking"]))
    assert title.startswith(f"leaking {MARK} on toy: ")
    assert figure_title(parser.parse_args(needed)) == ""
    with pytest.raises(UserError, match="--leakage needs --system"):
        figure_title(parser.parse_args([*needed, *leakage]))


def test_every_rule_gives_the_marks_to_a_verb_that_takes_them():
    modules = {verb: importlib.import_module(f"segrepro.verbs.{verb.replace('-', '_')}") for verb in VERBS}
    takes = {verb for verb, module in modules.items() if '"--leakage"' in Path(module.__file__).read_text()}
    assert "page" in takes
    rules = "\n".join(path.read_text() for path in RULES.glob("*.smk"))
    calls = re.findall(r'"segrepro (.*?)&>', rules, re.DOTALL)
    called = {call.split()[0] for call in calls}
    assert takes <= called
    for call in calls:
        assert call.split()[0] not in takes or "--leakage {input.leakage}" in call, call


OF_SYSTEMS = {"scores", "confusions", "fine_grained", "metrics", "model"}


def test_every_figure_and_table_of_systems_takes_the_marks_and_its_rule_gives_them(merged_config):
    found = Plan(parse_config(merged_config("full")))
    known = (*FIGURES.values(), *TABLES.values())
    of_systems = [entry for entry in known if OF_SYSTEMS & {need.rstrip("?") for need in entry.needs}]
    assert len(of_systems) == 8 + 8
    for entry in of_systems:
        wildcards = (entry.wanted or entry.scope.wanted)(found)[0]
        subject = entry.subject(found, wildcards)
        assert "results/full/leakage.json" in inputs(entry, found, subject)
        assert "--leakage results/full/leakage.json" in options(entry, found, subject)


def test_every_figure_and_table_has_a_caption():
    for entry in (*FIGURES.values(), *TABLES.values()):
        assert entry.caption.endswith("."), entry.name
    for path in RULES.glob("*.smk"):
        assert not re.search(r"\breport\(", path.read_text()), f"{path}: an output without an entry of the registry"


def test_tables_say_what_was_measured_and_only_where_it_was_not_the_published_experiment(results, tmp_path):
    measured = ("miou", "per_class_iou", "report2", "crf", "ablation", "paired")
    write_tables(tmp_path / "published")
    write_tables(tmp_path / "real", "real_sample")
    for name in (*measured, "voc2012_test"):
        for form in ("md", "tex"):
            generated, real, published = (
                (folder / f"tables/{name}.{form}").read_text()
                for folder in (results, tmp_path / "real", tmp_path / "published")
            )
            assert (NOTES["generated"] in generated) == (name in measured), name
            assert (NOTES["real_sample"] in real) == (name in measured), name
            assert "generated" not in real
            assert "not comparable" not in published
    title = "# Report 2: published{} unless said, in percent"
    for folder, text in (
        (results, " on VOC 2012 val and measured on generated pictures,"),
        (tmp_path / "real", " on VOC 2012 val and measured on a sample of real pictures,"),
        (tmp_path / "published", " and measured, on VOC 2012 val"),
    ):
        assert (folder / "tables/report2.md").read_text().startswith(title.format(text))


def test_the_page_says_so_too(results, tmp_path):
    assert REMARKS["generated"] in (results / "report/index.html").read_text()
    write_tables(tmp_path / "real", "real_sample")
    page = (tmp_path / "real/report/index.html").read_text()
    assert REMARKS["real_sample"] in page
    assert "generated pictures" not in page


def test_what_is_measured_on_follows_from_where_the_archives_come_from(merged_config):
    assert parse_config(merged_config("full")).pictures == "published"
    config = merged_config("sample")
    assert parse_config(config).pictures == "generated"
    for archive in config["archives"].values():
        archive["urls"] = ["file:///elsewhere/data/sample/archives/a.tar"]
    assert parse_config(config).pictures == "real_sample"
    config["archives"]["sbd"]["urls"].append("file:data/sample/archives/benchmark.tgz")
    assert parse_config(config).pictures == "generated"
