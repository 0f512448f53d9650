"""Sign in with Microsoft in an aiohttp application, with sessions in Redis.

    pip install 'async-msal[aiohttp]'
    python examples/python/aiohttp_app.py

Settings come from the environment: ``SP_APP_ID``, ``SP_APP_PW``, ``SP_AUTHORITY``, ``DOMAIN``, ``REDIS``, and the
application's address, ``PUBLIC_URL``. For a try without a tenant ``async-msal emulator`` prints all of them but ``DOMAIN``
(``localhost``) and ``REDIS``.
"""

import os
from html import escape

from aiohttp import web
from async_msal.aiohttp import ENV, AsyncMSAL, app_init_redis_session, auth_ok, msal_session
from async_msal.aiohttp.helpers import graph_url
from async_msal.aiohttp.routes import ROUTES

PAGES = web.RouteTableDef()


@PAGES.get("/")
@msal_session()
async def home(request: web.Request, ses: AsyncMSAL) -> web.Response:
    """Everybody may come here."""
    if not auth_ok(ses):
        return web.Response(text='<a href="/user/login">Sign in</a>', content_type="text/html")
    name = escape(ses.name)
    return web.Response(text=f'Hello {name}. <a href="/user/logout">Sign out</a>', content_type="text/html")


@PAGES.get("/profile")
@msal_session(auth_ok)
async def profile(request: web.Request, ses: AsyncMSAL) -> web.Response:
    """Only for who is signed in. The token is renewed where it must be."""
    async with ses.get(f"{graph_url()}/me") as answer:
        body = await answer.json()
    return web.json_response({"name": body["displayName"], "mail": body["mail"]})


async def welcome(ses: AsyncMSAL) -> None:
    """After each sign-in."""
    ses.session["visits"] = ses.session.get("visits", 0) + 1


async def make_app() -> web.Application:
    """The application; ENV is loaded by it."""
    ENV.load("")
    ENV.login_callback.append(welcome)
    app = web.Application()
    await app_init_redis_session(app)
    app.router.add_routes(PAGES)
    app.router.add_routes(ROUTES)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), port=int(os.environ.get("PORT", "8000")))
