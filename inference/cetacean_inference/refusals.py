"""What a client is told instead of an answer."""

from __future__ import annotations


class Refused(Exception):  # noqa: N818 - an answer to a client, not an error of ours
    """A request that is answered with `status` and a message.

    Args:
        status: HTTP status.
        detail: one sentence that says what was expected and what came.
        retry_after: seconds after which asking again may help.
    """

    def __init__(self, status: int, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after = retry_after


class UnusableImage(Refused):
    """A picture that cannot be read or is not taken; `size` is its width and height as far as they are known.

    Whoever knows the file's bytes adds their `sha256`.
    """

    def __init__(self, status: int, detail: str, *, size: tuple[int, int] = (0, 0)) -> None:
        super().__init__(status, detail)
        self.size = size
        self.sha256: str | None = None
