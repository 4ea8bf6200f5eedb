"""The leakage audit: which pictures that a system is scored on were seen in the making of the system.

A picture counts as seen when its id is in the training set (held-out pictures included, they choose the learning
rate) or the tuning set of the system or of any of its ancestors: the model that predicts, the models that this one
was initialised from, pretrained weights, the members of an ensemble, the system below a CRF. VOC and SBD share their
ids; COCO's never equal VOC's, so for COCO see `segrepro.evaluation.near_duplicates`. A stacker fitted by folds has not
seen the pictures it predicts: that is no leak, where its own report confirms it, picture by picture.

Of pretrained weights only the datasets that the config states are known (`trained_on` of their entry): they are listed
as ``unlisted`` whenever they are among the ancestors, with the datasets whose archives were left out, if any.
"""

import csv
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, RootModel

from segrepro.errors import UserError
from segrepro.graph import ROLES, SYSTEM, WEIGHTS, Graph, Node, Pictures, path_text
from segrepro.json_files import read_model
from segrepro.schema import Share
from segrepro.stores.same_pictures import refuse_other_pictures

COLUMNS = (
    *("system", "split", "scored", "leaked", "share", "through"),
    *("first_ids", "all_ancestors", "folds", "unlisted"),
)
FIRST_IDS = 5
FOLDS_REMEDY = "the folds cannot be audited, make scores and report again by `segrepro stack`"
MARK = "\N{DAGGER}"
MARK_NOTE = f"{MARK} has seen pictures that it is scored on"

# system -> split -> share (0..1) of the scored pictures that leak; every audited pair is there.
Marks = dict[str, dict[str, float]]


class _Marks(RootModel[dict[str, dict[str, Share]]]):
    """The form of the file."""


@dataclass(frozen=True)
class Leak:
    """The scored pictures that one ancestor has seen."""

    through: str  # the shortest path from the system to the ancestor, e.g. ``stack <- fcn8s``
    seen_as: str  # in what, e.g. ``trained on sbd_train``
    ids: tuple[str, ...]  # sorted; at least one

    def __str__(self) -> str:
        """Name ancestor and list."""
        return f"{self.through} ({self.seen_as})"


@dataclass(frozen=True)
class Audit:
    """What a system has seen of a split that it is scored on."""

    system: str
    split: str
    scored: int  # number of pictures of the split
    leaks: tuple[Leak, ...]  # one per ancestor and list, nearest ancestor first
    folds: tuple[str, ...]  # stackers among system and ancestors that were fitted by folds, with the number of fits
    unlisted: tuple[str, ...]  # pretrained weights among the ancestors, whose pictures are not, or not all, known

    @property
    def leaked(self) -> list[str]:
        """The leaking pictures, sorted, each once."""
        return sorted({picture for leak in self.leaks for picture in leak.ids})

    @property
    def share(self) -> float:
        """Share of the scored pictures that leak, 0..1."""
        return len(self.leaked) / self.scored


def audit(graph: Graph) -> list[Audit]:
    """Audit every system of a checked graph on each of its splits, in order.

    Raises:
        UserError: a manifest is missing or is none, or so is the report of a stacker's folds.
    """
    manifests: dict[str, frozenset[str]] = {}

    def ids(pictures: Pictures, needed_by: str) -> frozenset[str]:
        if pictures.manifest not in manifests:
            manifests[pictures.manifest] = manifest_ids(Path(pictures.manifest), needed_by)
        return manifests[pictures.manifest]

    audits = []
    for name, split in [(name, split) for name, system in graph.systems.items() for split in system.splits]:
        ancestors = graph.ancestors(name)
        scored = ids(Pictures(name=split, manifest=graph.splits[split]), f"what '{name}' is scored on")
        leaks = []
        for node, path in ancestors.items():
            for pictures in (each for each in graph.seen(node) if each.manifest is not None):
                if shared := scored & ids(pictures, f"what '{node[1]}' was {ROLES[node[0]]}"):
                    seen_as = f"{ROLES[node[0]]} {pictures.name}"
                    leaks.append(Leak(path_text(path), seen_as, tuple(sorted(shared))))
        folds, in_folds = _folds(graph, ancestors, split, scored)
        leaks = sorted(leaks + in_folds, key=lambda leak: leak.through.count(" <- "))
        unlisted = tuple(_with_unknown(graph, node) for node in ancestors if node[0] == WEIGHTS)
        audits.append(Audit(name, split, len(scored), tuple(leaks), tuple(folds), unlisted))
    return audits


def _with_unknown(graph: Graph, weights: Node) -> str:
    unknown = [pictures.unknown for pictures in graph.seen(weights) if pictures.unknown]
    return f"{weights[1]} ({', '.join(unknown)})" if unknown else weights[1]


def _folds(
    graph: Graph, ancestors: dict[Node, tuple[Node, ...]], split: str, scored: frozenset[str]
) -> tuple[list[str], list[Leak]]:
    """Return the stackers that were fitted by folds, with their number, and what leaks in spite of them."""
    folds, leaks = [], []
    for (kind, name), path in ancestors.items():
        if kind != SYSTEM or not graph.systems[name].by_folds:
            continue
        if split not in graph.systems[name].fold_reports:
            raise UserError(
                f"lineage: stacker '{name}' has no report of its folds on '{split}'; add it to its 'fold_reports'."
            )
        report = Path(graph.systems[name].fold_reports[split])
        seen, count = _fitted_and_predicted(report, system=name, split=split, scored=scored)
        folds.append(f"{name}: {count}")
        if seen:
            leaks.append(Leak(path_text(path), "fitted on a fold that it predicts", tuple(sorted(seen))))
    return folds, leaks


