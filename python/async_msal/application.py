"""MSAL's application classes: :class:`ConfidentialClientApplication`, whose requests are awaited, and
:class:`SyncConfidentialClientApplication`, whose requests block."""

import inspect
import json
import os
import re
import warnings
from collections.abc import Mapping
from urllib.parse import urlsplit

from . import _native
from .token_cache import SerializableTokenCache

_REGION = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SETS = (list, tuple, set, frozenset)


def _is(name, value, kinds, wanted):
    if not isinstance(value, kinds):
        raise TypeError(f"{name}: {wanted} is wanted, not {type(value).__name__}")
    return value


def _text(name, value):
    return None if value is None else _is(name, value, str, "a str")


def _no_more(method, named):
    """MSAL hands further arguments to its HTTP library."""
    if named:
        raise TypeError(f"{method}() takes no argument {next(iter(named))!r}")


def _refused(what, instead):
    return NotImplementedError(f"{what} is not offered: {instead}")


class _Authority:
    """What applications read of MSAL's authority object. Endpoints are known once the metadata were fetched."""

    def __init__(self, native):
        self._native = native

    @property
    def instance(self):
        """The host."""
        return self._native.environment

    @property
    def tenant(self):
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
        client_id,
        client_credential=None,
        authority=None,
        validate_authority=True,
        token_cache=None,
        http_client=None,
        verify=True,
        proxies=None,
        timeout=None,
        client_claims=None,
        app_name=None,
        app_version=None,
        client_capabilities=None,
        azure_region=None,
        exclude_scopes=None,
        http_cache=None,
        instance_discovery=None,
        allow_broker=None,
        enable_pii_log=None,
        oidc_authority=None,
    ):
        """As MSAL's constructor, except that it asks nothing of the network.

        ``client_credential``: a secret, or a dict with ``client_assertion`` (a callable, which may be a coroutine
        function, or a text), with ``private_key`` and ``thumbprint`` or ``public_certificate``, or with
        ``private_key_pfx_path``. ``verify``: the path of a file of certificate authorities, trusted beside the
        machine's. ``token_cache``: any object with ``serialize``, ``deserialize`` and ``has_state_changed``.

        Not offered: ``http_client``, ``http_cache``, ``verify=False``, ``client_claims``, ``azure_region``, the broker,
        and an ``instance_discovery`` address.
        """
        self.client_id = _is("client_id", client_id, str, "a str")
        if http_client is not None:
            raise _refused("http_client", "use verify, proxies and timeout")
        if http_cache is not None:
            raise _refused("http_cache", "share the application object, which remembers what the authority asked for")
        if client_claims:
            raise _refused("client_claims", "sign the assertion yourself, in a client_assertion callable")
        if allow_broker:
            raise ValueError("allow_broker=True is only supported in PublicClientApplication")
        if oidc_authority and authority:
            raise ValueError("You can not provide both authority and oidc_authority")
        _check_region(azure_region)
        _check_excluded(exclude_scopes)
        if instance_discovery not in (None, True, False):
            raise ValueError("instance_discovery: pass False for an authority that you know, not the address of a service")
        self.app_name, self.app_version = app_name, app_version
        self.client_capabilities = _capabilities(client_capabilities)
        self.token_cache = SerializableTokenCache() if token_cache is None else token_cache
        _check_cache(self.token_cache)
        headers = [("x-app-name", _text("app_name", app_name)), ("x-app-ver", _text("app_version", app_version))]
        limit, connect_limit = _timeout(timeout)
        address = _text("authority", authority) or _text("oidc_authority", oidc_authority)
        address = address or "https://login.microsoftonline.com/common"
        scheme = urlsplit(address).scheme
        if scheme != "https" and not (self._ALLOW_HTTP and scheme == "http"):
            raise ValueError(f"The authority must be an https address with a tenant, not {address!r}")
        self._native = _client(
            {
                "client_id": client_id,
                "authority": address,
                "oidc": bool(oidc_authority),
                "trusted": not validate_authority or instance_discovery is False or bool(oidc_authority),
                "credential": _credential(client_credential),
                "capabilities": self.client_capabilities,
                "ca_pem": _ca_pem(verify),
                "timeout": limit,
                "connect_timeout": connect_limit,
                "proxies": _proxies(proxies),
                "headers": [(name, value) for name, value in headers if value],
            }
        )
        self.authority = _Authority(self._native)

    # --- without the network

    def get_accounts(self, username=None):
        """The accounts in the cache, as MSAL's dicts; with this username only, in upper or lower case."""
        return self._native.accounts(self.token_cache, _text("username", username))

    def remove_account(self, account):
        """Forgets an account with all its tokens. The session at the authority is not ended by it."""
        _is("account", account, Mapping, "an account of get_accounts()")
        self._native.remove_account(self.token_cache, account["home_account_id"], account["environment"])

    def remove_tokens_for_client(self):
        """Forgets what :meth:`acquire_token_for_client` brought."""
        self._native.remove_client_tokens(self.token_cache)

    def is_pop_supported(self):
        """Whether proof-of-possession tokens can be had: they need a broker, which a server has not."""
        return False

    def get_authorization_request_url(
        self,
        scopes,
        login_hint=None,
        state=None,
        redirect_uri=None,
        response_type="code",
        prompt=None,
        nonce=None,
        domain_hint=None,
        claims_challenge=None,
        **kwargs,
    ):
        """Not offered: use :meth:`initiate_auth_code_flow`, which adds PKCE and a nonce."""
        raise _refused("get_authorization_request_url", "use initiate_auth_code_flow")

    def acquire_token_by_authorization_code(
        self, code, scopes, redirect_uri=None, nonce=None, claims_challenge=None, forwarded_client_claims=None, **kwargs
    ):
        """Not offered: use :meth:`acquire_token_by_auth_code_flow`, which checks state and nonce."""
        raise _refused("acquire_token_by_authorization_code", "use acquire_token_by_auth_code_flow")

    def acquire_token_by_username_password(
        self, username, password, scopes, claims_challenge=None, auth_scheme=None, **kwargs
    ):
        """Not offered: RFC 9700 forbids the grant, and it passes by every second factor."""
        raise _refused(
            "acquire_token_by_username_password",
            "sign users in by initiate_auth_code_flow, services by acquire_token_for_client",
        )

    def acquire_token_by_user_federated_identity_credential(
        self,
        scopes,
        assertion,
        username=None,
        user_object_id=None,
        claims_challenge=None,
        forwarded_client_claims=None,
        **kwargs,
    ):
        """Not offered: act for a user by :meth:`acquire_token_on_behalf_of`."""
        raise _refused("acquire_token_by_user_federated_identity_credential", "use acquire_token_on_behalf_of")

    # --- the native calls behind the methods of both classes; a dict, or what becomes one

    def _silent(self, blocking, scopes, account, force_refresh, claims_challenge, forwarded, auth_scheme, named):
        if auth_scheme is not None:
            raise ValueError("auth_scheme: proof-of-possession needs a broker, which a server has not; leave it out")
        if named:
            _no_more("acquire_token_silent", named)
        if not isinstance(account, Mapping):
            raise TypeError(f"account: an account of get_accounts() is wanted, not {type(account).__name__}")
        return self._native.silent(
            self.token_cache,
            account["home_account_id"],
            scopes,
            local_account_id=account.get("local_account_id"),
            realm=account.get("realm"),
            force_refresh=bool(force_refresh),
            claims_challenge=claims_challenge,
            client_claims=forwarded,
            blocking=blocking,
        )

    def _initiate(
        self,
        blocking,
        scopes,
        redirect_uri,
        state,
        prompt,
        login_hint,
        domain_hint,
        claims_challenge,
        max_age,
        response_mode,
    ):
        if redirect_uri is None:
            raise ValueError("redirect_uri: pass the one that is registered; the authority's choice is not relied upon")
        if max_age is not None and (isinstance(max_age, bool) or not isinstance(max_age, int)):
            raise TypeError(f"max_age: a number of seconds is wanted, not {type(max_age).__name__}")
        if max_age is not None and max_age < 0:
            raise ValueError("max_age: a number of seconds is not negative")
        request = {
            "scopes": scopes,
            "redirect_uri": _text("redirect_uri", redirect_uri),
            "state": _text("state", state),
            "prompt": _text("prompt", prompt),
            "login_hint": _text("login_hint", login_hint),
            "domain_hint": _text("domain_hint", domain_hint),
            "claims_challenge": _text("claims_challenge", claims_challenge),
            "max_age": max_age,
            "response_mode": _text("response_mode", response_mode),
        }
        return self._native.initiate(request, blocking=blocking)

    def _redeem(self, blocking, auth_code_flow, auth_response, scopes, named):
        _no_more("acquire_token_by_auth_code_flow", named)
        _is("auth_code_flow", auth_code_flow, Mapping, "a dict")
        _is("auth_response", auth_response, Mapping, "a dict")
        if not auth_code_flow.get("state"):
            raise ValueError("state missing from auth_code_flow")
        flow = dict(auth_code_flow)
        flow["code_verifier"], flow["nonce"]  # KeyError, as in MSAL
        if scopes:
            _is("scopes", scopes, _SETS, "a list of strings")
            if set(scopes) - set(flow.get("scope") or ()):
                raise ValueError("scopes: they must be a subset of what the flow was started with")
        response = [
            (_is("auth_response", name, str, "a dict of str"), _is(f"auth_response[{name!r}]", value, str, "a str"))
            for name, value in auth_response.items()
        ]
        if isinstance(auth_code_flow, dict):
            auth_code_flow.pop("claims_challenge", None)
        return self._native.redeem(self.token_cache, json.dumps(flow), response, scopes or None, blocking=blocking)

    def _for_client(self, blocking, scopes, claims_challenge, fmi_path, forwarded, named):
        if named.pop("force_refresh", False):
            raise ValueError("force_refresh: this method does not support it; remove_tokens_for_client() makes it ask")
        _no_more("acquire_token_for_client", named)
        if fmi_path is not None and not isinstance(fmi_path, str):
            raise ValueError(f"fmi_path must be a string, got {type(fmi_path).__name__}")
        return self._native.for_client(
            self.token_cache,
            scopes,
            claims_challenge=claims_challenge,
            fmi_path=fmi_path,
            client_claims=forwarded,
            blocking=blocking,
        )

    def _on_behalf_of(self, blocking, user_assertion, scopes, claims_challenge, forwarded, named):
        _no_more("acquire_token_on_behalf_of", named)
        return self._native.on_behalf_of(
            self.token_cache,
            _is("user_assertion", user_assertion, str, "a str"),
            scopes,
            claims_challenge=claims_challenge,
            client_claims=forwarded,
            blocking=blocking,
        )

    def _by_refresh_token(self, blocking, refresh_token, scopes, named):
        _no_more("acquire_token_by_refresh_token", named)
        _is("refresh_token", refresh_token, str, "a str")
        return self._native.by_refresh_token(self.token_cache, refresh_token, scopes, blocking=blocking)


