"""A small report page, made by the verbs: what the tests of its files and those in a browser start from."""

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image

from builders import jpeg_bytes, picture, png_bytes, scene
from segrepro.cli import main
from segrepro.report.tables import TABLES
from segrepro.stores.scores import ScoreWriter

HOSTILE = "\"><img src=x onerror='throw 1'>&amp;<script>throw 2</script>"
CLASS = 12  # dog: in every second picture
SYSTEMS = ["exact", "empty<b>&\"'", "leaking"]
IDS = ["a", "b", 'c & d\'s <i>"x"#%', "e", "f"]


def write_split_files(folder: Path) -> list[str]:
    """Write pictures, masks, scores and confusions of a split called toy; return the options of page-pictures.

    The first system has the truth everywhere, the second finds background only, the third is wrong in one half.
    """
    for name in ("images", "masks", "stores"):
        (folder / name).mkdir(parents=True)
    masks = {}
    for number, id in enumerate(IDS):
        file = "abcdefgh"[number]
        masks[id], _ = scene(CLASS if number % 2 == 0 else 15, 8)
        (folder / f"images/{file}.jpg").write_bytes(jpeg_bytes(picture(number)))
        (folder / f"masks/{file}.png").write_bytes(png_bytes(masks[id]))
    with (folder / "toy.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = [(id, f"images/{'abcdefgh'[i]}.jpg", f"masks/{'abcdefgh'[i]}.png") for i, id in enumerate(IDS)]
        csv.writer(stream, lineterminator="\n").writerows([("id", "image", "mask"), *rows])
    options = ["--manifest", str(folder / "toy.csv")]
    stores, confusions = [], []
    for number, system in enumerate(SYSTEMS):
        store = folder / f"stores/{number}.h5"
        with ScoreWriter(store, system=system, label_space="voc21", kind="labels", resize="half_pixel") as writer:
            for id in IDS:
                writer.add(id, _answer(number, masks[id]), size=masks[id].shape)
        confusion = folder / f"stores/{number}.npz"
        evaluated = ["--json", str(folder / f"stores/{number}.json"), "--confusions", str(confusion)]
        main(["evaluate", "--scores", str(store), *options, *evaluated])
        stores.append(str(store))
        confusions.append(str(confusion))
    return [*options, "--scores", *stores, "--confusions", *confusions]


def _answer(system: int, mask: np.ndarray) -> np.ndarray:
    answer = np.where(mask == 255, 0, mask).astype(np.uint8)
    if system == 1:
        answer[:] = 0
    elif system == 2:
        answer[:, : mask.shape[1] // 2] = 1
    return answer


def build_page(folder: Path, *, threads: int = 1) -> Path:
    """Build a page with three systems, three tables, a figure, graphs and run times; return its folder."""
    split = write_split_files(folder / "data")
    results = folder / "results"
    report = results / "report"
    main(["page-pictures", *split, "--out", str(report / "pictures/toy"), "--threads", str(threads)])
    tables = [_table(results / "tables/miou.csv"), results / "tables/empty.csv", results / "tables/odd.csv"]
    tables[1].write_text("a,b\n", encoding="utf-8")
    tables[2].write_text(f'name,"{HOSTILE.replace(chr(34), chr(34) * 2)}"\n"<b>","{1}"\n', encoding="utf-8")
    figure = results / "figures/grid/toy.png"
    figure.parent.mkdir(parents=True)
    Image.fromarray(picture(3)).save(figure)
    documents = {
        "config.json": {"scale": "sample", "seed": 1, "systems": {HOSTILE: {"members": [HOSTILE, "b"], "on": True}}},
        "provenance.json": {"git": {"commit": "abc", "dirty": False}, "packages": [{"name": HOSTILE, "version": 1}]},
        "leakage.json": {SYSTEMS[0]: {"toy": 0.0}, SYSTEMS[1]: {"toy": 0.0}, SYSTEMS[2]: {"toy": 0.4}},
    }
    for name, value in documents.items():
        (results / name).write_text(json.dumps(value), encoding="utf-8")
    (results / "rules.dot").write_text(
        '\t0[label = "all",\n\t1[label = "train",\n\t2[label = "spec",\n\t1 -> 0\n\t2 -> 1\n'
    )
    (results / "benchmarks/train").mkdir(parents=True)
    (results / "benchmarks/train/a.tsv").write_text("s\tmax_rss\tcpu_time\n119.8\t100\t80\n")
    main(
        [
            *("page", "--results", str(results), "--tables", *map(str, tables), "--figures", str(figure)),
            *("--pictures", str(report / "pictures/toy"), "--config", str(results / "config.json")),
            *("--provenance", str(results / "provenance.json"), "--leakage", str(results / "leakage.json")),
            *("--rule-graph", str(results / "rules.dot"), "--benchmarks", str(results / "benchmarks")),
            *("--out", str(report)),
        ]
    )
    return report


def _table(path: Path) -> Path:
    """Write a miou table whose best system leaks."""
    path.parent.mkdir(parents=True)
    values = [("9.50", ""), ("61.20", ""), ("70.00", "40.00")]
    with path.open("w", newline="", encoding="utf-8") as stream:
        columns = [column.name for column in TABLES["miou"].columns]
        writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        writer.writeheader()
        for system, (miou, leaks) in zip(SYSTEMS, values, strict=True):
            writer.writerow({"system": system, "split": "toy", "miou": miou, "leaks": leaks, "pictures": "5"})
    return path
