"""How fast and how big is the conversion of COCO train2017?

Two measurements (Linux only: memory is read from /proc):

1. `segrepro convert` on the archives of a folder, each picture taken several times: pictures a second, projected
   to 118,287; peak resident memory of the parent and of the largest worker; highest sum over all processes (pages
   that they share counted once: PSS).
2. The parent alone on a generated annotations archive as large as train2017's (118,287 pictures, 7.3 annotations
   each, polygons of 25 corners): peak resident memory while the JSON is read and the tasks are given out.

Example:
  python benchmarks/coco_conversion.py FOLDER_WITH_COCO_ARCHIVES --split train2017 --threads 8
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

PICTURES = 118_287
ANNOTATIONS_A_PICTURE = 7.3
CORNERS = 25
SECONDS_BETWEEN_SAMPLES = 0.05
MB = 1e6

READ_ONLY = """
import sys
from segrepro.data.coco_annotations import read_annotations
known = read_annotations(sys.argv[1], "train2017")
regions = sum(len(known.regions.pop(picture.id, ())) for picture in known.pictures)
print(f"{len(known.pictures):,} pictures, {regions:,} annotations")
"""


def memory(process: psutil.Process) -> tuple[int, int] | None:
    """Return peak resident and present proportional memory in bytes; None when the process has ended."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        numbers = {line.split()[0]: int(line.split()[1]) for line in (status + rollup).splitlines() if "kB" in line}
        return numbers["VmHWM:"] * 1024, numbers["Pss:"] * 1024
    except (OSError, KeyError):
        return None


def watch(command: list[str]) -> tuple[float, int, int, int]:
    """Run a command; return seconds, peak of the parent, peak of the largest child, highest sum (bytes)."""
    started = time.monotonic()
    parent = psutil.Process(subprocess.Popen(command).pid)
    parent_peak = child_peak = sum_peak = 0
    while parent.is_running() and parent.status() != psutil.STATUS_ZOMBIE:
        total = 0
        for process in [parent, *parent.children(recursive=True)]:
            if numbers := memory(process):
                total += numbers[1]
                if process.pid == parent.pid:
                    parent_peak = max(parent_peak, numbers[0])
                else:
                    child_peak = max(child_peak, numbers[0])
        sum_peak = max(sum_peak, total)
        time.sleep(SECONDS_BETWEEN_SAMPLES)
    if parent.wait():
        sys.exit(f"failed: {' '.join(command)}")
    return time.monotonic() - started, parent_peak, child_peak, sum_peak


def write_annotations(path: Path, pictures: int) -> int:
    """Write an annotations archive of the official layout with star-shaped polygons; return the JSON's bytes."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("annotations/instances_train2017.json", "w", force_zip64=True) as stream,
    ):
        return sum(stream.write(text.encode()) for text in generated_json(pictures))


def generated_json(pictures: int) -> Iterator[str]:
    """Give the text of the JSON, a piece at a time."""
    random = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], -1)
    yield '{"info": {}, "categories": [{"id": 1, "name": "person"}], "images": ['
    for number in range(1, pictures + 1):
        comma = ", " if number > 1 else ""
        yield f'{comma}{{"license": 3, "file_name": "{number:012}.jpg", "height": 480, "width": 640, '
        yield f'"coco_url": "http://images.cocodataset.org/train2017/{number:012}.jpg", "id": {number}}}'
    yield '], "annotations": ['
    for number in range(1, round(pictures * ANNOTATIONS_A_PICTURE) + 1):
        comma = ", " if number > 1 else ""
        radii = random.uniform(20, 100, (CORNERS, 1))
        corners = np.round(circle * radii + random.uniform(110, 370, 2), 2).ravel().tolist()
        yield f'{comma}{{"segmentation": [{corners}], "area": 9000.5, "iscrowd": 0, "id": {number}, '
        yield f'"image_id": {1 + number % pictures}, "bbox": [10.5, 20.5, 199.25, 180.75], "category_id": 1}}'
    yield "]}"


def repeat_archives(folder: Path, split: str, times: int, out: Path) -> None:
    """Write archives with each picture ``times`` times under new ids, so that the start hardly counts."""
    json_name = f"annotations/instances_{split}.json"
    with zipfile.ZipFile(folder / "annotations_trainval2017.zip") as archive:
        content = json.loads(archive.read(json_name))
    pictures, annotations = content["images"], content["annotations"]
    place = {picture["id"]: number for number, picture in enumerate(pictures, start=1)}
    repeated = {"images": [], "annotations": []}
    with (
        zipfile.ZipFile(folder / f"{split}.zip") as source,
        zipfile.ZipFile(out / f"{split}.zip", "w") as target,
    ):
        for first in range(0, times * len(pictures), len(pictures)):
            for picture in pictures:
                key = first + place[picture["id"]]
                repeated["images"].append(picture | {"id": key, "file_name": f"{key:012}.jpg"})
                target.writestr(f"{split}/{key:012}.jpg", source.read(f"{split}/{picture['file_name']}"))
            for annotation in annotations:
                repeated["annotations"].append(annotation | {"image_id": first + place[annotation["image_id"]]})
    with zipfile.ZipFile(out / "annotations_trainval2017.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(json_name, json.dumps(content | repeated))


def convert(folder: Path, split: str, threads: int, scratch: Path) -> None:
    """Measure the whole conversion and print it."""
    out = scratch / "coco"
    command = [sys.executable, "-m", "segrepro", "convert", f"coco_{split.removesuffix('2017')}"]
    command += ["--archives", str(folder / f"{split}.zip"), str(folder / "annotations_trainval2017.zip")]
    command += ["--out", str(out), "--threads", str(threads)]
    seconds, parent, child, total = watch(command)
    pictures = len((out / "lists/coco90.txt").read_text().split())
    rate = pictures / seconds
    print(f"{split}, {threads} processes: {pictures:,} pictures in {seconds:.1f} s, start included")
    minutes = PICTURES / rate / 60
    print(f"  {rate:.0f} pictures/s, {rate / threads:.0f} a process; {PICTURES:,} pictures: {minutes:.0f} min")
    memory_mb = f"parent {parent / MB:.0f} MB, largest child {child / MB:.0f} MB, in all {total / MB:.0f} MB"
    print(f"  peak memory: {memory_mb}")


def read(pictures: int, scratch: Path) -> None:
    """Measure the parent on generated annotations and print it."""
    archive = scratch / "annotations_trainval2017.zip"
    size = write_annotations(archive, pictures)
    seconds, peak, _, _ = watch([sys.executable, "-c", READ_ONLY, str(archive)])
    print(f"a JSON of {size / MB:.0f} MB: read in {seconds:.0f} s, peak memory {peak / MB:.0f} MB")


def main() -> None:
    """Run both measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="has <split>.zip and annotations_trainval2017.zip")
    parser.add_argument("--split", default="train2017", choices=("train2017", "val2017"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=20, help="how many times each picture is converted")
    parser.add_argument("--pictures", type=int, default=PICTURES, help="pictures in the generated annotations")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        repeat_archives(args.folder, args.split, args.repeat, Path(scratch))
        convert(Path(scratch), args.split, args.threads, Path(scratch))
        read(args.pictures, Path(scratch))


if __name__ == "__main__":
    main()
