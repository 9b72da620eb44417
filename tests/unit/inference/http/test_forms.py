"""The bounds of multipart forms."""

from __future__ import annotations

from tempfile import SpooledTemporaryFile
from typing import Any

import httpx
import pytest
from starlette import formparsers
from support.pictures import picture


def form_of(parts: int, *, size: int, file: bool) -> bytes:
    """Return a multipart body of parts of that size, before them one picture."""
    name = '; filename="a.png"\r\nContent-Type: image/png' if file else ""
    head = '--x\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n'
    whole = head.format("file", '; filename="a.png"\r\nContent-Type: image/png').encode() + picture() + b"\r\n"
    for number in range(parts):
        whole += head.format(f"part{number}", name).encode() + bytes(size) + b"\r\n"
    return whole + b"--x--\r\n"


@pytest.mark.parametrize("path", ["/v1/predict-single", "/v1/predict-batch"])
@pytest.mark.parametrize(
    ("parts", "size", "file", "message"),
    [(20, 2**20 - 1, True, "Too many files"), (20, 2**20 - 1, False, "exceeded"), (9, 10, False, "Too many fields")],
)
async def test_400_if_a_form_has_more_than_one_file_and_a_few_short_fields(
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    parts: int,
    size: int,
    file: bool,
    message: str,
) -> None:
    opened = []

    def counted(*arguments: Any, **options: Any) -> Any:
        opened.append(1)
        return SpooledTemporaryFile(*arguments, **options)

    monkeypatch.setattr(formparsers, "SpooledTemporaryFile", counted)
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await client.post(path, content=form_of(parts, size=size, file=file), headers=headers)
    assert answer.status_code == 400
    assert message in answer.json()["detail"]
    assert len(opened) == 1, "only the first file is stored"


async def test_a_form_may_have_a_few_short_fields_beside_the_file(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await client.post("/v1/predict-single", content=form_of(8, size=1000, file=False), headers=headers)
    assert answer.status_code == 200
