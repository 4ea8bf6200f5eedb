#!/usr/bin/env python3
"""Submit a job script of Snakemake: submit.py SCRIPT."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # runs set PYTHONSAFEPATH, which leaves this folder out

import schedulers

print(schedulers.submit(Path(sys.argv[1])))
