"""Multipart forms: file names of every client, forms that break off, and bounds."""

from __future__ import annotations

import encodings
from typing import Any

import httpx
import pytest
from starlette.formparsers import MultiPartException
from support.inference_world import client_of
from support.pictures import archive, picture

from cetacean_inference.http.multipart import file_name

SINGLE, BATCH, SHADOW = "/v1/predict-single", "/v1/predict-batch", "/v1/predict-shadow"
FORMS = {SINGLE: "file", "/predict-single": "file", SHADOW: "file", BATCH: "archive", "/predict-batch": "archive"}
"""Every endpoint that takes a form, and the field of its file."""
FORM, URLENCODED = "multipart/form-data", "application/x-www-form-urlencoded"
KINDS = {"file": "image/png", "archive": "application/zip"}


def part(disposition: str, data: bytes, kind: str = "image/png") -> bytes:
    """Return one part with its boundary before it."""
    head = f"--XyZ\r\nContent-Disposition: form-data; {disposition}\r\nContent-Type: {kind}\r\n\r\n"
    return head.encode() + data + b"\r\n"


def unknown_names() -> set[str]:
    """Return the names of no codec that Python was asked for; it never forgets one."""
    return {name for name, codec in encodings._cache.items() if codec is None}  # noqa: SLF001 - nothing public has them


def content_of(field: str) -> bytes:
    """Return a file that the endpoints with this field take."""
    return picture() if field == "file" else archive([("a.png", picture())])


async def test_every_endpoint_that_takes_a_form_is_tested_here(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()["paths"]
    bodies = {path: item.get("post", {}).get("requestBody", {}).get("content", {}) for path, item in described.items()}
    assert {path for path, kinds in bodies.items() if kinds.keys() & {FORM, URLENCODED}} == FORMS.keys()


async def send(
    client: httpx.AsyncClient, *parts: bytes, path: str = SINGLE, end: bytes = b"--XyZ--\r\n"
) -> httpx.Response:
    return await client.post(
        path, content=b"".join([*parts, end]), headers={"Content-Type": "multipart/form-data; boundary=XyZ"}
    )


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ('filename="whale.png"', "whale.png"),
        ("filename=whale.png", "whale.png"),
        ('filename="кит.png"', "кит.png"),
        ("filename*=utf-8''%D0%BA%D0%B8%D1%82.png", "кит.png"),
        ("filename*=UTF-8'ru'%D0%BA%D0%B8%D1%82.png", "кит.png"),
        ("filename*=iso-8859-1''%E9.png", "é.png"),
        ("filename*=nonsense''%E9.png", "é.png"),
        ("FileName*=utf-8''a.png", "a.png"),
        ("filename=\"=?utf-8?B?0LrQuNGCLnBuZw==?=\"; filename*=utf-8''%D0%BA%D0%B8%D1%82.png", "кит.png"),
        ("filename*=utf-8''%D0%BA%D0%B8%D1%82.png; filename=\"kit.png\"", "кит.png"),
        ('filename="=?utf-8?B?0LrQuNGCLnBuZw==?="', "кит.png"),
        ('filename="=?utf-8?Q?=D0=BA=D0=B8=D1=82.png?="', "кит.png"),
        ('filename="=?koi8-r?B?y8nULnBuZw==?="', "кит.png"),
        ('filename="=?nonsense?B?0LrQ?="', "=?nonsense?B?0LrQ?="),
        ('filename="a \\"b\\"; c.png"', 'a "b"; c.png'),
        ('filename=""', "unknown"),
        ("filename*=utf-8''", "unknown"),
        ('filename="../.."', "unknown"),
        ('filename="C:\\\\"', "unknown"),
    ],
)
async def test_the_files_name_is_read_in_every_form(client: httpx.AsyncClient, names: str, expected: str) -> None:
    answer = await send(client, part(f'name="file"; {names}', picture()))
    assert answer.status_code == 200, answer.text
    assert answer.json()["image_ind"] == expected


@pytest.mark.parametrize(
    ("disposition", "charset", "expected"),
    [
        ('name="file"; filename="кит.png"', "utf-8", "кит.png"),
        ('name="file"; filename="кит.png"', "koi8-r", "кит.png"),
        ('name="file"; filename="кит.png"', "cp866", "кит.png"),
        ('name="file"; filename="a\rb\nc.png"', "utf-8", "a b c.png"),
        ('name="file"', "utf-8", None),
    ],
)
def test_a_name_has_the_character_set_of_the_form(disposition: str, charset: str, expected: str | None) -> None:
    assert file_name(f"form-data; {disposition}".encode(charset), charset=charset) == expected


