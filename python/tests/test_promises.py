"""What the package promises beside MSAL's answers: caches, shared requests, cancellation, sign-ins."""

import asyncio
import json
import threading
import time

import msal
import pytest

import async_msal
from test_bridges import REDIRECT, signed_in

SCOPES = ["User.Read"]
APP = ["https://graph.microsoft.com/.default"]


def aged(cache, **fields):
    """Sets fields of every access token, seconds from now."""
    sections = json.loads(cache.serialize())
    for entry in sections["AccessToken"].values():
        entry.update({name: str(int(time.time()) + seconds) for name, seconds in fields.items()})
    cache.deserialize(json.dumps(sections))


async def until(condition):
    """Waits for a condition of another process, for ten seconds at most."""
    deadline = time.monotonic() + 10
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.005)


class Plain:
    """The least that serves as a token cache."""

    has_state_changed = False

    def __init__(self):
        self.text, self.writers = "", set()

    def serialize(self):
        self.has_state_changed = False
        return self.text

    def deserialize(self, state):
        self.text = state
        self.writers.add(threading.current_thread().name)


# --- caches


@pytest.mark.parametrize("cache_class", [Plain, msal.SerializableTokenCache, async_msal.SerializableTokenCache])
def test_any_object_that_serialises_itself_serves_as_cache(emulator, options, cache_class):
    cache = cache_class()
    app = async_msal.ConfidentialClientApplication(**options, token_cache=cache)

    async def go():
        await signed_in(emulator, app)
        (account,) = app.get_accounts()
        hit = await app.acquire_token_silent(SCOPES, account)
        assert hit["token_source"] == "cache" and cache.has_state_changed
        # Asking is not saving: what the application has not saved is still to be saved.
        app.get_accounts()
        assert cache.has_state_changed
        renewed = await app.acquire_token_silent(SCOPES, account, force_refresh=True)
        assert renewed["access_token"] in cache.serialize() and not cache.has_state_changed
        app.remove_account(account)
        assert app.get_accounts() == [] and cache.has_state_changed

    asyncio.run(go())


def test_a_change_made_meanwhile_is_merged(emulator, options):
    cache = msal.SerializableTokenCache()
    app = async_msal.ConfidentialClientApplication(**options, token_cache=cache)

    async def go():
        await signed_in(emulator, app)
        (account,) = app.get_accounts()
        emulator.fault("token", {"delay_millis": 300})
        renewal = asyncio.ensure_future(app.acquire_token_silent(SCOPES, account, force_refresh=True))
        await until(lambda: emulator.counted("token_refresh_token") == 1)
        entry = {"client_id": "another", "environment": "elsewhere.example"}
        cache.modify(cache.CredentialType.APP_METADATA, entry, entry)
        renewed = await renewal
        text = cache.serialize()
        assert "elsewhere.example" in text and renewed["access_token"] in text

    asyncio.run(go())


def test_a_cache_that_raises_is_heard_of(emulator, options):
    class Broken(Plain):
        def deserialize(self, state):
            raise ArithmeticError("the disk is full")

    app = async_msal.ConfidentialClientApplication(**options, token_cache=Broken())
    with pytest.raises(ArithmeticError, match="the disk is full"):
        asyncio.run(app.acquire_token_for_client(APP))


@pytest.mark.parametrize("text", ["{", "[]", '{"AccessToken": []}', '{"AccessToken": {"a": 1}}', "\x00", '{"a":' * 99])
def test_malformed_caches_are_refused_without_their_text(options, text):
    with pytest.raises(json.JSONDecodeError) as refused:
        async_msal.SerializableTokenCache().deserialize(text)
    assert refused.value.doc == ""
    cache = Plain()
    cache.text = text
    with pytest.raises(ValueError, match="serialize"):
        async_msal.ConfidentialClientApplication(**options, token_cache=cache).get_accounts()


def test_wrong_types_of_a_state_are_named():
    for state in (3, [], {}):
        with pytest.raises(TypeError, match="state"):
            async_msal.SerializableTokenCache().deserialize(state)
    cache = async_msal.SerializableTokenCache()
    cache.deserialize(b'{"AppMetadata": {}}')
    cache.deserialize(None)
    assert cache.serialize() == "{}" and not cache.has_state_changed


