"""What can go wrong in the words of the business. The docstring is the message's default."""


class TenureError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class NotFound(TenureError):
    """There is no such thing here."""


class Invalid(TenureError):
    """The input is not valid."""

    def __init__(self, message: str | None = None, fields: dict[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.fields = fields or {}


class Conflict(TenureError):
    """Somebody else changed this at the same time; load it again and repeat."""


class NotAuthenticated(TenureError):
    """Say who you are: log in, or send a token as `Authorization: Bearer ...`."""


class NotAllowed(TenureError):
    """You may not do this."""


class TooLarge(TenureError):
    """That is more than one request may carry."""


class TooMany(TenureError):
    """That is too often; wait a little."""

    def __init__(self, message: str | None = None, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class NotReady(TenureError):
    """The service cannot answer this yet."""


class Misconfigured(TenureError):
    """A setting is missing or wrong."""
