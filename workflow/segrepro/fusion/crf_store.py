"""A CRF over a whole score store, spread over processes; the result is a score store like any other."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from segrepro.data.parallel import map_in_processes
from segrepro.files import scratch_folder
from segrepro.fusion.densecrf import Parameters, read_evidence, refine
from segrepro.provenance.code import written_by
from segrepro.stores.codes import Written
from segrepro.stores.fitting import STORAGE_RESIZE, fit, log_probabilities
from segrepro.stores.manifests import Example
from segrepro.stores.merging import merge_stores
from segrepro.stores.scores import LABELS, LOG_PROBABILITIES, ScoreReader, ScoreWriter


@dataclass(frozen=True)
class StoreCRF:
    """How a store is refined; small, and can be sent to another process.

    A CRF draws edges to the pixel: with marginals stored at stride 4, 0.2 to 0.8 % of the pixels would get another
    label. They are so sure that they pack well: 0.1 to 1 MB per picture of 500 x 375, by preset, for 8 MB of numbers.
    """

    store: Path  # to start from: scores, or labels (a vote)
    space: str  # label space of the result; the store's answers are mapped to it before the CRF
    parameters: Parameters
    system: str  # name of the refined one
    drop_below: float = 0.0  # see `segrepro.fusion.densecrf.refine`
    stride: int = 1  # pixels between stored marginals
    labels: bool = False  # store the most probable label of each pixel alone


def refine_store(crf: StoreCRF, examples: list[Example], out: Path, *, threads: int) -> None:
    """Fill a score store with log-marginals, or labels; a `UserError` where a picture or its scores cannot be used.

    Each picture is written to a file beside ``out`` by the process that refined it, and packed already; these are
    merged at the end. So no process holds more than a picture, and the result does not depend on their number
    (``threads``); pydensecrf uses one core in each.
    """
    with ScoreReader(crf.store) as reader:
        code = written_by(__name__, reader.code)
    with scratch_folder(out) as folder:
        refined = partial(_refined, crf, folder, code)
        merge_stores(map_in_processes(refined, examples, threads=threads, label=crf.system, total=len(examples)), out)


def _refined(crf: StoreCRF, folder: Path, code: Written, example: Example) -> Path:
    """Write a picture's store into a folder."""
    with ScoreReader(crf.store) as reader:
        parameters = crf.parameters.for_store(reader.kind)
        evidence = read_evidence(reader, example, crf.space, hard=parameters.gt_prob is not None)
    marginals = log_probabilities(refine(evidence, parameters, drop_below=crf.drop_below))
    if crf.labels:  # of the numbers that would be stored, so that both stores have the same labels
        kind, result = LABELS, marginals.astype(np.float16).argmax(axis=-1)
    else:
        kind, result = LOG_PROBABILITIES, fit(marginals, crf.stride)
    part = folder / f"{example.id}.h5"
    header = {"system": crf.system, "label_space": crf.space, "kind": kind, "resize": STORAGE_RESIZE}
    with ScoreWriter(part, **header, code=code) as store:
        store.add(example.id, result, size=evidence.picture.shape[:2])
    return part
