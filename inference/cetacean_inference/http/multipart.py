"""Multipart forms with one file: names of every client, bounded fields, and no form that breaks off."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import collapse_rfc2231_value, unquote
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from cetacean_inference.http.character_sets import character_set
from cetacean_inference.settings import KIB, MIB

logger = logging.getLogger(__name__)

MAX_FILES: Final = 1
MAX_FIELDS: Final = 8
MAX_FIELD_BYTES: Final = 16 * KIB
"""Fields are kept in memory, and no endpoint reads one."""
ENCODED_WORD: Final = re.compile(r"=\?[\w.-]+\?[bBqQ]\?[^?]*\?=")
"""A name as in a mail, which .NET sends as `filename` beside `filename*`."""
_BYTE_BY_BYTE: Final = "latin-1"
"""How text of an unknown character set is read."""

_CONTENT_TYPE: Final = "Content-Type"
_DEFAULT: Final = "utf-8"
"""Character set of a form that names none."""


class UploadNotStoredError(Exception):
    """There is no room for a file, or no folder; a later try, or another pod, may find some."""


class UploadRoute(APIRoute):
    """A route whose forms are read by `FileFormParser`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of a request."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def with_form(request: Request) -> Response:
            upload = _UploadRequest(request.scope, request.receive)
            await upload.form()  # FastAPI, which asks for it again, would answer 400 for any fault in here
            return await handle(upload)

        return with_form


class _UploadRequest(Request):
    async def form(self, **_: Any) -> FormData:  # type: ignore[override] # FastAPI only awaits it
        """Read the form.

        Raises:
            HTTPException: 400 if it cannot be read.
            UploadNotStoredError: its file cannot be written.
        """
        if self._form is None:
            if self.headers.get(_CONTENT_TYPE, "").partition(";")[0].strip().lower() != "multipart/form-data":
                self._form = FormData()
                return self._form
            try:
                self._form = await FileFormParser(self.headers, self.stream()).parse()
            except MultiPartException as error:
                raise HTTPException(400, f"expected a readable multipart form: {error.message}") from error
            except OSError as error:
                logger.error(  # noqa: TRY400 - a traceback for each upload would hide it
                    "expected room for an upload in %s, got: %s. Clients get 503 for files of more than %s MiB: free "
                    "the disk of the node, or delete the pod, so that another one begins with an empty volume",
                    tempfile.tempdir or "any folder",
                    error.strerror or error,
                    FileFormParser.spool_max_size // MIB,
                )
                raise UploadNotStoredError from error
        return self._form


class FileFormParser(MultiPartParser):
    """Reads a form with one file; a form that exceeds a bound is rejected before the rest of it is read.

    Args:
        headers: the request's.
        stream: its body.
    """

    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes, None]) -> None:
        super().__init__(headers, stream, max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES)
        self._is_complete = False

    async def parse(self) -> FormData:
        """Read the whole form.

        Raises:
            MultiPartException: it is malformed, breaks off, exceeds a bound, or names a codec that is no character set.
        """
        self.headers = _with_known_character_set(self.headers)
        form = await super().parse()
        if not self._is_complete:
            await form.close()
            for file in self._files_to_close_on_error:  # also of the part that breaks off
                file.close()
            raise MultiPartException("expected a closing boundary, got none")
        return form

    def on_headers_finished(self) -> None:
        """Begin a part; it is a file if it has a file name in any form."""
        part = self._current_part
        disposition = part.content_disposition or b""
        name = file_name(disposition, charset=self._charset)
        if name is not None:
            # Starlette reads only `filename`, and takes a part without it for a field.
            field = _parameters(disposition, self._charset).get("name", "").replace('"', "'")
            part.content_disposition = f'form-data; name="{field}"; filename="file"'.encode()
        super().on_headers_finished()
        if name is not None and isinstance(part.file, UploadFile):
            part.file.filename = name

    def on_end(self) -> None:
        """Note that the closing boundary was read."""
        self._is_complete = True


def file_name(disposition: bytes, *, charset: str) -> str | None:
    """Return the file's name in a Content-Disposition; None if it has none, so that the part is a field.

    `filename*` (RFC 5987) takes precedence over `filename`, in which other names than ASCII are UTF-8, of the form's
    character set, or an encoded word.

    Raises:
        MultiPartException: the parameters cannot be read, or the name has a codec that is no character set.
    """
    parameters = _parameters(disposition, charset)
    if (extended := parameters.get("filename*")) is not None:
        return extended
    name = parameters.get("filename")
    if name is None or not ENCODED_WORD.search(name):
        return name
    try:
        words = decode_header(name)
        known = {given: _character_set(given) for _, given in words if given is not None}
        if None in known.values():
            return name
        return str(make_header([(text, given and known[given]) for text, given in words]))
    except (MessageError, ValueError):
        return name


def _parameters(disposition: bytes, charset: str) -> dict[str, str]:
    """Return the parameters in lower case; an extended one is called `name*`, and its value is decoded.

    Raises:
        MultiPartException: they cannot be read.
    """
    message = Message()
    message["Content-Disposition"] = _text(disposition, charset).replace("\r", " ").replace("\n", " ")
    found: dict[str, str] = {}
    try:
        parameters = message.get_params(failobj=[], header="content-disposition")
    except (TypeError, ValueError) as error:  # parts of a value with and without a number, or with a large one
        raise MultiPartException("expected readable parameters of Content-Disposition, got others") from error
    for key, value in parameters:
        if isinstance(value, tuple):
            found.setdefault(f"{key.lower()}*", _extended(*value))
        else:
            found.setdefault(key.lower(), unquote(value))
    return found


def _extended(charset: str | None, language: str | None, text: str) -> str:
    known = None if charset is None else _character_set(charset)
    is_unknown = charset is not None and known is None
    return unquote(text) if is_unknown else collapse_rfc2231_value((known, language, text))


def _with_known_character_set(headers: Headers) -> Headers:
    """Return the form's media type as Starlette may read it, which asks Python for the character set that it names."""
    _, options = parse_options_header(headers[_CONTENT_TYPE])
    charset = _character_set(options.get(b"charset", _DEFAULT.encode()).decode(_BYTE_BY_BYTE)) or _BYTE_BY_BYTE
    kind = f"multipart/form-data; charset={charset}"
    if (boundary := options.get(b"boundary")) is not None:
        quoted = boundary.decode(_BYTE_BY_BYTE).replace("\\", "\\\\").replace('"', '\\"')
        kind += f'; boundary="{quoted}"'
    return Headers({_CONTENT_TYPE: kind})


def _character_set(name: str) -> str | None:
    try:
        return character_set(name)
    except ValueError as error:
        raise MultiPartException(str(error)) from error


def _text(raw: bytes, charset: str) -> str:
    for encoding in (_DEFAULT, character_set(charset) or _BYTE_BY_BYTE):
        with suppress(UnicodeDecodeError):
            return raw.decode(encoding)
    return raw.decode(_BYTE_BY_BYTE)
