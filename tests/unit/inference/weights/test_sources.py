"""Each scheme of the registry's format has one source, and an unknown one is an error of one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.settings import FetchSettings
from cetacean_inference.weights.sources import CREDENTIAL_KEYS, SOURCES, sibling, source_of
from cetacean_inference.weights.sources.source import Source, Unavailable, Wanted
from cetacean_registry.weights_schemes import NAMES

PAGE = (Path(__file__).resolve().parents[4] / "docs/weights.md").read_text(encoding="utf-8")


def test_each_scheme_of_the_registry_names_a_class_that_reads_it() -> None:
    assert set(SOURCES) == {*NAMES, "file"}
    assert all(issubclass(kind, Source) for kind in SOURCES.values())


@pytest.mark.parametrize("url", ["ftp://host/a.ckpt?signature=secret", "a.ckpt", ""])
def test_an_unknown_scheme_is_an_error_of_one_line(url: str) -> None:
    calls: list[Callable[[], object]] = [lambda: source_of(url, FetchSettings()), lambda: sibling(url, "b")]
    for call in calls:
        with pytest.raises(ConfigInvalid, match="expected one of the schemes http, https, ") as caught:
            call()
        assert "secret" not in caught.value.line


def test_the_page_lists_each_key_of_credentials() -> None:
    assert all(f"`{key}`" in PAGE for key in CREDENTIAL_KEYS)


@pytest.mark.parametrize(
    ("url", "name", "expected"),
    [
        ("https://host/a/w.ckpt", "classes.npy", "https://host/a/classes.npy"),
        ("https://host/w.ckpt?token=x#part", "classes.npy", "https://host/classes.npy?token=x"),
        ("https://host/a%20b/w.ckpt", "species map.csv", "https://host/a%20b/species%20map.csv"),
        ("s3://bucket/a/w.ckpt", "a?b#c%.npy", "s3://bucket/a/a%3Fb%23c%25.npy"),
    ],
)
def test_a_companion_lies_in_the_folder_of_the_weights(url: str, name: str, expected: str) -> None:
    assert Source.sibling(url, name) == expected


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://host/a/w.ckpt?token=x#part", "w.ckpt"),
        ("https://host/a%2Fb%20c.ckpt", "b c.ckpt"),
        ("https://host/a/", ""),
    ],
)
def test_a_file_is_named_after_the_last_part_of_its_path(url: str, name: str) -> None:
    assert Source.file_name(url) == name


def test_an_answer_that_comes_later_is_waited_for_and_continued_unless_it_says_otherwise() -> None:
    error = Unavailable("https://host/w.ckpt: 503")
    assert (str(error), error.after_seconds, error.restart) == ("https://host/w.ckpt: 503", 0.0, False)
    error = Unavailable("no rest", after_seconds=3.0, restart=True)
    assert (error.after_seconds, error.restart) == (3.0, True)


def test_a_source_is_named_without_its_secrets() -> None:
    settings = FetchSettings()
    with source_of("https://user:secret@host/w.ckpt", settings) as source:
        assert (source.url, source.settings) == ("https://user:secret@host/w.ckpt", settings)
        assert "secret" not in source.name
        assert "host/w.ckpt" in source.name


@pytest.mark.parametrize(
    ("offset", "status", "refused"), [(0, 500, False), (1, 500, True), (1, 503, False), (0, 503, False), (1, 400, True)]
)
def test_a_rest_is_refused_by_an_error_unless_the_server_is_busy(offset: int, status: int, *, refused: bool) -> None:
    assert Wanted(offset, '"etag"').is_refused_by(status) is refused