def _forwarded(claims):
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
        scopes,
        redirect_uri=None,
        state=None,
        prompt=None,
        login_hint=None,
        domain_hint=None,
        claims_challenge=None,
        max_age=None,
        response_mode=None,
    ):
        """Starts a sign-in: keep the dict in the session and send the browser to its ``auth_uri``."""
        return await _done(
            self._initiate(
                False,
                scopes,
                redirect_uri,
                state,
                prompt,
                login_hint,
                domain_hint,
                claims_challenge,
                max_age,
                response_mode,
            )
        )

    async def acquire_token_by_auth_code_flow(self, auth_code_flow, auth_response, scopes=None, **kwargs):
        """Finishes a sign-in: checks the response, redeems the code, verifies the id token, and only then fills the cache.

        ValueError where the response does not belong to the flow, :class:`IdTokenError` where the id token proves nothing.
        """
        return await self._redeem(False, auth_code_flow, auth_response, scopes, kwargs)

    async def acquire_token_silent(
        self,
        scopes,
        account,
        authority=None,
        force_refresh=False,
        claims_challenge=None,
        forwarded_client_claims=None,
        auth_scheme=None,
        **kwargs,
    ):
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
        scopes,
        account,
        authority=None,
        force_refresh=False,
        claims_challenge=None,
        forwarded_client_claims=None,
        auth_scheme=None,
        **kwargs,
    ):
        """As :meth:`acquire_token_silent`, with the error of a renewal that the authority refused."""
        if not account:
            return None
        _check_silent(authority, forwarded_client_claims)
        return await _done(
            self._silent(
                False, scopes, account, force_refresh, claims_challenge, forwarded_client_claims, auth_scheme, kwargs
            )
        )

    async def acquire_token_for_client(
        self, scopes, claims_challenge=None, fmi_path=None, forwarded_client_claims=None, **kwargs
    ):
        """A token for the application itself: of the cache, else by a request."""
        forwarded = _forwarded(forwarded_client_claims)
        return await _done(self._for_client(False, scopes, claims_challenge, fmi_path, forwarded, kwargs))

    async def acquire_token_on_behalf_of(
        self, user_assertion, scopes, claims_challenge=None, forwarded_client_claims=None, **kwargs
    ):
        """A token for another API on behalf of whoever called with ``user_assertion``, which must have been validated.

        The same assertion is exchanged once; after that its token comes from the cache.
        """
        forwarded = _forwarded(forwarded_client_claims)
        return await self._on_behalf_of(False, user_assertion, scopes, claims_challenge, forwarded, kwargs)

    async def acquire_token_by_refresh_token(self, refresh_token, scopes, **kwargs):
        """Takes over a refresh token that another library kept."""
        return await self._by_refresh_token(False, refresh_token, scopes, kwargs)


