"""All settings of the inference service.

Sources in order of precedence: arguments, environment (`CETACEAN_`, nested by `__`), `anti_fraud_threshold.yaml` and
`inference.yaml` in the configuration directory (`CETACEAN_CONFIG_DIR`, `configs` by default), the defaults below.
No field on the top level has the name of a Kubernetes service link (`CETACEAN_PORT`, `CETACEAN_SERVICE_HOST`).
"""

from __future__ import annotations

import datetime as dt
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from cetacean_inference.config_files import read_mapping, read_threshold
from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.messages import one_line
from cetacean_registry.companions import FileDigests
from cetacean_registry.errors import describe
from cetacean_registry.patterns import REVISION_PATTERN
from cetacean_registry.urls import redacted
from cetacean_registry.weights_schemes import NAMES, URL_EXPECTED, URL_PATTERN, scheme_of

DEFAULT_CONFIG_DIR = Path("configs")
SETTINGS_FILE = "inference.yaml"
THRESHOLD_FILE = "anti_fraud_threshold.yaml"
KIB, MIB, GIB = 2**10, 2**20, 2**30
U2NET_URL = "https://github.com/danielgatis/rembg/releases/download/v0.0.0/u2net.onnx"
_ADDRESS_EXPECTED = "expected a URL whose host is a name or an address, and whose port is 1 to 65535"
U2NET_SHA256 = "8d10d2f3bb75ae3b6d527c77944fc5e7dcd94b29809d47a739a7a728a912b491"


def _iso(value: object) -> object:
    # YAML parses an unquoted 2025-12-15 as a date.
    return value.isoformat() if isinstance(value, dt.date) else value


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _known_scheme(url: str) -> str:
    if scheme_of(url) not in (*NAMES, "file"):
        raise ValueError(f"expected {', '.join(f'{name}://' for name in NAMES)} or file://")
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise ValueError("expected a URL without user:password@, which logs would show; give a signed URL")
    if scheme_of(url) != "file" and not re.fullmatch(URL_PATTERN, url):
        raise ValueError(URL_EXPECTED)
    return _splittable(url)


def _splittable(url: str) -> str:
    """Check what a pattern cannot: brackets, the port, and letters that become another host's if they are normalised.

    Raises:
        ValueError: the URL has no parts that could be requested.
    """
    try:
        parts = urlsplit(url)
        with_host = scheme_of(url) not in ("http", "https") or (parts.hostname and parts.port != 0)
    except ValueError as error:
        raise ValueError(f"{_ADDRESS_EXPECTED} ({one_line(error)})") from error
    if not with_host:
        raise ValueError(_ADDRESS_EXPECTED)
    return url


def _address(url: str) -> str:
    if scheme_of(url) not in ("http", "https"):
        raise ValueError("expected http:// or https://")
    return _known_scheme(url)


Sha256 = Annotated[
    str, BeforeValidator(lambda v: v.lower() if isinstance(v, str) else v), Field(pattern=r"^[0-9a-f]{64}$")
]
Url = Annotated[str, AfterValidator(_known_scheme)]
Address = Annotated[str, AfterValidator(_address)]
"""The URL of a server."""
Origin = Annotated[
    str, Field(pattern=r"^(\*|https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-fA-F:.]+\](:[0-9]{1,5})?)$")
]
Origins = Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_split)]


class Section(BaseModel):
    """A group of settings; an unknown name is an error, so that a misspelt setting does not keep its default."""

    # Without a finite bound, a time never ends and a limit limits nothing.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        # YAML reads `no` as false, which pydantic takes for 0.
        annotation = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and annotation is not bool:
            raise ValueError("expected a number or a text")
        return value


