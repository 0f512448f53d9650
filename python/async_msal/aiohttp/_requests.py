"""Requests with the user's token: to whom, by what client, and with what body."""

import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import ref

from aiohttp import DummyCookieJar, TCPConnector, web
from aiohttp.client import ClientSession
from multidict import CIMultiDict

from . import helpers
from .settings import ENV

if TYPE_CHECKING:
    from aiohttp.typedefs import StrOrURL

#: Graph's hosts, of all clouds. The user's token goes to these, and to ENV.ALLOWED_HOSTS.
GRAPH_HOSTS = (
    "graph.microsoft.com",
    "graph.microsoft.us",
    "dod-graph.microsoft.us",
    "microsoftgraph.chinacloudapi.cn",
)


#: The one that was made here.
_OWN: "ref[ClientSession] | None" = None


def is_own(owner: Any) -> bool:
    """Whether the application leaves the choice of the client to this package."""
    found = owner.client_session or owner._clientsession
    return found is None or _OWN is not None and found is _OWN()


def client_session(owner: Any) -> ClientSession:
    """The one of the process, an attribute of `owner`; made anew when its loop has closed."""
    found = owner.client_session or owner._clientsession
    if found is not None and not found.closed:
        event_loop = getattr(found, "_loop", None)
        if event_loop is None or not event_loop.is_closed():
            return found
        found.detach()
    trust = None
    if path := getattr(ENV, "CA_FILE", ""):
        trust = ssl.create_default_context()
        trust.load_verify_locations(path)
    # Of many users: a cookie that an answer sets would go out with the next one's request.
    made = ClientSession(
        trust_env=True, cookie_jar=DummyCookieJar(), connector=TCPConnector(ssl=trust) if trust else None
    )
    owner.client_session = owner._clientsession = made
    return made


def check_host(client: ClientSession | None, url: "StrOrURL") -> None:
    address = str(url)
    if "://" not in address and (base := getattr(client, "_base_url", None)):
        address = str(base)
    try:
        parts = urlsplit(address)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as err:
        raise web.HTTPForbidden(text="This address is none: it does not get the user's token.") from err
    listed = [host.strip().lower() for host in str(getattr(ENV, "ALLOWED_HOSTS", "")).split(",")]
    # Where the operator says Graph is, port and all; a host that is listed has all its ports.
    graph = urlsplit(helpers.graph_url()).netloc.lower()
    allowed = host in GRAPH_HOSTS and port in (None, 443) or host in listed
    allowed = allowed or parts.netloc.lower() in (graph, *listed)
    if not host or not allowed:
        raise web.HTTPForbidden(text="This host does not get the user's token. ALLOWED_HOSTS names those that do.")
    if parts.scheme != "https" and not helpers.is_loopback(host):
        raise web.HTTPForbidden(text="The user's token goes out by https only.")


def encode(headers: "CIMultiDict[str]", kwargs: dict[str, Any]) -> None:
    """As JSON; a body that has another type, by its header or by what it is, goes out as it is."""
    data = kwargs.get("data")
    kind = headers.get("Content-Type")
    if kind is not None and "json" not in kind.lower() and isinstance(data, (str, bytes)):
        return
    if "data" in kwargs:
        try:
            kwargs["data"] = ENV.json_dumps(data)
        except TypeError:
            return
    headers.setdefault("Content-Type", "application/json")
