"""Signed in to Salesforce: one token for all threads, renewed once; its errors as ours; its pages.

Sources: Salesforce's REST API and OAuth documentation (query, nextRecordsUrl, Sforce-Limit-Info, errors as arrays).
"""

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from integrations.crm.client import CrmBusy, CrmError, CrmNonsense, CrmRefused, Keep
from integrations.crm.transport import Reply, Transport

Record = Mapping[str, Any]
ASSERTION_SECONDS = 180
ROWS_A_PAGE = 2_000
_TOKEN_PATH = "/services/oauth2/token"  # noqa: S105  a path
_CODE = re.compile(r"[A-Za-z_]{1,80}")
_FIELD = re.compile(r"[A-Za-z0-9_.]{1,120}")
_USAGE = re.compile(r"api-usage=(\d+)/(\d+)")
# What passes by itself.
_PASSING = frozenset({"UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "QUERY_TIMEOUT", "UNKNOWN_EXCEPTION"})


class SalesforceError(CrmError):
    """Salesforce refused one request, for a reason that it gives a code."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Rows:
    """A page of a query; `total` is what the whole query has."""

    records: tuple[Record, ...]
    total: int


class Session:
    """Threads may share it. `now` gives seconds since 1970, for a token's assertion."""

    def __init__(
        self,
        transport: Transport,
        *,
        secret: Mapping[str, str],
        keep: Keep,
        options: Mapping[str, Any],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._transport, self._secret, self._keep, self._options, self._now = transport, secret, keep, options, now
        self._lock = threading.Lock()
        self._token: str | None = secret.get("token")
        self._refusal: str | None = None
        self._busy: CrmBusy | None = None
        self._user_id: str | None = None
        self.version = str(options["version"])

    def path(self, rest: str) -> str:
        return f"/services/data/v{self.version}/{rest}"

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        is_safe_to_repeat: bool = True,
    ) -> Any:
        """The answer's JSON, None where it has no content. SalesforceError, CrmRefused, CrmBusy or CrmNonsense."""
        self._leave_the_rest_to_others()
        token = self._token or self._renew(None)

        def ask(token: str) -> Reply:
            headers = {"Authorization": f"Bearer {token}", "Sforce-Query-Options": f"batchSize={ROWS_A_PAGE}"}
            return self._transport.request(
                method, path, query=query, body=body, headers=headers, is_safe_to_repeat=is_safe_to_repeat
            )

        reply = ask(token)
        if reply.status == HTTPStatus.UNAUTHORIZED:
            reply = ask(self._renew(token))
        self._note_usage(reply)
        if not reply.is_success:
            raise _error_of(reply)
        return None if reply.status == HTTPStatus.NO_CONTENT else reply.json()

    def sign_in(self) -> str | None:
        """The id of the user that we are; None where a token was given that does not say."""
        if self._token is None:
            self._renew(None)
        return self._user_id

    def today(self) -> date:
        return datetime.fromtimestamp(self._now(), UTC).date()

    def pages(self, soql: str, *, with_deleted: bool = False) -> Iterator[Rows]:
        """The pages of a query, by links that lead nowhere but on."""
        body = self.call("GET", self.path("queryAll" if with_deleted else "query"), query={"q": soql})
        yield from self.follow(body)

    def follow(self, body: Any) -> Iterator[Rows]:
        """A page that was got, and those that it leads to; the lines below a deal come in pages of their own, too."""
        seen: set[str] = set()
        while True:
            yield _rows(body)
            if body["done"]:
                return
            link = body.get("nextRecordsUrl")
            if not isinstance(link, str) or link in seen:
                raise CrmNonsense("A page of Salesforce's leads back to itself, or nowhere.")
            seen.add(link)
            body = self.call("GET", link)

    def records(self, soql: str, *, with_deleted: bool = False) -> Iterator[Record]:
        for page in self.pages(soql, with_deleted=with_deleted):
            yield from page.records

    def _leave_the_rest_to_others(self) -> None:
        busy, self._busy = self._busy, None  # once: whoever asks again may find another day
        if busy is not None:
            raise busy

    def _note_usage(self, reply: Reply) -> None:
        used = _USAGE.search(reply.headers.get("Sforce-Limit-Info", ""))
        share = float(self._options.get("api_share", 1))
        if used and int(used[1]) > share * int(used[2]):
            said = f"{used[1]} of the {used[2]} calls a day that Salesforce allows are used, by all; the rest is left."
            self._busy = CrmBusy(said, retry_after_seconds=_seconds_to_midnight(reply))

    def _renew(self, spent: str | None) -> str:
        """A token other than the one that is spent: one thread asks for it, the others wait for that."""
        with self._lock:
            if self._refusal is not None:
                raise CrmRefused(self._refusal)
            if self._token is None or self._token == spent:
                try:
                    self._token = self._ask_for_token()
                except CrmRefused as error:
                    self._refusal = str(error)
                    raise
            return self._token

    def _ask_for_token(self) -> str:
        reply = self._transport.request("POST", _TOKEN_PATH, form=self._grant())
        given = reply.json()
        if not isinstance(given, dict):
            raise CrmNonsense("Salesforce's answer to signing in is not one.")
        if not reply.is_success:
            raise CrmRefused(f"Salesforce does not let us in: {_word(given.get('error'))}.")
        following = given.get("refresh_token")
        if isinstance(following, str) and following and following != self._secret.get("refresh_token"):
            self._secret = {**self._secret, "refresh_token": following}
            self._keep(self._secret)  # at once: the one before opens nothing any more
        token, origin = given.get("access_token"), given.get("instance_url", self._transport.origin)
        if not isinstance(token, str) or not token:
            raise CrmNonsense("Salesforce's answer to signing in has no token.")
        if origin != self._transport.origin:
            raise CrmRefused("The company's Salesforce is at another URL: set `url` to its My Domain.")
        self._user_id = str(given.get("id", "")).rpartition("/")[2] or None
        return token

    def _grant(self) -> dict[str, str]:
        secret = self._secret
        if "private_key" in secret:
            grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
            return {"grant_type": grant, "assertion": self._assertion()}
        if "refresh_token" in secret:
            given = {name: secret[name] for name in ("client_id", "client_secret", "refresh_token") if name in secret}
            return {"grant_type": "refresh_token", **given}
        if "client_secret" in secret:
            given = {name: secret[name] for name in ("client_id", "client_secret")}
            return {"grant_type": "client_credentials", **given}
        raise CrmRefused("The token has expired, and there is neither a key nor a refresh token to get another with.")

    def _assertion(self) -> str:
        """RFC 7523: who we are, signed with our key, good for three minutes."""
        claims = {
            "iss": self._secret["client_id"],
            "sub": self._secret["username"],
            "aud": self._options.get("audience", "https://login.salesforce.com"),
            "exp": int(self._now()) + ASSERTION_SECONDS,
        }
        signed = b".".join(_base64url(json.dumps(part).encode()) for part in ({"alg": "RS256"}, claims))
        try:
            key = serialization.load_pem_private_key(self._secret["private_key"].encode(), password=None)
        except (ValueError, TypeError):
            raise CrmRefused("The private key is not an unencrypted PEM.") from None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise CrmRefused("The private key is not an RSA key.")
        return b".".join((signed, _base64url(key.sign(signed, padding.PKCS1v15(), hashes.SHA256())))).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _rows(body: Any) -> Rows:
    records = body.get("records") if isinstance(body, dict) else None
    if not isinstance(records, list) or not all(isinstance(each, dict) for each in records):
        raise CrmNonsense("Salesforce's answer to a query is not a page of records.")
    if not isinstance(body.get("done"), bool) or not isinstance(body.get("totalSize"), int):
        raise CrmNonsense("Salesforce's page of records does not say whether it is the last.")
    return Rows(tuple(records), body["totalSize"])


def _error_of(reply: Reply) -> CrmError:
    """What an answer other than a success means; of its words only the code and the fields' names are shown."""
    errors = reply.json()
    error = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    code = _word(error.get("errorCode"))
    if code == "REQUEST_LIMIT_EXCEEDED":
        said = "The company's calls to Salesforce are used up for today."
        return CrmBusy(said, retry_after_seconds=_seconds_to_midnight(reply))
    if code in _PASSING:
        return CrmBusy(f"Salesforce answered {reply.status} {code}.")
    if reply.status == HTTPStatus.UNAUTHORIZED:
        return CrmRefused(f"Salesforce does not accept the token: {code}.")
    if reply.status == HTTPStatus.FORBIDDEN:
        return CrmRefused(f"Salesforce does not allow it to this user: {code}.")
    names = [name for name in error.get("fields") or [] if isinstance(name, str) and _FIELD.fullmatch(name)]
    where = f" ({', '.join(names)})" if names else ""
    return SalesforceError(f"Salesforce answered {reply.status} {code}{where}.", code=code)


def _word(given: Any) -> str:
    return given if isinstance(given, str) and _CODE.fullmatch(given) else "without a reason"


def _seconds_to_midnight(reply: Reply) -> int:
    """As the answer says, else until the next midnight of UTC by the clock of whoever answered; a day without one."""
    said = reply.headers.get("Retry-After", "")
    if said.isascii() and said.isdigit():
        return min(int(said), 86_400)
    try:
        now = parsedate_to_datetime(reply.headers.get("Date", "")).astimezone(UTC)
    except ValueError:
        return 86_400
    midnight = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
    return round((midnight - now).total_seconds())