class SyncConfidentialClientApplication(_Application):
    """The same application with requests that block: for scripts, and for code that cannot await.

    A call waits without Python's global lock and for 60 seconds at most, on any thread, with or without an event loop.
    """

    def initiate_auth_code_flow(
        self,
        scopes,
        redirect_uri=None,
        state=None,
        prompt=None,
        login_hint=None,
        domain_hint=None,
        claims_challenge=None,
        max_age=None,
        response_mode=None,
    ):
        """Starts a sign-in. Never uses the network with Entra ID, B2C, CIAM and ADFS."""
        return self._initiate(
            True, scopes, redirect_uri, state, prompt, login_hint, domain_hint, claims_challenge, max_age, response_mode
        )

    def acquire_token_by_auth_code_flow(self, auth_code_flow, auth_response, scopes=None, **kwargs):
        """Finishes a sign-in."""
        return self._redeem(True, auth_code_flow, auth_response, scopes, kwargs)

    def acquire_token_silent(
        self,
        scopes,
        account,
        authority=None,
        force_refresh=False,
        claims_challenge=None,
        forwarded_client_claims=None,
        auth_scheme=None,
        **kwargs,
    ):
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
        scopes,
        account,
        authority=None,
        force_refresh=False,
        claims_challenge=None,
        forwarded_client_claims=None,
        auth_scheme=None,
        **kwargs,
    ):
        """As :meth:`acquire_token_silent`, with the error of a renewal that the authority refused."""
        if not account:
            return None
        _check_silent(authority, forwarded_client_claims)
        return self._silent(
            True, scopes, account, force_refresh, claims_challenge, forwarded_client_claims, auth_scheme, kwargs
        )

    def acquire_token_for_client(
        self, scopes, claims_challenge=None, fmi_path=None, forwarded_client_claims=None, **kwargs
    ):
        """A token for the application itself: of the cache, else by a request."""
        forwarded = _forwarded(forwarded_client_claims)
        return self._for_client(True, scopes, claims_challenge, fmi_path, forwarded, kwargs)

    def acquire_token_on_behalf_of(
        self, user_assertion, scopes, claims_challenge=None, forwarded_client_claims=None, **kwargs
    ):
        """A token for another API on behalf of whoever called with ``user_assertion``, which must have been validated."""
        forwarded = _forwarded(forwarded_client_claims)
        return self._on_behalf_of(True, user_assertion, scopes, claims_challenge, forwarded, kwargs)

    def acquire_token_by_refresh_token(self, refresh_token, scopes, **kwargs):
        """Takes over a refresh token that another library kept."""
        return self._by_refresh_token(True, refresh_token, scopes, kwargs)


