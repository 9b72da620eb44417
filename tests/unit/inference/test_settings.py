"""Sources of settings, and the messages about wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from cetacean_inference.cli import main
from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.settings import Section, Settings, load_settings

MODEL = {"name": "tiny", "version": "1.0.0", "weights_url": "https://weights.test/a.ckpt"}


def load(directory: Path, **given: Any) -> Any:
    return load_settings(model=MODEL, config_dir=directory, **given)


def test_the_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.gate.threshold == 0.52
    assert (settings.gate.architecture, settings.gate.pretrained) == ("ViT-B-32", "laion2b_s34b_b79k")
    assert (settings.model.backbone, settings.model.input_size) == ("efficientnet_b4", 512)
    assert (settings.model.num_classes_head, settings.model.num_classes_active) == (15587, 13837)
    assert settings.http.port == 8080
    assert settings.batching.max_wait_seconds == 0


def test_the_operators_environment_variables_are_sufficient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "MODEL__NAME": "effb4_15k",
        "MODEL__VERSION": "1.0.0",
        "MODEL__ARCHITECTURE": "CetaceanIdentificationModel",
        "MODEL__WEIGHTS_URL": "hf://organisation/repository/a.ckpt",
        "MODEL__SHA256": "AB" * 32,
        "MODEL__INPUT_SIZE": "64",
        "GATE__THRESHOLD": "0.6",
        "GATE__CALIBRATED_AT": "2025-12-15",
        "WEIGHTS_CACHE": str(tmp_path / "cache"),
        "MONITORING_FILE": str(tmp_path / "monitoring.json"),
        "CONFIG_DIGEST": "c1",
        "ROLLOUT_ID": "r1",
        "CONFIG_DIR": str(tmp_path),
    }.items():
        monkeypatch.setenv(f"CETACEAN_{name}", value)
    settings = load_settings()
    assert settings.model.sha256 == "ab" * 32
    assert (settings.model.name, settings.model.input_size) == ("effb4_15k", 64)
    assert (settings.gate.threshold, settings.gate.calibrated_at) == (0.6, "2025-12-15")
    assert (settings.config_digest, settings.rollout_id) == ("c1", "r1")


def test_service_links_of_a_namespace_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "SERVICE_HOST", "SERVICE_PORT", "PORT_80_TCP_ADDR"):
        monkeypatch.setenv(f"CETACEAN_{name}", "tcp://10.0.0.1:80")
    assert load(tmp_path).http.port == 8080


def test_arguments_override_environment_files_and_defaults_in_this_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inference.yaml").write_text(
        "gate: {threshold: 0.1}\nhttp: {port: 1, retry_after_seconds: 7}\nlog: {level: ERROR}\n", encoding="utf-8"
    )
    (tmp_path / "anti_fraud_threshold.yaml").write_text("threshold: 0.2\ntpr: 0.95\n", encoding="utf-8")
    assert load(tmp_path).gate.threshold == 0.2
    monkeypatch.setenv("CETACEAN_HTTP__PORT", "2")
    monkeypatch.setenv("CETACEAN_LOG__LEVEL", "DEBUG")
    settings = load(tmp_path, log={"level": "WARNING"})
    assert (settings.http.port, settings.http.retry_after_seconds, settings.log.level) == (2, 7, "WARNING")


def test_the_calibration_file_can_disable_the_gate(tmp_path: Path) -> None:
    (tmp_path / "anti_fraud_threshold.yaml").write_text("threshold: 0.0\ncalibrated_at: 2025-12-15\n", encoding="utf-8")
    settings = load(tmp_path)
    assert (settings.gate.threshold, settings.gate.calibrated_at) == (0.0, "2025-12-15")


def test_the_repositorys_configuration_files_contain_the_defaults(tmp_path: Path) -> None:
    directory = Path(__file__).parents[3] / "configs"
    assert load(directory).model_dump(exclude={"config_dir"}) == load(tmp_path).model_dump(exclude={"config_dir"})


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"gate": {"threshold": 1.5}}, "gate.threshold"),
        ({"gate": {"treshold": 0.5}}, "gate.treshold"),
        ({"gate": {"config_url": "https://x/y"}}, "weights_url"),
        ({"gate": {"weights_url": "https://x/y", "config_sha256": "ab" * 32}}, "config_url"),
        ({"gate": {"weights_url": "https://x/y", "revision": "main"}}, "hf://…@revision"),
        ({"http": {"port": 70_000}}, "http.port"),
        ({"engine": {"name": "magic"}}, "engine.name"),
        ({"batching": {"max_size": 0}}, "batching.max_size"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(given: dict[str, Any], named: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load(tmp_path, **given)
    assert named in str(caught.value)
    assert caught.value.line.startswith("ConfigInvalid: ")
    assert "\n" not in caught.value.line


def test_a_digest_for_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CETACEAN_MODEL__FILES", '{"classes.npy": "' + "ab" * 32 + '"}')
    with pytest.raises(
        ConfigInvalid, match=r"expected the names encoder_classes\.npy and species_map\.csv, got classes"
    ):
        load(tmp_path)
    monkeypatch.setenv("CETACEAN_MODEL__FILES", "{")
    with pytest.raises(ConfigInvalid):
        load(tmp_path)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("name", ["MODEL__FILES", "MODEL", "SIGNATURE__KEYS"])
def test_json_that_is_nested_too_deep_is_an_error_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, opening: str
) -> None:
    # Newer versions of Python read some more levels before they give up.
    monkeypatch.setenv(f"CETACEAN_{name}", opening * 25_000)
    with pytest.raises(ConfigInvalid, match=r"error parsing value|expected JSON, got: ") as caught:
        load(tmp_path)
    assert "\n" not in caught.value.line
    assert len(caught.value.line) < 200


def test_all_missing_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"model\.name.*model\.weights_url"):
        load_settings(config_dir=tmp_path, model={"version": "1"})


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("inference.yaml", "- a list", "expected a mapping, got list"),
        ("inference.yaml", "a: [", "inference.yaml"),
        ("anti_fraud_threshold.yaml", "tpr: 0.9", "expected a key 'threshold'"),
        ("anti_fraud_threshold.yaml", "threshold: low", "gate.threshold"),
        (
            "anti_fraud_threshold.yaml",
            "threshold: " + "[" * 3000,
            "expected YAML, got: more levels of nesting than can be read",
        ),
        ("anti_fraud_threshold.yaml", "threshold: " + "9" * 5000, "expected YAML, got: Exceeds the limit"),
        ("anti_fraud_threshold.yaml", "calibrated_at: 2026-02-30", "expected YAML, got: day is out of range"),
        ("anti_fraud_threshold.yaml", "threshold: !!int ''", "expected YAML, got: a value that does not fit its tag"),
        ("anti_fraud_threshold.yaml", "? [a]\n: 1", "expected YAML, got: while constructing a mapping"),
        ("anti_fraud_threshold.yaml", "? " + "x" * 100_000 + "\n: 1", "expected a key 'threshold', got x{200}$"),
    ],
)
def test_a_wrong_file_is_named(name: str, content: str, named: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=named):
        load(tmp_path)


@pytest.mark.parametrize("url", ["ftp://a/b", "/a/b", "sftp://a/b"])
def test_a_url_of_another_scheme_is_an_error(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"weights_url.*expected http://"):
        load_settings(model={**MODEL, "weights_url": url}, config_dir=tmp_path)


@pytest.mark.parametrize("field", ["model", "gate"])
def test_a_url_with_a_password_is_refused_without_showing_it(tmp_path: Path, field: str) -> None:
    sections: dict[str, dict[str, str]] = {"model": MODEL, "gate": {}}
    sections[field] = sections[field] | {"weights_url": "https://user:secret@weights.test/a.ckpt?secret"}
    with pytest.raises(ConfigInvalid, match=f"{field}.weights_url: expected a URL without user:password@") as caught:
        load_settings(config_dir=tmp_path, **sections)
    assert "secret" not in str(caught.value)


UNUSABLE_URLS = [
    "http://[::1/x.safetensors",
    "https://[fd00::1/x.safetensors",
    "https://weights]/x.safetensors",
    "https://a\u2100b/x.safetensors",
    "https://weights.test:99999/x.safetensors",
    "https://weights.test:0/x.safetensors",
    "https://weights.test:port/x.safetensors",
    "https://:443/x.safetensors",
    "oci://registry.test/x",
    "oci://registry.test/x@sha256:12/x.safetensors",
    "hf://organisation",
    "pvc://claim",
    "s3://bucket",
    "file://[/x.safetensors",
]


@pytest.mark.parametrize("command", [["fetch"], ["serve"], ["prune"]])
@pytest.mark.parametrize("url", UNUSABLE_URLS)
def test_a_command_ends_with_one_line_about_a_url_that_cannot_be_used(
    url: str, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    message = tmp_path / "termination-log"
    message.touch()
    monkeypatch.setenv("CETACEAN_TERMINATION_MESSAGE_FILE", str(message))
    monkeypatch.setenv("CETACEAN_CONFIG_DIR", str(tmp_path))
    for field, value in MODEL.items():
        monkeypatch.setenv(f"CETACEAN_MODEL__{field.upper()}", value)
    for field in ("MODEL__WEIGHTS_URL", "MODEL__SIGNATURE_URL", "GATE__WEIGHTS_URL", "MASK__WEIGHTS_URL"):
        with monkeypatch.context() as inside:
            inside.setenv(f"CETACEAN_{field}", url)
            message.write_text("", encoding="utf-8")
            assert main(command) == 1
        line = message.read_text(encoding="utf-8")
        assert line.startswith(f"ConfigInvalid: {field.lower().replace('__', '.')}: expected ")
        assert capsys.readouterr().err == f"{line}\n"


@pytest.mark.parametrize(
    "endpoint",
    ["https://[::1", "https://hub.test:99999", "hub.test", "ftp://hub.test", "", "https://user:secret@hub.test"],
)
def test_an_endpoint_of_the_hub_that_cannot_be_used_is_an_error(endpoint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"^fetch\.hf_endpoint: expected ") as caught:
        load(tmp_path, fetch={"hf_endpoint": endpoint})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://[fd00::1]:8443/a.ckpt", "http://weights", "https://b\u00fccher.test/a.ckpt"])
def test_a_url_with_an_address_or_a_name_of_any_letters_is_taken(url: str, tmp_path: Path) -> None:
    assert load_settings(model={**MODEL, "weights_url": url}, config_dir=tmp_path).model.weights_url == url


# --- numbers ---------------------------------------------------------------------------------------------------------


def numeric_settings(kinds: tuple[type, ...]) -> list[tuple[str, str]]:
    """Return the section and the name of each setting that is a number of these kinds, or none."""
    return [
        (section, name)
        for section, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
        for name, one in field.annotation.model_fields.items()
        if set(get_args(one.annotation) or (one.annotation,)) & set(kinds)
    ]


def test_there_are_settings_of_both_kinds_of_numbers() -> None:
    assert len(numeric_settings((float,))) > 20
    assert len(numeric_settings((int,))) > 20


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e999"])
@pytest.mark.parametrize(("section", "name"), numeric_settings((float,)))
def test_a_number_must_be_finite(
    section: str, name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"CETACEAN_{section.upper()}__{name.upper()}", value)
    with pytest.raises(ConfigInvalid, match=rf"^{section}\.{name}: "):
        load(tmp_path)


@pytest.mark.parametrize("value", ["no", "yes"])
@pytest.mark.parametrize(("section", "name"), numeric_settings((int, float)))
def test_a_word_for_true_or_false_is_no_number(section: str, name: str, value: str, tmp_path: Path) -> None:
    (tmp_path / "inference.yaml").write_text(f"{section}: {{{name}: {value}}}", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=rf"{section}\.{name}: expected a number"):
        load(tmp_path)


def test_a_threshold_that_yaml_reads_as_false_does_not_disable_the_gate(tmp_path: Path) -> None:
    (tmp_path / "anti_fraud_threshold.yaml").write_text("threshold: no", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=r"^gate\.threshold: expected a number .*got False"):
        load(tmp_path)


def test_the_two_ports_must_differ(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"http: expected two different ports, got 9000 for both"):
        load(tmp_path, http={"port": 9000, "internal_port": 9000})
    assert load(tmp_path, http={"port": 0, "internal_port": 0}).http.port == 0