def test_a_name_of_an_unknown_character_set_is_read_byte_by_byte() -> None:
    assert file_name(b'form-data; filename="\xe9.png"', charset="nonsense") == "é.png"


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("multipart/form-data; charset={}; boundary=XyZ", 'filename="a.png"'),
        ("multipart/form-data; boundary=XyZ", "filename*={}''a.png"),
        ("multipart/form-data; boundary=XyZ", 'filename="=?{}?Q?a.png?="'),
    ],
    ids=["form", "extended", "encoded word"],
)
@pytest.mark.parametrize("charset", ["nonsense-of-a-client", "x" * 2000])
@pytest.mark.parametrize(("path", "field"), FORMS.items())
async def test_a_name_of_no_character_set_is_not_remembered(
    client: httpx.AsyncClient, path: str, field: str, kind: str, names: str, charset: str
) -> None:
    charset += f"{len(names)}{path.replace('/', '-')}"  # another one in each case
    before = unknown_names()
    content = part(f'name="{field}"; {names.format(charset)}', content_of(field), KINDS[field]) + b"--XyZ--\r\n"
    answer = await client.post(path, content=content, headers={"Content-Type": kind.format(charset)})
    assert answer.status_code == 200, answer.text
    assert unknown_names() == before


@pytest.mark.parametrize(
    "names", ["filename*=nonsense''a.png", 'filename="=?nonsense?Q?a.png?="'], ids=["extended", "encoded word"]
)
async def test_a_name_of_no_character_set_is_the_files_all_the_same(client: httpx.AsyncClient, names: str) -> None:
    answer = await send(client, part(f'name="file"; {names}', picture()))
    assert answer.json()["image_ind"].endswith(("a.png", "a.png?="))


@pytest.mark.parametrize("names", ["filename*=KOI8--_--R''a.png", 'filename="=?KOI8--_--R?Q?a.png?="'])
async def test_a_form_of_a_known_name_is_not_remembered_either(client: httpx.AsyncClient, names: str) -> None:
    kind = "multipart/form-data; charset=KOI8__-__R; boundary=XyZ"
    before = set(encodings._cache)  # noqa: SLF001 - nothing public has them
    content = part(f'name="file"; {names}', picture()) + b"--XyZ--\r\n"
    answer = await client.post(SINGLE, content=content, headers={"Content-Type": kind})
    assert answer.json()["image_ind"] == "a.png"
    assert {name for name in set(encodings._cache) - before if "__" in name or "--" in name} == set()  # noqa: SLF001


@pytest.mark.parametrize(
    "boundary", ['"a; charset=b"', '"a\\"; charset=b"', '"a\\\\\\"; charset=b"', '"a\\"b"', '"a\\\\"', "charset=b"]
)
async def test_a_boundary_has_any_characters(client: httpx.AsyncClient, boundary: str) -> None:
    plain = boundary.strip('"').replace('\\"', '"').replace("\\\\", "\\").encode()
    content = (part('name="file"; filename="a.png"', picture()) + b"--XyZ--\r\n").replace(b"--XyZ", b"--" + plain)
    answer = await client.post(
        SINGLE, content=content, headers={"Content-Type": f"multipart/form-data; boundary={boundary}"}
    )
    assert answer.status_code == 200, answer.text


async def test_a_form_names_its_character_set(client: httpx.AsyncClient) -> None:
    content = part('name="file"; filename="?.png"', picture()).replace(b"?", "кит".encode("koi8-r"), 1) + b"--XyZ--\r\n"
    kind = "multipart/form-data; charset=koi8-r; boundary=XyZ"
    answer = await client.post(SINGLE, content=content, headers={"Content-Type": kind})
    assert answer.json()["image_ind"] == "кит.png"


@pytest.mark.parametrize("charset", ["undefined", "idna", "punycode", "unicode-escape", "raw-unicode-escape"])
@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("multipart/form-data; charset={}; boundary=XyZ", 'filename="\xe9.png"'),
        ("multipart/form-data; boundary=XyZ", "filename*={}''%E9.png"),
        ("multipart/form-data; boundary=XyZ", 'filename="=?{}?Q?=E9.png?="'),
    ],
    ids=["form", "extended", "encoded word"],
)
async def test_400_for_a_codec_that_is_no_character_set(
    client: httpx.AsyncClient, charset: str, kind: str, names: str
) -> None:
    content = part(f'name="file"; {names.format(charset)}', picture()).replace(b"\xc3\xa9", b"\xe9", 1) + b"--XyZ--\r\n"
    answer = await client.post(SINGLE, content=content, headers={"Content-Type": kind.format(charset)})
    detail = f"expected a readable multipart form: expected a character set such as UTF-8, got {charset!r}"
    assert (answer.status_code, answer.json()) == (400, {"detail": detail})


