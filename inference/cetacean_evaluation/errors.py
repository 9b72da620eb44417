"""One-line errors of an evaluation."""

from __future__ import annotations

from cetacean_registry.messages import LONGEST_MESSAGE, one_line


class EvaluationError(ValueError):
    """A split or a model that cannot be evaluated; the message names the file, what was expected and what came."""

    def __init__(self, message: str) -> None:
        """Keep the message on one line of bounded length, whatever the split holds."""
        super().__init__(one_line(message, longest=LONGEST_MESSAGE))
