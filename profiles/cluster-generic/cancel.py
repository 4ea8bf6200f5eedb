#!/usr/bin/env python3
"""Cancel jobs: cancel.py JOB..., jobs as submit.py printed them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # runs set PYTHONSAFEPATH, which leaves this folder out

import schedulers

schedulers.cancel(sys.argv[1:])
