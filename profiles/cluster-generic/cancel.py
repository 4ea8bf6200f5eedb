#!/usr/bin/env python3
"""Cancel jobs: cancel.py JOB..., jobs as submit.py printed them."""

import sys

import schedulers

schedulers.cancel(sys.argv[1:])
