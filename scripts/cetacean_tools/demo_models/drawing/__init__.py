"""Pictures drawn by program: the demo's whales and dolphins, and everything that is none.

Every picture is a function of integers (a seed, what is drawn, its number), so any of them can be drawn again alone.
"""

from __future__ import annotations

from cetacean_tools.demo_models.drawing.canvas import SIZE, FloatArray, Rgb
from cetacean_tools.demo_models.drawing.cetaceans import SPECIES, Individual, draw_aerial, draw_cetacean, individuals
from cetacean_tools.demo_models.drawing.others import OTHERS, draw_other
from cetacean_tools.demo_models.drawing.weather import WEATHERS, weather

__all__ = [
    "OTHERS",
    "SIZE",
    "SPECIES",
    "WEATHERS",
    "FloatArray",
    "Individual",
    "Rgb",
    "draw_aerial",
    "draw_cetacean",
    "draw_other",
    "individuals",
    "weather",
]
