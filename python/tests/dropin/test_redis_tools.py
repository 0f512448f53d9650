"""Finding, listing and cleaning sessions in Redis outside of a request."""

import asyncio
import json
import threading
import time
import uuid
from unittest.mock import AsyncMock, MagicMock

import pytest
from redis.asyncio import from_url

from async_msal.aiohttp import ENV, AsyncMSAL, redis_tools
from async_msal.aiohttp.redis_tools import (
    async_msal_factory,
    get_redis,
    get_session,
    invalid_sessions,
    redis_get,
    redis_get_json,
    redis_scan_keys,
    redis_set_set,
    session_clean,
    session_iter,
)

from parts import change_record, expire_tokens, record, sign_in

DAY = 24 * 3600


@pytest.fixture(autouse=True)
def settings(monkeypatch, authority, redis_url, redis_client):
    redis_client.flushall()
    for name, value in {
        "SP_APP_ID": authority.client_id,
        "SP_APP_PW": authority.client_secret,
        "SP_AUTHORITY": authority.authority,
        "DOMAIN": "contoso.example",
        "REDIS": redis_url,
        "database": None,
        "CA_FILE": authority.ca_file,
    }.items():
        monkeypatch.setattr(ENV, name, value)


@pytest.fixture
def stored(redis_client):
    """Puts a session into Redis; gives its key."""

    def put(items, *, created=None, key=None, ttl=1000):
        key = key or f"{ENV.COOKIE_NAME}_{uuid.uuid4().hex}"
        created = int(time.time()) if created is None else created
        redis_client.set(
            key, items if isinstance(items, str) else json.dumps({"created": created, "session": items}), ex=ttl
        )
        return key

    return put


def with_redis(work):
    """Runs `work(redis)` with a client of its own."""

    async def run():
        async with get_redis() as redis:
            return await work(redis)

    return asyncio.run(run())


def keys_left(redis_client):
    return {key.decode() for key in redis_client.scan_iter(f"{ENV.COOKIE_NAME}*")}


class TestGetSession:
    def test_by_the_whole_address(self, stored):
        stored({"mail": "joann@x"})
        stored({"mail": "ann@x.org"})
        stored({"mail": "ann@x", "name": "Ann"})
        assert asyncio.run(get_session("ann@x")).name == "Ann"
        assert asyncio.run(get_session(AsyncMSAL, "Ann@X")).name == "Ann"

    @pytest.mark.parametrize("asked", ["", "nn@x", "x", "*", "ann@x "])
    def test_not_by_a_part(self, stored, asked):
        stored({"mail": "ann@x"})
        with pytest.raises(ValueError, match="not found"):
            asyncio.run(get_session(asked))

    def test_as_a_class_of_the_application(self, stored):
        class Own(AsyncMSAL):
            pass

        stored({"mail": "ann@x"})
        assert type(asyncio.run(get_session(Own, "ann@x"))) is Own

    def test_the_newest_one(self, stored):
        stored({"mail": "ann@x", "name": "old"}, created=int(time.time()) - 100)
        stored({"mail": "ann@x", "name": "new"})
        stored({"mail": "ann@x", "name": "older"}, created=int(time.time()) - 200)
        assert asyncio.run(get_session("ann@x")).name == "new"

    def test_with_a_scope(self, stored):
        stored({"mail": "ann@x", "name": "mail", "token_cache": '{"x": "Mail.Read"}'}, created=int(time.time()) - 100)
        stored({"mail": "ann@x", "name": "user", "token_cache": '{"x": "User.Read"}'})
        assert asyncio.run(get_session(AsyncMSAL, "ann@x", scope="mail.read")).name == "mail"
        with pytest.raises(ValueError, match=r"scope files.read not found \(2 checked\)"):
            asyncio.run(get_session(AsyncMSAL, "ann@x", scope="files.read"))

    def test_while_the_index_is_being_made(self, stored, monkeypatch):
        stored({"mail": "ada@contoso.example", "token_cache": "{}"})
        index = MagicMock(find=AsyncMock(side_effect=ConnectionError("records are still being indexed")))
        monkeypatch.setattr(redis_tools, "_runtime_sessions", lambda: index)
        assert asyncio.run(get_session("ada@contoso.example")).mail == "ada@contoso.example"
        assert index.find.await_count == 1

    def test_with_a_client_of_the_application(self, stored, redis_url):
        stored({"mail": "ann@x", "name": "Ann"})

        async def run():
            async with from_url(redis_url) as redis:
                return await get_session(AsyncMSAL, "ann@x", redis=redis)

        assert asyncio.run(run()).name == "Ann"

    @pytest.mark.parametrize("args", [(), (AsyncMSAL, "a", "b"), (str, "a"), (AsyncMSAL, 5), (None,)])
    def test_wrong_arguments(self, args):
        with pytest.raises(TypeError):
            asyncio.run(get_session(*args))

    def test_by_the_names_of_its_arguments(self, stored):
        stored({"mail": "ann@x", "name": "Ann"})
        assert asyncio.run(get_session(email="ann@x")).name == "Ann"


