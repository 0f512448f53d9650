"""Microsoft Graph's answers about the user, and pieces of pages."""

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from aiohttp import web

from .settings import ENV
from .utils import retry

if TYPE_CHECKING:
    from .msal_async import AsyncMSAL

_GRAPH_HOSTS = {
    "login.microsoftonline.us": "graph.microsoft.us",
    "login.usgovcloudapi.net": "graph.microsoft.us",
    "login.partner.microsoftonline.cn": "microsoftgraph.chinacloudapi.cn",
    "login.chinacloudapi.cn": "microsoftgraph.chinacloudapi.cn",
}
#: A name or an address, and a port (RFC 9110 7.2).
_HOST = re.compile(r"(?P<name>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@retry
async def get_user_info(aiomsal: "AsyncMSAL") -> None:
    """Puts the user's mail and name from Microsoft Graph into the session. Needs the scope User.Read.

    A user without a mailbox keeps the mail of the sign-in.
    """
    body = await _graph(aiomsal, "/me")
    try:
        mail, name = body["mail"], body["displayName"]
    except KeyError as err:
        raise KeyError(f"Graph's answer about the user has no {err}, only {sorted(body)}") from None
    aiomsal.mail = mail or aiomsal.mail or body.get("userPrincipalName") or ""
    aiomsal.name = name


@retry
async def get_manager_info(aiomsal: "AsyncMSAL") -> None:
    """Puts the manager's mail and name into the session. Needs the scope User.Read.All.

    A user without a manager has neither.
    """
    body = await _graph(aiomsal, "/me/manager", missing_ok=True)
    if body is None:
        aiomsal.manager_mail = aiomsal.manager_name = ""
        return
    try:
        mail, name = body["mail"], body["displayName"]
    except KeyError as err:
        raise KeyError(f"Graph's answer about the manager has no {err}, only {sorted(body)}") from None
    aiomsal.manager_mail, aiomsal.manager_name = mail, name


def graph_url() -> str:
    """``ENV.GRAPH_URL``, else the address of Microsoft Graph in the authority's cloud; no slash at its end."""
    if ENV.GRAPH_URL:
        return ENV.GRAPH_URL.rstrip("/")
    host = urlsplit(ENV.SP_AUTHORITY).hostname or ""
    return f"https://{_GRAPH_HOSTS.get(host, 'graph.microsoft.com')}/v1.0"


async def _graph(aiomsal: "AsyncMSAL", path: str, missing_ok: bool = False) -> Any:
    status, body = await _answer(aiomsal, graph_url() + path)
    if missing_ok and status == 404:
        return None
    if status == 429 or status >= 500:
        raise ConnectionError(f"Graph answered {status}")
    if not isinstance(body, dict) or "error" in body:
        error = body.get("error") if isinstance(body, dict) else None
        code = error.get("code") if isinstance(error, dict) else "no JSON object"
        raise KeyError(f"Graph answered {status}: {code}")
    return body


async def _answer(aiomsal: "AsyncMSAL", url: str) -> tuple[int, Any]:
    """Status and JSON."""
    ask = getattr(aiomsal, "_ask_core", None)  # a stand-in of the application's own has no core
    answer = await ask(url) if ask else None
    if answer is not None:
        return answer[0], _json(answer[1])
    async with aiomsal.get(url) as res:
        # What failed for a while is looked at no further.
        return res.status, None if res.status == 429 or res.status >= 500 else await res.json()


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def html_table(items: Mapping[Any, Any]) -> str:
    """A table of names and values, escaped."""
    rows = "".join(f"<tr><td>{escape(str(key))}</td><td>{escape(str(val))}</td></tr>" for key, val in items.items())
    return f"<table style='width:80%;border:1px solid black;'>{rows}</table>"


def html_wrap(msgs: Sequence[str]) -> str:
    """The page of a sign-in that failed. The messages are text, not HTML: they are escaped."""
    items = "".join(f"<li>{escape(str(msg))}</li>" for msg in msgs)
    domain = escape(ENV.DOMAIN)
    query = escape(quote(ENV.DOMAIN))
    return f"""
    <h2>Login failed</h2>

    <p>Retry at <a href='/user/login'>/user/login</a></p>

    <p>Try clearing the cookies for <b>.{domain}</b> by navigating to the correct
    address for your browser:
    <ul>
    <li>chrome://settings/siteData?searchSubpage={query}</li>
    <li>brave://settings/siteData?searchSubpage={query}</li>
    <li>edge://settings/siteData (you will have to search for {domain} cookies)</li>
    </ul></p>

    <h4>Debug info</h4>
    <ul>{items}</ul>
    """


def get_url(request: web.Request, path: str = "", https_proxy: bool = True) -> str:
    """The address of a path here, as browsers see it.

    From ``ENV.PUBLIC_URL`` where it is set. Else from the request's host, if that is ``ENV.DOMAIN``, below it, or
    loopback; any other host gets a 400: whoever sends the request chooses it. ``https_proxy``: the scheme is https,
    whatever the proxy in front of the application speaks to it.
    """
    tail = "/" + path.lstrip("/")
    if ENV.PUBLIC_URL:
        return public_url() + tail
    if not is_own_host(request.host):
        raise web.HTTPBadRequest(text="This host is not served here. Set PUBLIC_URL to the address of the application.")
    res = str(request.url.origin().with_path(tail))
    return "https://" + res.removeprefix("http://") if https_proxy and res.startswith("http://") else res


def public_url() -> str:
    """``ENV.PUBLIC_URL`` without a slash at its end."""
    parts = urlsplit(ENV.PUBLIC_URL)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"PUBLIC_URL: the address of the application is wanted, not {ENV.PUBLIC_URL!r}")
    return ENV.PUBLIC_URL.rstrip("/")


