"""Runs an application of the tests: ``serve.py <package> <file> <port of the emulator>``; prints its own port.

The application's source is changed in one way: the package's name.
"""

import asyncio
import importlib
import os
import socket
import ssl
import sys
import time
import types
from pathlib import Path

import aiohttp
from aiohttp import web
from aiohttp.abc import AbstractResolver

PACKAGE, FILE, EMULATOR_PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])


class EmulatorResolver(AbstractResolver):
    """Sends Graph's name to the emulator."""

    async def resolve(self, host, port=0, family=socket.AF_INET):
        address = {"hostname": host, "host": "127.0.0.1", "port": EMULATOR_PORT, "family": socket.AF_INET}
        return [address | {"proto": 0, "flags": 0}]

    async def close(self):
        pass


class Pauses:
    """The longest time the event loop did not come round, in seconds."""

    longest = 0.0

    async def watch(self):
        while True:
            begin = time.perf_counter()
            await asyncio.sleep(0.001)
            self.longest = max(self.longest, time.perf_counter() - begin - 0.001)

    async def answer(self, request):
        longest, self.longest = self.longest, 0.0
        return web.Response(text=str(longest))


def application():
    module = types.ModuleType("application")
    source = Path(FILE).read_text().replace("aiohttp_msal", PACKAGE)
    exec(compile(source, FILE, "exec"), module.__dict__)
    return module


async def no_check():
    pass


async def main():
    msal_async = importlib.import_module(f"{PACKAGE}.msal_async")
    trust = ssl.create_default_context(cafile=os.environ["CA_FILE"])
    trust.check_hostname = False  # the emulator stands in for Graph
    connector = aiohttp.TCPConnector(resolver=EmulatorResolver(), ssl=trust)
    session = aiohttp.ClientSession(connector=connector)
    msal_async.AsyncMSAL.client_session = msal_async.AsyncMSAL._clientsession = session
    app = await application().make_app(no_check)
    pauses = Pauses()
    app.router.add_get("/stall", pauses.answer)
    watch = asyncio.create_task(pauses.watch())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    await watch


asyncio.run(main())
