"""Pages of other origins: off by default; with allowed origins, every answer may be read and a preflight is answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from support.inference_world import FakePipeline, client_of, make_settings
from support.pictures import picture

from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.serving.service import Service
from cetacean_inference.settings import Settings

ORIGIN = "https://whales.example.org"
LINEAGE = {"x-model-name", "x-model-version", "x-weights-sha256", "x-gate-threshold", "x-request-id"}


def preflight(origin: str = ORIGIN, method: str = "POST", headers: str = "content-type") -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }


async def predict(client: httpx.AsyncClient, data: bytes, *, origin: str = ORIGIN) -> httpx.Response:
    files = {"file": ("a.png", data, "image/png")}
    return await client.post("/v1/predict-single", files=files, headers={"Origin": origin})


async def test_by_default_no_page_of_another_origin_may_read_an_answer(client: httpx.AsyncClient) -> None:
    asked = await client.options("/v1/predict-single", headers=preflight())
    answer = await predict(client, picture())
    assert (asked.status_code, answer.status_code) == (405, 200)
    for one in (asked, answer):
        assert not [name for name in one.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("path", ["/v1/predict-single", "/predict-single", "/v1/predict-batch", "/v1/identity"])
async def test_a_preflight_of_an_allowed_origin_is_answered(service_of: Any, path: str) -> None:
    async with client_of(service_of(http={"allowed_origins": f"https://other.test, {ORIGIN}"})) as client:
        answer = await client.options(path, headers=preflight(headers="content-type, x-request-id"))
        metrics = (await client.get("/metrics")).text.splitlines()
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "X-Request-ID" in answer.headers["Access-Control-Allow-Headers"]
    assert "requests_total 0.0" in metrics, "a preflight is no prediction"


@pytest.mark.parametrize(
    "asked",
    [
        preflight(origin="https://evil.test"),
        preflight(origin=f"{ORIGIN}.evil.test"),
        preflight(origin="null"),
        preflight(method="DELETE"),
        preflight(headers="authorization"),
    ],
)
async def test_a_preflight_for_anything_else_is_refused(service_of: Any, asked: dict[str, str]) -> None:
    async with client_of(service_of(http={"allowed_origins": ORIGIN})) as client:
        assert (await client.options("/v1/predict-single", headers=asked)).status_code == 400


async def test_a_page_of_an_allowed_origin_may_read_every_answer_with_its_headers(
    service_of: Any, pipeline: FakePipeline, settings: Settings
) -> None:
    service = service_of(http={"allowed_origins": ORIGIN, "max_upload_bytes": 10**6}, images={"max_bytes": 10_000})
    async with client_of(service) as client:
        answers = [await predict(client, data) for data in (picture(), b"words", b"x" * 200_000)]
        pipeline.fails_on = lambda _: True
        answers.append(await predict(client, picture()))
        answers.append(await client.post("/v1/predict-single", headers={"Origin": ORIGIN}))
        answers.append(await client.get("/nowhere", headers={"Origin": ORIGIN}))
    assert [answer.status_code for answer in answers] == [200, 415, 413, 500, 422, 404]
    for answer in answers:
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "Origin" in answer.headers["Vary"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
        exposed = {name.strip().lower() for name in answer.headers["Access-Control-Expose-Headers"].split(",")}
        assert exposed >= LINEAGE | {"x-skipped-entries", "retry-after"}


async def test_a_page_may_read_that_the_weights_are_not_loaded(tmp_path: Path) -> None:
    service = Service(make_settings(tmp_path, http={"allowed_origins": ORIGIN}))
    async with client_of(service) as client:
        answer = await predict(client, picture())
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (503, ORIGIN)


async def test_a_page_of_another_origin_may_not_read_an_answer(service_of: Any) -> None:
    async with client_of(service_of(http={"allowed_origins": ORIGIN})) as client:
        answer = await predict(client, picture(), origin="https://evil.test")
        unasked = await client.get("/health")
    assert answer.status_code == 200, "the browser withholds it from the page"
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Access-Control-Allow-Origin" not in unasked.headers


async def test_every_origin_can_be_allowed(service_of: Any) -> None:
    async with client_of(service_of(http={"allowed_origins": "*"})) as client:
        answer = await predict(client, picture(), origin="https://any.test")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("given", "origins"),
    [
        (None, ()),
        ("", ()),
        ("*", ("*",)),
        (f"{ORIGIN},http://localhost:3000 , http://[::1]:80,", (ORIGIN, "http://localhost:3000", "http://[::1]:80")),
    ],
)
def test_origins_are_read_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, origins: tuple[str, ...]
) -> None:
    if given is not None:
        monkeypatch.setenv("CETACEAN_HTTP__ALLOWED_ORIGINS", given)
    assert make_settings(tmp_path).http.allowed_origins == origins


def test_origins_are_read_from_a_list_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "inference.yaml").write_text(f"http:\n  allowed_origins: [{ORIGIN}]\n")
    assert make_settings(tmp_path).http.allowed_origins == (ORIGIN,)


@pytest.mark.parametrize(
    "given", ["whales.example.org", f"{ORIGIN}/", f"{ORIGIN}/app", "ftp://a.test", "https://*.a.test", "null"]
)
def test_what_is_no_origin_is_an_error_in_one_line(tmp_path: Path, given: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"http\.allowed_origins") as caught:
        make_settings(tmp_path, http={"allowed_origins": given})
    assert "\n" not in str(caught.value)
