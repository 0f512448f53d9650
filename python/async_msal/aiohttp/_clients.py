"""One client for a process and its settings: what was learned of the authority is shared by all sessions."""

import copy
import logging
import os
import tempfile
from collections import OrderedDict
from typing import Any

from .. import _native
from ..application import SyncConfidentialClientApplication
from .settings import ENV

_LOG = logging.getLogger(__name__)

#: More sets of settings than this are not kept.
_MOST = 32
#: Of the clients of `requests`, which MSAL Python is built on, and of OpenSSL; the first that is set counts.
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


class _LoopbackApplication(SyncConfidentialClientApplication):
    """For an emulator on this machine that speaks plain http."""

    _ALLOW_HTTP = True


class Core:
    """An application without a token cache of its own, its native client, and the caches of sessions."""

    def __init__(self, application: SyncConfidentialClientApplication, credential: Any) -> None:
        self.application = application
        self.native = application._native
        self.texts = _native.Texts(self.native)
        self.secret = credential if isinstance(credential, str) else None

    def with_cache(self, token_cache: Any) -> SyncConfidentialClientApplication:
        """The application over this token cache."""
        application = copy.copy(self.application)
        application.token_cache = token_cache
        return application


_CORES: "OrderedDict[Any, Core]" = OrderedDict()


def core(app_kwargs: dict[str, Any] | None = None) -> Core:
    """The client of ENV's settings, with further arguments for the application."""
    key = (ENV.SP_APP_ID, ENV.SP_APP_PW, ENV.SP_AUTHORITY, getattr(ENV, "CA_FILE", ""), None)
    if app_kwargs:
        key = (*key[:4], _frozen({name: value for name, value in app_kwargs.items() if name != "token_cache"}))
    found = _CORES.get(key)
    if found is None:
        found = _CORES[key] = _made(app_kwargs or {})
        while len(_CORES) > _MOST:
            _CORES.popitem(last=False)
    return found


def setting(name: str) -> str:
    """A setting that `MSALSettings` does not name, with the prefix of the others."""
    value = getattr(ENV, name, None)
    return value if isinstance(value, str) and value else ENV[name]


def ca_file() -> str | None:
    """The certificate authorities to trust beside the machine's."""
    candidates = [setting("CA_FILE"), *(os.environ.get(name, "") for name in _CA_VARIABLES)]
    path = next((candidate for candidate in candidates if candidate), None)
    return _joined(path) if path and os.path.isdir(path) else path


def _made(app_kwargs: dict[str, Any]) -> Core:
    arguments = {
        "client_id": ENV.SP_APP_ID,
        "client_credential": ENV.SP_APP_PW,
        "authority": ENV.SP_AUTHORITY,
        "validate_authority": False,
        **app_kwargs,
    }
    arguments.pop("token_cache", None)
    path = ca_file()
    if path and arguments.get("verify", True) is not False:
        arguments["verify"] = path
    loopback = setting("DANGEROUS_ALLOW_LOOPBACK_AUTHORITY").lower() in ("1", "true", "yes", "on")
    kind = _LoopbackApplication if loopback else SyncConfidentialClientApplication
    return Core(kind(**arguments), arguments["client_credential"])


def _joined(folder: str) -> str:
    """`requests` takes a folder too."""
    texts = []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            with open(path, encoding="ascii", errors="replace") as file:
                text = file.read()
            if "-----BEGIN CERTIFICATE-----" in text:
                texts.append(text)
    with tempfile.NamedTemporaryFile("w", suffix=".pem", delete=False) as file:
        file.write("\n".join(texts))
    return file.name


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(sorted((str(name), _frozen(item)) for name, item in value.items()))
    if isinstance(value, (list, tuple, set, frozenset)):
        return tuple(_frozen(item) for item in value)
    try:
        hash(value)
    except TypeError:
        return id(value)
    return value