class ModelSettings(Section):
    """The active registry entry."""

    name: str = Field(min_length=1, description="Name of the registry entry.")
    version: str = Field(min_length=1, description="Version of the registry entry; `model_version` in answers.")
    architecture: str = Field("CetaceanIdentificationModel", description="Which model class reads the checkpoint.")
    weights_url: Url = Field(
        description="Checkpoint, best a .safetensors file; the class and species files lie in the same folder."
    )
    sha256: Sha256 | None = Field(
        None, description="Digest of the checkpoint; without it the weights are not verified, and a pickle is refused."
    )
    backbone: str = Field("efficientnet_b4", description="timm name of the backbone.")
    input_size: int = Field(512, ge=16, le=2048, description="Side of the square input, in pixels.")
    embedding_size: int = Field(512, ge=1, description="Length of the embedding that is compared.")
    num_classes_head: int = Field(15_587, ge=1, description="Rows of the ArcFace head.")
    num_classes_active: int = Field(13_837, ge=1, description="Known individuals: the first rows of the head.")
    files: FileDigests = Field(
        {}, description="Digests of encoder_classes.npy and species_map.csv by these names, as JSON."
    )
    signature_url: Url | None = Field(
        None,
        description="Signature of these files; by default the weights' URL with `.sig`, else `model.sig` beside them.",
    )


class GateSettings(Section):
    """The anti-fraud gate: an open_clip model and its threshold."""

    threshold: float = Field(0.52, ge=0.0, le=1.0, description="Smallest cetacean score accepted; 0.0 accepts all.")
    calibrated_at: Annotated[str | None, BeforeValidator(_iso)] = Field(
        None, description="When the threshold was calibrated."
    )
    architecture: str = Field("ViT-B-32", description="open_clip model name.")
    pretrained: str | None = Field(
        "laion2b_s34b_b79k", description="open_clip pretrained tag; unused with `weights_url`."
    )
    revision: Annotated[str, Field(pattern=REVISION_PATTERN)] | None = Field(
        None, description="Branch, tag or commit of the pretrained tag's repository on the Hub."
    )
    config_url: Url | None = Field(None, description="open_clip model config (JSON) of a custom gate.")
    config_sha256: Sha256 | None = Field(None, description="Digest of that configuration.")
    weights_url: Url | None = Field(
        None, description="State dict of a custom gate, best a .safetensors file; a .pt file needs `sha256`."
    )
    sha256: Sha256 | None = Field(None, description="Digest of the gate's weights, also of a pretrained tag's.")

    @model_validator(mode="after")
    def _custom_gate_is_complete(self) -> Self:
        if self.config_url and self.weights_url is None:
            raise ValueError("config_url describes a custom gate: expected weights_url too")
        if self.config_sha256 and self.config_url is None:
            raise ValueError("expected config_url too, beside config_sha256")
        if self.revision and self.weights_url:
            raise ValueError("revision is the pretrained tag's: expected it in weights_url (hf://…@revision)")
        return self


