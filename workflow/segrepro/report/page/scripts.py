"""Data as scripts: a page that was opened from disk may not fetch files, but it may load scripts.

A data file is one call, ``segrepro.receive(kind, value)``, of a function that the page's own script defines. Arrays of
bytes travel as base64 of a zlib stream, which every browser of today inflates by itself.
"""

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from segrepro.files import write_text

# zlib's own default: level 9 makes label maps 2 % smaller in three times the time.
COMPRESSION = 6


def write_script(path: Path, kind: str, value: Any) -> None:
    """Write ``value`` (JSON-able) as a script, atomically: ASCII only, sorted keys, same value, same bytes."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    write_text(path, f"segrepro.receive({json.dumps(kind)},{text});\n")


def packed(values: np.ndarray) -> str:
    """Return an array's bytes (little-endian, C order) as text: base64 of a zlib stream."""
    little = values.astype(values.dtype.newbyteorder("<"))
    return base64.b64encode(zlib.compress(little.tobytes(), COMPRESSION)).decode("ascii")


def packed_labels(labels: np.ndarray) -> str:
    """Return a label map (uint8) as text: as `packed`, each row but the first as the XOR with the row above.

    Label maps hardly change from row to row, so most bytes become 0: a third smaller than without.
    """
    changes = labels.copy()
    changes[1:] ^= labels[:-1]
    return packed(changes)
