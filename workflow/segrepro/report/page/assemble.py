"""Putting the page together: ``index.html`` and what it needs, in one folder that can be zipped and sent."""

import argparse
import shutil
from importlib import resources
from pathlib import Path

import jinja2

from segrepro import __version__
from segrepro.errors import UserError
from segrepro.evaluation.leakage import read_marks
from segrepro.files import atomic_directory, write_text
from segrepro.graph import read_graph
from segrepro.json_files import read_json
from segrepro.report.figures import FIGURES
from segrepro.report.measured_on import REMARKS
from segrepro.report.page.content import Picture, Table, best_systems, in_order, read_picture, read_table
from segrepro.report.page.graphs import lineage_svg, rules_svg
from segrepro.report.page.run_times import read_run_times
from segrepro.report.page.scripts import write_script
from segrepro.report.tables import TABLES

ASSETS = ("page.css", "page.js", "codec.js", "list.js", "stage.js", "explorer.js")
FILES = resources.files("segrepro.report.page") / "assets"


def write_page(args: argparse.Namespace) -> None:
    """Write the page from the options of `segrepro page`; the pictures of the explorer are in its folder already.

    Raises:
        UserError: an input is missing, damaged or at another place; nothing is written then.
    """
    folder, remedy = args.out, "run the workflow again"
    marks = read_marks(args.leakage) if args.leakage else {}
    config = read_json(args.config, remedy)
    tables = [read_table(path, _below(path, args.results / "tables"), marks) for path in args.tables]
    figures = [read_picture(path, _below(path, args.results / "figures"), marks) for path in args.figures]
    tables, figures = in_order(tables, TABLES), in_order(figures, FIGURES)
    times = read_run_times(args.benchmarks, args.jobs) if args.benchmarks else None
    html = _template().render(
        version=__version__,
        remark=REMARKS.get(args.measured_on, ""),
        best=best_systems(tables),
        tables=tables,
        figures=figures,
        scripts=[_index(path, folder) for path in args.pictures],
        lineage=lineage_svg(read_graph(args.lineage)) if args.lineage else "",
        rules=rules_svg(args.rule_graph) if args.rule_graph else "",
        config=config,
        provenance=read_json(args.provenance, remedy) if args.provenance else {},
        assets=ASSETS,
        timed=times is not None,
    )
    # First, for by them the next call knows that the tables and figures are its own (`segrepro.outputs`).
    with atomic_directory(folder / "assets") as assets:
        for name in ASSETS:
            assets.joinpath(name).write_bytes(FILES.joinpath(name).read_bytes())
        write_script(assets / "marks.js", "marks", marks)
    _copy(folder / "tables", tables)
    _copy(folder / "figures", figures)
    # Run times differ from run to run: in a file of their own, all others have the same bytes every time.
    write_script(folder / "times.js", "times", times)
    write_text(folder / "index.html", html)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("segrepro.report.page", "assets"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("page.html.j2")


def _below(path: Path, folder: Path) -> Path:
    if not path.is_relative_to(folder):
        raise UserError(f"{path}: not below {folder}; give the --results folder that it belongs to.")
    return folder


def _index(split: Path, folder: Path) -> str:
    """Return where a split's index lies, as the page's own folder sees it."""
    if not split.is_relative_to(folder):
        raise UserError(f"{split}: not inside {folder}; the page shows only what can be sent along with it.")
    if not (split / "index.js").is_file():
        raise UserError(f"{split}: not a folder of packed pictures; make it with `segrepro page-pictures`.")
    return split.relative_to(folder).as_posix()


def _copy(folder: Path, items: list[Table] | list[Picture]) -> None:
    """Copy the files that the page shows or offers, under their names."""
    with atomic_directory(folder) as partial:
        for item in items:
            target = partial / f"{item.name}{item.path.suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(item.path, target)
