"""The arguments of an application's constructor: checked, named, and made into the client behind it."""

import inspect
import os
import re
import warnings
from collections.abc import Mapping

from . import _native

_REGION = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
SETS = (list, tuple, set, frozenset)


def checked(name, value, kinds, wanted):
    """The value, if it is of one of these kinds."""
    if not isinstance(value, kinds):
        raise TypeError(f"{name}: {wanted} is wanted, not {type(value).__name__}")
    return value


def text(name, value):
    """A str, or None."""
    return None if value is None else checked(name, value, str, "a str")


def refused(what, instead):
    """What is raised for something that is not offered."""
    return NotImplementedError(f"{what} is not offered: {instead}")


_clients = {}
_MOST_CLIENTS = 64


def client_of(options):
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



def check_region(region):
    if region is None or region is False:
        return
    if isinstance(region, str) and not _REGION.fullmatch(region):
        raise ValueError(f"Invalid azure_region={region!r}: a lower-case name of a region is wanted")
    raise refused("azure_region", "leave it out; tokens come from the global endpoint")


def check_excluded(scopes):
    if not scopes:
        return
    if not isinstance(scopes, list):
        raise ValueError(f"Invalid exclude_scopes={scopes!r}. It need to be a list of strings.")
    if "openid" in scopes:
        raise ValueError(f'Invalid exclude_scopes={scopes!r}. You can not opt out "openid" scope')
    raise refused("exclude_scopes", "openid, profile and offline_access are always asked; leave it out")


def check_cache(cache):
    for name in ("serialize", "deserialize", "has_state_changed"):
        if not hasattr(cache, name):
            raise TypeError(
                "token_cache: an object with serialize, deserialize and has_state_changed is wanted; "
                f"{type(cache).__name__} has no {name}"
            )


def capabilities_of(capabilities):
    if capabilities is None:
        return []
    checked("client_capabilities", capabilities, SETS, "a list of strings")
    return [checked("client_capabilities", each, str, "a list of str") for each in capabilities]


def timeouts(timeout):
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


def proxies_of(proxies):
    if proxies is None:
        return []
    checked("proxies", proxies, Mapping, "a dict of addresses by scheme")
    for scheme in proxies:
        if scheme not in ("http", "https", "all"):
            raise ValueError(f"proxies: {scheme!r} is none of http, https and all; single hosts go by NO_PROXY")
    return [(scheme, checked(f"proxies[{scheme!r}]", address, str, "a str")) for scheme, address in proxies.items()]


def ca_pem(verify):
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


def credential_of(credential):
    """The names that `_native.Client` reads."""
    names = dict.fromkeys(
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
    checked("client_assertion", assertion, str, "a callable, a str or bytes")
    warnings.warn(
        "A client_assertion that is a text expires; pass a callable, which is asked for each request.",
        DeprecationWarning,
        stacklevel=4,
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