class GraphClient:
    """What a script makes of the function that gets it tokens."""

    def __init__(self, get_token):
        self.get_token = get_token


class TestScript:
    @pytest.fixture
    def signed_in(self, servers, authority, redis_client):
        session = sign_in(servers("async_msal.aiohttp", "app_1x.py"), authority)
        change_record(redis_client, session, expire_tokens)
        return session

    def test_runs_as_the_documentation_has_it(self, signed_in, redis_client):
        MYEMAIL = "ada@contoso.example"
        ses = asyncio.run(get_session(MYEMAIL))
        client = GraphClient(ses.get_token)
        assert client.get_token()["access_token"]

    def test_what_it_renews_is_saved(self, signed_in, redis_client, authority):
        key = f"{ENV.COOKIE_NAME}_{signed_in}"
        redis_client.expire(key, 500)
        token = asyncio.run(get_session("ada@contoso.example")).get_token()["access_token"]
        kept = json.loads(redis_client.get(key))
        assert isinstance(kept["created"], int) and 0 < redis_client.ttl(key) <= 500
        assert token in kept["session"]["token_cache"]

    def test_what_others_wrote_meanwhile_stays(self, signed_in, redis_client):
        ses = asyncio.run(get_session("ada@contoso.example"))
        change_record(redis_client, signed_in, lambda items: items.update(colour="red"))
        ses.get_token()
        assert record(redis_client, signed_in)["colour"] == "red"

    def test_a_session_that_has_ended_stays_so(self, signed_in, redis_client):
        ses = asyncio.run(get_session("ada@contoso.example"))
        key = f"{ENV.COOKIE_NAME}_{signed_in}"
        redis_client.delete(key)
        try:
            ses.get_token()
        except Exception:
            pass
        assert not redis_client.exists(key)

    def test_its_tokens_come_on_other_threads_and_inside_a_loop(self, signed_in, authority):
        ses = asyncio.run(get_session("ada@contoso.example"))
        tokens = []
        thread = threading.Thread(target=lambda: tokens.append(ses.get_token()))
        thread.start()
        thread.join(20)

        async def inside():
            tokens.append(ses.get_token())
            tokens.append(await ses.async_get_token())

        asyncio.run(inside())
        assert len({token["access_token"] for token in tokens}) == 1 and len(tokens) == 3


class TestSessionIter:
    def test_yields_key_time_and_items(self, stored):
        key = stored({"mail": "ann@x"}, created=1234)

        async def work(redis):
            return [entry async for entry in session_iter(redis)]

        assert with_redis(work) == [(key, 1234, {"mail": "ann@x"})]

    def test_matches_whole_values(self, stored):
        stored({"mail": "joann@x", "name": "Ann"})
        key = stored({"mail": "ann@x", "name": "Ann"})
        stored({"mail": None, "name": "Ann"})

        async def work(redis):
            return [found async for found, _, _ in session_iter(redis, match={"mail": "ann@x", "name": "Ann"})]

        assert with_redis(work) == [key]

    def test_takes_texts_only(self):
        async def work(redis):
            return [entry async for entry in session_iter(redis, match={"mail": 1})]

        with pytest.raises(ValueError):
            with_redis(work)

    def test_passes_over_what_is_no_record(self, stored, redis_client):
        stored({"mail": "ann@x"}, key=f"{ENV.COOKIE_NAME}2_{uuid.uuid4().hex}")
        stored("text", key=f"{ENV.COOKIE_NAME}_note")
        redis_client.sadd(f"{ENV.COOKIE_NAME}_{uuid.uuid4().hex}", "member")

        async def work(redis):
            return [entry async for entry in session_iter(redis)]

        assert with_redis(work) == []

    def test_takes_a_pattern_of_keys_and_any_client(self):
        values = {"a": {"key": "a", "b": "2a"}, "b": {"key": "b", "b": "2a"}, "c": {"key": "c", "b": "6c"}}

        async def scan_iter(*, count, match):
            assert (count, match) == (100, "a*")
            for key in values:
                yield key

        redis = MagicMock()
        redis.scan_iter = scan_iter
        redis.get = AsyncMock(side_effect=[json.dumps({"created": 1, "session": items}) for items in values.values()])

        async def work():
            return [key async for key, _, _ in session_iter(redis, match={"b": "2a"}, key_match="a*")]

        assert asyncio.run(work()) == ["a", "b"]


