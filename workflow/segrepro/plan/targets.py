"""What a run makes: the tables, the figures, the checks, and which systems they show."""

from segrepro.plan.datasets import available
from segrepro.plan.experiment import Plan
from segrepro.report.figures import FIGURES
from segrepro.report.tables import TABLES


def label_checks(plan: Plan) -> list[str]:
    """Return label checks, and histograms where there are labels, of every dataset that the config lists."""
    checks = [f"{plan.results}/checks/{name}.json" for name in plan.config.listed]
    return checks + drawn(plan, "labels")


def submissions(plan: Plan) -> list[str]:
    """Return archives for VOC's server; none where VOC's test pictures are left out."""
    systems = plan.config.submission.systems if available(plan, "voc_test") else []
    return [f"{plan.results}/submission/{system}/results.tar.gz" for system in systems]


def splits(plan: Plan) -> list[str]:
    """Return all scored splits, in the order of the systems that are scored on them."""
    return list(dict.fromkeys(split for _, split in plan.scored()))


def tables(plan: Plan) -> list[str]:
    """Return all tables, in all their forms."""
    return [
        f"{plan.results}/tables/{place}.{form}"
        for entry in TABLES.values()
        for place in entry.places(plan)
        for form in entry.forms
    ]


def drawn(plan: Plan, figure: str) -> list[str]:
    """Return the files of one figure that a run makes."""
    return [f"{plan.results}/figures/{place}.png" for place in FIGURES[figure].places(plan)]


def figures(plan: Plan) -> list[str]:
    """Return all figures."""
    return [file for name in FIGURES for file in drawn(plan, name)]


def on_the_page(plan: Plan) -> dict[str, list[str]]:
    """Return what the report page shows of tables, figures and explorable pictures, as rule inputs."""
    return {
        "tables": [table for table in tables(plan) if table.endswith(".csv")],
        "figures": figures(plan),
        "pictures": [f"{plan.results}/report/pictures/{split}" for split in splits(plan)],
    }
