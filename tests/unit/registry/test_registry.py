"""`models/registry.json`: valid files are read, invalid ones are rejected with a precise message."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cetacean_registry.errors import RegistryError
from cetacean_registry.metrics import load_snapshots
from cetacean_registry.registry import Registry, check_names

REPOSITORY = Path(__file__).resolve().parents[3]
DIGEST = "920467b4b8b632ce1e3dcc4d65e85ad484c5b2ddb3a062e20889dcf70d17a45b"
Json = dict[str, Any]


def parse(data: Json) -> Registry:
    return Registry.parse(json.dumps(data), source="models/registry.json")


def test_the_projects_own_registry_is_valid() -> None:
    registry = Registry.load(REPOSITORY / "models/registry.json")
    assert registry.active_model.name == "effb4_15k"
    assert registry.active_model.sha256 is None
    snapshots = load_snapshots(registry, REPOSITORY)
    assert snapshots["effb4_15k"].metrics.tnr == 0.902


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": None}, "models[0].name: Input should be a valid string, got None"),
        ({"name": "a b"}, "models[0].name: expected letters, digits, '-', '_' and '.', beginning and ending with"),
        ({"name": "-a"}, "models[0].name: expected letters"),
        ({"name": "a" * 64}, "models[0].name: String should have at most 63 characters"),
        ({"version": "v1"}, "models[0].version: expected a semantic version such as 1.2.0, got 'v1'"),
        ({"version": "1.0"}, "models[0].version: expected a semantic version such as 1.2.0, got '1.0'"),
        ({"version": "01.0.0"}, "models[0].version: expected a semantic version"),
        ({"architecture": ""}, "models[0].architecture: String should have at least 1 character, got ''"),
        ({"weights_url": "ftp://x/y"}, "models[0].weights_url: expected http://…, https://…, hf://organisation"),
        ({"weights_url": "file:///y"}, "got 'file:///y'"),
        (
            {"weights_url": "hf://org/repository"},
            "models[0].weights_url: expected http://…, https://…, hf://organisation",
        ),
        ({"weights_url": "https://"}, "models[0].weights_url: expected http://"),
        ({"sha256": "abc"}, "models[0].sha256: expected 64 hex digits, got 'abc'"),
        ({"sha256": DIGEST + "0"}, "models[0].sha256: expected 64 hex digits, got '9204"),
        ({"num_classes_head": 0}, "models[0].num_classes_head: Input should be greater than or equal to 1, got 0"),
        ({"deprecated": "perhaps"}, "models[0].deprecated: Input should be a valid boolean"),
        (
            {"num_classes_head": 10, "num_classes_active": 11},
            "models[0]: num_classes_active must be at most num_classes_head (10), got 11",
        ),
    ],
    ids=str,
)
def test_an_invalid_field_is_named_with_its_value(registry: Json, entry: Json, change: Json, expected: str) -> None:
    entry.update(change)
    with pytest.raises(RegistryError) as refused:
        parse(registry)
    message = str(refused.value)
    assert message.startswith("models/registry.json: ")
    assert expected in message
    assert "\n" not in message


def test_digests_of_other_files_are_refused(registry: Json, entry: Json) -> None:
    entry["files"] = {"a.npy": DIGEST, "b.csv": DIGEST}
    with pytest.raises(RegistryError) as refused:
        parse(registry)
    assert str(refused.value) == (
        "models/registry.json: models[0].files: expected the names encoder_classes.npy and species_map.csv, "
        "got a.npy, b.csv"
    )


@pytest.mark.parametrize("field", ["name", "version", "architecture", "weights_url"])
def test_a_missing_field_is_named(registry: Json, entry: Json, field: str) -> None:
    del entry[field]
    with pytest.raises(RegistryError, match=rf"^models/registry\.json: models\[0\]\.{field}: Field required$"):
        parse(registry)


def test_all_faults_are_reported_at_once(registry: Json, entry: Json) -> None:
    entry.update(version="x", sha256="y")
    with pytest.raises(RegistryError, match=r"models\[0\]\.version: .*; models\[0\]\.sha256: "):
        parse(registry)


def test_a_long_value_is_shortened(registry: Json, entry: Json) -> None:
    entry["sha256"] = "x" * 10_000
    with pytest.raises(RegistryError) as refused:
        parse(registry)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"active": "a",\n "models": [}', "models/registry.json:2:13: expected JSON, Expecting value"),
        ("", "models/registry.json:1:1: expected JSON"),
        ("[]", "models/registry.json: Input should be a valid dictionary"),
        ('{"models": []}', "models/registry.json: active: Field required"),
    ],
)
def test_an_invalid_file_is_reported_with_line_and_column(text: str, message: str) -> None:
    with pytest.raises(RegistryError) as refused:
        Registry.parse(text, source="models/registry.json")
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("version", ["2.0", "1", "one", "1.0.0"])
def test_another_schema_version_is_rejected(registry: Json, version: str) -> None:
    registry["schema_version"] = version
    with pytest.raises(RegistryError, match="schema_version"):
        parse(registry)


def test_names_must_be_unique_and_include_the_active_one(registry: Json, entry: Json) -> None:
    registry["models"].append(dict(entry))
    with pytest.raises(RegistryError, match=r"models: names must be unique, more than once: effb4_15k"):
        parse(registry)
    with pytest.raises(ValueError, match=r"^models: names must be unique, more than once: a, b$"):
        check_names("a", ["b", "a", "b", "c", "a"])
    with pytest.raises(ValueError, match=r"^active: 'c' is none of the models: a, b$"):
        check_names("c", ["a", "b"])


def test_a_registry_without_models_has_no_active_model(registry: Json) -> None:
    registry["models"] = []
    with pytest.raises(RegistryError, match="active: 'effb4_15k' is none of the models"):
        parse(registry)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"absent\.json: cannot be read: .*No such file"):
        Registry.load(tmp_path / "absent.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    with pytest.raises(RegistryError, match=r"bytes\.json: cannot be read: .*utf-8"):
        Registry.load(tmp_path / "bytes.json")


def test_an_invalid_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "registry.json"
    file.write_text("[]")
    with pytest.raises(RegistryError, match=rf"^{re.escape(str(file))}: Input should be a valid dictionary"):
        Registry.load(file)
    with pytest.raises(RegistryError, match=r"^document: Input should be a valid dictionary"):
        Registry.parse("[]")


def test_a_digest_is_compared_in_lower_case(registry: Json, entry: Json) -> None:
    entry["sha256"] = DIGEST.upper()
    assert parse(registry).active_model.sha256 == DIGEST


@pytest.mark.parametrize(
    "url",
    [
        "http://store.demo.svc:8000/weights/a.ckpt",
        "https://huggingface.co/0x0000dead/effb4/resolve/main/a.ckpt?download=true",
        "hf://0x0000dead/ecomarineai-cetacean-effb4/efficientnet_b4_512_fold0.ckpt",
        "hf://org/repository/folder/a.ckpt@v1.1.0",
    ],
)
def test_urls_that_a_pod_can_download_from_are_accepted(registry: Json, entry: Json, url: str) -> None:
    entry["weights_url"] = url
    assert parse(registry).active_model.weights_url == url


@pytest.mark.parametrize(
    "url",
    ["https://user:secret@host/a.ckpt", "http://secret@host", "https://secret@host:8000?a#b", "https://a@secret@c/d"],
)
def test_a_url_with_a_password_is_refused_without_showing_it(registry: Json, entry: Json, url: str) -> None:
    entry["weights_url"] = url
    with pytest.raises(
        RegistryError, match=r"weights_url: expected .*without user:password@, got 'https?://…@"
    ) as caught:
        parse(registry)
    assert "secret" not in str(caught.value)


def test_unknown_keys_are_kept(registry: Json, entry: Json) -> None:
    entry["experiment"] = {"run": 7}
    registry["generated_by"] = "notebook"
    assert json.loads(parse(registry).to_json()) == registry


names = st.from_regex(r"\A[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?\Z")
optional_text = st.none() | st.text(max_size=20)
entries = st.fixed_dictionaries(
    {
        "name": names,
        "version": st.from_regex(r"\A(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})\Z"),
        "architecture": st.text(min_size=1, max_size=20),
        "weights_url": st.just("https://example.org/a.ckpt"),
    },
    optional={
        "sha256": st.none() | st.from_regex(r"\A[0-9a-f]{64}\Z"),
        "trained_at": optional_text,
        "notes": optional_text,
        "deprecated": st.none() | st.booleans(),
        "input_size": st.none() | st.integers(1, 4096),
        "something_else": st.integers() | st.text(max_size=10),
    },
)


@given(st.lists(entries, min_size=1, max_size=4, unique_by=lambda item: item["name"]), st.data())
def test_a_registry_that_was_read_is_written_unchanged(models: list[Json], data: st.DataObject) -> None:
    active = data.draw(st.sampled_from([item["name"] for item in models]))
    document = {"schema_version": "1.0", "active": active, "models": models}
    read = parse(document)
    assert json.loads(read.to_json()) == document
    assert Registry.parse(read.to_json()) == read
    assert read.active_model is read.model(active)


def test_a_file_is_written_for_people_too(registry: Json, entry: Json) -> None:
    entry["notes"] = "Hyvää työtä"
    assert parse(registry).to_json() == json.dumps(registry, indent=2, ensure_ascii=False) + "\n"


def test_an_unknown_name_is_a_key_error(registry: Json) -> None:
    with pytest.raises(KeyError, match="nobody"):
        parse(registry).model("nobody")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("[" * 100_000, "more levels of nesting than can be read"),
        ("9" * 5000, "expected JSON with finite numbers"),
        ("NaN", "expected JSON with finite numbers, got: NaN"),
        ("-Infinity", "expected JSON with finite numbers, got: -Infinity"),
        ("1e999", "expected JSON with finite numbers, got: 1e999"),
        (r'"\ud800"', "half of a surrogate pair"),
    ],
)
def test_json_that_cannot_be_written_again_is_an_error(value: str, expected: str) -> None:
    with pytest.raises(RegistryError, match=expected):
        Registry.parse(f'{{"note": {value}}}', source="models/registry.json")


def test_many_faults_are_one_line_of_bounded_length_with_their_number(registry: Json, entry: Json) -> None:
    registry["models"] = [{**entry, "version": "x\n" * 1000, "name": f"m{number}"} for number in range(500)]
    with pytest.raises(RegistryError, match=r"models\[0\]\.version: .*; and \d+ more$") as caught:
        parse(registry)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) <= 1700