class _Stacker(BaseModel):
    """One fit; the report's other keys (losses, weights) are not looked at."""

    model_config = ConfigDict(strict=True)

    fitted: list[str] = Field(min_length=1)
    predicted: list[str] = Field(min_length=1)


class _Report(BaseModel):
    model_config = ConfigDict(strict=True)

    system: str
    split: str
    stackers: list[_Stacker] = Field(min_length=1)


def _fitted_and_predicted(
    path: Path, *, system: str, split: str, scored: Collection[str]
) -> tuple[frozenset[str], int]:
    """Check the report of a stacker, as `segrepro stack` writes it, against the pictures that it is scored on.

    Returns:
        The scored pictures that were predicted by a fit that saw them, and the number of fits.

    Raises:
        UserError: the file is missing, no such report or another system's or split's; or a picture is predicted by
            no fit, by two, or is not scored at all.
    """
    report = read_model(path, _Report, FOLDS_REMEDY)
    for what, found, wanted in (("system", report.system, system), ("split", report.split, split)):
        if found != wanted:
            raise _broken(path, f"is of {what} '{found}', not '{wanted}'")
    predicted = [id for stacker in report.stackers for id in stacker.predicted]
    places = {"found_in": f"the folds of {path}", "wanted_in": f"the scored split '{split}'"}
    refuse_other_pictures(predicted, scored, **places, remedy=FOLDS_REMEDY)
    if len(predicted) > len(set(predicted)):
        twice = min(id for id in predicted if predicted.count(id) > 1)
        raise _broken(path, f"two folds predict '{twice}'")
    seen = frozenset(id for stacker in report.stackers for id in set(stacker.fitted) & set(stacker.predicted))
    return seen, len(report.stackers)


def _broken(path: Path, fault: str) -> UserError:
    return UserError(f"{path}: {fault}; {FOLDS_REMEDY}.")


def manifest_ids(path: Path, needed_by: str) -> frozenset[str]:
    """Read a manifest's picture ids and nothing else: a list of proposals has millions of rows.

    Raises:
        UserError: the file is missing, has no column ``id``, or no rows; says what it is, e.g. ``what 'fcn8s' was
            trained on``.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.reader(stream)
            column = next(rows, []).index("id")
            found = frozenset(row[column] for row in rows if row)
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: no such manifest, but it is {needed_by}; make it again.") from None
    except (csv.Error, ValueError, IndexError):
        fault = "no manifest (column 'id' is missing)"
        raise UserError(f"{path}: {fault}, but it is {needed_by}; make it again.") from None
    if not found or "" in found:
        fault = "has no pictures" if not found else "has a row without an id"
        raise UserError(f"{path}: {fault}, but it is {needed_by}; make it again.")
    return found


def leakage_rows(audits: list[Audit]) -> list[dict[str, str]]:
    """Build the rows of ``leakage.csv``, with the keys `COLUMNS`; ``share`` in percent.

    ``through`` is the nearest leaking ancestor, ``all_ancestors`` all of them, each with its number of pictures;
    ``first_ids`` are at most `FIRST_IDS`. Clean systems have a row too: 0 leaked.
    """
    return [
        {
            "system": entry.system,
            "split": entry.split,
            "scored": str(entry.scored),
            "leaked": str(len(entry.leaked)),
            "share": share_text(entry.share) or "0.00",
            "through": str(entry.leaks[0]) if entry.leaks else "",
            "first_ids": " ".join(entry.leaked[:FIRST_IDS]),
            "all_ancestors": "; ".join(f"{leak}: {len(leak.ids)}" for leak in entry.leaks),
            "folds": "; ".join(entry.folds),
            "unlisted": "; ".join(entry.unlisted),
        }
        for entry in audits
    ]


def leak_marks(audits: list[Audit]) -> Marks:
    """Return what tables and figures mark leaking systems by; clean ones are in it with 0."""
    marks: Marks = {}
    for entry in audits:
        marks.setdefault(entry.system, {})[entry.split] = entry.share
    return marks


def read_marks(path: Path) -> Marks:
    """Read the marks that `segrepro audit` wrote; a `UserError` where the file is missing or of another form."""
    return read_model(path, _Marks, "make it with `segrepro audit`").root


def leaking_share(marks: Marks, system: str, split: str) -> float:
    """Return the share (0..1) of a split's pictures that leak into a system; not audited is refused, and not clean."""
    try:
        return marks[system][split]
    except KeyError:
        raise UserError(f"system '{system}' was not audited on '{split}'; run `segrepro audit` again.") from None


def share_text(share: float) -> str:
    """Print a share in percent with two decimals; empty for none at all, and never rounded to none."""
    if share == 0:
        return ""
    return f"{100 * share:.2f}" if share >= 0.5e-4 else "<0.01"


def marked(name: str, share: float) -> str:
    """Return a system's name as figures show it: with a dagger behind it when it has seen scored pictures."""
    return f"{name} {MARK}" if share > 0 else name


def marked_systems(systems: Sequence[str], split: str, leakage: Path | None) -> list[str]:
    """Return systems' names as a figure of one split shows them, `marked` by the file of `segrepro audit`, if any."""
    if leakage is None:
        return list(systems)
    marks = read_marks(leakage)
    return [marked(name, leaking_share(marks, name, split)) for name in systems]


def mark_note(names: Iterable[str]) -> str:
    """Say what the dagger means where one of some names has it; empty where none has."""
    return MARK_NOTE if any(MARK in name for name in names) else ""
