"""Tokens of sessions: one renewal for all who ask, in every kind of session, from every thread."""

import asyncio
import base64
import json
import os
import subprocess
import sys
import threading
import time

import pytest
from aiohttp import web
from aiohttp_session import SimpleCookieStorage
from aiohttp_session.cookie_storage import EncryptedCookieStorage
from redis.asyncio import Redis

from async_msal.aiohttp import AsyncMSAL
from async_msal.aiohttp.redis_tools import get_session as find
from session_parts import SCOPES, Running, application, expire, sign_in, storage_for, until


REFUSED = {"oauth_error": {"status": 400, "error": "invalid_grant", "code": 700082}}


def lease(session_id):
    return f"async-msal:lease:{{AIOHTTP_SESSION_{session_id}}}"


@pytest.fixture
def signed_in(env, emulator, redis):
    """The id of a session in Redis whose tokens have expired."""

    async def run():
        async with Running(application(storage_for(redis))) as browser:
            return await sign_in(browser, emulator)

    session_id = asyncio.run(run())
    expire(redis, session_id)
    emulator.clear()
    return session_id


def test_fifty_requests_of_one_session_make_one_renewal(emulator, redis, signed_in):
    async def run():
        async with Running(application(storage_for(redis))) as browser:
            emulator.fault("token", {"delay_millis": 200})
            answers = await asyncio.gather(*(browser("GET", "/token", cookie=signed_in) for _ in range(50)))
            assert len({json.loads(answer.text_read)["access_token"] for answer in answers}) == 1
            assert emulator.token_requests() == 1

    asyncio.run(run())


def test_rust_and_python_nodes_share_one_storm(command, emulator, redis, signed_in):
    settings = {
        "SP_APP_ID": emulator.client_id,
        "SP_APP_PW": emulator.client_secret,
        "SP_AUTHORITY": emulator.authority,
        "CA_FILE": emulator.ca_file,
        "DANGEROUS_ALLOW_LOOPBACK_AUTHORITY": "true",
        "PUBLIC_URL": "https://localhost",
        "STORE_URL": redis.url,
        "SESSION_LAYOUT": "aiohttp",
        "COOKIE_NAME": "AIOHTTP_SESSION",
    }
    environment = {"PATH": os.environ["PATH"], **settings}
    arguments = [command, "token", "--mail", "ada@contoso.example", "--scope", "User.Read"]

    async def rust():
        pipe = asyncio.subprocess.PIPE
        node = await asyncio.create_subprocess_exec(*arguments, env=environment, stdout=pipe, stderr=pipe)
        out, err = await node.communicate()
        assert node.returncode == 0, err
        return out.decode().strip()

    async def python(browser):
        return json.loads((await browser("GET", "/token", cookie=signed_in)).text_read)["access_token"]

    async def run():
        async with Running(application(storage_for(redis))) as one, Running(application(storage_for(redis))) as two:
            emulator.fault("token", {"delay_millis": 600})
            asked = [rust() for _ in range(4)]
            asked += [python(browser) for browser in (one, two) for _ in range(25)]
            assert len(set(await asyncio.gather(*asked))) == 1
            assert emulator.token_requests() == 1

    asyncio.run(run())