def test_the_cache_class_works_as_msals(emulator, options):
    """The same events and changes leave the same entries, and are found alike."""
    events = [
        {
            "client_id": "c",
            "scope": ["s2", "s1"],
            "token_endpoint": "https://login.example/tenant/v2/token",
            "grant_type": "authorization_code",
            "data": data,
            "response": response,
        }
        for data in ({}, {"fmi_path": "a/b"}, {"client_claims": '{"a":1}', "username": "u"}, {"key_id": "k"})
        for response in (
            {"access_token": "at", "expires_in": 3600},
            {"access_token": "at", "refresh_token": "rt", "client_info": "eyJ1aWQiOiJ1IiwidXRpZCI6InQifQ", "foci": "1"},
            {"access_token": "a2", "expires_in": "77", "refresh_in": 9, "id_token": "e30.eyJzdWIiOiJzIiwib2lkIjoibyJ9.x"},
        )
    ]
    theirs, mine = msal.SerializableTokenCache(), async_msal.SerializableTokenCache()
    now = int(time.time())
    kinds = [getattr(theirs.CredentialType, name) for name in dir(theirs.CredentialType) if not name.startswith("_")]
    for event in events:
        for cache in (theirs, mine):
            cache.add(event, now=now)
            assert cache.has_state_changed
        for kind in kinds:
            for query in ({}, {"home_account_id": "u.t"}, {"environment": "LOGIN.example"}, {"client_id": "other"}):
                for target in (None, ["s1"], ["s1", "s2"], ["s3"]):
                    found = [list(cache.search(kind, target=target, query=query, now=now)) for cache in (theirs, mine)]
                    assert found[0] == found[1]
        assert json.loads(mine.serialize()) == json.loads(theirs.serialize())
    (kept,) = theirs.search(kinds[kinds.index("RefreshToken")])
    for cache in (theirs, mine):
        cache.update_rt(kept, "new")
        for entry in list(cache.search("AccessToken", now=now)):
            cache.remove_at(entry)
        for entry in list(cache.search("IdToken")):
            cache.remove_idt(entry)
        for entry in list(cache.search("Account")):
            cache.remove_account(entry)
        with pytest.warns(DeprecationWarning):
            assert [entry["secret"] for entry in cache.find("RefreshToken")] == ["new"]
        cache.remove_rt(kept)
    assert json.loads(mine.serialize()) == json.loads(theirs.serialize())
    assert mine.CredentialType.ACCESS_TOKEN == "AccessToken" and mine.AuthorityType.MSSTS == "MSSTS"


# --- flights


def test_calls_for_the_same_token_share_one_request(emulator, app):
    async def go():
        await signed_in(emulator, app)
        (account,) = app.get_accounts()
        aged(app.token_cache, expires_on=-10)
        results = await asyncio.gather(*(app.acquire_token_silent(SCOPES, account) for _ in range(50)))
        assert len({result["access_token"] for result in results}) == 1
        assert emulator.counted("token_refresh_token") == 1
        # Other scopes of the same account come after it, and the same set never twice.
        aged(app.token_cache, expires_on=-10)
        sets = [["User.Read"], ["email"], ["User.Read", "email"]] * 10
        await asyncio.gather(*(app.acquire_token_silent(scopes, account) for scopes in sets))
        assert emulator.counted("token_refresh_token") == 2

    asyncio.run(go())


@pytest.mark.parametrize("cache_class", [msal.SerializableTokenCache, async_msal.SerializableTokenCache])
def test_an_aging_token_is_handed_out_at_once_and_renewed_once(emulator, options, cache_class):
    cache = cache_class()
    app = async_msal.ConfidentialClientApplication(**options, token_cache=cache)

    async def go():
        old = await signed_in(emulator, app)
        (account,) = app.get_accounts()
        aged(cache, refresh_on=-5)
        emulator.fault("token", {"delay_millis": 200})
        for _ in range(20):
            result = await app.acquire_token_silent(SCOPES, account)
            assert result["access_token"] == old["access_token"]
        await until(lambda: app._native.unattended() == 0)
        assert emulator.counted("token_refresh_token") == 1 and cache.has_state_changed
        renewed = await app.acquire_token_silent(SCOPES, account)
        assert renewed["token_source"] == "cache" and renewed["access_token"] != old["access_token"]

    asyncio.run(go())


def test_no_call_fails_while_an_unexpired_token_is_in_hand(emulator, app):
    async def go():
        old = await signed_in(emulator, app)
        (account,) = app.get_accounts()
        aged(app.token_cache, expires_on=60)
        emulator.fault("token", {"answer": {"status": 503}}, count=10)
        result = await app.acquire_token_silent(SCOPES, account)
        assert result["access_token"] == old["access_token"]
        asked = emulator.counted("token_refresh_token")
        # For some seconds nobody else waits for the authority that failed.
        assert await app.acquire_token_silent(SCOPES, account) == result
        assert emulator.counted("token_refresh_token") == asked

    asyncio.run(go())


# --- cancellation


