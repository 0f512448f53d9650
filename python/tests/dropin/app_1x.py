"""An application of aiohttp_msal 1.x, written as its documentation shows. It runs as it stands with both packages."""

from aiohttp import web
from aiohttp_msal import ENV, AsyncMSAL, app_init_redis_session, auth_ok, auth_or, msal_session
from aiohttp_msal.helpers import get_url
from aiohttp_msal.routes import ROUTES, URI_USER_AUTHORIZED, URI_USER_LOGIN
from aiohttp_session import get_session, new_session

PAGES = web.RouteTableDef()

assert URI_USER_LOGIN == "/user/login"


def is_ada(ses):
    return ses.mail.startswith("ada@")


async def is_nobody(ses):
    return False


async def count_login(ses):
    ses.session["logins"] = ses.session.get("logins", 0) + 1


@PAGES.get("/hello")
async def hello(request):
    return web.Response(text="hello")


@PAGES.get("/me")
@msal_session(auth_ok)
async def me(request: web.Request, ses: AsyncMSAL) -> web.Response:
    async with ses.get("https://graph.microsoft.com/v1.0/me") as res:
        body = await res.json()
    return web.json_response({"mail": body["mail"], "name": ses.name, "manager": ses.manager_name})


@PAGES.get("/token")
@msal_session(auth_ok, is_ada)
async def token(request: web.Request, ses: AsyncMSAL) -> web.Response:
    result = await ses.async_get_token()
    return web.json_response({name: name != "error" for name in ("access_token", "token_type") if name in result})


@PAGES.get("/plain-token")
@msal_session(auth_ok)
async def plain_token(request: web.Request, ses: AsyncMSAL) -> web.Response:
    return web.json_response(sorted(ses.get_token(["User.Read"]))[:1])


@PAGES.get("/forbidden")
@msal_session(auth_ok, is_nobody)
async def forbidden(request: web.Request, ses: AsyncMSAL) -> web.Response:
    return web.Response(text="never")


@PAGES.get("/either")
@msal_session(is_nobody, is_ada, at_least_one=True)
async def either(request: web.Request, ses: AsyncMSAL) -> web.Response:
    return web.Response(text="one of them")


@PAGES.get("/or")
@msal_session(auth_or(is_nobody, auth_ok))
async def one_or_the_other(request: web.Request, ses: AsyncMSAL) -> web.Response:
    return web.Response(text="or")


@PAGES.get("/set/{value}")
@msal_session(auth_ok)
async def set_item(request: web.Request, ses: AsyncMSAL) -> web.Response:
    ses.session["value"] = request.match_info["value"]
    return web.Response(text="set")


@PAGES.get("/readme/login")
async def readme_login(request: web.Request) -> web.Response:
    session = await new_session(request)
    redir = AsyncMSAL(session).initiate_auth_code_flow(redirect_uri=get_url(request, URI_USER_AUTHORIZED))
    return web.HTTPFound(redir)


@PAGES.post("/readme/authorized")
async def readme_authorized(request: web.Request) -> web.Response:
    session = await get_session(request)
    auth_response = dict(await request.post())
    aiomsal = AsyncMSAL(session)
    await aiomsal.async_acquire_token_by_auth_code_flow(auth_response)
    return web.json_response({"mail": aiomsal.mail, "authenticated": aiomsal.authenticated})


async def make_app(check_proxy_cb) -> web.Application:
    ENV.load("Demo_")
    ENV.login_callback.append(count_login)
    ENV.info["ada"] = is_ada
    ENV.info["nobody"] = is_nobody
    app = web.Application()
    await app_init_redis_session(app, check_proxy_cb=check_proxy_cb)
    app.router.add_routes(PAGES)
    app.router.add_routes(ROUTES)
    return app
