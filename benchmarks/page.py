"""How big is the report page, and how fast does its explorer answer?

Generates a split of the size of VOC val (1,449 pictures of 500 x 375, each with one to four objects in VOC's bands of
void) and the label maps of 15 systems, whose outlines differ from the truth's by a few pixels and which now and then
name another class or find what is not there. `segrepro page-pictures` and `segrepro page` make the page, which is then
opened from disk in a headless Chromium, where there are one, chromedriver and selenium (pip install -e '.[dev]').

Prints bytes and seconds as a Markdown table: generating takes minutes and a gigabyte of the temporary folder.

Example:
  python benchmarks/page.py --threads 2
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
HEIGHT, WIDTH = 375, 500  # VOC's most frequent size
CLASSES = 21
VOID, VOID_WIDTH = 255, 5  # the band around an object, in pixels, as VOC's annotators drew it
CORNERS = np.linspace(0, 2 * np.pi, 360, endpoint=False)
BENDS = np.arange(2, 40)  # of an outline: waves a turn
OUTLINE_ERROR = 0.25  # of a prediction: share by which it bends otherwise than the truth
OTHER_CLASS, SPURIOUS = 0.08, 0.15  # how often an object gets another class, and a picture an object too many
PHOTOGRAPHS = 8  # that take turns
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1300,1000")
WAIT_SECONDS = 120
JUMP = 37  # pictures: far enough that nothing was loaded ahead
ROUNDS = 25

# What the explorer does, in milliseconds as the page itself measures them.
MEASURE = """
const done = arguments[arguments.length - 1], explorer = segrepro.explorer;
const timed = async (act) => { const before = performance.now(); await act(); return performance.now() - before; };
(async () => {
  const result = { filter: [], far: [], next: [] };
  for (const order of explorer.control("sort").options) {
    explorer.control("sort").value = order.value;
    result.filter.push(await timed(() => explorer.filter()));
  }
  const total = explorer.items.length;
  for (let round = 0, place = 0; round < ROUNDS; round += 1) {
    place = (place + JUMP) % total;
    result.far.push(await timed(() => explorer.choose(place)));
    await new Promise((resolve) => setTimeout(resolve, 1000)); // the neighbours are loaded ahead
    result.next.push(await timed(() => explorer.choose((place + 1) % total)));
  }
  done(result);
})();
"""


@dataclass(frozen=True)
class Blob:
    """An object with a bent outline."""

    label: int
    centre: np.ndarray
    radius: float
    bends: np.ndarray  # shape (2, len(BENDS)): cosine and sine parts, shares of the radius

    def paint(self, canvas: np.ndarray) -> None:
        """Fill the object with its label."""
        waves = BENDS[:, None] * CORNERS
        radii = self.radius * (1 + self.bends[0] @ np.cos(waves) + self.bends[1] @ np.sin(waves))
        corners = self.centre[:, None] + radii * np.stack([np.cos(CORNERS), np.sin(CORNERS)])
        cv2.fillPoly(canvas, [np.rint(corners.T).astype(np.int32)], self.label)


def new_blob(generator: np.random.Generator, largest: float) -> Blob:
    return Blob(
        label=int(generator.integers(1, CLASSES)),
        centre=generator.uniform(0.15, 0.85, 2) * (WIDTH, HEIGHT),
        radius=float(generator.uniform(0.2, 1) * largest),
        bends=generator.normal(0, 0.3, (2, len(BENDS))) / BENDS,
    )


def painted(blobs: list[Blob]) -> np.ndarray:
    """Return the labels of objects one upon another: uint8 of shape (HEIGHT, WIDTH)."""
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    for blob in blobs:
        blob.paint(canvas)
    return canvas


def with_void(labels: np.ndarray) -> np.ndarray:
    """Lay VOC's band of void over the borders between labels."""
    window = np.ones((VOID_WIDTH, VOID_WIDTH), np.uint8)
    return np.where(cv2.dilate(labels, window) != cv2.erode(labels, window), np.uint8(VOID), labels)


def predicted(blobs: list[Blob], generator: np.random.Generator) -> np.ndarray:
    """Return what a system makes of the objects."""
    found = [
        replace(
            blob,
            label=int(generator.integers(1, CLASSES)) if generator.random() < OTHER_CLASS else blob.label,
            bends=blob.bends + generator.normal(0, 0.3 * OUTLINE_ERROR, blob.bends.shape) / BENDS,
        )
        for blob in blobs
    ]
    if generator.random() < SPURIOUS:
        found.append(new_blob(generator, HEIGHT / 12))
    return painted(found)


