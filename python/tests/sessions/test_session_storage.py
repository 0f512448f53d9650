"""Sessions of aiohttp_session in Redis, and their tokens."""

import asyncio
import json

from aiohttp import web

from async_msal.aiohttp import AsyncMSAL

from session_parts import SCOPES, Running, application, expire, sign_in, storage_for


def test_a_sign_in_gets_a_new_id_and_the_old_record_is_deleted(env, emulator, redis):
    async def run():
        async with Running(application(storage_for(redis))) as browser:
            started = await browser("GET", "/login")
            before = browser.cookie
            assert redis.items(before)["flow_cache"]
            fields = await asyncio.to_thread(emulator.sign_in, started.headers["Location"])
            answer = await browser("POST", "/authorized", data=fields)
            assert json.loads(answer.text_read) == {"ok": True, "messages": []}
            assert browser.cookie != before
            assert redis.record(before) is None
            assert redis.items(browser.cookie)["mail"] == "ada@contoso.example"
            assert json.loads((await browser("GET", "/token")).text_read)["token_source"] == "cache"

    asyncio.run(run())
