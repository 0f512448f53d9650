"""The Rust half of the package. Applications use what stands in `async_msal`; this here may change."""

from collections.abc import Awaitable, Collection, Mapping
from typing import Any, Protocol

class _Cache(Protocol):
    has_state_changed: bool
    def serialize(self) -> str: ...
    def deserialize(self, state: str | None) -> None: ...

class IdTokenError(RuntimeError):
    """The id token proves nothing: nothing was stored."""

class SerializableTokenCache:
    """Tokens and accounts in MSAL's own file format."""

    has_state_changed: bool
    """Has it changed since it was serialised or deserialised last?"""

    def __init__(self) -> None: ...
    def serialize(self) -> str:
        """The state as a text; it counts as unchanged from now on."""

    def deserialize(self, state: str | bytes | None) -> None:
        """Takes over a state that was serialised before; None or an empty text is an empty cache."""

    def _snapshot(self) -> tuple[int, str]: ...
    def _install(self, version: int, text: str) -> bool: ...

class Client:
    """A confidential client of one authority. Nothing is asked of the network before the first call that needs it.

    What the cache or a rule answers is a dict; everything else is a future of the running loop, or with `blocking=True` the
    result.
    """

    environment: str
    """The authority's host, lower-case."""
    tenant: str | None
    """The tenant in cache entries, where it is known without asking."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Takes what `async_msal.application` has checked."""

    def flights(self) -> int:
        """How many calls are under way, the same ones counted once."""

    def unattended(self) -> int:
        """How many renewals are under way that nobody waits for."""

    def metadata(self, *, blocking: bool = False) -> Awaitable[dict[str, Any]] | dict[str, Any]:
        """The authority's metadata: `issuer`, the endpoints, `tenant`."""

    def graph(
        self, url: str, access_token: str, *, blocking: bool = False
    ) -> Awaitable[dict[str, Any]] | dict[str, Any]:
        """A document of Microsoft Graph: `status` and `body`, whatever they are. The caller has checked the host."""

    def silent(
        self,
        cache: _Cache,
        home_account_id: str,
        scopes: Collection[str],
        *,
        local_account_id: str | None = None,
        realm: str | None = None,
        force_refresh: bool = False,
        claims_challenge: str | None = None,
        client_claims: str | None = None,
        blocking: bool = False,
    ) -> dict[str, Any] | Awaitable[dict[str, Any] | None] | None:
        """A user's token, of the cache or by a refresh token; None where there is nothing to renew with."""

    def for_client(
        self,
        cache: _Cache,
        scopes: Collection[str],
        *,
        claims_challenge: str | None = None,
        fmi_path: str | None = None,
        client_claims: str | None = None,
        blocking: bool = False,
    ) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        """The application's own token."""

    def on_behalf_of(
        self,
        cache: _Cache,
        user_assertion: str,
        scopes: Collection[str],
        *,
        claims_challenge: str | None = None,
        client_claims: str | None = None,
        blocking: bool = False,
    ) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        """A token for another API on behalf of the caller."""

    def by_refresh_token(
        self, cache: _Cache, refresh_token: str, scopes: Collection[str], *, blocking: bool = False
    ) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        """Takes over a refresh token of another library."""

    def initiate(
        self, request: Mapping[str, Any], *, blocking: bool = False
    ) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        """Starts a sign-in; a dict where the address of the sign-in page is known without asking."""

    def redeem(
        self,
        cache: _Cache,
        flow: str,
        response: list[tuple[str, str]],
        scopes: Collection[str] | None = None,
        *,
        blocking: bool = False,
    ) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        """Finishes a sign-in: the flow as JSON text, the response as pairs."""

    def accounts(self, cache: _Cache, username: str | None = None) -> list[dict[str, Any]]:
        """The accounts of this authority, as MSAL's dicts."""

    def remove_account(self, cache: _Cache, home_account_id: str, environment: str) -> None:
        """Forgets an account with its tokens."""

    def remove_client_tokens(self, cache: _Cache) -> None:
        """Forgets the tokens that the application got for itself."""

class Texts:
    """Token caches as the texts that sessions keep. Each is parsed once while it is in use, and all who hold the same text
    share one renewal."""

    client: Client

    def __init__(self, client: Client) -> None: ...
    def look(
        self, text: str, scopes: Collection[str], *, only_account: bool = False
    ) -> tuple[dict[str, Any] | None, str | None, bool]:
        """A token of the first account, the text that renewals have made of this one meanwhile, and whether a renewal is
        due. With `only_account`, no token where there are several."""

    def open(self, text: str) -> tuple[SerializableTokenCache, int, str, str | None, str] | None:
        """The cache that all holders of the text share, the version of it that is the text, and home account id, local
        account id and tenant of its first account. None where the text has no account, or is none."""

class Sessions:
    """Sessions in Redis, shared with other services, in Rust and in Python: one renewal at a time for each, saves that are
    merged, and an index by user. Awaited on a running loop, or with `blocking=True` on any thread.

    ConnectionError, or another OSError, where Redis or the authority cannot be asked.
    """

    def __init__(
        self,
        client: Client,
        *,
        redis_url: str,
        cookie_name: str,
        max_age: int | None = None,
        secret: str | None = None,
        ca_pem: bytes | None = None,
    ) -> None:
        """Nothing is connected before the first call. `secret`: the client secret, which Rust services have too."""

    def load(self, session_id: str, *, blocking: bool = False) -> Any:
        """The text of the record, whatever it is; None where there is none."""

    def save(
        self,
        session_id: str,
        changed: Mapping[str, str],
        removed: list[str],
        token_cache: str | None = None,
        *,
        blocking: bool = False,
    ) -> Any:
        """Saves items: JSON texts by name, and names that were removed; others stay as they are. `token_cache` is that item
        as it was read: its changes are merged by entry. False where the session has ended: it stays so."""

    def create(self, items: str, replaces: list[str] = ..., *, blocking: bool = False) -> Any:
        """Makes a session of a JSON object and gives its id. Those it replaces are ended and deleted."""

    def end(self, session_id: str, *, blocking: bool = False) -> Any:
        """Ends a session; False where there is none."""

    def get_token(self, session_id: str, scopes: Collection[str], *, blocking: bool = False) -> Any:
        """MSAL's result or None, the JSON texts of `token_cache` and `async_msal` as they are in the record by now, and why
        there is no result. What was renewed is in the record already."""

    def renew_ahead(self, session_id: str, scopes: Collection[str]) -> None:
        """Renews a token that is due, behind everybody's back."""

    def find(
        self,
        *,
        mail: str | None = None,
        oid: str | None = None,
        tid: str | None = None,
        fresh: bool = False,
        limit: int | None = None,
        blocking: bool = False,
    ) -> Any:
        """Key, time of the last change, and items as a JSON object of the live sessions of one mail address, or of one user,
        newest first. Where there is none, or with `fresh`, sessions that only other packages know are looked through first,
        at most once a minute."""
