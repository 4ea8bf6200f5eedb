"""Makes every table of the report that a verb makes, from the same files, each by the options that it takes."""

from pathlib import Path

from segrepro.cli import main
from segrepro.report.tables import TABLES

METRICS_TABLES = [name for name, entry in TABLES.items() if entry.made_by and "fine_grained" not in entry.needs]


def make_tables(folder: Path, files: dict[str, list[str]], measured_on: str = "published") -> None:
    """Write the tables that are made of metrics, in all forms.

    Args:
        folder: of the tables.
        files: option, without dashes -> files.
        measured_on: as the option.
    """
    for name in METRICS_TABLES:
        entry = TABLES[name]
        takes = {need.rstrip("?") for need in entry.needs}
        words = [word for key in files if key in takes for word in (f"--{key}", *files[key])]
        words += ["--measured-on", measured_on] * ("measured_on" in takes)
        outputs = [str(folder / f"{name}.{form}") for form in entry.forms]
        main(["table", name, *words, "--out", *outputs])
