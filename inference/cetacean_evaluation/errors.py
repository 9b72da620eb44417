"""One-line errors of an evaluation."""

from __future__ import annotations


class EvaluationError(ValueError):
    """A split or a model that cannot be evaluated; the message names the file, what was expected and what came."""
