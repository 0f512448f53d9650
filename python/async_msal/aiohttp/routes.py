"""Routes for signing in and out, and for who is signed in: ``app.router.add_routes(ROUTES)``."""

import logging
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any
from urllib.parse import urlencode, urlsplit

from aiohttp import web
from aiohttp_session import get_session, new_session

from . import auth_ok, authenticated, msal_session
from .helpers import (
    get_manager_info,
    get_url,
    get_user_info,
    graph_url,
    html_table,
    html_wrap,
    is_loopback,
    is_own_host,
    kept_address,
    loopback_origin,
    return_address,
)
from .msal_async import FLOW_CACHE, AsyncMSAL
from .settings import ENV

__all__ = [
    "ENV",
    "FLOW_CACHE",
    "ROUTES",
    "SESSION_REDIRECT",
    "URI_USER_AUTHORIZED",
    "URI_USER_LOGIN",
    "AsyncMSAL",
    "auth_ok",
    "authenticated",
    "get_manager_info",
    "get_route",
    "get_url",
    "get_user_info",
    "html_table",
    "html_wrap",
    "msal_session",
    "user_authorized",
    "user_debug",
    "user_info",
    "user_login",
    "user_logout",
    "user_photo",
]

_LOG = logging.getLogger(__name__)

ROUTES = web.RouteTableDef()

URI_USER_LOGIN = "/user/login"
URI_USER_AUTHORIZED = "/user/authorized"
SESSION_REDIRECT = "redirect"

ENV.info["authenticated"] = auth_ok


def get_route(request: web.Request, url: str) -> str:
    """The address of a path here as browsers see it, by the rules of :func:`helpers.get_url`; http on loopback."""
    res = get_url(request, url, https_proxy=False)
    if res.startswith("http://") and not is_loopback(urlsplit(res).hostname) and not ENV.PUBLIC_URL:
        return "https://" + res.removeprefix("http://")
    return res


@ROUTES.get(URI_USER_LOGIN)
@ROUTES.get(f"{URI_USER_LOGIN}/{{to:.+$}}")
async def user_login(request: web.Request) -> web.Response:
    """Sends the browser to the authority's sign-in page. Then it comes to the path after ``/user/login/``."""
    redirect_uri = get_url(request, URI_USER_AUTHORIZED)
    session = await new_session(request)
    session[SESSION_REDIRECT] = return_address(_referer(request), request.match_info.get("to", ""))
    raise web.HTTPFound(AsyncMSAL(session).initiate_auth_code_flow(redirect_uri=redirect_uri))


@ROUTES.post(URI_USER_AUTHORIZED)
async def user_authorized(request: web.Request) -> web.Response:
    """Where the authority sends the browser back to: finishes the sign-in."""
    aiomsal = await AsyncMSAL.from_request(request)
    ok, msg = await aiomsal.async_acquire_token_by_auth_code_flow_plus(request)
    if not ok or msg:
        return web.Response(text=html_wrap(msg), content_type="text/html")
    target = kept_address(aiomsal.redirect)
    aiomsal.redirect = ""
    raise web.HTTPFound(target)


@ROUTES.get("/user/debug")
async def user_debug(request: web.Request) -> web.Response:
    """What arrives here, without the secrets in it. Only with ``ENV.DEBUG_ROUTE``."""
    if not ENV.DEBUG_ROUTE:
        raise web.HTTPNotFound
    session = await get_session(request)
    debug = {
        f"cookies[{ENV.COOKIE_NAME}]": ENV.COOKIE_NAME in request.cookies,
        "cookies.keys()": list(request.cookies),
        "session.keys()": list(session),
        "session.new": session.new,
        "ip": {
            "host": request.host,
            "ip": request.remote,
            "X-Forw-For IP": request.headers.get("X-Forwarded-For", ""),
        },
    }
    if not session.new:  # nothing is stored for everybody who comes by
        session["debug"] = True
        session["debug_previous"] = time.time()
    return web.json_response(debug)


