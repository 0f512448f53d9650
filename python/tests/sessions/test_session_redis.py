"""How records of Redis are read: on every loop, behind a password, and again after Redis was gone."""

import asyncio
import json

import pytest
import uvloop
from redis.asyncio import Redis

from async_msal.aiohttp._lane import Lane
from async_msal.aiohttp._storage import RedisStorage
from session_parts import RedisServer, Running, application, sign_in, storage_for, until


def test_several_event_loops_read_sessions_of_one_storage(env, emulator, redis):
    storage = storage_for(redis)

    async def run(cookie=None):
        async with Running(application(storage)) as browser:
            if cookie is None:
                return await sign_in(browser, emulator)
            for _ in range(3):
                answer = await browser("GET", "/token", cookie=cookie)
                assert json.loads(answer.text_read)["access_token"]
            return cookie

    cookie = asyncio.run(run())
    asyncio.run(run(cookie))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(cookie))


def test_a_redis_that_was_gone_is_an_error_and_is_found_again(env, emulator):
    server = RedisServer()

    async def run():
        async with Running(application(storage_for(server))) as browser:
            session_id = await sign_in(browser, emulator)
            items = server.items(session_id)
            server.kill()
            assert (await browser("GET", "/items")).status == 500
            server.start()
            server.put(session_id, items)
            for _ in range(5):
                assert json.loads((await browser("GET", "/items")).text_read) == items

    try:
        asyncio.run(run())
    finally:
        server.stop()


def test_a_password_and_another_database(env, emulator):
    server = RedisServer()
    server.client.config_set("requirepass", "p@ss:/word")
    pool = {"port": server.port, "db": 3, "password": "p@ss:/word"}

    async def run():
        storage = RedisStorage(Redis(**pool), max_age=3600, cookie_name=env.COOKIE_NAME)
        async with Running(application(storage)) as browser:
            await sign_in(browser, emulator)
            assert (await browser("GET", "/token")).status == 200
            await until(lambda: storage._lanes.get() is not None)
            assert json.loads((await browser("GET", "/token")).text_read)["access_token"]
            lane = storage._lanes.get()
            assert lane is not None and lane.is_open

    try:
        asyncio.run(run())
    finally:
        server.stop()


class TestAnswers:
    """A lane alone, whatever the pieces are in which an answer comes."""

    class Transport:
        def __init__(self):
            self.aborted = False

        def write(self, data):
            self.sent = data

        def abort(self):
            self.aborted = True

    @pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000])
    def test_in_pieces(self, piece):
        async def run():
            lane = Lane(asyncio.get_running_loop())
            lane.connection_made(self.Transport())
            lane.greet("user", "password", "2")
            asked = [lane.get(f"key-{number}") for number in range(4)]
            asked[1].cancel()
            text = b"+OK\r\n+OK\r\n$5\r\na\r\nbc\r\n$1\r\nx\r\n$-1\r\n$0\r\n\r\n"
            for begin in range(0, len(text), piece):
                lane.data_received(text[begin : begin + piece])
            assert [await asked[0], await asked[2], await asked[3]] == [b"a\r\nbc", None, b""]
            lane.connection_lost(None)

        asyncio.run(run())

    @pytest.mark.parametrize("text", [b"-NOAUTH Authentication required.\r\n", b":7\r\n", b"HTTP/1.1 400\r\n"])
    def test_what_is_no_answer_ends_it(self, text):
        async def run():
            lane = Lane(asyncio.get_running_loop())
            transport = self.Transport()
            lane.connection_made(transport)
            asked = lane.get("key")
            lane.data_received(text)
            assert transport.aborted and lane.refused and not lane.is_open
            lane.connection_lost(None)
            with pytest.raises(Exception):
                await asked

        asyncio.run(run())

    def test_no_answer_for_too_long_ends_it(self):
        async def run():
            lane = Lane(asyncio.get_running_loop())
            transport = self.Transport()
            lane.connection_made(transport)
            asked = lane.get("key")
            await until(lambda: transport.aborted)
            asked.cancel()

        asyncio.run(run())