class FetchSettings(Section):
    """Downloading weights into the cache."""

    max_bytes: int = Field(8 * GIB, ge=1, description="Largest file that is downloaded.")
    max_companion_bytes: int = Field(
        16 * MIB,
        ge=1,
        description="Largest `encoder_classes.npy`, `species_map.csv` and configuration of a gate, which are read into "
        "memory; those of 15,587 individuals have 2 MiB.",
    )
    cache_limit_bytes: int = Field(
        20 * GIB,
        ge=1,
        description="A fetch that would exceed this size evicts the files that were not used for the longest time.",
    )
    keep_unused_seconds: float = Field(
        600.0,
        ge=0,
        description="A fetch never evicts files used more recently; `prune` removes all older ones.",
    )
    attempts: int = Field(6, ge=1, description="Tries per file before giving up.")
    backoff_initial_seconds: float = Field(0.5, ge=0, description="First pause between tries; doubles each time.")
    backoff_max_seconds: float = Field(30.0, ge=0, description="Longest pause between tries.")
    connect_timeout_seconds: float = Field(10.0, gt=0, description="Time allowed to connect.")
    read_timeout_seconds: float = Field(60.0, gt=0, description="Longest silence while bytes are awaited.")
    min_bytes_per_second: int = Field(
        32 * KIB, ge=1, description="Least average rate of a download; it bounds the time for a file of `max_bytes`."
    )
    min_rate_after_seconds: float = Field(
        600.0, gt=0, description="Time for a file, its retries and pauses before the least rate counts."
    )
    lock_timeout_seconds: float = Field(1800.0, gt=0, description="How long to wait for another pod's download.")
    progress_interval_seconds: float = Field(5.0, ge=0, description="Time between progress lines.")
    shared_cache: bool = Field(
        False,
        description="Other pods can write to the weights cache, and are not trusted: files without a digest and "
        "converted networks are kept in `own_cache`, and verified files are copied before they are loaded.",
    )
    allow_unverified_pickle: bool = Field(
        False,
        description="Load a pickled checkpoint (.ckpt, .pt) without a sha256 too; a .safetensors file needs none.",
    )
    hf_endpoint: Address = Field("https://huggingface.co", description="Where hf:// and open_clip's models come from.")
    credentials: Path | None = Field(
        None, description="Folder with a file for each key of a Secret; docs/weights.md lists the keys."
    )
    ca_bundle: Path | None = Field(
        None, description="File of certificates (PEM) that are trusted in addition to the system's."
    )
    volumes: Path = Field(Path("/mnt/weights"), description="Where the volumes of oci:// and pvc:// are mounted.")

    def of_companions(self) -> Self:
        """Return the settings for files that are read into memory."""
        return self.model_copy(update={"max_bytes": min(self.max_bytes, self.max_companion_bytes)})


class SignatureSettings(Section):
    """Who must have signed the weights (OpenSSF Model Signing); nobody if both lists are empty."""

    keys: tuple[Path, ...] = Field((), description="Files of trusted public keys (PEM), as a JSON list.")
    certificates: tuple[Path, ...] = Field(
        (), description="Files of trusted certificates (PEM), which may issue those that sign, as a JSON list."
    )
    require: bool = Field(True, description="False: a missing or wrong signature is reported, and ends nothing.")


