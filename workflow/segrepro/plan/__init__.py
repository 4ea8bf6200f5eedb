"""What the workflow's rules take and make: inputs, options and targets, as plain functions of the config.

The rule files only wire files and call these; each function's first argument is the `Plan`. Nothing here imports
Snakemake, but for `segrepro.plan.snake`, which holds all that touches its objects.
"""

from segrepro.plan.experiment import Plan

__all__ = ["Plan"]
