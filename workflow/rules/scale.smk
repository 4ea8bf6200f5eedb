# Before the config is complete: the package, and the overlay of the scale.
import os
import re
import sys
from pathlib import Path

sys.path.insert(
    0, f"{workflow.basedir}/workflow"
)  # the package of this checkout, before any installed one
# A file of the user in the run folder that is called like a module (csv.py) is nobody's to import.
os.environ.update(PYTHONSAFEPATH="1")

from segrepro.config.places import check_checkout, scale_overlay
from segrepro.plan.snake import in_words

with in_words():
    check_checkout(Path(str(workflow.basedir)))
    SCALE_OVERLAY = scale_overlay(
        Path(f"{workflow.basedir}/workflow/scales"), config["scale"]
    )
