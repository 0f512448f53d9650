"""The arguments of an application's constructor: checked, named, and made into the client behind it."""

import inspect
import math
import os
import re
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from . import _native

_REGION = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
SETS = (list, tuple, set, frozenset)
_PROXIES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
#: Seconds: what `requests` can wait at most, 2**63 nanoseconds.
_LONGEST = 9_223_372_036


def checked(name: str, value: Any, kinds: type | tuple[type, ...], wanted: str) -> Any:
    """The value, if it is of one of these kinds."""
    if not isinstance(value, kinds):
        raise TypeError(f"{name}: {wanted} is wanted, not {type(value).__name__}")
    return value


def text(name: str, value: Any) -> str | None:
    """A str, or None."""
    return None if value is None else checked(name, value, str, "a str")


def refused(what: str, instead: str) -> NotImplementedError:
    """What is raised for something that is not offered."""
    return NotImplementedError(f"{what} is not offered: {instead}")


_clients: OrderedDict[Hashable, _native.Client] = OrderedDict()
_MOST_CLIENTS = 64
_lock = threading.RLock()


def _unlocked() -> None:
    """In a process that was forked, a thread that held the lock is not there to let it go."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlocked)


class _Callable:
    """A callable that has no hash, known by which object it is."""

    def __init__(self, itself: Any) -> None:
        self.itself = itself

    def __hash__(self) -> int:
        return id(self.itself)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Callable) and other.itself is self.itself


def _hashable(function: Any) -> Hashable:
    """The callable itself: two bound methods of one object are equal."""
    try:
        hash(function)
    except TypeError:
        return _Callable(function)
    return (function,)


def client_of(options: dict[str, Any]) -> _native.Client:
    """The one of the process for these options: applications are made for each request by some, as MSAL's samples do, and so
    share connections, the authority's metadata, and what it said about waiting."""
    plain = {name: value for name, value in options.items() if name != "credential"}
    credential = dict(options["credential"])
    function = credential.pop("callable")
    key = (repr(plain), repr(credential), _hashable(function))
    with _lock:
        client = _clients.get(key)
        if client is not None:
            _clients.move_to_end(key)
            return client
    made = _native.Client(options)
    with _lock:
        # Another thread may have been quicker: its client is everybody's.
        client = _clients.setdefault(key, made)
        _clients.move_to_end(key)
        while len(_clients) > _MOST_CLIENTS:
            _clients.popitem(last=False)
    return client


def check_region(region: Any) -> None:
    if region is None or region is False:
        return
    if isinstance(region, str) and not _REGION.fullmatch(region):
        raise ValueError(f"Invalid azure_region={region!r}: a lower-case name of a region is wanted")
    raise refused("azure_region", "leave it out; tokens come from the global endpoint")


def check_excluded(scopes: Any) -> None:
    if not scopes:
        return
    if not isinstance(scopes, list):
        raise ValueError(f"Invalid exclude_scopes={scopes!r}. It need to be a list of strings.")
    if "openid" in scopes:
        raise ValueError(f'Invalid exclude_scopes={scopes!r}. You can not opt out "openid" scope')
    raise refused("exclude_scopes", "openid, profile and offline_access are always asked; leave it out")


def check_cache(cache: Any) -> None:
    for name in ("serialize", "deserialize", "has_state_changed"):
        if not hasattr(cache, name):
            raise TypeError(
                "token_cache: an object with serialize, deserialize and has_state_changed is wanted; "
                f"{type(cache).__name__} has no {name}"
            )


def capabilities_of(capabilities: Sequence[str] | AbstractSet[str] | None) -> list[str]:
    if capabilities is None:
        return []
    checked("client_capabilities", capabilities, SETS, "a list of strings")
    return [checked("client_capabilities", each, str, "a list of str") for each in capabilities]


def timeouts(timeout: Any) -> tuple[float | None, float | None]:
    """Of a whole request and of the connection, in seconds; MSAL's are those of `requests`."""
    if timeout is None:
        return None, None
    if isinstance(timeout, tuple) and len(timeout) == 2:
        connect, read = timeout
        return _seconds(read), _seconds(connect)
    return _seconds(timeout), None


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"timeout: a number of seconds is wanted, not {type(value).__name__}")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if seconds > _LONGEST:
        raise ValueError(f"timeout: at most {_LONGEST} seconds are waited for")
    return seconds