def write_data(folder: Path, pictures: int, systems: int) -> list[str]:
    """Write photographs, masks, score stores and confusions; return the options of `segrepro page-pictures`."""
    from segrepro.data.masks import write_palette_mask
    from segrepro.evaluation.confusion import confusion, save_confusions
    from segrepro.stores.manifests import Example, write_manifest
    from segrepro.stores.scores import ScoreWriter

    generator = np.random.default_rng(0)
    for name in ("images", "masks", "stores"):
        (folder / name).mkdir()
    photographs = []
    for _ in range(PHOTOGRAPHS):
        noise = cv2.resize(generator.integers(0, 256, (60, 80, 3)).astype(np.uint8), (WIDTH, HEIGHT))
        photographs.append(cv2.imencode(".jpg", noise)[1].tobytes())
    examples = []
    counts = np.zeros((systems, pictures, CLASSES, CLASSES), np.int32)
    form = {"label_space": "voc21", "kind": "labels", "resize": "half_pixel"}
    with ExitStack() as stack:
        stores = [
            stack.enter_context(ScoreWriter(folder / f"stores/{n}.h5", system=f"system_{n}", **form))
            for n in range(systems)
        ]
        for number in range(pictures):
            example = Example(f"p{number:06}", folder / f"images/{number}.jpg", folder / f"masks/{number}.png")
            blobs = [new_blob(generator, HEIGHT / 2.5) for _ in range(generator.integers(1, 5))]
            truth = with_void(painted(blobs))
            example.image.write_bytes(photographs[number % PHOTOGRAPHS])
            write_palette_mask(example.mask, truth)
            for system, store in enumerate(stores):
                labels = predicted(blobs, generator)
                store.add(example.id, labels, size=labels.shape)
                counts[system, number] = confusion(truth, labels, CLASSES)
            examples.append(example)
    write_manifest(folder / "val.csv", examples)
    for system in range(systems):
        save_confusions(folder / f"stores/{system}.npz", [example.id for example in examples], counts[system])
    paths = [str(folder / f"stores/{system}") for system in range(systems)]
    files = ["--scores", *(f"{path}.h5" for path in paths), "--confusions", *(f"{path}.npz" for path in paths)]
    return ["--manifest", str(folder / "val.csv"), *files]


def megabytes(files: list[Path]) -> float:
    return sum(file.stat().st_size for file in files) / 1e6


def measure_files(page: Path, pictures: int) -> None:
    split = page / "pictures/val"
    maps = megabytes(list(split.glob("[0-9]*.js")))
    print(f"| label maps | {maps:.0f} MB, {1000 * maps / pictures:.0f} kB a picture |")
    print(f"| index of the split | {megabytes([split / 'index.js']):.1f} MB |")


def open_browser(profile: Path):
    """Return a headless Chromium; None, and why on stderr, where there is none."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    try:
        from selenium import webdriver
    except ImportError:
        webdriver = None
    if not (browser and driver and webdriver):
        print("no Chromium, chromedriver or selenium: the page is not opened", file=sys.stderr)
        return None
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for switch in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1300,1000",
    ):
        options.add_argument(switch)
    options.add_argument(f"--user-data-dir={profile}")
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def measure_browser(driver, page: Path) -> None:
    """Print how long the page takes to show its first picture, to sort and filter, and to show another picture."""
    started = time.monotonic()
    driver.get((page / "index.html").as_uri())
    while not driver.execute_script("return document.querySelector('[data-part=title]').textContent"):
        if time.monotonic() - started > WAIT_SECONDS:
            sys.exit("the page shows no picture")
        time.sleep(0.01)
    first = time.monotonic() - started
    driver.set_script_timeout(WAIT_SECONDS)
    script = MEASURE.replace("ROUNDS", str(ROUNDS)).replace("JUMP", str(JUMP))
    measured = {name: statistics.median(values) for name, values in driver.execute_async_script(script).items()}
    driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    heap = driver.execute_cdp_cmd("Runtime.getHeapUsage", {})["usedSize"]
    print(f"| the page with its first picture | {first:.1f} s |")
    print(f"| filter and sort all pictures | {measured['filter']:.0f} ms |")
    print(f"| the next picture, loaded ahead | {measured['next']:.0f} ms |")
    print(f"| a picture far away | {measured['far']:.0f} ms |")
    print(f"| memory of JavaScript | {heap / 1e6:.0f} MB |")
    print(f"\nChromium {driver.capabilities['browserVersion']}, {os.cpu_count()} cores")


def main() -> None:
    """Generate, make the page, and measure it."""
    from segrepro.cli import main as segrepro

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1449)
    parser.add_argument("--systems", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1, help="of page-pictures (default: 1)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        page = folder / "report"
        options = write_data(folder, args.pictures, args.systems)
        started = time.monotonic()
        split = ["--out", str(page / "pictures/val"), "--threads", str(args.threads)]
        segrepro(["page-pictures", *options, *split])
        packing = time.monotonic() - started
        (folder / "config.json").write_text(json.dumps({"scale": "full", "seed": 0}))
        files = ["--config", str(folder / "config.json"), "--pictures", str(page / "pictures/val")]
        segrepro(["page", "--results", str(folder), *files, "--out", str(page)])
        print(f"| {args.pictures:,} pictures, {args.systems} systems | |\n|---|--:|")
        print(f"| `segrepro page-pictures`, {args.threads} processes | {packing:.0f} s |")
        measure_files(page, args.pictures)
        if driver := open_browser(folder / "profile"):
            try:
                measure_browser(driver, page)
            finally:
                driver.quit()


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "workflow"))
    main()
