"""YAML text from outside. PyYAML raises many kinds of errors for values that do not fit their tags."""

from __future__ import annotations

from typing import Any

import yaml


def parse_yaml(text: str) -> Any:
    """Return the content of a YAML text.

    Raises:
        ValueError: the text is no YAML, or has a value that cannot be read; the message may have several lines.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        raise ValueError("more levels of nesting than can be read") from error
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:  # as for `!!int ''`
        raise ValueError("a value that does not fit its tag") from error