def test_what_was_not_sent_is_stopped_when_nobody_waits(emulator, options):
    app = async_msal.ConfidentialClientApplication(**options)
    emulator.fault("discovery", {"delay_millis": 400})

    async def go():
        waiting = [asyncio.ensure_future(app.acquire_token_for_client(APP)) for _ in range(3)]
        await until(lambda: emulator.counted("discovery") == 1)
        for task in waiting:
            task.cancel()
        begun = time.monotonic()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        assert time.monotonic() - begun < 0.2
        await until(lambda: app._native.flights() == 0)
        # The metadata still come: others may want them. With them at hand a token request would leave at once.
        await app._native.metadata()
        assert emulator.token_requests() == 0

    asyncio.run(go())


def test_a_request_that_was_sent_comes_to_its_end_and_its_result_is_stored(emulator, app):
    async def go():
        await signed_in(emulator, app)
        (account,) = app.get_accounts()
        before = app.token_cache.serialize()
        emulator.fault("token", {"delay_millis": 300})
        task = asyncio.ensure_future(app.acquire_token_silent(SCOPES, account, force_refresh=True))
        await until(lambda: emulator.counted("token_refresh_token") == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: app._native.flights() == 0)
        assert app.token_cache.has_state_changed and app.token_cache.serialize() != before

    asyncio.run(go())


def test_a_code_that_was_sent_is_redeemed_though_the_caller_went_away(emulator, app):
    async def go():
        flow = await app.initiate_auth_code_flow(SCOPES, redirect_uri=REDIRECT)
        response = emulator.sign_in(flow["auth_uri"])
        emulator.fault("token", {"delay_millis": 300})
        with pytest.raises(asyncio.TimeoutError):
            call = app.acquire_token_by_auth_code_flow(flow, response)
            task = asyncio.ensure_future(call)
            await until(lambda: emulator.counted("token_authorization_code") == 1)
            await asyncio.wait_for(task, 0.01)
        await until(lambda: app._native.flights() == 0)
        assert len(app.get_accounts()) == 1

    asyncio.run(go())


def test_one_who_goes_away_takes_nothing_from_the_others(emulator, app):
    async def go():
        emulator.fault("discovery", {"delay_millis": 200})
        first, second = (asyncio.ensure_future(app.acquire_token_for_client(APP)) for _ in range(2))
        await until(lambda: emulator.counted("discovery") == 1)
        first.cancel()
        assert (await second)["token_source"] == "identity_provider"
        assert emulator.token_requests() == 1

    asyncio.run(go())


# --- the authority


def test_an_authority_that_is_not_trusted_or_not_there_is_a_kind_of_oserror(options):
    for change in ({"verify": True}, {"authority": "https://127.0.0.1:1/11111111-1111-1111-1111-111111111111"}):
        with pytest.raises(ConnectionError):
            asyncio.run(async_msal.ConfidentialClientApplication(**{**options, **change}).acquire_token_for_client(APP))


def test_reserved_scopes_are_refused_when_something_is_asked_for_them(emulator, app):
    async def go():
        await signed_in(emulator, app)
        (account,) = app.get_accounts()
        assert await app.acquire_token_silent(["openid"], account)
        with pytest.raises(ValueError, match="openid"):
            await app.acquire_token_silent(["openid"], account, force_refresh=True)

    asyncio.run(go())


def test_a_sign_in_begins_without_the_network(emulator, options):
    emulator.fault("discovery", "close_connection", count=9)
    app = async_msal.SyncConfidentialClientApplication(**options)
    flow = app.initiate_auth_code_flow(SCOPES, redirect_uri=REDIRECT, max_age=60, login_hint="ada", prompt="login")
    assert flow["auth_uri"].startswith(f"{emulator.authority}/oauth2/v2.0/authorize?")
    assert {"state", "nonce", "code_verifier", "redirect_uri", "scope", "max_age", "claims_challenge"} <= flow.keys()
    assert emulator.counted("discovery") == 0


@pytest.mark.parametrize(
    "authority, page",
    [
        ("https://login.microsoftonline.com/common", "https://login.microsoftonline.com/common/oauth2/v2.0/authorize"),
        ("https://contoso.b2clogin.com/c.example/B2C_1_in", "https://contoso.b2clogin.com/c.example/B2C_1_in/oauth2/v2.0/authorize"),
        ("https://contoso.ciamlogin.com/", "https://contoso.ciamlogin.com/contoso.onmicrosoft.com/oauth2/v2.0/authorize"),
        ("https://sts.contoso.example/adfs", "https://sts.contoso.example/adfs/oauth2/authorize"),
    ],
)
def test_the_sign_in_pages_of_the_platforms_are_known_by_rule(authority, page):
    app = async_msal.SyncConfidentialClientApplication("client", "secret", authority)
    assert app.initiate_auth_code_flow(SCOPES, redirect_uri=REDIRECT)["auth_uri"].split("?")[0] == page


