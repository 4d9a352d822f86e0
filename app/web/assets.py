"""Static files: each address carries a digest of the content, so that a browser may keep it for ever."""

import hashlib
from functools import cache
from pathlib import Path

from flask import Response, request, url_for

FOLDER = Path(__file__).parent
DIGITS = 12


@cache
def digest(name: str) -> str:
    """The first digits of the file's SHA-256."""
    return hashlib.sha256((FOLDER / "static" / name).read_bytes()).hexdigest()[:DIGITS]


def static_url(name: str) -> str:
    return url_for("web.static", filename=name, v=digest(name))


def let_be_kept(response: Response) -> Response:
    """A file asked for by its digest never changes; without it a browser has to ask each time."""
    if request.endpoint == "web.static" and response.status_code in (200, 304):
        name = (request.view_args or {})["filename"]
        is_exact = request.args.get("v") == digest(name)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if is_exact else "no-cache"
    return response
