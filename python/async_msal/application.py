"""MSAL's application classes: :class:`ConfidentialClientApplication`, whose requests are awaited, and
:class:`SyncConfidentialClientApplication`, whose requests block."""

import json
import os
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NoReturn, Protocol
from urllib.parse import urlsplit

from . import _native, _options
from ._options import SETS, checked, refused, text
from .token_cache import SerializableTokenCache


#: Seconds: no sign-in is older, and every authority can count that far.
_LONGEST_AGE = 2**31 - 1


class _Cache(Protocol):
    """What serves as a token cache: MSAL's three names."""

    has_state_changed: bool

    def serialize(self) -> str: ...

    def deserialize(self, state: Any, /) -> Any: ...


def _no_more(method: str, named: Mapping[str, Any]) -> None:
    """MSAL hands further arguments to its HTTP library."""
    if named:
        raise TypeError(f"{method}() takes no argument {next(iter(named))!r}")


class _Authority:
    """What applications read of MSAL's authority object. Endpoints are known once the metadata were fetched."""

    def __init__(self, native: _native.Client) -> None:
        self._native = native

    @property
    def instance(self) -> str:
        """The host."""
        return self._native.environment

    @property
    def tenant(self) -> str | None:
        """The tenant's name in the cache."""
        return self._native.tenant


