"""Pictures drawn by program: the demo's whales and dolphins, and scenes without them.

Every picture is a function of integers and names (a seed, the subject, a number), so each can be drawn again alone.
"""

from __future__ import annotations

from cetacean_tools.demo_models.drawing.cetaceans import SPECIES, Individual, draw_cetacean, individuals
from cetacean_tools.demo_models.drawing.scenes import SCENES, draw_scene
from cetacean_tools.demo_models.drawing.weather import WEATHERS, weather

__all__ = ["SCENES", "SPECIES", "WEATHERS", "Individual", "draw_cetacean", "draw_scene", "individuals", "weather"]
