"""Whatever a client uploads: an answer in JSON below 500, whose `detail` is one line, and no picture is left waiting."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import FastAPI
from hypothesis import strategies as st
from PIL import Image
from starlette.types import Message
from support.fuzzing import assert_message, bounded, fuzzed, kept
from support.inference_world import FakePipeline, make_settings, start
from support.jpeg_scans import scans_jpeg
from support.mutations import mutated
from support.pictures import archive, encoded, picture, turned

from cetacean_inference.http.app import create_app
from cetacean_inference.serving.service import Service

BOUNDARY = "XyZ"
LONGEST_DETAIL = 600
FIELDS = {"mask", "probability", "bbox", "class_animal", "id_animal", "is_cetacean"}
IMAGES = {"max_bytes": 300_000, "max_pixels": 1_000_000}
ARCHIVES = {"max_bytes": 500_000, "max_entries": 50, "max_unpacked_bytes": 2_000_000}


@contextlib.contextmanager
def _serving() -> Iterator[FastAPI]:
    with tempfile.TemporaryDirectory() as directory:
        settings = make_settings(Path(directory), images=IMAGES, archives=ARCHIVES)
        service = Service(settings)
        start(service, FakePipeline())
        try:
            yield create_app(service)
        finally:
            assert service.close(timeout_seconds=10)


@cache
def _app() -> FastAPI:
    return kept(_serving())


class Answer(NamedTuple):
    """The response to one request."""

    status: int
    headers: dict[str, str]
    body: bytes


def asked(path: str, body: bytes, headers: dict[str, bytes], *, cut: int | None = None, method: str = "POST") -> Answer:
    """Send one request to the app, as a server does; with `cut` in two parts."""
    parts = [body] if cut is None else [body[:cut], body[cut:]]
    messages: list[Message] = [
        {"type": "http.request", "body": part, "more_body": number < len(parts)} for number, part in enumerate(parts, 1)
    ]
    sent: list[Message] = []

    async def call() -> None:
        async def receive() -> Message:
            if messages:
                return messages.pop(0)
            await asyncio.Event().wait()  # the client stays
            raise AssertionError

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(errors="replace"),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.lower().encode(), value) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        await _app()(scope, receive, send)

    with bounded(cpu_seconds=5.0, memory=512 * 2**20):
        asyncio.run(call())
    begin = sent[0]
    found = {name.decode(): value.decode("latin-1") for name, value in begin["headers"]}
    return Answer(begin["status"], found, b"".join(message.get("body", b"") for message in sent[1:]))


def check(answer: Answer, *, archive: bool = False) -> Any:
    """Check an answer to an upload; return its content."""
    assert answer.status < 500, answer
    assert answer.headers["content-type"] == "application/json", answer
    content = json.loads(answer.body, parse_constant=_no_constant)
    if answer.status == 200:
        for detection in content if archive else [content]:
            assert detection.keys() >= FIELDS
        return content
    assert content.keys() == {"detail"}
    assert_message(content["detail"], longest=LONGEST_DETAIL)
    return content


def check_form(answer: Answer) -> None:
    """Check an answer to any form: the sentence is one of the service's own, not FastAPI's for what it does not know."""
    assert "parsing the body" not in str(check(answer)), answer


def _no_constant(value: str) -> float:
    raise AssertionError(f"{value} is no JSON")


def form(content: bytes, *, field: str = "file", name: str = "a.png", kind: str = "image/png") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\nContent-Type: {kind}\r\n\r\n'
    return head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}".encode()}


FORM_PATHS = st.sampled_from(("/v1/predict-single", "/v1/predict-shadow", "/v1/predict-batch"))


def post(content: bytes) -> Answer:
    return asked("/v1/predict-single", form(content), FORM)


def samples() -> Iterator[bytes]:
    """Yield a small picture of each format that is taken, and of forms of it that are decoded by other code."""
    gradient = Image.linear_gradient("L").resize((24, 18))
    colours = Image.merge("RGB", (gradient, gradient.rotate(90), gradient))
    yield encoded(colours, "PNG")
    yield encoded(colours.convert("P"), "PNG")
    yield encoded(gradient.convert("I;16"), "PNG")
    yield encoded(colours.convert("RGBA"), "PNG", interlace=1)
    yield encoded(colours, "JPEG")
    yield encoded(colours, "JPEG", progressive=True)
    yield encoded(colours.convert("CMYK"), "JPEG")
    yield turned(colours, "JPEG")
    yield scans_jpeg([[0], [1], [2]], size=(48, 40), sampling=((2, 2), (1, 1), (1, 1))).whole
    yield scans_jpeg([[0], [1, 2]], size=(48, 40), interval=5).whole
    yield turned(colours, "PNG")
    yield encoded(colours, "WEBP")
    yield encoded(colours.convert("RGBA"), "WEBP", lossless=True)
    for compression in (None, "tiff_lzw", "tiff_deflate", "packbits", "jpeg"):
        yield encoded(colours, "TIFF", compression=compression)
    yield encoded(gradient.convert("1"), "TIFF", compression="group4")
    yield encoded(gradient.convert("F"), "TIFF")
    yield encoded(gradient.convert("I;16"), "TIFF")
    yield encoded(colours, "BMP")
    yield encoded(gradient, "BMP")
    yield encoded(colours, "MPO", save_all=True, append_images=[colours])


PICTURES = tuple(samples())


@fuzzed(mutated(PICTURES), examples=300)
def test_no_picture_is_answered_with_a_server_error(content: bytes) -> None:
    check(post(content))


@fuzzed(st.tuples(st.sampled_from(PICTURES), st.integers(0, 10**6)), examples=100)
def test_no_truncated_picture_is_answered_with_a_server_error(case: tuple[bytes, int]) -> None:
    content, at = case
    check(post(content[: at % len(content)]))


@fuzzed(
    st.tuples(st.sampled_from(("PNG", "JPEG", "WEBP")), st.integers(700, 1400), st.integers(700, 1400)), examples=40
)
def test_a_picture_is_refused_if_and_only_if_it_has_too_many_pixels(case: tuple[str, int, int]) -> None:
    kind, width, height = case
    answer = post(picture(size=(width, height), kind=kind))
    content = check(answer)
    allowed = width * height <= IMAGES["max_pixels"]
    assert answer.status == (200 if allowed else 413), content
    assert allowed or f"got {width}x{height}" in content["detail"]


PNG = picture()
FORMS = (
    form(PNG),
    form(PNG, kind="x" * 3000),
    form(PNG, kind="\x1b[31m"),
    form(PNG, name="=?utf-8?B?0LrQuNGC?="),
    form(PNG).replace(b'filename="a.png"', b"filename*=UTF-8''%d0%ba%d0%b8%d1%82.png"),
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="note"\r\n\r\nx\r\n'.encode() + form(PNG),
)
TYPES = st.sampled_from(
    (
        FORM["Content-Type"],
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b"multipart/form-data; boundary=" + b"x" * 500,
        b"multipart/form-data; boundary=\xff",
        b'multipart/form-data; boundary="XyZ"; charset=utf-16',
        b"multipart/form-data; charset=nonsense; boundary=XyZ",
        b"multipart/form-data; charset=idna; boundary=XyZ",
        b"multipart/form-data; charset=zip; boundary=XyZ",
        b"multipart/mixed; boundary=XyZ",
        b"application/x-www-form-urlencoded",
        b"",
    )
)


@fuzzed(st.tuples(FORM_PATHS, mutated(FORMS), TYPES, st.none() | st.integers(0, 300)), examples=300)
def test_no_form_is_answered_with_a_server_error(case: tuple[str, bytes, bytes, int | None]) -> None:
    path, body, kind, cut = case
    check_form(asked(path, body, {"Content-Type": kind}, cut=cut))


DISPOSITIONS = st.lists(
    st.sampled_from(
        (
            'name="file"',
            "name=file",
            'name="fi\\"le"',
            'filename="a.png"',
            "filename=",
            'filename="',
            "filename*=UTF-8''a.png",
            "filename*=x'y'%ff%zz",
            "filename*=utf-16''%00",
            "filename*0=a",
            "filename*0*=UTF-8''a; filename*1=b",
            "filename*99999999=a",
            'filename="=?utf-8?Q?=ff?="',
            'filename="=?x?B?!!!?="',
            'filename="=?unknown-8bit?q?=e9?="',
            'filename="=?idna?b?//8=?="',
            'filename="' + "=?utf-8?B?YQ==?= " * 200 + '"',
            'filename="\x00\x1b[31m"',
            "filename*=rot13''abc",
            "filename*=zip''abc",
            "form-data",
            ";" * 50,
            "x" * 3000,
            "name*=UTF-8''file",
        )
    )
    | st.text(max_size=20),
    max_size=5,
)


@fuzzed(st.tuples(FORM_PATHS, DISPOSITIONS), examples=300)
def test_no_disposition_is_answered_with_a_server_error(case: tuple[str, list[str]]) -> None:
    path, parts = case
    disposition = "; ".join(("form-data", 'name="file"', *parts))
    body = form(PNG).replace(b'form-data; name="file"; filename="a.png"', disposition.encode(errors="replace"))
    check_form(asked(path, body, FORM))


ARCHIVE = archive([("a.png", PNG), ("folder/b.jpg", PICTURES[4]), ("notes.txt", b"x")])


@fuzzed(mutated((ARCHIVE, archive([("a.png", PNG)] * 1, method=8), archive([]))), examples=150)
def test_no_archive_is_answered_with_a_server_error(content: bytes) -> None:
    body = form(content, field="archive", name="a.zip", kind="application/zip")
    check(asked("/v1/predict-batch", body, FORM), archive=True)


HEADERS = st.dictionaries(
    st.sampled_from(("Content-Length", "Expect", "X-Request-ID", "Accept", "Origin", "Transfer-Encoding", "Host")),
    st.sampled_from(
        (b"", b"-1", b"9" * 5000, b"\xff", b"100-continue", b"a\tb", "\u0661".encode(), b"1e9", b"*/*;q=x", b"x" * 9000)
    )
    | st.binary(max_size=20),
    max_size=4,
)
PATHS = st.sampled_from(
    (
        "/v1/predict-single",
        "/predict-batch",
        "/v1/identity",
        "/metrics",
        "/v2/models/x/ready",
        "/",
        "http://x/health",
        "http://[",
        "//",
        "*",
    )
) | st.text(max_size=20).map(lambda text: f"/v2/models/{text}/ready")


@fuzzed(st.tuples(PATHS, st.sampled_from(("GET", "HEAD", "POST", "OPTIONS", "PUT", "X")), HEADERS), examples=200)
def test_no_head_of_a_request_is_answered_with_a_server_error(case: tuple[str, str, dict[str, bytes]]) -> None:
    path, method, headers = case
    answer = asked(path, form(PNG), {**FORM, **headers}, method=method)
    assert answer.status < 500, answer
    if answer.status >= 400 and method != "HEAD":
        content = json.loads(answer.body)
        assert content.keys() == {"detail"}
        assert_message(content["detail"], longest=LONGEST_DETAIL)


def _form_parts() -> st.SearchStrategy[list[bytes]]:
    part: Callable[..., bytes] = lambda name, content: (  # noqa: E731
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + content + b"\r\n"
    )
    return st.lists(
        st.one_of(
            st.builds(part, st.sampled_from(("file", "note", "")), st.binary(max_size=50) | st.just(b"x" * 20_000)),
            st.just(form(PNG)[: -len(f"--{BOUNDARY}--\r\n")]),
            st.just(f"--{BOUNDARY}\r\n\r\n\r\n".encode()),
            st.just(f"--{BOUNDARY}--\r\n".encode()),
            st.just(b"preamble\r\n"),
        ),
        max_size=12,
    )


@fuzzed(st.tuples(FORM_PATHS, _form_parts()), examples=150)
def test_no_sequence_of_parts_is_answered_with_a_server_error(case: tuple[str, list[bytes]]) -> None:
    path, parts = case
    check_form(asked(path, b"".join(parts), FORM))
