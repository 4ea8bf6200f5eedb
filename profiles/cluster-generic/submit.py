#!/usr/bin/env python3
"""Submit a job script of Snakemake: submit.py SCRIPT."""

import sys
from pathlib import Path

import schedulers

print(schedulers.submit(Path(sys.argv[1])))