class _Application:
    """What both classes share: the checks of arguments, and what needs no network."""

    ATTEMPT_REGION_DISCOVERY = True
    DISABLE_MSAL_FORCE_REGION = False
    #: An emulator on this machine may speak plain http; the native client allows it on loopback alone.
    _ALLOW_HTTP = False

    def __init__(
        self,
        client_id: str,
        client_credential: str | Mapping[str, Any] | None = None,
        authority: str | None = None,
        validate_authority: bool = True,
        token_cache: _Cache | None = None,
        http_client: Any = None,
        verify: bool | str | os.PathLike[str] | None = True,
        proxies: Mapping[str, str] | None = None,
        timeout: float | tuple[float | None, float | None] | None = None,
        client_claims: Mapping[str, Any] | None = None,
        app_name: str | None = None,
        app_version: str | None = None,
        client_capabilities: Sequence[str] | AbstractSet[str] | None = None,
        azure_region: str | bool | None = None,
        exclude_scopes: list[str] | None = None,
        http_cache: Any = None,
        instance_discovery: bool | None = None,
        allow_broker: bool | None = None,
        enable_pii_log: bool | None = None,
        oidc_authority: str | None = None,
    ) -> None:
        """As MSAL's constructor, except that it asks nothing of the network.

        ``client_credential``: a secret, or a dict with ``client_assertion`` (a callable, which may be a coroutine
        function, or a text), with ``private_key`` and ``thumbprint`` or ``public_certificate``, or with
        ``private_key_pfx_path``. ``verify``: the path of a file of certificate authorities, trusted beside the
        machine's. ``token_cache``: any object with ``serialize``, ``deserialize`` and ``has_state_changed``.

        Not offered: ``http_client``, ``http_cache``, ``verify=False``, ``client_claims``, ``azure_region``, the broker,
        and an ``instance_discovery`` address.
        """
        self.client_id: str = checked("client_id", client_id, str, "a str")
        if http_client is not None:
            raise refused("http_client", "use verify, proxies and timeout")
        if http_cache is not None:
            raise refused("http_cache", "share the application object, which remembers what the authority asked for")
        if client_claims:
            raise refused("client_claims", "sign the assertion yourself, in a client_assertion callable")
        if allow_broker:
            raise ValueError("allow_broker=True is only supported in PublicClientApplication")
        if oidc_authority and authority:
            raise ValueError("You can not provide both authority and oidc_authority")
        _options.check_region(azure_region)
        _options.check_excluded(exclude_scopes)
        if instance_discovery not in (None, True, False):
            raise ValueError("instance_discovery: pass False for an authority that you know, not the address of a service")
        self.app_name, self.app_version = app_name, app_version
        self.client_capabilities = _options.capabilities_of(client_capabilities)
        self.token_cache: Any = SerializableTokenCache() if token_cache is None else token_cache
        _options.check_cache(self.token_cache)
        headers = [("x-app-name", text("app_name", app_name)), ("x-app-ver", text("app_version", app_version))]
        limit, connect_limit = _options.timeouts(timeout)
        address = text("authority", authority) or text("oidc_authority", oidc_authority)
        address = address or "https://login.microsoftonline.com/common"
        scheme = urlsplit(address).scheme
        if scheme != "https" and not (self._ALLOW_HTTP and scheme == "http"):
            raise ValueError(f"The authority must be an https address with a tenant, not {address!r}")
        self._native = _options.client_of(
            {
                "client_id": client_id,
                "authority": address,
                "oidc": bool(oidc_authority),
                "trusted": not validate_authority or instance_discovery is False or bool(oidc_authority),
                "credential": _options.credential_of(client_credential),
                "capabilities": self.client_capabilities,
                "ca_pem": _options.ca_pem(verify),
                "timeout": limit,
                "connect_timeout": connect_limit,
                "proxies": _options.proxies_of(proxies),
                "headers": [(name, value) for name, value in headers if value],
            }
        )
        self.authority = _Authority(self._native)

    # --- without the network

    def get_accounts(self, username: str | None = None) -> list[dict[str, Any]]:
        """The accounts in the cache, as MSAL's dicts; with this username only, in upper or lower case."""
        return self._native.accounts(self.token_cache, text("username", username))

    def remove_account(self, account: Mapping[str, Any]) -> None:
        """Forgets an account with all its tokens. The session at the authority is not ended by it."""
        checked("account", account, Mapping, "an account of get_accounts()")
        home, environment = _member(account, "home_account_id"), _member(account, "environment")
        self._native.remove_account(self.token_cache, home, environment)

    def remove_tokens_for_client(self) -> None:
        """Forgets what :meth:`acquire_token_for_client` brought."""
        self._native.remove_client_tokens(self.token_cache)

    def is_pop_supported(self) -> bool:
        """Whether proof-of-possession tokens can be had: they need a broker, which a server has not."""
        return False

    def get_authorization_request_url(
        self,
        scopes: Sequence[str] | AbstractSet[str],
        login_hint: str | None = None,
        state: str | None = None,
        redirect_uri: str | None = None,
        response_type: str = "code",
        prompt: str | None = None,
        nonce: str | None = None,
        domain_hint: str | None = None,
        claims_challenge: str | None = None,
        **kwargs: Any,
    ) -> NoReturn:
        """Not offered: use :meth:`initiate_auth_code_flow`, which adds PKCE and a nonce."""
        raise refused("get_authorization_request_url", "use initiate_auth_code_flow")

    def acquire_token_by_authorization_code(
        self,
        code: str,
        scopes: Sequence[str] | AbstractSet[str],
        redirect_uri: str | None = None,
        nonce: str | None = None,
        claims_challenge: str | None = None,
        forwarded_client_claims: str | None = None,
        **kwargs: Any,
    ) -> NoReturn:
        """Not offered: use :meth:`acquire_token_by_auth_code_flow`, which checks state and nonce."""
        raise refused("acquire_token_by_authorization_code", "use acquire_token_by_auth_code_flow")

    def acquire_token_by_username_password(
        self,
        username: str,
        password: str,
        scopes: Sequence[str] | AbstractSet[str],
        claims_challenge: str | None = None,
        auth_scheme: Any | None = None,
        **kwargs: Any,
    ) -> NoReturn:
        """Not offered: RFC 9700 forbids the grant, and it passes by every second factor."""
        raise refused(
            "acquire_token_by_username_password",
            "sign users in by initiate_auth_code_flow, services by acquire_token_for_client",
        )

    def acquire_token_by_user_federated_identity_credential(
        self,
        scopes: Sequence[str] | AbstractSet[str],
        assertion: str,
        username: str | None = None,
        user_object_id: str | None = None,
        claims_challenge: str | None = None,
        forwarded_client_claims: str | None = None,
        **kwargs: Any,
    ) -> NoReturn:
        """Not offered: act for a user by :meth:`acquire_token_on_behalf_of`."""
        raise refused("acquire_token_by_user_federated_identity_credential", "use acquire_token_on_behalf_of")

    # --- the native calls behind the methods of both classes; a dict, or what becomes one

    def _silent(
        self,
        blocking: bool,
        scopes: Sequence[str] | AbstractSet[str],
        account: Mapping[str, Any] | None,
        force_refresh: bool,
        claims_challenge: str | None,
        forwarded: str | None,
        auth_scheme: Any,
        named: dict[str, Any],
    ) -> Any:
        if auth_scheme is not None:
            raise ValueError("auth_scheme: proof-of-possession needs a broker, which a server has not; leave it out")
        if named:
            _no_more("acquire_token_silent", named)
        if not isinstance(account, Mapping):
            raise TypeError(f"account: an account of get_accounts() is wanted, not {type(account).__name__}")
        return self._native.silent(
            self.token_cache,
            _member(account, "home_account_id"),
            scopes,
            local_account_id=text("account['local_account_id']", account.get("local_account_id")),
            realm=text("account['realm']", account.get("realm")),
            force_refresh=bool(force_refresh),
            claims_challenge=text("claims_challenge", claims_challenge),
            client_claims=forwarded,
            blocking=blocking,
        )

    def _initiate(
        self,
        blocking: bool,
        scopes: Sequence[str] | AbstractSet[str],
        redirect_uri: str | None,
        state: str | None,
        prompt: str | None,
        login_hint: str | None,
        domain_hint: str | None,
        claims_challenge: str | None,
        max_age: int | None,
        response_mode: str | None,
    ) -> Any:
        if redirect_uri is None:
            raise ValueError("redirect_uri: pass the one that is registered; the authority's choice is not relied upon")
        if max_age is not None and (isinstance(max_age, bool) or not isinstance(max_age, int)):
            raise TypeError(f"max_age: a number of seconds is wanted, not {type(max_age).__name__}")
        if max_age is not None and max_age < 0:
            raise ValueError("max_age: a number of seconds is not negative")
        if max_age is not None and max_age > _LONGEST_AGE:
            raise ValueError(f"max_age: at most {_LONGEST_AGE} seconds are wanted")
        request = {
            "scopes": scopes,
            "redirect_uri": text("redirect_uri", redirect_uri),
            "state": text("state", state),
            "prompt": text("prompt", prompt),
            "login_hint": text("login_hint", login_hint),
            "domain_hint": text("domain_hint", domain_hint),
            "claims_challenge": text("claims_challenge", claims_challenge),
            "max_age": max_age,
            "response_mode": text("response_mode", response_mode),
        }
        return self._native.initiate(request, blocking=blocking)

    def _redeem(
        self,
        blocking: bool,
        auth_code_flow: Mapping[str, Any],
        auth_response: Mapping[str, str],
        scopes: Sequence[str] | AbstractSet[str] | None,
        named: dict[str, Any],
    ) -> Any:
        _no_more("acquire_token_by_auth_code_flow", named)
        checked("auth_code_flow", auth_code_flow, Mapping, "a dict")
        checked("auth_response", auth_response, Mapping, "a dict")
        if not auth_code_flow.get("state"):
            raise ValueError("state missing from auth_code_flow")
        flow = dict(auth_code_flow)
        flow["code_verifier"], flow["nonce"]  # KeyError, as in MSAL
        if scopes:
            checked("scopes", scopes, SETS, "a list of strings")
            if set(scopes) - set(flow.get("scope") or ()):
                raise ValueError("scopes: they must be a subset of what the flow was started with")
        response = [
            (checked("auth_response", name, str, "a dict of str"), checked(f"auth_response[{name!r}]", value, str, "a str"))
            for name, value in auth_response.items()
        ]
        if isinstance(auth_code_flow, dict):
            auth_code_flow.pop("claims_challenge", None)
        return self._native.redeem(self.token_cache, json.dumps(flow), response, scopes or None, blocking=blocking)

    def _for_client(
        self,
        blocking: bool,
        scopes: Sequence[str] | AbstractSet[str],
        claims_challenge: str | None,
        fmi_path: str | None,
        forwarded: str | None,
        named: dict[str, Any],
    ) -> Any:
        if named.pop("force_refresh", False):
            raise ValueError("force_refresh: this method does not support it; remove_tokens_for_client() makes it ask")
        _no_more("acquire_token_for_client", named)
        if fmi_path is not None and not isinstance(fmi_path, str):
            raise ValueError(f"fmi_path must be a string, got {type(fmi_path).__name__}")
        return self._native.for_client(
            self.token_cache,
            scopes,
            claims_challenge=text("claims_challenge", claims_challenge),
            fmi_path=fmi_path,
            client_claims=forwarded,
            blocking=blocking,
        )

    def _on_behalf_of(
        self,
        blocking: bool,
        user_assertion: str,
        scopes: Sequence[str] | AbstractSet[str],
        claims_challenge: str | None,
        forwarded: str | None,
        named: dict[str, Any],
    ) -> Any:
        _no_more("acquire_token_on_behalf_of", named)
        return self._native.on_behalf_of(
            self.token_cache,
            checked("user_assertion", user_assertion, str, "a str"),
            scopes,
            claims_challenge=text("claims_challenge", claims_challenge),
            client_claims=forwarded,
            blocking=blocking,
        )

    def _by_refresh_token(
        self,
        blocking: bool,
        refresh_token: str,
        scopes: Sequence[str] | AbstractSet[str],
        named: dict[str, Any],
    ) -> Any:
        _no_more("acquire_token_by_refresh_token", named)
        checked("refresh_token", refresh_token, str, "a str")
        return self._native.by_refresh_token(self.token_cache, refresh_token, scopes, blocking=blocking)


