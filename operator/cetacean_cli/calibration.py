"""The anti-fraud gate's threshold, from `configs/anti_fraud_threshold.yaml`."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from cetacean_cli.errors import BadInputError
from cetacean_cli.yaml_file import read_yaml
from cetacean_registry.errors import describe
from cetacean_registry.figures import Fraction


class Calibration(BaseModel):
    """The content of `anti_fraud_threshold.yaml`."""

    model_config = ConfigDict(strict=True, extra="ignore")

    threshold: Fraction
    calibrated_at: str | None = None

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read the file.

        Raises:
            BadInputError: the file cannot be read, or has no valid threshold.
        """
        content = read_yaml(path)
        if isinstance(content, dict) and isinstance(content.get("calibrated_at"), date | float | int):
            # YAML reads a date without quotes as a date, and a year as a number, not as text.
            content["calibrated_at"] = str(content["calibrated_at"])
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise BadInputError(f"{path}: {describe(error)}") from error
