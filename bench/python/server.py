"""The application that is measured: `server.py <package> <port>`, the same program for both packages.

Settings come from the environment, as both packages read them. `/hello` is the page that must not wait for anybody's
sign-in, `/token` needs a token that lies in the session, `/stall` tells the longest pause of the event loop.
"""

import asyncio
import importlib
import os
import socket
import ssl
import sys
import time

import aiohttp
from aiohttp import web
from aiohttp.abc import AbstractResolver

PACKAGE, PORT = sys.argv[1], int(sys.argv[2])
EMULATOR_PORT = int(os.environ["BENCH_EMULATOR_PORT"])

package = importlib.import_module(PACKAGE)
msal_async = importlib.import_module(f"{PACKAGE}.msal_async")
routes = importlib.import_module(f"{PACKAGE}.routes")


class EmulatorResolver(AbstractResolver):
    """Sends Graph's name to the emulator."""

    async def resolve(self, host, port=0, family=socket.AF_INET):
        return [{"hostname": host, "host": "127.0.0.1", "port": EMULATOR_PORT, "family": family, "proto": 0, "flags": 0}]

    async def close(self):
        pass


class Pauses:
    """The longest time the event loop did not come round, in seconds."""

    def __init__(self):
        self.longest = 0.0

    async def watch(self):
        while True:
            begin = time.perf_counter()
            await asyncio.sleep(0.001)
            self.longest = max(self.longest, time.perf_counter() - begin - 0.001)


async def hello(request):
    return web.Response(text="hello")


@package.msal_session(package.auth_ok)
async def token(request, ses):
    answer = await ses.async_get_token()
    return web.Response(text=str(len(answer["access_token"])))


async def stall(request):
    pauses = request.app[PAUSES]
    longest, pauses.longest = pauses.longest, 0.0
    return web.Response(text=str(longest))


PAUSES = web.AppKey("pauses", Pauses)


async def no_check():
    pass


async def main():
    package.ENV.load("")
    if not hasattr(package.ENV, "GRAPH_URL"):  # where Graph is, aiohttp_msal has no setting for
        trust = ssl.create_default_context(cafile=os.environ["REQUESTS_CA_BUNDLE"])
        trust.check_hostname = False
        connector = aiohttp.TCPConnector(resolver=EmulatorResolver(), ssl=trust)
        msal_async.AsyncMSAL.client_session = aiohttp.ClientSession(connector=connector)
    app = web.Application()
    await package.app_init_redis_session(app, check_proxy_cb=None if hasattr(package.ENV, "PUBLIC_URL") else no_check)
    app.router.add_routes(routes.ROUTES)
    app.router.add_get("/hello", hello)
    app.router.add_get("/token", token)
    app.router.add_get("/stall", stall)
    app[PAUSES] = Pauses()
    watch = asyncio.create_task(app[PAUSES].watch())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", PORT).start()
    print("ready", flush=True)
    await watch


asyncio.run(main())