@pytest.mark.parametrize("names", ["filename*=a\0b''a.png", 'filename="=?a\0b?Q?a?="'])
async def test_a_character_sets_name_has_any_characters(client: httpx.AsyncClient, names: str) -> None:
    answer = await send(client, part(f'name="file"; {names}', picture()))
    assert answer.status_code in {200, 400}
    assert "parsing the body" not in answer.text


LARGE_NUMBER = f"filename*{'9' * 5000}=a"
UNREADABLE = "expected readable parameters of Content-Disposition, got others"


def test_parameters_that_cannot_be_read_are_the_forms_fault() -> None:
    with pytest.raises(MultiPartException) as caught:
        file_name(f"form-data; {LARGE_NUMBER}".encode(), charset="utf-8")
    assert caught.value.message == UNREADABLE


async def test_a_name_in_parts_with_and_without_numbers_is_one_or_a_fault(client: httpx.AsyncClient) -> None:
    """Python 3.11 cannot read it, 3.13 can."""
    answer = await send(client, part("name=\"file\"; filename*0=a; filename*=rot13''abc", picture()))
    assert (answer.status_code == 200) != (UNREADABLE in answer.text)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("name*=utf-7''%2B2AA-", 422),
        ('name="fi\\"le"', 422),
        ('name="file\\"; x=\\""', 422),
        ("x=1", 422),
        ("name*=utf-8''file", 422),
    ],
    ids=["half of a surrogate pair", "quote", "quotes", "no name", "extended"],
)
async def test_the_fields_name_is_read_in_every_form(client: httpx.AsyncClient, name: str, status: int) -> None:
    answer = await send(client, part(f'{name}; filename="a.png"', picture()))
    assert answer.status_code == status, answer.text


async def test_a_file_name_that_is_no_unicode_is_answered(client: httpx.AsyncClient) -> None:
    answer = await send(client, part("name=\"file\"; filename*=utf-7''%2B2AA-.png", picture()))
    assert answer.status_code == 200, answer.text
    assert answer.json()["image_ind"].endswith(".png")


@pytest.mark.parametrize(("path", "field"), FORMS.items())
async def test_a_file_with_an_extended_name_alone_is_a_file(client: httpx.AsyncClient, path: str, field: str) -> None:
    file = part(f"name=\"{field}\"; filename*=utf-8''a", content_of(field), KINDS[field])
    answer = await send(client, file, path=path)
    assert answer.status_code == 200, answer.text


async def test_an_archives_name_is_read_in_every_form(client: httpx.AsyncClient) -> None:
    data = archive([("a.png", picture())])
    for names in ("filename*=utf-8''%D0%BA%D0%B8%D1%82.zip", 'filename="=?utf-8?B?0LrQuNGCLnppcA==?="'):
        form = part(f'name="archive"; {names}', data, "application/octet-stream")
        assert (await send(client, form, path=BATCH)).status_code == 200


@pytest.mark.parametrize(
    "end", [b"", b"--XyZ", b"--XyZ\r\n", b"--XyZ-", b"--XyZ\r\nContent-Disposition: form-data", b"--Other--\r\n"]
)
@pytest.mark.parametrize(("path", "field"), FORMS.items())
async def test_400_if_the_closing_boundary_is_missing(
    client: httpx.AsyncClient, path: str, field: str, end: bytes
) -> None:
    file = part(f'name="{field}"; filename="a"', content_of(field), KINDS[field])
    answer = await send(client, file, path=path, end=end)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("expected a readable multipart form: ")


@pytest.mark.parametrize(("path", "field"), FORMS.items())
async def test_400_if_a_file_breaks_off(client: httpx.AsyncClient, path: str, field: str) -> None:
    whole = part(f'name="{field}"; filename="a"', content_of(field), KINDS[field])
    answer = await send(client, whole[:-20], path=path, end=b"")
    assert (answer.status_code, answer.json()) == (
        400,
        {"detail": "expected a readable multipart form: expected a closing boundary, got none"},
    )


async def test_bytes_after_the_closing_boundary_are_ignored(client: httpx.AsyncClient) -> None:
    answer = await send(client, part('name="file"; filename="a.png"', picture()), end=b"--XyZ--\r\nmore")
    assert answer.status_code == 200