class TestCleaning:
    def test_keeps_who_is_signed_in_and_who_is_signing_in(self, stored, redis_client):
        now = int(time.time())
        kept = {
            stored({"mail": "ann@x", "name": "Ann", "m_mail": "ben@x", "m_name": "Ben"}),
            stored({"mail": "ann@x", "name": "Ann"}),
            stored({"flow_cache": {"state": "s"}}, created=now - 600),
        }
        stored({"flow_cache": {"state": "s"}}, created=now - 2 * 3600)
        stored({"mail": "ann@x"}, created=now - 91 * DAY)
        stored({"colour": "red"})
        with_redis(session_clean)
        assert keys_left(redis_client) == kept

    def test_max_age_and_expected_items(self, stored, redis_client):
        kept = stored({"mail": "ann@x", "team": "red"})
        stored({"mail": "ann@x", "team": "red"}, created=int(time.time()) - 8 * DAY)
        stored({"mail": "ann@x"})
        with_redis(lambda redis: session_clean(redis, max_age=7, expected_keys={"mail": 1, "team": 1}))
        assert keys_left(redis_client) == {kept}

    def test_leaves_other_keys_alone(self, stored, redis_client):
        kept = {stored("text", key=f"{ENV.COOKIE_NAME}_note"), stored({}, key=f"{ENV.COOKIE_NAME}2_{uuid.uuid4().hex}")}
        with_redis(session_clean)
        with_redis(invalid_sessions)
        assert keys_left(redis_client) == kept

    def test_removes_what_cannot_be_read(self, stored, redis_client, caplog):
        kept = {stored({"mail": "ann@x"}), stored("{}"), stored({"mail": "ann@x"}, created="1700000000")}
        for broken in (
            "no json",
            "[1]",
            '{"created": 5}',
            '{"created": 5, "session": []}',
            '{"created": "x", "session": {}}',
        ):
            gone = stored(broken)
        with_redis(invalid_sessions)
        assert keys_left(redis_client) == kept
        assert gone not in caplog.text


    def test_takes_no_text_for_a_list_of_items(self, stored):
        key = stored({"mail": "ada@x"})
        with pytest.raises(TypeError, match="expected_keys"):
            with_redis(lambda redis: session_clean(redis, expected_keys="mail"))
        assert with_redis(lambda redis: redis.exists(key))

    def test_a_time_with_a_fraction_is_one(self, stored):
        key = stored(json.dumps({"created": f"{time.time():.1f}", "session": {"mail": "ada@x"}}))
        with_redis(session_clean)
        with_redis(invalid_sessions)
        assert with_redis(lambda redis: redis.exists(key))

    @pytest.mark.parametrize("text", ['{"created": 1e999, "session": {}}', "[" * 100_000])
    def test_what_no_reader_bears_is_removed_and_stops_nothing(self, text, stored):
        key = stored(text)
        stored({"mail": "ada@x", "name": "Ada"})
        assert asyncio.run(get_session("ada@x")).name == "Ada"
        with_redis(invalid_sessions)
        assert not with_redis(lambda redis: redis.exists(key))


class TestSmallTools:
    def test_texts_json_sets_and_keys(self, redis_client):
        redis_client.set("glue:text", "text")
        redis_client.set("glue:json", '{"a": 1}')
        redis_client.sadd("glue:set", "a", "b")

        async def work(redis):
            await redis_set_set("glue:set", {"b", "c"})
            keys = sorted(await redis_scan_keys("glue:*"))
            return await redis_get("glue:text"), await redis_get_json("glue:json"), await redis_get("glue:none"), keys

        assert with_redis(work) == ("text", {"a": 1}, None, ["glue:json", "glue:set", "glue:text"])
        assert redis_client.smembers("glue:set") == {b"b", b"c"}

    def test_a_connection_of_its_own_is_closed_and_forgotten(self):
        async def work():
            async with get_redis() as redis:
                assert ENV.database is redis
            return ENV.database

        assert asyncio.run(work()) is None

    def test_the_application_s_connection_stays(self, redis_url, monkeypatch):
        async def work():
            mine = from_url(redis_url)
            monkeypatch.setattr(ENV, "database", mine)
            async with get_redis() as redis:
                same = redis is mine
            await mine.ping()
            await mine.aclose()
            return same and ENV.database is mine

        assert asyncio.run(work())

    def test_a_record_as_a_session(self, stored):
        key = stored({"mail": "ann@x"})
        assert async_msal_factory(AsyncMSAL, key, 1, {"mail": "ann@x"}).mail == "ann@x"
        assert redis_tools.SES_KEYS == ("mail", "name", "m_mail", "m_name")
