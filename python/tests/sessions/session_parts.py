"""An application with sessions in a Redis of its own."""

import asyncio
import json
import socket
import subprocess
import time

import redis as redis_py
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp_session import get_session, new_session, setup
from redis.asyncio import from_url

from async_msal.aiohttp import ENV, AsyncMSAL
from async_msal.aiohttp._storage import RedisStorage

SCOPES = ["User.Read"]


class RedisServer:
    """A redis-server on a free port, in memory."""

    def __init__(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis_py.Redis(port=self.port, decode_responses=True)
        self.start()

    def start(self):
        command = ["redis-server", "--port", str(self.port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        for _ in range(200):
            try:
                self.client.ping()
                return
            except redis_py.ConnectionError:
                time.sleep(0.02)
        raise RuntimeError("redis-server did not start")

    def kill(self):
        """Its records are gone."""
        self.process.kill()
        self.process.wait(10)

    def stop(self):
        self.client.close()
        self.process.terminate()
        self.process.wait(10)

    def ids(self):
        """The ids of the records that are not blank."""
        keys = self.client.keys(f"{ENV.COOKIE_NAME}_*")
        return sorted(key.rpartition("_")[2] for key in keys if self.client.get(key) != "{}")

    def record(self, session_id):
        value = self.client.get(f"{ENV.COOKIE_NAME}_{session_id}")
        return None if value is None else json.loads(value)

    def items(self, session_id):
        return self.record(session_id)["session"]

    def put(self, session_id, items, created=None):
        value = {"created": int(time.time()) if created is None else created, "session": items}
        self.client.set(f"{ENV.COOKIE_NAME}_{session_id}", json.dumps(value), ex=3600)


class Browser:
    """A client of the application that keeps cookies as a browser does."""

    def __init__(self, client):
        self.client = client
        self.cookie = None

    async def __call__(self, method, path, cookie=None, **named):
        sent = self.cookie if cookie is None else cookie
        headers = {"Cookie": f"{ENV.COOKIE_NAME}={sent}"} if sent else {}
        answer = await self.client.request(method, path, headers=headers, allow_redirects=False, **named)
        answer.text_read = await answer.text()
        # aiohttp's client drops cookies of more than 4 KB.
        given = [value for value in answer.headers.getall("Set-Cookie", []) if value.startswith(f"{ENV.COOKIE_NAME}=")]
        answer.session_cookie = given[0].split(";")[0].partition("=")[2].strip('"') if given else None
        if given and cookie is None:
            self.cookie = answer.session_cookie or None
        return answer


async def login(request):
    session = await new_session(request)
    raise web.HTTPFound(AsyncMSAL(session).initiate_auth_code_flow("http://localhost:8000/user/authorized"))


async def authorized(request):
    ses = await AsyncMSAL.from_request(request)
    ok, messages = await ses.async_acquire_token_by_auth_code_flow_plus(request, get_info="")
    return web.json_response({"ok": ok, "messages": messages})


async def token(request):
    ses = await AsyncMSAL.from_request(request)
    result = await ses.async_get_token(SCOPES)
    return web.json_response(result)


async def put(request):
    session = await get_session(request)
    session[request.query["name"]] = request.query["value"]
    return web.json_response({})


async def items(request):
    return web.json_response(dict(await get_session(request)))


def application(storage, *routes):
    """The routes of an application, with sessions in `storage`."""
    app = web.Application()
    setup(app, storage)
    app.add_routes([web.get("/login", login), web.post("/authorized", authorized), web.get("/token", token)])
    app.add_routes([web.get("/put", put), web.get("/items", items), *routes])
    return app


class Running:
    """An application under test, used as `async with`."""

    def __init__(self, app):
        self.app = app

    async def __aenter__(self):
        self.client = TestClient(TestServer(self.app), cookie_jar=None)
        self.client.session._cookie_jar.clear()
        await self.client.start_server()
        return Browser(self.client)

    async def __aexit__(self, *_):
        await self.client.close()


def storage_for(redis_server, **options):
    return RedisStorage(from_url(redis_server.url), max_age=3600, cookie_name=ENV.COOKIE_NAME, **options)


async def sign_in(browser, emulator, person="ada@contoso.example"):
    """Gives the id of the session."""
    started = await browser("GET", "/login")
    fields = await asyncio.to_thread(emulator.sign_in, started.headers["Location"], person)
    answer = await browser("POST", "/authorized", data=fields)
    told = json.loads(answer.text_read)
    assert told["ok"], told
    return browser.cookie


def expire(redis_server, session_id):
    """Lets the access tokens of a session expire."""
    record = redis_server.record(session_id)
    cache = json.loads(record["session"]["token_cache"])
    for entry in cache["AccessToken"].values():
        entry["expires_on"] = "1000"
    record["session"]["token_cache"] = json.dumps(cache)
    redis_server.client.set(f"{ENV.COOKIE_NAME}_{session_id}", json.dumps(record), keepttl=True)


async def until(condition, limit=5.0):
    """Waits for it, while the loop goes on."""
    async with asyncio.timeout(limit):
        while not condition():
            await asyncio.sleep(0.01)