@ROUTES.get("/user/info")
@msal_session()
async def user_info(request: web.Request, ses: AsyncMSAL) -> web.Response:
    """Who is signed in, as JSON."""
    if not auth_ok(ses):
        return web.json_response({"authenticated": False})
    res: dict[str, Any] = {
        "mail": ses.mail,
        "name": ses.name,
        "manager_mail": ses.manager_mail,
        "manager_name": ses.manager_name,
    }
    for name, test in ENV.info.items():
        res[name] = await _answer(test, ses)
    if request.query.get("debug"):
        res["debug"] = True
        try:
            await get_user_info(ses)
            await get_manager_info(ses)
        except Exception as err:
            _LOG.warning("Graph: %s", err)
            res["get_user_info()"] = f"Graph did not answer: {type(err).__name__}"
    return web.json_response(res)


@ROUTES.get("/user/logout")
@ROUTES.get("/user/logout/{to:.+$}")
@msal_session(auth_ok)
async def user_logout(request: web.Request, ses: AsyncMSAL) -> web.Response:
    """Forgets the session and signs the user out at the authority. Links on other sites get a 403."""
    if _is_from_elsewhere(request):
        raise web.HTTPForbidden(text="Sign out from a page of this site.")
    target = _after_logout(request, request.match_info.get("to", ""))
    ses.session.clear()
    raise web.HTTPFound(f"{await _end_session_endpoint(ses)}?{urlencode({'post_logout_redirect_uri': target})}")


@ROUTES.get("/user/photo")
@msal_session(auth_ok)
async def user_photo(request: web.Request, ses: AsyncMSAL) -> web.StreamResponse:
    """The user's photo, passed on as it comes."""
    async with ses.get(f"{graph_url()}/me/photo/$value") as res:
        if res.status != 200:
            return web.Response(status=res.status if res.status >= 400 else 502)
        if not res.content_type.startswith("image/") or "svg" in res.content_type:
            raise web.HTTPBadGateway
        response = web.StreamResponse(status=200)
        response.headers["Content-Type"] = res.headers["Content-Type"]
        if "Content-Length" in res.headers and "Content-Encoding" not in res.headers:
            response.headers["Content-Length"] = res.headers["Content-Length"]
        response.headers["Cache-Control"] = "private, max-age=3600"
        response.headers["X-Content-Type-Options"] = "nosniff"
        await response.prepare(request)
        async for chunk in res.content.iter_chunked(8192):
            await response.write(chunk)
        return response


async def _answer(test: Callable[[Any], Any | Awaitable[Any]], ses: AsyncMSAL) -> Any:
    answer = test(ses)
    return await answer if isawaitable(answer) else answer


def _referer(request: web.Request) -> str:
    return request.headers.get("Referer", "")


def _after_logout(request: web.Request, to: str) -> str:
    """Absolute, as the authority wants it: under the origin on loopback that asked, else here."""
    origin = loopback_origin(_referer(request))
    return return_address(origin, to or "/") if origin else get_url(request, return_address("", to))


def _is_from_elsewhere(request: web.Request) -> bool:
    """Browsers say who asked; old ones only by the Referer, and a typed address has none."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "cross-site"
    referer = _referer(request)
    try:
        return bool(referer) and not is_own_host(urlsplit(referer).netloc)
    except ValueError:
        return True


async def _end_session_endpoint(ses: AsyncMSAL) -> str:
    """Of the authority that signed the user in; by the path template of Entra ID where it cannot be asked."""
    try:
        metadata = await ses.app._native.metadata()
    except Exception as err:
        _LOG.warning("The authority's metadata cannot be had: %s", err)
        metadata = {}
    return metadata.get("end_session_endpoint") or f"{ENV.SP_AUTHORITY.rstrip('/')}/oauth2/v2.0/logout"
