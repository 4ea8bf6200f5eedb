#!/usr/bin/env python3
"""Say how a job is: status.py JOB, a job as submit.py printed it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # runs set PYTHONSAFEPATH, which leaves this folder out

import schedulers

print(schedulers.status(sys.argv[1]))
