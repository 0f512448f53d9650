"""Sessions of aiohttp_session in Redis: what is saved, what is merged, and what stays ended."""

import asyncio
import json

import pytest
from aiohttp import web
from aiohttp_session import Session, get_session
from redis.asyncio import Redis

from async_msal.aiohttp import AsyncMSAL
from async_msal.aiohttp._storage import RedisStorage, redis_address
from session_parts import SCOPES, Running, application, expire, sign_in, storage_for, until


def test_a_sign_in_gets_a_new_id_and_the_old_records_are_deleted(env, emulator, redis):
    async def run():
        async with Running(application(storage_for(redis))) as browser:
            first = await sign_in(browser, emulator)
            started = await browser("GET", "/login")
            before = browser.cookie
            assert redis.items(before)["flow_cache"]
            assert redis.items(first)["mail"] == "ada@contoso.example"
            fields = await asyncio.to_thread(emulator.sign_in, started.headers["Location"])
            answer = await browser("POST", "/authorized", data=fields)
            assert json.loads(answer.text_read) == {"ok": True, "messages": []}
            assert redis.ids() == [browser.cookie] and browser.cookie not in (first, before)
            assert redis.record(before) is None and redis.record(first) in (None, {})
            items = redis.items(browser.cookie)
            assert items["mail"] == "ada@contoso.example" and "async_msal_replaces" not in items

    asyncio.run(run())


def test_a_renewal_and_an_item_of_two_requests_are_both_kept(env, emulator, redis):
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request):
        session = await get_session(request)
        arrived.set()
        await go_on.wait()
        session["colour"] = "blue"
        return web.Response()

    async def run():
        async with Running(application(storage_for(redis), web.get("/slow", slow))) as browser:
            session_id = await sign_in(browser, emulator)
            expire(redis, session_id)
            waiting = asyncio.create_task(browser("GET", "/slow", cookie=session_id))
            await arrived.wait()
            renewed = json.loads((await browser("GET", "/token")).text_read)
            assert renewed["token_source"] == "identity_provider"
            go_on.set()
            assert (await waiting).status == 200
            items = redis.items(session_id)
            assert items["colour"] == "blue" and renewed["access_token"] in items["token_cache"]

    asyncio.run(run())


def test_a_renewal_inside_a_streamed_answer_is_saved(env, emulator, redis):
    async def streamed(request):
        ses = await AsyncMSAL.from_request(request)
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write((await ses.async_get_token(SCOPES))["access_token"].encode())
        return response

    async def run():
        async with Running(application(storage_for(redis), web.get("/streamed", streamed))) as browser:
            session_id = await sign_in(browser, emulator)
            expire(redis, session_id)
            answer = await browser("GET", "/streamed")
            assert answer.text_read in redis.items(session_id)["token_cache"]
            assert redis.client.ttl(f"AIOHTTP_SESSION_{session_id}") > 0

    asyncio.run(run())


@pytest.mark.parametrize("ended", ["{}", None])
def test_a_record_that_ended_elsewhere_is_not_brought_back(ended, env, emulator, redis):
    async def run():
        async def late(request):
            ses = await AsyncMSAL.from_request(request)
            key = f"AIOHTTP_SESSION_{ses.session.identity}"
            redis.client.delete(key) if ended is None else redis.client.set(key, ended)
            token = await ses.async_get_token(SCOPES)
            ses.session["colour"] = "blue"
            return web.json_response(token)

        async with Running(application(storage_for(redis), web.get("/late", late))) as browser:
            session_id = await sign_in(browser, emulator)
            expire(redis, session_id)
            answer = await browser("GET", "/late")
            assert (answer.status, answer.text_read) == (200, "null")
            assert redis.client.get(f"AIOHTTP_SESSION_{session_id}") == ended
            assert browser.cookie is None

    asyncio.run(run())


def test_what_others_write_is_seen_by_the_next_request(env, emulator, redis):
    async def run():
        async with Running(application(storage_for(redis))) as browser:
            session_id = await sign_in(browser, emulator)
            for number in range(20):
                items = redis.items(session_id) | {"number": number}
                redis.put(session_id, items)
                assert json.loads((await browser("GET", "/items")).text_read)["number"] == number

    asyncio.run(run())