async def _done(result):
    """What the cache or a rule answered is there already."""
    return result if type(result) is dict else await result


def _check_silent(authority, forwarded):
    if authority is not None:
        raise ValueError("authority: make an application for each authority; one call cannot name another")
    _forwarded(forwarded)


# --- the client behind applications of the same arguments

_clients = {}
_MOST_CLIENTS = 64


def _client(options):
    """The one of the process for these options: applications are made for each request by some, as MSAL's samples do, and so
    share connections, the authority's metadata, and what it said about waiting."""
    key = repr([(name, value) for name, value in options.items() if name != "credential"])
    credential = options["credential"]
    # A callable is known by what it is, not by its text; the client holds it, so no other can take its place.
    key = (key, repr(dict(credential, callable=id(credential["callable"]))))
    client = _clients.get(key)
    if client is None:
        while len(_clients) >= _MOST_CLIENTS:
            _clients.pop(next(iter(_clients)))
        client = _clients[key] = _native.Client(options)
    return client


# --- the constructor's arguments


def _check_region(region):
    if region is None or region is False:
        return
    if isinstance(region, str) and not _REGION.fullmatch(region):
        raise ValueError(f"Invalid azure_region={region!r}: a lower-case name of a region is wanted")
    raise _refused("azure_region", "leave it out; tokens come from the global endpoint")