def test_a_flow_of_msal_is_finished_here_and_the_other_way_round(emulator, options, app):
    theirs = msal.ConfidentialClientApplication(**options)
    flow = theirs.initiate_auth_code_flow(SCOPES, redirect_uri=REDIRECT, response_mode="form_post")
    result = asyncio.run(app.acquire_token_by_auth_code_flow(flow, emulator.sign_in(flow["auth_uri"])))
    assert result["id_token_claims"]["oid"] and "claims_challenge" not in flow
    flow = asyncio.run(app.initiate_auth_code_flow(SCOPES, redirect_uri=REDIRECT))
    other = theirs.acquire_token_by_auth_code_flow(flow, emulator.sign_in(flow["auth_uri"]))
    assert result.keys() == other.keys()


def test_what_does_not_belong_to_a_flow_is_refused_and_an_error_handed_on(emulator, app):
    async def go():
        flow = await app.initiate_auth_code_flow(SCOPES, redirect_uri=REDIRECT)
        with pytest.raises(ValueError):
            await app.acquire_token_by_auth_code_flow(dict(flow), {"state": "other", "code": "c"})
        with pytest.raises(ValueError):
            await app.acquire_token_by_auth_code_flow(dict(flow), {"state": flow["state"]})
        answer = {"state": flow["state"], "error": "access_denied", "error_description": "no", "access_token": "planted"}
        assert await app.acquire_token_by_auth_code_flow(dict(flow), answer) == {
            "error": "access_denied",
            "error_description": "no",
        }
        emulator.admin("POST", "/id-token-faults", {"fault": "bad_signature"})
        with pytest.raises(async_msal.IdTokenError):
            await app.acquire_token_by_auth_code_flow(dict(flow), emulator.sign_in(flow["auth_uri"]))
        assert app.get_accounts() == []

    asyncio.run(go())


def test_one_assertion_is_exchanged_once_on_behalf_of_its_user(emulator, app):
    async def go():
        scope = f"api://{emulator.client_id}/access_as_user"
        flow = await app.initiate_auth_code_flow([scope], redirect_uri=REDIRECT)
        caller = await app.acquire_token_by_auth_code_flow(flow, emulator.sign_in(flow["auth_uri"]))
        first, second = await asyncio.gather(
            *(app.acquire_token_on_behalf_of(caller["access_token"], ["User.Read"]) for _ in range(2))
        )
        third = await app.acquire_token_on_behalf_of(caller["access_token"], ["User.Read"])
        assert first["access_token"] == second["access_token"] == third["access_token"]
        assert emulator.counted("token_on_behalf_of") == 1

    asyncio.run(go())


def test_claims_of_the_applications_own_set_its_tokens_apart(emulator, app):
    async def go():
        await signed_in(emulator, app)
        (account,) = app.get_accounts()
        plain = await app.acquire_token_silent(SCOPES, account)
        claims = '{"access_token":{"x":null}}'
        first = await app.acquire_token_silent(SCOPES, account, forwarded_client_claims=claims)
        again = await app.acquire_token_silent(SCOPES, account, forwarded_client_claims=claims)
        assert first["token_source"] == "identity_provider" and again["token_source"] == "cache"
        assert again["access_token"] == first["access_token"] != plain["access_token"]
        assert (await app.acquire_token_silent(SCOPES, account))["access_token"] == plain["access_token"]
        # MSAL finds it where it would have put it.
        theirs = msal.SerializableTokenCache()
        theirs.deserialize(app.token_cache.serialize())
        extended = [entry for entry in json.loads(theirs.serialize())["AccessToken"].values() if "ext_cache_key" in entry]
        query = {"ext_cache_key": async_msal.token_cache._extended_key({"client_claims": claims})}
        assert list(theirs.search("AccessToken", query=query)) == extended and len(extended) == 1

    asyncio.run(go())


def test_a_refresh_token_of_another_library_is_taken_over(emulator, options, app):
    async def go():
        await signed_in(emulator, app)
        (entry,) = json.loads(app.token_cache.serialize())["RefreshToken"].values()
        new = async_msal.ConfidentialClientApplication(**options)
        result = await new.acquire_token_by_refresh_token(entry["secret"], SCOPES)
        assert result["token_source"] == "identity_provider"
        (account,) = new.get_accounts()
        assert account["account_source"] is None
        dead = await new.acquire_token_by_refresh_token("dead", SCOPES)
        assert dead["error"] == "invalid_grant" and dead["error_codes"]

    asyncio.run(go())