class TestPlainDicts:
    def items(self, redis, signed_in):
        return {name: value for name, value in redis.items(signed_in).items() if name != "async_msal"}

    def test_many_holders_of_one_text_share_a_renewal(self, emulator, redis, signed_in):
        items = self.items(redis, signed_in)
        holders = [dict(items) for _ in range(50)]

        async def run():
            emulator.fault("token", {"delay_millis": 200})
            return await asyncio.gather(*(AsyncMSAL(holder).async_get_token(SCOPES) for holder in holders))

        results = asyncio.run(run())
        assert len({result["access_token"] for result in results}) == 1
        assert emulator.token_requests() == 1
        assert all(results[0]["access_token"] in holder["token_cache"] for holder in holders)
        # Whoever comes late with the old text gets what was renewed.
        late = dict(items)
        assert AsyncMSAL(late).get_token(SCOPES)["token_source"] == "cache"
        assert late["token_cache"] == holders[0]["token_cache"] and emulator.token_requests() == 1

    def test_callbacks_of_all_versions(self, emulator, redis, signed_in):
        told = []

        class Saving(AsyncMSAL):
            def save_token_cache(self, token_cache):
                told.append(("method", token_cache.serialize()))

        async def later(session):
            told.append(("awaited", session["token_cache"]))

        for make in (
            lambda items: AsyncMSAL(items, lambda session: told.append(("session", session["token_cache"]))),
            lambda items: AsyncMSAL(items, save_callback=lambda session: told.append(("session", session["token_cache"]))),
            lambda items: AsyncMSAL(items, save_cache=lambda cache: told.append(("cache", cache.serialize()))),
            lambda items: AsyncMSAL(items, later),
            Saving,
        ):
            items = self.items(redis, signed_in)
            result = make(items).get_token(SCOPES)
            (kind, text), = told
            assert result["access_token"] in text and result["access_token"] in items["token_cache"], kind
            told.clear()
            # A hit tells nobody anything.
            make(items).get_token(SCOPES)
            assert not told

    def test_a_refused_renewal_is_none_and_leaves_the_session(self, emulator, redis, signed_in):
        items = self.items(redis, signed_in)
        emulator.fault("token", REFUSED)
        before = dict(items)
        assert AsyncMSAL(items).get_token(SCOPES) is None
        assert items["mail"] == before["mail"]

    @pytest.mark.parametrize("text", [None, "", "{", "[]", 7, {}, '{"AccessToken": 1}'])
    def test_a_token_cache_that_is_none_is_nobody(self, text, env):
        ses = AsyncMSAL({"token_cache": text, "mail": "a"})
        assert ses.get_token() is None and asyncio.run(ses.async_get_token()) is None
        assert ses.app.get_accounts() == []

    def test_a_token_that_ages_is_given_at_once_and_renewed_behind_it(self, emulator, redis, signed_in):
        items = self.items(redis, signed_in)
        cache = json.loads(items["token_cache"])
        for entry in cache["AccessToken"].values():
            entry["expires_on"], entry["refresh_on"] = str(int(time.time()) + 3000), "1000"
        items["token_cache"] = json.dumps(cache)

        async def run():
            ses = AsyncMSAL(items)
            first = await ses.async_get_token(SCOPES)
            await until(lambda: AsyncMSAL(dict(items)).get_token(SCOPES)["access_token"] != first["access_token"])
            await ses.async_get_token(SCOPES)
            assert first["access_token"] not in items["token_cache"] and emulator.token_requests() == 1

        asyncio.run(run())


@pytest.mark.parametrize("kind", ["encrypted", "simple"])
def test_sessions_in_cookies_share_a_renewal_in_the_process(kind, emulator, redis, signed_in):
    items = {name: redis.items(signed_in)[name] for name in ("token_cache", "mail")}
    cache = json.loads(items["token_cache"])
    del cache["AccessToken"]  # a cookie is small
    items["token_cache"] = json.dumps(cache)

    async def fill(request):
        from aiohttp_session import get_session

        (await get_session(request)).update(items)
        return web.Response()

    class Quoted(SimpleCookieStorage):
        def __init__(self):
            super().__init__(
                encoder=lambda data: base64.urlsafe_b64encode(json.dumps(data).encode()).decode(),
                decoder=lambda text: json.loads(base64.urlsafe_b64decode(text)),
            )

    storage = Quoted() if kind == "simple" else EncryptedCookieStorage(b"0" * 32)

    async def run():
        async with Running(application(storage, web.get("/fill", fill))) as browser:
            await browser("GET", "/fill")
            full = browser.cookie
            emulator.fault("token", {"delay_millis": 200})
            answers = await asyncio.gather(*(browser("GET", "/token", cookie=full) for _ in range(20)))
            tokens = {json.loads(answer.text_read)["access_token"] for answer in answers}
            assert len(tokens) == 1 and emulator.token_requests() == 1
            assert all(answer.session_cookie not in (None, full) for answer in answers)

    asyncio.run(run())


