"""The page of disagreements: self-contained, without scripts, whatever names and pictures it shows."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.pictures import encoded, picture

from cetacean_cli.disagreements import Answer, ComparedModel, Disagreement, Merged
from cetacean_cli.disagreements_page import media_type, page

TAGS = {
    "html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "p", "em", "dl", "dt", "dd", "main", "article",
    "div", "section", "table", "thead", "tbody", "tr", "th", "td", "code", "meter", "img",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "http-equiv", "content", "name", "class", "scope", "min", "max", "value", "alt", "src",
}  # fmt: skip


def answer(species: str = "orca", individual: str = "a1", *, accepted: bool = True, probability: float = 0.9) -> Answer:
    return Answer(accepted=accepted, species=species, individual=individual, score=0.75, probability=probability)


def merged(*items: Disagreement, name: str = "next") -> Merged:
    models = (ComparedModel(name=label, version="1.0.0", sha256="a" * 64) for label in ("first", name))
    served, candidate = models
    return Merged(run="one", served=served, candidate=candidate, disagreements=items)


def disagreement(served: Answer, candidate: Answer, number: int = 1) -> Disagreement:
    return Disagreement(f"{number:064x}", served, candidate, ("w-1",))


class Parsed(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_both_answers_stand_side_by_side() -> None:
    parsed = Parsed(
        page("cetaceanmodel sea/whales", merged(disagreement(answer(), answer("beluga", "b1"))), lambda _: None)
    )
    text = " ".join(" ".join(parsed.texts).split())
    assert "1. Different species" in text
    assert "Species orca beluga" in text
    assert "Individual a1 b1" in text
    assert "Probability 0.9000 0.9000" in text
    assert "The picture is not kept" in text


def test_a_rejected_picture_has_a_score_and_no_species() -> None:
    parsed = Parsed(page("r", merged(disagreement(answer(), answer("unknown", "", accepted=False))), lambda _: None))
    text = " ".join(" ".join(parsed.texts).split())
    assert "One model accepts the picture, the other rejects it" in text
    assert "Gate accepts, score 0.7500 rejects, score 0.7500" in text
    assert "Species orca -" in text


def test_nothing_is_loaded_from_elsewhere_and_the_policy_forbids_it() -> None:
    text = page("r", merged(disagreement(answer(), answer("beluga"))), lambda _: picture())
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert style is not None
    assert policy is not None
    hashed = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy[1] == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashed}'; base-uri 'none'; form-action 'none'"
    )
    assert "://" not in text
    assert "url(" not in text
    sources = [value for name, value in Parsed(text).attributes if name == "src"]
    assert sources == [f"data:image/png;base64,{base64.b64encode(picture()).decode()}"]


HOSTILE = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)", "</style><script>",
    "<!--", "]]>", "&lt;script&gt;", "javascript:alert(1)", "</td></tr></table><iframe src=//evil>", "</title><svg onload=x>",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_shown_as_text_whatever_it_is(name: str) -> None:
    items = (disagreement(answer(name, name), answer("beluga", name)),)
    parsed = Parsed(page(name, merged(*items, name=name), lambda _: None))
    assert set(parsed.tags) <= TAGS
    assert {attribute for attribute, _ in parsed.attributes} <= ATTRIBUTES
    assert "".join(parsed.texts).count(name) >= 5


@given(st.text(st.characters(exclude_categories=("Cs", "Cc"))))
def test_no_name_becomes_a_tag_or_an_attribute(name: str) -> None:
    items = (disagreement(answer(name, name), answer("beluga", name)),)
    parsed = Parsed(page(name, merged(*items, name=name), lambda _: None))
    assert set(parsed.tags) <= TAGS
    assert {attribute for attribute, _ in parsed.attributes} <= ATTRIBUTES


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (picture(kind="PNG"), "image/png"),
        (picture(kind="JPEG"), "image/jpeg"),
        (picture(kind="WEBP"), "image/webp"),
        (picture(kind="BMP"), "image/bmp"),
        (encoded(Image.new("RGB", (2, 2)), "TIFF"), None),
        (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', None),
        (b"<html>", None),
        (b"", None),
    ],
    ids=["png", "jpeg", "webp", "bmp", "tiff", "svg", "html", "empty"],
)
def test_only_formats_that_browsers_show_are_put_into_the_page(data: bytes, kind: str | None) -> None:
    assert media_type(data) == kind
    text = page("r", merged(disagreement(answer(), answer("beluga"))), lambda _: data)
    assert ("data:" + str(kind) in text) == (kind is not None)
    assert ("Browsers cannot show" in text) == (kind is None)


def test_a_page_without_disagreements_says_so() -> None:
    assert "No pod has listed a disagreement." in page("r", Merged(), lambda _: None)