def is_loopback(host: str | None) -> bool:
    """Whether a host's name stands for this machine."""
    return host in _LOOPBACK or bool(host) and str(host).endswith(".localhost")


def is_own_host(host: str) -> bool:
    """Whether the name in a Host header is one that this application goes by."""
    parts = _HOST.fullmatch(host)
    if parts is None or parts["port"] is not None and not 0 < int(parts["port"]) < 65536:
        return False
    name = parts["name"].strip("[]").lower()
    domain = ENV.DOMAIN.lstrip(".").lower()
    if ENV.PUBLIC_URL and name == urlsplit(ENV.PUBLIC_URL).hostname:
        return True
    return is_loopback(name) or bool(domain) and (name == domain or name.endswith(f".{domain}"))


def return_address(base: str, target: str) -> str:
    """Where a sign-in or a sign-out may lead: a path here, or an address on loopback where ``base`` is one.

    ``base`` is what the browser named as its page (``Referer``), ``target`` a path after it. Anything else is ``/``.
    """
    origin = loopback_origin(base)
    if origin and not target:
        return base
    path = "/" + target.lstrip("/\\")
    segments = path.partition("?")[0].split("/")
    return origin + (path if _is_plain(path) and not {".", ".."} & set(segments) else "/")


def kept_address(address: Any) -> str:
    """What a session says where to go: a path, or an address on loopback. Another program may have written it."""
    address = address if isinstance(address, str) else ""
    address = address.removeprefix("/") if address.startswith(("/http://", "/https://")) else address
    return address if loopback_origin(address) else return_address("", address)


def loopback_origin(address: str) -> str:
    """``http://localhost:3000`` of an address there, ``""`` of every other."""
    if not _is_plain(address):
        return ""
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or parts.username is not None or not is_loopback(parts.hostname):
        return ""
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    return f"{parts.scheme}://{host}{port}"


def _is_plain(address: str) -> bool:
    """No control characters, and no backslash, which browsers take for a slash."""
    return not any(ord(sign) < 32 or sign in "\\\x7f" for sign in address)
