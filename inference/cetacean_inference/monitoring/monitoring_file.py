"""Reads the monitoring file: settings that change without a restart.

The operator writes it to a ConfigMap; the kubelet replaces the mounted file by swapping a symlink.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cetacean_registry.errors import describe

logger = logging.getLogger(__name__)

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class ServedModel(BaseModel):
    """A model as its pods name it in the headers of their answers."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(min_length=1, max_length=256)
    version: str = Field(min_length=1, max_length=256)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @property
    def identity(self) -> tuple[str, str, str]:
        """Name, version and digest of the weights."""
        return self.name, self.version, self.sha256


class KeepDisagreements(BaseModel):
    """Keep the pictures about which the models disagree, if a volume is mounted."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    max_items: int = Field(200, ge=1, le=10_000)
    """Most pictures on the volume, of all pods together; the oldest are removed first."""


class ShadowPlan(BaseModel):
    """Which share of the answered pictures is copied, and to whom."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: str = Field(min_length=1, max_length=128)
    """Changes with each candidate; counts begin at zero."""
    share: float = Field(gt=0, le=1, allow_inf_nan=False)
    url: str = Field(pattern=r"^http://[a-z0-9-]{1,63}\.[a-z0-9-]{1,63}\.svc$")
    """Of the candidate's Service."""
    peer_url: str | None = Field(None, pattern=r"^http://[a-z0-9-]{1,63}\.[a-z0-9-]{1,63}\.svc$")
    """Of the served model's Service, if it has several pods: shows how often what serves disagrees with itself."""
    candidate: ServedModel
    served: ServedModel
    max_latency_ratio: float = Field(1.5, gt=0, le=1000, allow_inf_nan=False)
    """A pair is slower if the candidate's networks took more than this times as long."""
    probability_offset: float = Field(0.0, ge=-1, le=1, allow_inf_nan=False)
    """The served model's mean probability on its evaluation set less the candidate's: what each expects of itself."""
    keep_disagreements: KeepDisagreements | None = None
    """None keeps no pictures, only digests and answers."""

    def counts_go_on(self, earlier: ShadowPlan) -> bool:
        """Return true if pairs of the earlier plan may be counted together with those of this one."""
        free = ("url", "peer_url", "keep_disagreements")
        return self.model_copy(update={name: getattr(earlier, name) for name in free}) == earlier


class Monitoring(BaseModel):
    """Content of the monitoring file; unknown fields come from a newer operator and are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    window: int = Field(1000, ge=1, le=1_000_000)
    """Number of predictions in the drift window."""
    min_samples: int = Field(50, ge=1)
    """With fewer predictions there is no alarm."""
    alarm_drop: float = Field(0.1, gt=0, le=1)
    """The alarm begins if the mean score is this far below the baseline."""
    answers_window: int = Field(200, ge=1, le=10_000)
    """Number of newest answers whose histograms and species are reported."""
    baselines: dict[str, Fraction] = Field(default_factory=dict)
    """Mean cetacean score of each model on its evaluation set, by the model's name."""
    shadow: ShadowPlan | None = None
    """None sends no copies."""

    @model_validator(mode="after")
    def _min_samples_fit_the_window(self) -> Self:
        if self.min_samples > self.window:
            raise ValueError(f"expected min_samples of at most window ({self.window}), got {self.min_samples}")
        return self


class MonitoringFile:
    """Reads the file again after it has changed; keeps the previous content if the new one cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._signature: tuple[int, ...] | None = None
        self._was_read = False

    def read_if_changed(self) -> Monitoring | None:
        """Return the content; None if it has not changed since the last call or cannot be read."""
        signature = self._current_signature()
        if self._was_read and signature == self._signature:
            return None
        self._was_read, self._signature = True, signature
        if signature is None:
            logger.warning("%s: there is no such file; without a baseline no drift alarm is raised", self._path)
            return None
        try:
            monitoring = Monitoring.model_validate_json(self._path.read_bytes())
        except OSError as error:
            logger.warning("%s: %s; the previous content stays in force", self._path, error.strerror)
            return None
        except ValidationError as error:
            logger.warning("%s: %s; the previous content stays in force", self._path, describe(error))
            return None
        logger.info("%s: window %d, baselines of %s", self._path, monitoring.window, sorted(monitoring.baselines))
        return monitoring

    def _current_signature(self) -> tuple[int, ...] | None:
        # stat() follows symlinks: a ConfigMap's new content is another file under the same name, often of equal size.
        try:
            found = self._path.stat()
        except OSError:
            return None
        return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