def proxies_of(proxies: Mapping[str, str] | None) -> list[tuple[str, str]]:
    if proxies is None:
        return []
    checked("proxies", proxies, Mapping, "a dict of addresses by scheme")
    for scheme in proxies:
        if scheme not in ("http", "https", "all"):
            raise ValueError(f"proxies: {scheme!r} is none of http, https and all; single hosts go by NO_PROXY")
    return [(scheme, _proxy(f"proxies[{scheme!r}]", address)) for scheme, address in proxies.items()]


def _proxy(name: str, address: Any) -> str:
    """The address of a proxy; without a scheme it speaks http."""
    found: str = checked(name, address, str, "a str")
    scheme, separator, _ = found.partition("://")
    if separator and scheme.lower() not in _PROXIES:
        # Not the address: there may be a password in it.
        raise ValueError(f"{name}: the address of an http, https or socks proxy is wanted")
    return found


def ca_pem(verify: Any) -> bytes | None:
    if verify is True or verify is None:
        return None
    if verify is False:
        raise ValueError("verify=False is not offered: pass the path of the certificate authority's file")
    path = checked("verify", verify, (str, os.PathLike), "the path of a file of certificate authorities")
    if os.path.isdir(path):
        raise ValueError("verify: the path of a file is wanted, not of a folder")
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError as error:
        raise OSError(f"verify: there is no file {os.fspath(path)!r}") from error


def credential_of(credential: Any) -> dict[str, Any]:
    """The names that `_native.Client` reads."""
    names: dict[str, Any] = dict.fromkeys(
        ["secret", "assertion", "callable", "pfx", "key_pem", "certificate_pem", "thumbprint", "passphrase"]
    )
    names.update(takes_request=False, x5c=False)
    if credential is None or credential == "":
        raise ValueError("client_credential: a secret, a certificate or an assertion is wanted; a server proves itself")
    if isinstance(credential, str):
        return dict(names, secret=credential)
    checked("client_credential", credential, Mapping, "a str or a dict")
    assertion = credential.get("client_assertion")
    if assertion:
        return dict(names, **_assertion(assertion))
    names["passphrase"] = _octets("passphrase", credential.get("passphrase"))
    public = credential.get("public_certificate")
    if credential.get("private_key_pfx_path"):
        name = "client_credential['private_key_pfx_path']"
        with open(checked(name, credential["private_key_pfx_path"], (str, os.PathLike), "a path"), "rb") as file:
            return dict(names, pfx=file.read(), x5c=bool(public))
    if not credential.get("private_key"):
        raise ValueError(
            "client_credential: a dict with client_assertion, private_key or private_key_pfx_path is wanted"
        )
    thumbprint = text("client_credential['thumbprint']", credential.get("thumbprint"))
    if not thumbprint and not isinstance(public, str):
        raise ValueError(
            "You must provide either 'thumbprint' or 'public_certificate' from which the thumbprint can be calculated."
        )
    return dict(
        names,
        key_pem=_octets("private_key", credential["private_key"]),
        certificate_pem=public.encode() if isinstance(public, str) else None,
        thumbprint=thumbprint or None,
        x5c=isinstance(public, str),
    )


def _octets(member: str, value: Any) -> bytes | None:
    """A member that is a text or its bytes; None where it is empty."""
    if value is None:
        return None
    checked(f"client_credential[{member!r}]", value, (str, bytes, bytearray), "a str or bytes")
    return (value.encode() if isinstance(value, str) else bytes(value)) or None


def _assertion(assertion: Any) -> dict[str, Any]:
    if callable(assertion):
        return {"callable": assertion, "takes_request": _takes_one(assertion)}
    if isinstance(assertion, (bytes, bytearray)):
        assertion = assertion.decode("ascii")
    checked("client_assertion", assertion, str, "a callable, a str or bytes")
    warnings.warn(
        "A client_assertion that is a text expires; pass a callable, which is asked for each request.",
        DeprecationWarning,
        stacklevel=4,
    )
    return {"assertion": assertion}


def _takes_one(function: Callable[..., Any]) -> bool:
    """Has it a positional parameter that must be given?"""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(each.kind in positional and each.default is each.empty for each in parameters)