def _member(account: Mapping[str, Any], name: str) -> str:
    """A member that the account must have. KeyError without it, as in MSAL."""
    try:
        value = account[name]
    except KeyError:
        raise KeyError(f"account: {name!r} is missing; an account of get_accounts() is wanted") from None
    if not isinstance(value, str):
        raise TypeError(f"account[{name!r}]: a str is wanted, not {type(value).__name__}")
    return value


def _forwarded(claims: str | None) -> str | None:
    """As MSAL: ValueError for everything but the text of a JSON object."""
    if claims is not None and not isinstance(claims, str):
        raise ValueError(f"forwarded_client_claims must be a string, got {type(claims).__name__}")
    if claims == "":
        raise ValueError("forwarded_client_claims: the text of a JSON object is wanted")
    return claims


class ConfidentialClientApplication(_Application):
    """MSAL's ``ConfidentialClientApplication`` with its requests as coroutines.

    Cheap to keep: make one for a process. Any number of event loops may use it. What the cache answers is answered at once;
    calls for the same token share one request. A cancelled call returns at once: a request that was sent comes to its end and
    its tokens are stored, everything else is stopped where nobody waits for it any more.
    """

    async def initiate_auth_code_flow(
        self,
        scopes: Sequence[str] | AbstractSet[str],
        redirect_uri: str | None = None,
        state: str | None = None,
        prompt: str | None = None,
        login_hint: str | None = None,
        domain_hint: str | None = None,
        claims_challenge: str | None = None,
        max_age: int | None = None,
        response_mode: str | None = None,
    ) -> dict[str, Any]:
        """Starts a sign-in: keep the dict in the session and send the browser to its ``auth_uri``."""
        how = (prompt, login_hint, domain_hint, claims_challenge, max_age, response_mode)
        result: dict[str, Any] = await _done(self._initiate(False, scopes, redirect_uri, state, *how))
        return result

    async def acquire_token_by_auth_code_flow(
        self,
        auth_code_flow: Mapping[str, Any],
        auth_response: Mapping[str, str],
        scopes: Sequence[str] | AbstractSet[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Finishes a sign-in: checks the response, redeems the code, verifies the id token, and only then fills the cache.

        ValueError where the response does not belong to the flow, :class:`IdTokenError` where the id token proves nothing.
        """
        result: dict[str, Any] = await self._redeem(False, auth_code_flow, auth_response, scopes, kwargs)
        return result

    async def acquire_token_silent(
        self,
        scopes: Sequence[str] | AbstractSet[str],
        account: Mapping[str, Any] | None,
        authority: str | None = None,
        force_refresh: bool = False,
        claims_challenge: str | None = None,
        forwarded_client_claims: str | None = None,
        auth_scheme: Any | None = None,
        **kwargs: Any,
    ) -> dict[str, Any] | None:
        """A token of the cache, else by the account's refresh token; None where the user must sign in."""
        if not account:
            return None
        if authority is not None or forwarded_client_claims is not None:
            _check_silent(authority, forwarded_client_claims)
        result = self._silent(
            False, scopes, account, force_refresh, claims_challenge, forwarded_client_claims, auth_scheme, kwargs
        )
        if type(result) is not dict:
            result = await result
        return result if result and "error" not in result else None

    async def acquire_token_silent_with_error(
        self,
        scopes: Sequence[str] | AbstractSet[str],
        account: Mapping[str, Any] | None,
        authority: str | None = None,
        force_refresh: bool = False,
        claims_challenge: str | None = None,
        forwarded_client_claims: str | None = None,
        auth_scheme: Any | None = None,
        **kwargs: Any,
    ) -> dict[str, Any] | None:
        """As :meth:`acquire_token_silent`, with the error of a renewal that the authority refused."""
        if not account:
            return None
        _check_silent(authority, forwarded_client_claims)
        result: dict[str, Any] | None = await _done(
            self._silent(
                False, scopes, account, force_refresh, claims_challenge, forwarded_client_claims, auth_scheme, kwargs
            )
        )
        return result

    async def acquire_token_for_client(
        self,
        scopes: Sequence[str] | AbstractSet[str],
        claims_challenge: str | None = None,
        fmi_path: str | None = None,
        forwarded_client_claims: str | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """A token for the application itself: of the cache, else by a request."""
        forwarded = _forwarded(forwarded_client_claims)
        result: dict[str, Any] = await _done(self._for_client(False, scopes, claims_challenge, fmi_path, forwarded, kwargs))
        return result

    async def acquire_token_on_behalf_of(
        self,
        user_assertion: str,
        scopes: Sequence[str] | AbstractSet[str],
        claims_challenge: str | None = None,
        forwarded_client_claims: str | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """A token for another API on behalf of whoever called with ``user_assertion``, which must have been validated.

        The same assertion is exchanged once; after that its token comes from the cache.
        """
        forwarded = _forwarded(forwarded_client_claims)
        result: dict[str, Any] = await self._on_behalf_of(False, user_assertion, scopes, claims_challenge, forwarded, kwargs)
        return result

    async def acquire_token_by_refresh_token(
        self,
        refresh_token: str,
        scopes: Sequence[str] | AbstractSet[str],
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Takes over a refresh token that another library kept."""
        result: dict[str, Any] = await self._by_refresh_token(False, refresh_token, scopes, kwargs)
        return result


class SyncConfidentialClientApplication(_Application):
    """The same application with requests that block: for scripts, and for code that cannot await.

    A call waits without Python's global lock and for 60 seconds at most, on any thread, with or without an event loop.
    """

    def initiate_auth_code_flow(
        self,
        scopes: Sequence[str] | AbstractSet[str],
        redirect_uri: str | None = None,
        state: str | None = None,
        prompt: str | None = None,
        login_hint: str | None = None,
        domain_hint: str | None = None,
        claims_challenge: str | None = None,
        max_age: int | None = None,
        response_mode: str | None = None,
    ) -> dict[str, Any]:
        """Starts a sign-in. Never uses the network with Entra ID, B2C, CIAM and ADFS."""
        result: dict[str, Any] = self._initiate(
            True, scopes, redirect_uri, state, prompt, login_hint, domain_hint, claims_challenge, max_age, response_mode
        )
        return result

    def acquire_token_by_auth_code_flow(
        self,
        auth_code_flow: Mapping[str, Any],
        auth_response: Mapping[str, str],
        scopes: Sequence[str] | AbstractSet[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Finishes a sign-in."""
        result: dict[str, Any] = self._redeem(True, auth_code_flow, auth_response, scopes, kwargs)
        return result

    def acquire_token_silent(
        self,
        scopes: Sequence[str] | AbstractSet[str],
        account: Mapping[str, Any] | None,
        authority: str | None = None,
        force_refresh: bool = False,
        claims_challenge: str | None = None,
        forwarded_client_claims: str | None = None,
        auth_scheme: Any | None = None,
        **kwargs: Any,
    ) -> dict[str, Any] | None:
        """A token of the cache, else by the account's refresh token; None where the user must sign in."""
        result = self.acquire_token_silent_with_error(
            scopes,
            account,
            authority=authority,
            force_refresh=force_refresh,
            claims_challenge=claims_challenge,
            forwarded_client_claims=forwarded_client_claims,
            auth_scheme=auth_scheme,
            **kwargs,
        )
        return result if result and "error" not in result else None

    def acquire_token_silent_with_error(
        self,
        scopes: Sequence[str] | AbstractSet[str],
        account: Mapping[str, Any] | None,
        authority: str | None = None,
        force_refresh: bool = False,
        claims_challenge: str | None = None,
        forwarded_client_claims: str | None = None,
        auth_scheme: Any | None = None,
        **kwargs: Any,
    ) -> dict[str, Any] | None:
        """As :meth:`acquire_token_silent`, with the error of a renewal that the authority refused."""
        if not account:
            return None
        _check_silent(authority, forwarded_client_claims)
        result: dict[str, Any] | None = self._silent(
            True, scopes, account, force_refresh, claims_challenge, forwarded_client_claims, auth_scheme, kwargs
        )
        return result

    def acquire_token_for_client(
        self,
        scopes: Sequence[str] | AbstractSet[str],
        claims_challenge: str | None = None,
        fmi_path: str | None = None,
        forwarded_client_claims: str | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """A token for the application itself: of the cache, else by a request."""
        forwarded = _forwarded(forwarded_client_claims)
        result: dict[str, Any] = self._for_client(True, scopes, claims_challenge, fmi_path, forwarded, kwargs)
        return result

    def acquire_token_on_behalf_of(
        self,
        user_assertion: str,
        scopes: Sequence[str] | AbstractSet[str],
        claims_challenge: str | None = None,
        forwarded_client_claims: str | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """A token for another API on behalf of whoever called with ``user_assertion``, which must have been validated."""
        forwarded = _forwarded(forwarded_client_claims)
        result: dict[str, Any] = self._on_behalf_of(True, user_assertion, scopes, claims_challenge, forwarded, kwargs)
        return result

    def acquire_token_by_refresh_token(
        self,
        refresh_token: str,
        scopes: Sequence[str] | AbstractSet[str],
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Takes over a refresh token that another library kept."""
        result: dict[str, Any] = self._by_refresh_token(True, refresh_token, scopes, kwargs)
        return result


async def _done(result: Any) -> Any:
    """What the cache or a rule answered is there already."""
    return result if type(result) is dict else await result


def _check_silent(authority: str | None, forwarded: str | None) -> None:
    if authority is not None:
        raise ValueError("authority: make an application for each authority; one call cannot name another")
    _forwarded(forwarded)
