"""An application of aiohttp_msal 0.6, written as its documentation shows. It runs as it stands with both packages."""

from aiohttp import web
from aiohttp_msal import ENV, VERSION, AsyncMSAL, app_init_redis_session, authenticated, msal_session
from aiohttp_msal.msal_async import DEFAULT_SCOPES, FLOW_CACHE, TOKEN_CACHE, USER_EMAIL
from aiohttp_msal.routes import ROUTES, URI_USER_AUTHORIZED, get_route
from aiohttp_msal.settings import MSALSettings, Var
from aiohttp_msal.user_info import get_user_info
from aiohttp_session import get_session, new_session

PAGES = web.RouteTableDef()

assert VERSION and DEFAULT_SCOPES == ["User.Read", "User.Read.All"]
assert (FLOW_CACHE, TOKEN_CACHE, USER_EMAIL) == ("flow_cache", "token_cache", "mail")


class Settings(MSALSettings):
    COLOUR = Var(str, required=True)
    LIMIT = 5


async def count_login(ses):
    ses.session["logins"] = ses.session.get("logins", 0) + 1


@PAGES.get("/hello")
async def hello(request):
    return web.Response(text="hello")


@PAGES.get("/me")
@msal_session(authenticated)
async def me(ses, request):
    async with ses.get("https://graph.microsoft.com/v1.0/me") as res:
        body = await res.json()
    return web.json_response({"mail": body["mail"], "name": ses.name, "manager": ses.manager_name})


@PAGES.get("/token")
@msal_session(authenticated)
async def token(ses, request):
    result = await ses.async_get_token()
    return web.json_response({name: True for name in ("access_token", "token_type") if name in result})


@PAGES.get("/plain-token")
@msal_session(authenticated)
async def plain_token(request, ses):
    return web.json_response(sorted(ses.get_token(["User.Read"]))[:1])


@PAGES.get("/set/{value}")
@msal_session(authenticated)
async def set_item(request, ses):
    ses.session["value"] = request.match_info["value"]
    return web.Response(text="set")


@PAGES.get("/refresh-info")
@msal_session(authenticated)
async def refresh_info(request, ses):
    await get_user_info(ses)
    return web.json_response({"mail": ses.mail, "authenticated": ses.authenticated})


@PAGES.get("/readme/login")
async def readme_login(request):
    session = await new_session(request)
    redir = AsyncMSAL(session).build_auth_code_flow(redirect_uri=get_route(request, URI_USER_AUTHORIZED.lstrip("/")))
    return web.HTTPFound(redir)


@PAGES.post("/readme/authorized")
async def readme_authorized(request):
    session = await get_session(request)
    auth_response = dict(await request.post())
    aiomsal = AsyncMSAL(session)
    await aiomsal.async_acquire_token_by_auth_code_flow(auth_response)
    return web.json_response({"mail": aiomsal.mail, "authenticated": aiomsal.authenticated})


async def make_app(check_proxy):
    import aiohttp_msal

    aiohttp_msal.check_proxy = check_proxy
    own = Settings()
    own.load("DEMO_")
    assert (own.COLOUR, own.LIMIT, own.to_dict()["DEMO_COLOUR"]) == ("red", 7, "red")
    ENV.load("DEMO_")
    ENV.login_callback.append(count_login)
    app = web.Application()
    await app_init_redis_session(app)
    app.router.add_routes(PAGES)
    app.router.add_routes(ROUTES)
    return app
