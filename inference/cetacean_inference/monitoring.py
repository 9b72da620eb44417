"""The monitoring file: what may change without a restart. The operator writes it, kubelet swaps it in by a symlink."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

logger = logging.getLogger(__name__)

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Monitoring(BaseModel):
    """Content of the monitoring file; fields it does not know are a newer operator's."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    window: int = Field(1000, ge=1, le=1_000_000)
    """How many predictions are looked at."""
    min_samples: int = Field(50, ge=1)
    """Fewer than these raise no alarm."""
    alarm_drop: float = Field(0.1, gt=0, le=1)
    """How far below the baseline the mean score must be."""
    baselines: dict[str, Fraction] = Field(default_factory=dict)
    """Mean cetacean score of each model on its evaluation set, by the model's name."""

    @model_validator(mode="after")
    def _an_alarm_is_possible(self) -> Self:
        if self.min_samples > self.window:
            raise ValueError(f"expected min_samples of at most window ({self.window}), got {self.min_samples}")
        return self


class MonitoringFile:
    """Reads the file again when it has changed; what cannot be read leaves things as they were."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] | None = None
        self._asked = False

    def changed(self) -> Monitoring | None:
        """The content, None when it is what it was before or cannot be read."""
        signature = self._signature()
        if self._asked and signature == self._seen:
            return None
        self._asked, self._seen = True, signature
        if signature is None:
            logger.warning("%s: there is no such file; without a baseline no drift alarm is raised", self._path)
            return None
        try:
            monitoring = Monitoring.model_validate_json(self._path.read_bytes())
        except OSError as error:
            logger.warning("%s: %s; going on as before", self._path, error.strerror)
            return None
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors(include_url=False)
            )
            logger.warning("%s: %s; going on as before", self._path, problems)
            return None
        logger.info("%s: window %d, baselines of %s", self._path, monitoring.window, sorted(monitoring.baselines))
        return monitoring

    def _signature(self) -> tuple[int, ...] | None:
        # Through symlinks: a ConfigMap's new content is another file under the same name, often of the same size.
        try:
            found = self._path.stat()
        except OSError:
            return None
        return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
