"""Errors as OpenAI's interface has them: {"error": {"message", "type", "param", "code"}}."""

from __future__ import annotations

from typing import Any

from mynah.errors import MynahError


class ApiError(MynahError):
    """What a request is refused with.

    Args:
        message: what was found, and what was expected; never the text of the request.
        status: HTTP's.
        code: a word for programs.
        param: which part of the request is meant.
        retry_after: seconds after which it may be asked again.
    """

    def __init__(
        self,
        message: str,
        status: int = 400,
        code: str | None = None,
        param: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param, self.retry_after = status, code, param, retry_after

    @property
    def headers(self) -> list[tuple[str, str]]:
        """HTTP headers that go with it."""
        found = []
        if self.retry_after is not None:
            found.append(("Retry-After", str(self.retry_after)))
        if self.status == 401:  # a browser asks for a password by the second
            found += [
                ("WWW-Authenticate", "Bearer"),
                ("WWW-Authenticate", 'Basic realm="mynah", charset="UTF-8"'),
            ]
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the body."""
        kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
        kind = kinds.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}
