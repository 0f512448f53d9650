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
