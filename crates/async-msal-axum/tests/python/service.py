"""An application on aiohttp, aiohttp_session and aiohttp_msal, as they come from PyPI.

Nothing of those packages is changed; from outside the application is told where graph.microsoft.com is (EMULATOR_PORT) and
whom to trust (REQUESTS_CA_BUNDLE). Each line of standard input is a JSON object of environment variables, prefix SHARED_
where aiohttp_msal reads them; the application starts anew with them and prints its port. It ends with its input.
"""

import asyncio
import json
import os
import socket
import ssl
import sys

from aiohttp import ClientSession, TCPConnector, web
from aiohttp.abc import AbstractResolver
from aiohttp_msal import ENV, app_init_redis_session, auth_ok, msal_session, redis_tools
from aiohttp_msal.helpers import get_url
from aiohttp_msal.msal_async import AsyncMSAL
from aiohttp_msal.routes import ROUTES, URI_USER_AUTHORIZED
from aiohttp_session import get_session


class EmulatorResolver(AbstractResolver):
    """Every host is the emulator."""

    async def resolve(self, host, port=0, family=socket.AF_INET):
        port = int(os.environ["EMULATOR_PORT"])
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    async def close(self):
        pass


own = web.RouteTableDef()


@own.get("/private")
@msal_session(auth_ok)
async def private(request, ses):
    return web.json_response({"mail": ses.mail, "name": ses.name})


@own.get("/token")
@msal_session(auth_ok)
async def token(request, ses):
    return web.json_response(await ses.async_get_token())


@own.get("/graph")
@msal_session(auth_ok)
async def graph(request, ses):
    async with ses.get("https://graph.microsoft.com/v1.0/me") as answer:
        return web.json_response({"status": answer.status, "me": await answer.json()})


@own.get("/items")
async def items(request):
    return web.json_response(dict(await get_session(request)))


@own.get("/count")
async def count(request):
    session = await get_session(request)
    session["count"] = session.get("count", 0) + 1
    return web.json_response(session["count"])


@own.get("/login-here")
async def login_here(request):
    """A sign-in in the session that is there, as an application's own route may have it."""
    ses = await AsyncMSAL.from_request(request)
    ses.redirect = "/"
    raise web.HTTPFound(ses.initiate_auth_code_flow(get_url(request, URI_USER_AUTHORIZED)))


@own.get("/clear")
async def clear(request):
    """The sign-out of a service that keeps its user away from the authority."""
    (await get_session(request)).clear()
    return web.json_response("cleared")


@own.get("/tools/iterate")
async def iterate(request):
    return web.json_response([key async for key, _, _ in redis_tools.session_iter(ENV.database)])


@own.get("/tools/clean")
async def clean(request):
    await redis_tools.session_clean(ENV.database)
    return web.json_response("done")


@own.get("/tools/invalid")
async def invalid(request):
    await redis_tools.invalid_sessions(ENV.database)
    return web.json_response("done")


async def no_check():
    """In place of the package's question to a public web site."""


async def start():
    """Starts the application with the present settings and returns what has to be ended, and its port."""
    ENV.load("SHARED_")
    ENV.database = None
    context = ssl.create_default_context(cafile=os.environ["REQUESTS_CA_BUNDLE"])
    AsyncMSAL.client_session = ClientSession(connector=TCPConnector(resolver=EmulatorResolver(), ssl=context))
    app = web.Application()
    app.add_routes(own)
    app.add_routes(ROUTES)
    await app_init_redis_session(app, check_proxy_cb=no_check)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    return runner, listener.getsockname()[1]


async def end(runner):
    await runner.cleanup()
    await AsyncMSAL.client_session.close()
    await ENV.database.aclose()


async def main():
    runner = None
    while line := await asyncio.to_thread(sys.stdin.readline):
        if runner is not None:
            await end(runner)
        os.environ.update(json.loads(line))
        runner, port = await start()
        print(port, flush=True)


asyncio.run(main())
