"""Real, small models for demonstrations and end-to-end tests: trained here, on pictures drawn by program.

Nothing is downloaded. The checkpoints, the gate and the snapshots have exactly the formats of those in the field, so
the service and the operator treat them as any others.
"""

from __future__ import annotations

from cetacean_tools.demo_models.build import TrainingError, ensure_models
from cetacean_tools.demo_models.models import DemoModels

__all__ = ["DemoModels", "TrainingError", "ensure_models"]
