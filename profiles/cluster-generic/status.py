#!/usr/bin/env python3
"""Say how a job is: status.py JOB, a job as submit.py printed it."""

import sys

import schedulers

print(schedulers.status(sys.argv[1]))
