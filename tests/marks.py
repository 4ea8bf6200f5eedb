"""Walks the tables of a run in all their forms and finds where a leaking system is shown without its mark."""

import csv
import html
import re
from pathlib import Path

from segrepro.evaluation.leakage import MARK, Marks
from segrepro.report.published import REPORT2, VAL, published

SYSTEM_COLUMNS = {"system": "leaks"} | {n: f"{n}_leaks" for n in ("refines", "baseline", "first", "second")}
# The share has another name in the audit's own table; provenance has no scores.
OTHER_SHARES = {"leakage": "share"}
WITHOUT_SCORES = ("provenance",)
REPORT2_SYSTEMS = {row.method: row.system for row in published().itertuples() if row.source == REPORT2}


def leaking_pairs(marks: Marks) -> set[tuple[str, str]]:
    """The (system, split) pairs that must be marked."""
    return {(system, split) for system, shares in marks.items() for split, share in shares.items() if share > 0}


def unmarked(tables: Path, page: Path, marks: Marks) -> list[str]:
    """Return where a mark lacks, in the CSV, Markdown and LaTeX tables of a folder and on the page."""
    leaking = leaking_pairs(marks)
    faults = []
    for path in sorted(tables.rglob("*.csv")):
        faults += _in_rows(path.stem, list(csv.DictReader(path.open(newline=""))), leaking, _share_in_csv)
    for path in sorted(tables.rglob("*.md")):
        faults += [f"{path.name}: {line}" for line in _in_print(path.stem, path.read_text(), leaking)]
    for path in sorted(tables.rglob("*.tex")):
        faults += [f"{path.name}: {line}" for line in _in_print(path.stem, _plain(path.read_text()), leaking)]
    for name, rows in page_tables(page.read_text()).items():
        faults += [f"page, {fault}" for fault in _in_rows(name, rows, leaking, _dagger_on_page)]
    return faults


def _in_rows(name: str, rows: list[dict[str, str]], leaking: set, shown) -> list[str]:
    if name == "report2":
        return _in_report2(rows, leaking, shown)
    faults = []
    for row in rows:
        for column in SYSTEM_COLUMNS:
            pair = (row.get(column, "").removesuffix(f" {MARK}"), row.get("split", ""))
            if pair in leaking and not shown(name, row, column):
                faults.append(f"{name}: {column} {pair}")
    return faults


def _share_in_csv(name: str, row: dict[str, str], column: str) -> bool:
    return name in WITHOUT_SCORES or bool(row.get(OTHER_SHARES.get(name, SYSTEM_COLUMNS[column])))


def _dagger_on_page(_: str, row: dict[str, str], column: str) -> bool:
    return row[column].endswith(MARK)


def _in_report2(rows: list[dict[str, str]], leaking: set, shown) -> list[str]:
    methods = [method for method, system in REPORT2_SYSTEMS.items() if (system, VAL) in leaking]
    if shown is _share_in_csv:
        shares = next((row for row in rows if row["criterion"] == "leaks"), dict.fromkeys(methods))
        return [f"report2: {method}" for method in methods if not shares[method]]
    measured = [r for r in rows if r["origin"] == "measured" and r["criterion"] in ("mIoU", "pixel accuracy")]
    assert len(measured) == 2
    return [f"report2: {m}" for row in measured for m in methods if row[m] and not row[m].endswith(MARK)]


def _in_print(name: str, text: str, leaking: set) -> list[str]:
    """A row is of the split in one of its cells, or of the one in the heading above."""
    faults, heading, header = [], "", []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith(("#", "%")):
            heading = line.strip("#% ")
        if "Deeplabv3_pascal_trainaug" in cells:
            header = cells
        for cell in cells:
            if any((cell, split) in leaking for split in [*cells, heading]):
                faults.append(line)
        if name == "report2" and "measured" in cells and header and "–" not in cells[-1]:
            methods = [m for m, system in REPORT2_SYSTEMS.items() if (system, VAL) in leaking]
            faults += [line for m in methods if not cells[header.index(m)].endswith(MARK)]
    if f" {MARK}" in text and f"{MARK} has seen pictures" not in text:
        faults.append("the mark is not explained")
    return faults


def _plain(latex: str) -> str:
    """Turn the rows of LaTeX into those of Markdown."""
    text = latex.replace("\\_", "_").replace("\\textdagger{}", MARK).replace(" & ", " | ").replace("--", "–")
    return re.sub(r"[{]\\footnotesize |\\par[}]|\s*\\\\$", "", text, flags=re.MULTILINE)


def page_tables(text: str) -> dict[str, list[dict[str, str]]]:
    """Read the tables of the report page by their names, as they are shown."""
    tables = {}
    for name, body in re.findall(r'<article class="table" id="table-([^"]+)">(.*?)</article>', text, re.DOTALL):
        heads = re.findall(r'<th scope="col".*?><button type="button">(.*?)</button>', body)
        columns = [head.replace(" ", "_") for head in heads]  # as in the CSV, for what is looked up here
        rows = re.findall(r"<tr>(.*?)</tr>", body.partition("<tbody>")[2], re.DOTALL)
        cells = ([html.unescape(cell) for cell in re.findall(r"<td.*?>(.*?)</td>", row, re.DOTALL)] for row in rows)
        tables[name] = [dict(zip(columns, row, strict=True)) for row in cells]
    return tables