@pytest.mark.parametrize("path", [SINGLE, BATCH, SHADOW])
@pytest.mark.parametrize(
    "form",
    [
        {"data": {"file": "x" * 50_000, "archive": "x" * 50_000}},
        {"files": {"other": ("a.png", b"x" * 50_000, "image/png")}},
        {"content": b"x" * 50_000, "headers": {"Content-Type": "application/json"}},
        {"content": b"x" * 50_000, "headers": {"Content-Type": "image/png"}},
        {"content": b"file=" + b"x" * 50_000, "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"files": {"file": (None, "x" * 15_000), "archive": (None, "x" * 15_000)}},
    ],
    ids=["field", "other name", "JSON", "picture", "urlencoded", "part without a file name"],
)
async def test_422_has_one_sentence_and_nothing_of_the_upload(
    client: httpx.AsyncClient, path: str, form: dict[str, Any]
) -> None:
    answer = await client.post(path, **form)
    assert answer.status_code == 422
    assert list(answer.json()) == ["detail"]
    assert ": expected a file, got " in answer.json()["detail"]
    assert len(answer.content) < 200


async def test_a_part_without_a_file_name_is_not_a_file(client: httpx.AsyncClient) -> None:
    answer = await send(client, part('name="file"', picture()))
    assert (answer.status_code, answer.json()) == (
        422,
        {"detail": "file: expected a file, got a field without a file name"},
    )


@pytest.mark.parametrize(
    ("more", "detail"),
    [
        ([part('name="file"; filename="b.png"', b"x")], "Too many files"),
        ([part('name="archive"; filename="b.zip"', b"x")], "Too many files"),
        ([part("name=\"other\"; filename*=utf-8''b.png", b"x")], "Too many files"),
        ([part(f'name="{number}"', b"x") for number in range(9)], "Too many fields"),
        ([part('name="field"', b"x" * 70_000)], "Part exceeded maximum size"),
    ],
    ids=["two files", "two files of two names", "two files by filename*", "many fields", "a large field"],
)
@pytest.mark.parametrize(("path", "field"), FORMS.items())
async def test_400_for_more_than_one_file_and_few_small_fields(
    service_of: Any, path: str, field: str, more: list[bytes], detail: str
) -> None:
    read = 0
    parts = [part(f'name="{field}"; filename="a"', content_of(field), KINDS[field]), *more]

    async def body() -> Any:
        nonlocal read
        for sent in [*parts, *[bytes(100_000)] * 50]:
            read += len(sent)
            yield sent

    bounds = {"max_bytes": 100_000}
    async with client_of(service_of(images=bounds, archives=bounds)) as client:
        answer = await client.post(path, content=body(), headers={"Content-Type": "multipart/form-data; boundary=XyZ"})
    assert answer.status_code == 400
    assert detail in answer.json()["detail"]
    assert read < 600_000, "only drained within bounds"


@pytest.mark.parametrize(("path", "field"), FORMS.items())
async def test_few_fields_beside_the_file_are_ignored(client: httpx.AsyncClient, path: str, field: str) -> None:
    fields = [part(f'name="{number}"', b"x" * 1000) for number in range(8)]
    file = part(f'name="{field}"; filename="a"', content_of(field), KINDS[field])
    assert (await send(client, *fields, file, path=path)).status_code == 200


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=", 400),
        ("Multipart/Form-Data; boundary=XyZ", 200),
        ('multipart/form-data; charset=utf-8; boundary="XyZ"', 200),
    ],
)
async def test_the_forms_media_type_is_read(client: httpx.AsyncClient, kind: str, status: int) -> None:
    content = part('name="file"; filename="a.png"', picture()) + b"--XyZ--\r\n"
    answer = await client.post(SINGLE, content=content, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    if status != 200:
        assert isinstance(answer.json()["detail"], str)


@pytest.mark.parametrize("path", FORMS)
async def test_openapi_has_the_form_and_one_form_of_errors(client: httpx.AsyncClient, path: str) -> None:
    described = (await client.get("/openapi.json")).json()
    operation = described["paths"][path]["post"]
    assert list(operation["requestBody"]["content"]) == ["multipart/form-data"]
    problems = {status for status in operation["responses"] if status != "200"}
    assert problems >= {"400", "422"}
    for status in problems:
        schema = operation["responses"][status]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Problem"}
    assert described["components"]["schemas"]["Problem"]["properties"]["detail"]["type"] == "string"
