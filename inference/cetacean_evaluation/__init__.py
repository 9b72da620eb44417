"""Evaluate a model on a labelled split of pictures, through the pipeline that serves.

`manifest` reads the split, `scoring` runs the pipeline over it (it alone needs torch), `figures` and `thresholds` are
pure arithmetic on the scores, `report` and `plots` show them, `commands` are the command lines.
"""

from __future__ import annotations

import cetacean_inference  # noqa: F401 - configures OpenMP before scikit-learn or torch is imported