def test_a_record_whose_time_is_a_text_is_read_and_mended(env, emulator, redis):
    async def run():
        async with Running(application(storage_for(redis))) as browser:
            session_id = await sign_in(browser, emulator)
            created = redis.record(session_id)["created"]
            redis.put(session_id, redis.items(session_id), created=str(created))
            redis.client.persist(f"AIOHTTP_SESSION_{session_id}")
            assert (await browser("GET", "/token")).status == 200
            assert (await browser("GET", "/put?name=colour&value=red")).status == 200
            assert isinstance(redis.record(session_id)["created"], int)
            assert redis.items(session_id)["colour"] == "red"
            assert redis.client.ttl(f"AIOHTTP_SESSION_{session_id}") > 0

    asyncio.run(run())


@pytest.mark.parametrize("text", ["null", "[]", "7", "{", '{"created": 1}', '{"created": 5, "session": []}', '"x"', "\x00"])
def test_a_record_that_is_none_is_an_empty_session_and_is_written_anew(text, env, redis):
    async def run():
        async with Running(application(storage_for(redis))) as browser:
            browser.cookie = old = "0" * 32
            redis.client.set(f"AIOHTTP_SESSION_{old}", text)
            assert (await browser("GET", "/items")).text_read == "{}"
            assert (await browser("GET", "/token")).text_read == "null"
            await browser("GET", "/put?name=colour&value=red")
            assert browser.cookie != old and redis.items(browser.cookie) == {"colour": "red"}

    asyncio.run(run())


def test_an_emptied_session_is_ended_and_its_cookie_deleted(env, emulator, redis):
    async def leave(request):
        (await get_session(request)).invalidate()
        return web.Response()

    async def run():
        async with Running(application(storage_for(redis), web.get("/leave", leave))) as browser:
            session_id = await sign_in(browser, emulator)
            answer = await browser("GET", "/leave")
            assert 'AIOHTTP_SESSION=""' in answer.headers["Set-Cookie"] and browser.cookie is None
            assert redis.record(session_id) == {}

    asyncio.run(run())


def test_records_of_aiohttp_session_are_found_by_mail_and_the_other_way_round(env, emulator, redis):
    from async_msal.aiohttp.redis_tools import get_session as find

    async def run():
        async with Running(application(storage_for(redis))) as browser:
            session_id = await sign_in(browser, emulator)
            # As aiohttp_msal leaves it: no index, no item of ours.
            items = {name: value for name, value in redis.items(session_id).items() if name != "async_msal"}
            redis.client.flushall()
            redis.put(session_id, items)
            env.database = Redis.from_url(redis.url)
            assert (await browser("GET", "/token")).status == 200
            await until(lambda: "async_msal" in redis.items(session_id))
            found = await find("ADA@contoso.example")
            assert (await found.async_get_token(SCOPES))["token_source"] == "cache"
            with pytest.raises(ValueError):
                await find("da@contoso.example")
            await env.database.aclose()

    asyncio.run(run())


class TestForeign:
    def test_settings_of_a_plain_client_are_read(self):
        client = Redis(host="h", port=7, db=3, username="u", password="p:/w")
        assert redis_address(client).url == "redis://u:p%3A%2Fw@h:7/3"

    @pytest.mark.parametrize("client", [Redis(unix_socket_path="/x"), Redis(ssl=True, ssl_cert_reqs="none"), object()])
    def test_settings_that_cannot_be_read_make_a_foreign_storage(self, client):
        assert redis_address(client) is None

    def test_a_key_factory_or_an_encoder_that_is_not_json_keeps_aiohttp_sessions_ways(self, env, redis):
        async def run():
            made = iter(f"id-{number}" for number in range(9))
            for options in ({"key_factory": lambda: next(made)}, {"encoder": repr, "decoder": eval}):
                storage = storage_for(redis, **options)
                async with Running(application(storage)) as browser:
                    await browser("GET", "/put?name=colour&value=red")
                    assert json.loads((await browser("GET", "/items")).text_read) == {"colour": "red"}
                    assert type(await storage.load_session(web_request(browser.cookie))) is Session

        asyncio.run(run())

    def test_the_storage_takes_what_aiohttp_sessions_takes(self):
        with pytest.raises(TypeError):
            RedisStorage(object())


def web_request(cookie):
    from aiohttp.test_utils import make_mocked_request

    return make_mocked_request("GET", "/", headers={"Cookie": f"AIOHTTP_SESSION={cookie}"})