class TestBlocking:
    """The plain `get_token`."""

    async def found(self, env, redis):
        env.database = Redis.from_url(redis.url)
        ses = await find("ada@contoso.example")
        await env.database.aclose()
        return ses

    def test_after_its_loop_has_closed_it_renews_and_saves(self, env, emulator, redis, signed_in):
        ses = asyncio.run(self.found(env, redis))
        token = ses.get_token(SCOPES)["access_token"]
        assert token in redis.items(signed_in)["token_cache"] and token in ses.session["token_cache"]
        assert redis.client.ttl(f"AIOHTTP_SESSION_{signed_in}") > 0

    def test_on_many_threads_at_once_it_renews_once(self, env, emulator, redis, signed_in):
        tokens = []
        ses = asyncio.run(self.found(env, redis))
        emulator.fault("token", {"delay_millis": 200})
        threads = [threading.Thread(target=lambda: tokens.append(ses.get_token(SCOPES)["access_token"])) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join(20) for thread in threads]
        assert len(tokens) == 8 and len(set(tokens)) == 1 and emulator.token_requests() == 1

    def test_on_the_loops_thread_it_waits_for_another_process_and_returns(self, env, emulator, redis, signed_in):
        async def run():
            ses = await self.found(env, redis)
            redis.client.set(lease(signed_in), "another process", px=700)
            begun = time.monotonic()
            token = ses.get_token(SCOPES)
            assert token["token_source"] == "identity_provider" and 0.5 < time.monotonic() - begun < 10

        asyncio.run(asyncio.wait_for(run(), 15))

    def test_on_the_loops_thread_it_goes_on_beside_an_awaited_one(self, env, emulator, redis, signed_in):
        async def run():
            ses, other = await self.found(env, redis), await self.found(env, redis)
            emulator.fault("token", {"delay_millis": 300})
            awaited = asyncio.create_task(ses.async_get_token(SCOPES))
            await asyncio.sleep(0)
            token = other.get_token(SCOPES)
            assert token["access_token"] == (await awaited)["access_token"] and emulator.token_requests() == 1

        asyncio.run(asyncio.wait_for(run(), 15))

    def test_what_another_process_renewed_is_taken(self, env, emulator, redis, signed_in):
        async def run():
            ses, other = await self.found(env, redis), await self.found(env, redis)
            renewed = await other.async_get_token(SCOPES)
            assert ses.get_token(SCOPES)["access_token"] == renewed["access_token"]
            assert emulator.token_requests() == 1 and other.session["token_cache"] == ses.session["token_cache"]

        asyncio.run(run())

    def test_the_readmes_script_runs_as_it_stands(self, env, emulator, redis, signed_in):
        class GraphClient:
            def __init__(self, token_callback):
                self.acquire_token = token_callback

        env.REDIS = redis.url
        ses = asyncio.run(find("ada@contoso.example"))
        client = GraphClient(ses.get_token)
        assert client.acquire_token()["access_token"]


def test_a_dead_refresh_token_signs_nobody_in_again_and_raises_nothing(emulator, redis, signed_in):
    async def run():
        async with Running(application(storage_for(redis))) as browser:
            emulator.fault("token", REFUSED, count=10)
            assert (await browser("GET", "/token", cookie=signed_in)).text_read == "null"

    asyncio.run(run())


def test_an_authority_that_is_down_is_an_error_of_the_network(emulator, redis, signed_in, env):
    async def run():
        env.REDIS = redis.url
        ses = await find("ada@contoso.example")
        emulator.fault("token", {"answer": {"status": 503}}, count=20)
        with pytest.raises(OSError):
            await ses.async_get_token(SCOPES)

    asyncio.run(run())


def test_a_renewal_nobody_waits_for_is_saved_before_the_process_ends(env, emulator, redis, signed_in):
    items = redis.items(signed_in)
    cache = json.loads(items["token_cache"])
    for entry in cache["AccessToken"].values():
        entry["expires_on"], entry["refresh_on"] = str(int(time.time()) + 3000), "1000"
    redis.put(signed_in, items | {"token_cache": json.dumps(cache)})
    emulator.fault("token", {"delay_millis": 500})
    code = (
        "import asyncio; from async_msal.aiohttp import ENV; from async_msal.aiohttp.redis_tools import get_session\n"
        "ENV.load('DEMO_'); ses = asyncio.run(get_session('ada@contoso.example'))\n"
        "print(ses.get_token(['User.Read'])['token_source'])"
    )
    environment = os.environ | {
        "DEMO_SP_APP_ID": emulator.client_id,
        "DEMO_SP_APP_PW": emulator.client_secret,
        "DEMO_SP_AUTHORITY": emulator.authority,
        "DEMO_CA_FILE": emulator.ca_file,
        "DEMO_REDIS": redis.url,
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == "cache", done.stderr
    after = json.loads(redis.items(signed_in)["token_cache"])
    assert after["AccessToken"] != cache["AccessToken"] and emulator.token_requests() == 1