def _check_excluded(scopes):
    if not scopes:
        return
    if not isinstance(scopes, list):
        raise ValueError(f"Invalid exclude_scopes={scopes!r}. It need to be a list of strings.")
    if "openid" in scopes:
        raise ValueError(f'Invalid exclude_scopes={scopes!r}. You can not opt out "openid" scope')
    raise _refused("exclude_scopes", "openid, profile and offline_access are always asked; leave it out")


def _check_cache(cache):
    for name in ("serialize", "deserialize", "has_state_changed"):
        if not hasattr(cache, name):
            raise TypeError(
                "token_cache: an object with serialize, deserialize and has_state_changed is wanted; "
                f"{type(cache).__name__} has no {name}"
            )


def _capabilities(capabilities):
    if capabilities is None:
        return []
    _is("client_capabilities", capabilities, _SETS, "a list of strings")
    return [_is("client_capabilities", each, str, "a list of str") for each in capabilities]


def _timeout(timeout):
    """Of a whole request and of the connection, in seconds; MSAL's are those of `requests`."""
    if timeout is None:
        return None, None
    if isinstance(timeout, tuple) and len(timeout) == 2:
        connect, read = timeout
        return _seconds(read), _seconds(connect)
    return _seconds(timeout), None


def _seconds(value):
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"timeout: a number of seconds is wanted, not {type(value).__name__}")
    return float(value)


def _proxies(proxies):
    if proxies is None:
        return []
    _is("proxies", proxies, Mapping, "a dict of addresses by scheme")
    for scheme in proxies:
        if scheme not in ("http", "https", "all"):
            raise ValueError(f"proxies: {scheme!r} is none of http, https and all; single hosts go by NO_PROXY")
    return [(scheme, _is(f"proxies[{scheme!r}]", address, str, "a str")) for scheme, address in proxies.items()]


def _ca_pem(verify):
    if verify is True or verify is None:
        return None
    if verify is False:
        raise ValueError("verify=False is not offered: pass the path of the certificate authority's file")
    path = _is("verify", verify, (str, os.PathLike), "the path of a file of certificate authorities")
    if os.path.isdir(path):
        raise ValueError("verify: the path of a file is wanted, not of a folder")
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError as error:
        raise OSError(f"verify: there is no file {os.fspath(path)!r}") from error


def _credential(credential):
    """The names that `_native.Client` reads."""
    names = dict.fromkeys(
        ["secret", "assertion", "callable", "pfx", "key_pem", "certificate_pem", "thumbprint", "passphrase"]
    )
    names.update(takes_request=False, x5c=False)
    if credential is None or credential == "":
        raise ValueError("client_credential: a secret, a certificate or an assertion is wanted; a server proves itself")
    if isinstance(credential, str):
        return dict(names, secret=credential)
    _is("client_credential", credential, Mapping, "a str or a dict")
    assertion = credential.get("client_assertion")
    if assertion:
        return dict(names, **_assertion(assertion))
    passphrase = credential.get("passphrase")
    if passphrase:
        names["passphrase"] = passphrase.encode() if isinstance(passphrase, str) else bytes(passphrase)
    public = credential.get("public_certificate")
    if credential.get("private_key_pfx_path"):
        with open(credential["private_key_pfx_path"], "rb") as file:
            return dict(names, pfx=file.read(), x5c=bool(public))
    if not credential.get("private_key"):
        raise ValueError(
            "client_credential: a dict with client_assertion, private_key or private_key_pfx_path is wanted"
        )
    if not credential.get("thumbprint") and not isinstance(public, str):
        raise ValueError(
            "You must provide either 'thumbprint' or 'public_certificate' from which the thumbprint can be calculated."
        )
    key = credential["private_key"]
    return dict(
        names,
        key_pem=key.encode() if isinstance(key, str) else bytes(key),
        certificate_pem=public.encode() if isinstance(public, str) else None,
        thumbprint=credential.get("thumbprint") or None,
        x5c=isinstance(public, str),
    )


def _assertion(assertion):
    if callable(assertion):
        return {"callable": assertion, "takes_request": _takes_one(assertion)}
    if isinstance(assertion, (bytes, bytearray)):
        assertion = assertion.decode("ascii")
    _is("client_assertion", assertion, str, "a callable, a str or bytes")
    warnings.warn(
        "A client_assertion that is a text expires; pass a callable, which is asked for each request.",
        DeprecationWarning,
        stacklevel=6,
    )
    return {"assertion": assertion}


def _takes_one(function):
    """Has it a positional parameter that must be given?"""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(each.kind in positional and each.default is each.empty for each in parameters)
