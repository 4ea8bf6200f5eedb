"""Silhouettes of the sample's objects, parametric: every function jitters its own proportions.

No two cars are the same polygon. Strokes are at least 0.09 object units wide: a bicycle drawn 80 pixels wide has
bars of about 5 pixels, which logits at stride 8 can still learn.
"""

from segrepro.data.sample.shapes.creatures import CREATURES
from segrepro.data.sample.shapes.things import EXTRAS, FURNISHINGS, VEHICLES

# Silhouettes by VOC class, in VOC's (alphabetical) order, and by COCO category.
VOC_SHAPES = dict(sorted((VEHICLES | CREATURES | FURNISHINGS).items()))
EXTRA_SHAPES = dict(sorted(EXTRAS.items()))
SHAPES = VOC_SHAPES | EXTRA_SHAPES