class EngineSettings(Section):
    """The engine that computes the networks."""

    name: Literal["auto", "torch-eager", "openvino"] = Field(
        "auto",
        description="`auto` is the engine that is measured to be the fastest on this processor, among those that are "
        "available and agree with `torch-eager`; a named engine is never replaced.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="`auto` is CUDA if there is a device.")
    threads: int | None = Field(
        None, ge=1, description="Threads that compute; by default `OMP_NUM_THREADS`, else the CPU quota."
    )
    max_score_deviation: float = Field(
        0.005, gt=0, description="Largest difference of cetacean_score from eager's on generated pictures."
    )
    max_probability_deviation: float = Field(
        0.0005,
        gt=0,
        description="Largest difference of an individual's probability from eager's on generated pictures.",
    )


class HttpSettings(Section):
    """The HTTP server."""

    host: str = Field("0.0.0.0", description="Address to listen on.")  # noqa: S104 - a pod serves on all its addresses
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    internal_port: int = Field(
        8081,
        ge=0,
        le=65535,
        description="Port of the pod, and of no Service, that answers about pictures of other clients "
        "(`/v1/shadow-disagreements`); 0: none. If it is taken, the process serves without it.",
    )
    grace_period_seconds: int = Field(
        20, ge=1, description="Time to answer the requests in progress after SIGTERM; then the process ends."
    )
    head_timeout_seconds: float = Field(
        10.0,
        gt=0,
        description="Time for the first line and the headers of a request, and for the rest of a body that is not read "
        "because the request has been answered; then the connection is closed.",
    )
    send_timeout_seconds: float = Field(
        60.0,
        gt=0,
        description="Time for a client to take an answer, or 1 MiB of it; then the connection is closed.",
    )
    max_connections: int = Field(
        1024,
        ge=1,
        description="Connections of both ports; with one more, the one is closed whose client has longest not "
        "completed its request or not taken its answer.",
    )
    upload_timeout_seconds: float = Field(60.0, gt=0, description="Time for a request's body to arrive; then 408.")
    max_upload_bytes: int = Field(
        GIB, ge=1, description="Most bytes of request bodies held or announced at once; beyond it 429."
    )
    timeout_seconds: float = Field(30.0, gt=0, description="Time to answer one picture; then 504.")
    archive_timeout_seconds: float = Field(600.0, gt=0, description="Time to answer an archive; then 504.")
    retry_after_seconds: int = Field(1, ge=0, description="`Retry-After` of 429 and 503.")
    keep_alive_seconds: int = Field(75, ge=1, description="How long an idle connection is kept.")
    allowed_origins: Origins = Field(
        (),
        description="Origins whose pages may read the answers in a browser (CORS), separated by commas, such as "
        "`https://whales.example.org`; `*` is every origin. None by default.",
    )

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.port and self.port == self.internal_port:
            raise ValueError(f"expected two different ports, got {self.port} for both")
        return self


class ImageSettings(Section):
    """Bounds of pictures."""

    max_bytes: int = Field(25 * MIB, ge=1, description="Largest file.")
    max_pixels: int = Field(64_000_000, ge=1, description="Largest width x height; checked before decoding.")
    max_proportion: float = Field(100.0, ge=1, description="Longest side by shortest side.")
    decode_cpu_seconds: float = Field(
        5.0, gt=0, le=600, description="Processor time to decode and resize one picture; then 413."
    )


class ArchiveSettings(Section):
    """Bounds of archives."""

    max_bytes: int = Field(256 * MIB, ge=1, description="Largest archive.")
    max_entries: int = Field(1000, ge=1, description="Most entries of any kind.")
    max_unpacked_bytes: int = Field(GIB, ge=1, description="Most unpacked bytes of all entries together.")
    max_ratio: float = Field(
        1100.0,
        ge=1,
        description="Unpacked by packed size of one entry larger than 1 MiB; beyond it the entry is corrupted. "
        "Pictures of one colour reach 1032.",
    )


class BatchingSettings(Section):
    """Batching of pictures for the model."""

    max_size: int = Field(4, ge=1, description="Most pictures computed at once.")
    max_wait_seconds: float = Field(0.0, ge=0, description="How long a batch waits for more pictures.")
    queue_size: int = Field(64, ge=1, description="Most pictures admitted at once; beyond it 429.")
    prepare_threads: int = Field(2, ge=1, description="Processes that decode and resize.")


class DriftSettings(Section):
    """Drift detection; window, bounds and baselines are in the monitoring file."""

    recovery: float = Field(
        0.8, gt=0, le=1, description="An alarm ends if the drop is below this fraction of alarm_drop."
    )
    adwin_delta: float = Field(0.002, gt=0, lt=1, description="ADWIN's confidence; smaller is less sensitive.")
    poll_seconds: float = Field(5.0, gt=0, description="How often the monitoring file is checked.")


class ShadowSettings(Section):
    """Copies of answered pictures that are sent to a candidate; which and where to is in the monitoring file."""

    max_pictures: int = Field(64, ge=1, description="Most copies kept at once; more are dropped and counted.")
    max_bytes: int = Field(64 * MIB, ge=1, description="Most bytes of copies kept at once.")
    timeout_seconds: float = Field(30.0, gt=0, description="Time for the candidate's answer; then it has failed.")
    keep_folder: Path | None = Field(
        None, description="Folder for the pictures of `keepDisagreements`; the operator sets it if it mounts a volume."
    )
    keep_max_bytes: int = Field(
        GIB, ge=1, description="Most bytes of the pictures in that folder; the oldest are removed first."
    )


class MaskSettings(Section):
    """Pictures without their background, by rembg; needs the extra `cetacean[mask]`, which the default image lacks."""

    enabled: bool = Field(
        False, description="If true, answers to single pictures contain a mask; needs `cetacean[mask]`."
    )
    weights_url: Url = Field(U2NET_URL, description="U2-Net in ONNX, or a variant: u2netp, silueta.")
    sha256: Sha256 = Field(U2NET_SHA256, description="Digest of these weights; another URL needs another digest.")
    timeout_seconds: float = Field(5.0, gt=0, description="Time for a mask, including waiting; then it is null.")
    queue_size: int = Field(4, ge=1, description="Most masks in progress or waiting; beyond it they are null.")
    max_pixels: int = Field(16_000_000, ge=1, description="Largest width x height that gets a mask.")
    threads: int = Field(1, ge=1, description="Threads that compute masks.")

    @model_validator(mode="after")
    def _digest_belongs_to_url(self) -> Self:
        if self.weights_url != U2NET_URL and self.sha256 == U2NET_SHA256:
            raise ValueError(f"expected the sha256 of {redacted(self.weights_url)}, got the default's")
        return self


class LogSettings(Section):
    """Log lines, on standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe level that is logged."
    )
    format: Literal["json", "text"] = Field("json", description="One JSON object a line, or text for people.")


class Environment(EnvSettingsSource):
    """The variables of the environment, of which those of lists and mappings are JSON."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """Read JSON.

        Raises:
            ValueError: it is none, or is nested too deep.
        """
        try:
            return super().decode_complex_value(field_name, field, value)
        except RecursionError as error:
            raise ValueError(f"expected JSON, got: {one_line(error)}") from error


class Settings(BaseSettings):
    """All settings; `load_settings` builds them with one-line errors."""

    model_config = SettingsConfigDict(
        env_prefix="CETACEAN_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        protected_namespaces=(),
    )

    model: ModelSettings
    gate: GateSettings = GateSettings()
    fetch: FetchSettings = FetchSettings()
    signature: SignatureSettings = SignatureSettings()
    engine: EngineSettings = EngineSettings()
    http: HttpSettings = HttpSettings()
    images: ImageSettings = ImageSettings()
    archives: ArchiveSettings = ArchiveSettings()
    batching: BatchingSettings = BatchingSettings()
    drift: DriftSettings = DriftSettings()
    shadow: ShadowSettings = ShadowSettings()
    mask: MaskSettings = MaskSettings()
    log: LogSettings = LogSettings()

    weights_cache: Path = Field(Path("/var/cache/cetacean"), description="Content-addressed cache of weights.")
    own_cache: Path = Field(
        Path("/tmp/cetacean-cache"),  # noqa: S108 - in a pod, a volume of its own
        description="Cache that no other pod can write to; used only if `fetch.shared_cache` is true.",
    )
    monitoring_file: Path = Field(
        Path("/etc/cetacean/monitoring/monitoring.json"), description="Drift settings and baselines; re-read on change."
    )
    termination_message_file: Path = Field(
        Path("/dev/termination-log"), description="Where the reason of a fatal error is written, if the file exists."
    )
    config_dir: Path = Field(DEFAULT_CONFIG_DIR, description="Directory of the YAML files.")
    config_digest: str | None = Field(
        None, description="The operator's digest of the configuration, repeated in /v1/identity."
    )
    rollout_id: str | None = Field(None, description="The operator's rollout id, repeated in /v1/identity.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - replaced by ours
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources; the configuration directory comes from an argument or the environment."""
        given = init_settings().get("config_dir") or os.environ.get("CETACEAN_CONFIG_DIR")
        directory = Path(given) if given else DEFAULT_CONFIG_DIR
        return (
            init_settings,
            Environment(settings_cls),
            InitSettingsSource(settings_cls, read_threshold(directory / THRESHOLD_FILE)),
            InitSettingsSource(settings_cls, read_mapping(directory / SETTINGS_FILE)),
        )


def load_settings(**overrides: Any) -> Settings:
    """Read all sources.

    Raises:
        ConfigInvalid: one line that names each wrong or missing setting.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise ConfigInvalid(describe(error)) from error
    except SettingsError as error:
        raise ConfigInvalid(f"{error}: {error.__cause__}") from error
