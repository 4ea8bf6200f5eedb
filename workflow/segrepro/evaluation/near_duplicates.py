"""Near-duplicates between two sets of pictures, by perceptual hash: what equal ids cannot tell of COCO and VOC.

A picture's hash is OpenCV's PHash (the signs of 8 x 8 DCT coefficients about their mean; Zauner, "Implementation and
Benchmarking of Perceptual Image Hash Functions", 2010) of the whole grey picture and of each of its four quarters:
5 x 64 bits. PHash shrinks to 32 x 32 pixels without smoothing, so the picture is shrunk before, by area means.

The distance of two pictures is the number of bits that differ, 0 to 320. Measured on 1,018 real pictures (159 of
COCO, 859 of VOC and SBD, all different): none of the 517,653 pairs is nearer than 93 (mean 160, standard deviation
12), and the 64 bits of the whole picture alone would have put unrelated pairs at 9. Copies of 331 of them: saved
again at JPEG quality 30, halved, enlarged or squeezed to a square, at most 29; a third brighter, at most 34; 2%
cropped off each side, half of them within 32, nine in ten within 42, all within 65; 5% cropped off each side, half of
them beyond 76, which this does not find. Mirrored copies are not found either.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from segrepro.data.parallel import map_in_processes, progress_bar
from segrepro.data.pictures import read_rgb
from segrepro.errors import UserError
from segrepro.stores.manifests import Example

SIDE = 64  # pixels that a picture is shrunk to; its quarters have PHash's own 32
WORDS = 5  # of 64 bits: the whole picture, then the quarters by rows
HASH_BITS = 64 * WORDS

# Pairs compared at a time: 1.5 MB of hashes differing stays in a core's cache.
BLOCK_PAIRS = 1 << 17

MOST_PAIRS = 1_000_000

FAR = np.iinfo(np.uint16).max  # beyond every distance


@dataclass(frozen=True, order=True)
class Pair:
    """Two pictures and their distance in bits; pairs sort by distance, then by ids."""

    distance: int
    id_a: str
    id_b: str


def unique_pictures(examples: list[Example]) -> dict[str, Path]:
    """Return the picture of each id, sorted by id: manifests with boxes name a picture in many rows."""
    return {example.id: example.image for example in sorted(examples, key=lambda example: example.id)}


def perceptual_hash(grey: np.ndarray) -> np.ndarray:
    """Hash a grey picture, uint8 (height, width): uint64, shape (`WORDS`,)."""
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    half = SIDE // 2
    whole = cv2.resize(small, (half, half), interpolation=cv2.INTER_AREA)
    quarters = [small[y : y + half, x : x + half] for y in (0, half) for x in (0, half)]
    phash = cv2.img_hash.PHash.create()
    parts = [phash.compute(np.ascontiguousarray(part)) for part in (whole, *quarters)]
    return np.concatenate(parts, axis=None).view(np.uint64)


def hash_file(path: Path) -> np.ndarray:
    """Hash a picture file; a `UserError` where it is missing or damaged."""
    cv2.setNumThreads(1)  # the processes are the threads that the caller granted
    return perceptual_hash(cv2.cvtColor(read_rgb(path), cv2.COLOR_RGB2GRAY))


def hash_pictures(pictures: dict[str, Path], *, threads: int, label: str) -> np.ndarray:
    """Hash pictures in several processes.

    Returns:
        uint64, shape (number of pictures, `WORDS`), in the order of ``pictures``.
    """
    hashes = map_in_processes(hash_file, pictures.values(), threads=threads, label=label, total=len(pictures))
    return np.array(hashes, np.uint64).reshape(len(pictures), WORDS)


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Count the bits that differ, of every hash of ``a``, uint64 (n, words), and every one of ``b``: uint16 (n, m)."""
    total = np.zeros((len(a), len(b)), np.uint16)
    for word in range(a.shape[1]):
        total += np.bitwise_count(a[:, word, np.newaxis] ^ b[np.newaxis, :, word])
    return total


def nearest_pairs(
    ids_a: list[str], hashes_a: np.ndarray, ids_b: list[str], hashes_b: np.ndarray, *, max_distance: int, at_least: int
) -> list[Pair]:
    """Return all pairs of near-duplicates, and the nearest other pairs where these are fewer than asked for.

    Every picture of ``a`` is compared with every one of ``b``, block by block: memory does not grow with the sets.
    A picture that is in both sets under one id is no pair.

    Args:
        ids_a: ids of the first set.
        hashes_a: of its pictures, in their order, from `hash_pictures`.
        ids_b: ids of the second set.
        hashes_b: likewise.
        max_distance: bits, of near-duplicates.
        at_least: number of pairs wanted in any case, where there are so many; nearest first.

    Raises:
        UserError: there are more than `MOST_PAIRS` near-duplicates.
    """
    contiguous = np.ascontiguousarray(hashes_b.T).T  # each word of all hashes side by side
    place_b = {picture: place for place, picture in enumerate(ids_b)}
    kept = np.empty((0, 3), np.int64)  # distance, place in a, place in b; nearest first
    reach = HASH_BITS  # farther pairs are not wanted any more
    rows = max(1, BLOCK_PAIRS // max(1, len(ids_b)))
    with progress_bar("comparing", total=len(ids_a)) as bar:
        for start in range(0, len(ids_a), rows):
            block = distances(hashes_a[start : start + rows], contiguous)
            bar.update(len(block))
            for row, picture in enumerate(ids_a[start : start + rows]):
                if picture in place_b:
                    block[row, place_b[picture]] = FAR
            found = _places(block, min(reach, max(max_distance, _nth_smallest(block, at_least))), start)
            if not len(found):
                continue
            kept = np.concatenate([kept, found])
            kept = kept[np.lexsort(kept.T[::-1])]
            near = int(np.searchsorted(kept[:, 0], max_distance, side="right"))
            if near > MOST_PAIRS:
                raise UserError(f"--max-distance {max_distance}: more than {MOST_PAIRS:,} pairs; take a smaller one.")
            kept = kept[: max(near, at_least)]
            if len(kept) >= at_least:
                reach = max(max_distance, int(kept[-1, 0]))
    return sorted(Pair(int(distance), ids_a[a], ids_b[b]) for distance, a, b in kept)


def _nth_smallest(block: np.ndarray, n: int) -> int:
    """Return the n-th smallest distance of a block; -1 for n = 0."""
    n = min(n, block.size)
    return int(np.partition(block, n - 1, axis=None)[n - 1]) if n else -1


def _places(block: np.ndarray, max_distance: int, start: int) -> np.ndarray:
    """Return (distance, place in a, place in b) of a block's pairs within a distance: int64, shape (pairs, 3)."""
    rows, columns = np.nonzero(block <= max_distance)
    return np.stack([block[rows, columns].astype(np.int64), rows + start, columns], axis=1)
