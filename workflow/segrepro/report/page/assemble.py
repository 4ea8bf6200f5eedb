"""Putting the page together: ``index.html`` and what it needs, in one folder that can be zipped and sent."""

import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from segrepro import __version__
from segrepro.config.data import PicturesKind
from segrepro.errors import UserError
from segrepro.evaluation.leakage import Marks
from segrepro.files import atomic_directory, write_text
from segrepro.graph import read_graph
from segrepro.report.figures import FIGURES
from segrepro.report.measured_on import PUBLISHED, REMARKS
from segrepro.report.page.content import ORDER, Picture, Table, best_systems, in_order, read_picture, read_table
from segrepro.report.page.graphs import lineage_svg, rules_svg
from segrepro.report.page.run_times import read_run_times
from segrepro.report.page.scripts import write_script

ASSETS = ("page.css", "page.js", "codec.js", "list.js", "stage.js", "explorer.js")


def write_page(
    folder: Path,
    *,
    results: Path,
    tables: list[Path],
    figures: list[Path],
    splits: list[Path],
    config: dict[str, Any],
    provenance: dict[str, Any],
    marks: Marks,
    lineage: Path | None,
    rule_graph: Path | None,
    benchmarks: Path | None,
    jobs: list[str] | None = None,
    measured_on: PicturesKind = PUBLISHED,
) -> None:
    """Write the page into ``folder``, where the pictures of the explorer are already.

    Args:
        folder: the page's, e.g. ``results/report``.
        results: the folder whose ``tables`` and ``figures`` hold the files below.
        tables: CSV tables.
        figures: PNG figures.
        splits: folders of `segrepro page-pictures` inside ``folder``, in the order of choice.
        config: of the run.
        provenance: of the run, any nested mapping; empty where unknown.
        marks: the audit's shares of leaked pictures.
        lineage: JSON of the audit; drawn.
        rule_graph: as of ``snakemake --rulegraph dot``; drawn.
        benchmarks: folder of Snakemake's ``benchmark:`` files.
        jobs: which of them; see `read_run_times`.
        measured_on: what the numbers are of.

    Raises:
        UserError: an input is missing, damaged or at another place.
    """
    shown_tables = [read_table(path, _below(path, results / "tables"), marks) for path in tables]
    shown_figures = [read_picture(path, _below(path, results / "figures"), marks) for path in figures]
    shown_tables, shown_figures = in_order(shown_tables, ORDER), in_order(shown_figures, FIGURES)
    scripts = [_index(path, folder) for path in splits]
    graphs = {
        "lineage": lineage_svg(read_graph(lineage)) if lineage else "",
        "rules": rules_svg(rule_graph) if rule_graph else "",
    }
    times = read_run_times(benchmarks, jobs) if benchmarks else None
    html = _template().render(
        version=__version__,
        scale=config.get("scale", ""),
        remark=REMARKS.get(measured_on, ""),
        best=best_systems(shown_tables),
        seed=config.get("seed"),
        tables=shown_tables,
        figures=shown_figures,
        scripts=scripts,
        graphs=graphs,
        config=config,
        provenance=provenance,
        assets=ASSETS,
        timed=times is not None,
    )
    # First, for by them the next call knows that the tables and figures are its own (`segrepro.outputs`).
    with atomic_directory(folder / "assets") as assets:
        for name in ASSETS:
            assets.joinpath(name).write_bytes(_packaged(name).read_bytes())
        write_script(assets / "marks.js", "marks", marks)
    _copy(folder / "tables", shown_tables)
    _copy(folder / "figures", shown_figures)
    # Run times differ from run to run: in a file of their own, all others have the same bytes every time.
    write_script(folder / "times.js", "times", times)
    write_text(folder / "index.html", html)


def _packaged(name: str) -> Any:
    return resources.files("segrepro.report.page") / "assets" / name


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
