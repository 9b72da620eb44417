"""How well a model does on a labelled split of pictures, computed through the pipeline that serves.

`manifest` reads the split, `scoring` runs the pipeline over it, `figures` and `thresholds` are pure arithmetic on the
scores. Only `scoring` needs torch.
"""

from __future__ import annotations

from evaluation.errors import EvaluationError
from evaluation.figures import LOW_CONFIDENCE, Scored, SpeciesFigures, accepted, compute_snapshot, per_species
from evaluation.manifest import Picture, read_manifest
from evaluation.thresholds import Calibration, Operating, Rate, calibrate, sweep, wilson

__all__ = [
    "LOW_CONFIDENCE",
    "Calibration",
    "EvaluationError",
    "Operating",
    "Picture",
    "Rate",
    "Scored",
    "SpeciesFigures",
    "accepted",
    "calibrate",
    "compute_snapshot",
    "per_species",
    "read_manifest",
    "sweep",
    "wilson",
]
