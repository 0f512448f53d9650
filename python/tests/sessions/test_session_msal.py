"""AsyncMSAL: its call shapes, requests with the user's token, sign-in, and bad input."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
import attrs
import pytest
from aiohttp import ClientSession, web
from aiohttp_session import Session

from async_msal.aiohttp import AsyncMSAL, msal_async
from async_msal.aiohttp.helpers import get_user_info
from session_parts import SCOPES, Running, application, sign_in, storage_for

REDIRECT = "http://localhost:8000/user/authorized"


def sign_in_to(items, emulator, make=AsyncMSAL):
    """The blocking form of a sign-in."""
    flow = make(items).initiate_auth_code_flow(REDIRECT)
    make(items).acquire_token_by_auth_code_flow(emulator.sign_in(flow))
    return items


class TestShapes:
    def test_a_dict_is_signed_in_by_the_blocking_forms(self, env, emulator):
        items = sign_in_to({"token_cache": "old", "mail": "old", "colour": "red"}, emulator)
        assert sorted(items) == ["colour", "mail", "token_cache"] and items["mail"] == "ada@contoso.example"
        ses = AsyncMSAL(items)
        assert ses.authenticated and ses.mail == "ada@contoso.example" and ses.name == ""
        assert [account["username"] for account in ses.app.get_accounts()] == ["ada@contoso.example"]
        assert ses.app.acquire_token_silent(SCOPES, ses.app.get_accounts()[0])["access_token"]
        assert json.loads(ses.token_cache.serialize()) == json.loads(items["token_cache"])

    def test_the_awaited_form(self, env, emulator):
        async def run():
            items = {}
            flow = AsyncMSAL(items).build_auth_code_flow(REDIRECT, SCOPES, "login", login_hint="a")
            assert "prompt=login" in flow and "login_hint=a" in flow and "response_mode=form_post" in flow
            answer = await asyncio.to_thread(emulator.sign_in, flow)
            await AsyncMSAL(items).async_acquire_token_by_auth_code_flow(answer)
            assert (await AsyncMSAL(items).async_get_token())["token_source"] == "cache"

        asyncio.run(run())

    def test_save_token_cache_saves_what_the_application_changed(self, env, emulator):
        items, told = sign_in_to({}, emulator), []
        ses = AsyncMSAL(items, told.append)
        ses.save_token_cache()
        assert not told
        ses.app.remove_account(ses.app.get_accounts()[0])
        ses.save_token_cache()
        assert told == [items] and ses.get_token() is None
        ses.save_token_cache(ses.token_cache)
        assert len(told) == 1

    def test_subclasses_of_all_kinds(self, env):
        @dataclass
        class Data(AsyncMSAL):
            colour: str = "red"

        @attrs.define
        class Attrs(AsyncMSAL):
            colour: str = "red"

        @attrs.define(slots=False)
        class Loose(AsyncMSAL):
            colour: str = "red"

        class Plain(AsyncMSAL):
            colour = "red"
            user_email_key = "mail"
            default_scopes = ["Mail.Read"]

        for kind in (Data, Attrs, Loose, Plain):
            ses = kind({"mail": "a"}, app_kwargs={"timeout": 5})
            assert (ses.colour, ses.mail, ses.save_callback) == ("red", "a", None), kind
            assert ses.app.get_accounts() == [] and ses.get_token() is None
            with pytest.raises(TypeError):
                kind(7)
        assert Data({}, colour="blue").colour == Attrs({}, colour="blue").colour == "blue"

    def test_a_subclass_with_an_application_of_its_own(self, env):
        class Application:
            def get_accounts(self):
                return [{"home_account_id": "u.t"}]

            def acquire_token_silent(self, scopes, account):
                return {"access_token": " ".join(scopes)}

        class Own(AsyncMSAL):
            @property
            def app(self):
                return Application()

        assert Own({}).get_token(["a"]) == {"access_token": "a"}
        assert asyncio.run(Own({}).async_get_token()) == {"access_token": "User.Read"}

    def test_sessions_share_one_client(self, env):
        assert AsyncMSAL({}).app._native is AsyncMSAL({}).app._native

    def test_nothing_of_the_tokens_is_shown(self, env):
        assert "canary" not in repr(AsyncMSAL({"token_cache": "canary"}))


class TestBadInput:
    @pytest.mark.parametrize("session", [None, 7, "text", [], object])
    def test_a_session_that_is_none(self, session, env):
        with pytest.raises(TypeError, match="session"):
            AsyncMSAL(session)
        with pytest.raises(ValueError):  # as in version 0.6
            AsyncMSAL(session)

    @pytest.mark.parametrize(("name", "value"), [("save_callback", 7), ("app_kwargs", [1])])
    def test_arguments_of_another_type(self, name, value, env):
        with pytest.raises(TypeError, match=name):
            AsyncMSAL({}, **{name: value})

    def test_scopes_of_another_type(self, env, emulator):
        items = sign_in_to({}, emulator)
        with pytest.raises(TypeError, match="scopes"):
            AsyncMSAL(items).get_token("User.Read")
        with pytest.raises(TypeError, match="scopes"):
            asyncio.run(AsyncMSAL(items).async_get_token([7]))

    def test_no_sign_in_in_progress(self, env):
        with pytest.raises(KeyError):
            AsyncMSAL({}).acquire_token_by_auth_code_flow({"code": "c", "state": "s"})

    def test_a_session_that_raises_gives_a_400_or_a_new_one(self, env):
        class Storage:
            async def load_session(self, request):
                raise TypeError("unreadable")

            async def new_session(self):
                return Session(None, data=None, new=True)

        async def run():
            from aiohttp.test_utils import make_mocked_request

            request = make_mocked_request("GET", "/")
            request["aiohttp_session_storage"] = Storage()
            with pytest.raises(web.HTTPBadRequest):
                await AsyncMSAL.from_request(request)
            assert (await AsyncMSAL.from_request(request, True)).session.new

        asyncio.run(run())


class TestSignIn:
    def test_an_answer_of_another_sign_in_uses_nothing_up(self, env, emulator, redis):
        async def run():
            async with Running(application(storage_for(redis))) as browser:
                started = await browser("GET", "/login")
                fields = await asyncio.to_thread(emulator.sign_in, started.headers["Location"])
                for other in ({"state": "other", "code": "c"}, {"state": "x", "error": "access_denied"}, {"code": "c"}):
                    told = json.loads((await browser("POST", "/authorized", data=other)).text_read)
                    assert not told["ok"] and fields["state"] not in str(told)
                assert json.loads((await browser("POST", "/authorized", data=fields)).text_read)["ok"]

        asyncio.run(run())

    @pytest.mark.parametrize("kind", ["raises", "refuses", "never returns"])
    def test_a_login_callback_that_fails_signs_nobody_in(self, kind, env, emulator, redis, monkeypatch):
        monkeypatch.setattr(msal_async, "_CALLBACK_TIME", 0.2)

        async def callback(ses):
            assert ses.mail == "ada@contoso.example"
            if kind == "never returns":
                await asyncio.Event().wait()
            raise web.HTTPForbidden if kind == "refuses" else RuntimeError("of the application")

        env.login_callback.append(callback)

        async def run():
            async with Running(application(storage_for(redis))) as browser:
                started = await browser("GET", "/login")
                fields = await asyncio.to_thread(emulator.sign_in, started.headers["Location"])
                answer = await browser("POST", "/authorized", data=fields)
                assert answer.status == {"refuses": 403, "raises": 500}.get(kind, 504)
                assert (await browser("GET", "/token")).text_read == "null"
                assert not any("token_cache" in redis.items(session_id) for session_id in redis.ids())

        asyncio.run(run())


class TestRequests:
    @pytest.mark.parametrize(
        "url",
        [
            "https://evil.example/v1.0/me",
            "https://graph.microsoft.com.evil.example/",
            "https://graph.microsoft.com@evil.example/",
            "https://evil.example/?https://graph.microsoft.com/",
            "http://graph.microsoft.com/v1.0/me",
            "https://graph.microsoft.com:8443/",
            "https://graph.microsoft.com:abc/",
            "https://[graph.microsoft.com/",
            "//evil.example/",
            "/v1.0/me",
            "",
        ],
    )
    def test_a_token_goes_to_no_other_host(self, url, env, emulator):
        items = sign_in_to({}, emulator)

        async def run():
            with pytest.raises(web.HTTPForbidden):
                async with AsyncMSAL(items).get(url):
                    pass
            await AsyncMSAL.client_session.close()

        asyncio.run(run())

    def test_listed_hosts_get_it_with_bodies_as_they_are_meant(self, env, emulator, monkeypatch):
        items, seen = sign_in_to({}, emulator), []

        async def answer(request):
            seen.append((request.headers.getall("Content-Type", []), await request.read(), request.headers["Authorization"]))
            return web.Response()

        async def run():
            app = web.Application()
            app.router.add_post("/", answer)
            runner = web.AppRunner(app)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = site._server.sockets[0].getsockname()[1]
            monkeypatch.setattr(env, "ALLOWED_HOSTS", f"other.example, 127.0.0.1:{port}")
            ses, url = AsyncMSAL(items), f"http://127.0.0.1:{port}/"
            for more in (
                {"data": {"a": 1}},
                {"data": b"\x00\xff", "headers": {"content-type": "image/png"}},
                {"data": b"\x00\xff"},
                {"json": [1]},
                {"data": {"a": 1}, "headers": {"content-type": "application/json"}},
            ):
                async with ses.post(url, **more) as response:
                    assert response.status == 200
            await runner.cleanup()
            await AsyncMSAL.client_session.close()

        asyncio.run(run())
        token = AsyncMSAL(items).get_token()["access_token"]
        assert [(kinds, body) for kinds, body, _ in seen] == [
            (["application/json"], b'{"a": 1}'),
            (["image/png"], b"\x00\xff"),
            (["application/octet-stream"], b"\x00\xff"),
            (["application/json"], b"[1]"),
            (["application/json"], b'{"a": 1}'),
        ]
        assert {authorization for *_, authorization in seen} == {f"Bearer {token}"}

    def test_the_profile_is_asked_by_the_core_unless_the_application_has_a_client(self, env, emulator, monkeypatch):
        items = sign_in_to({}, emulator)
        monkeypatch.setattr(env, "GRAPH_URL", f"https://{urlsplit(emulator.authority).netloc}/v1.0")
        monkeypatch.setattr(AsyncMSAL, "client_session", None)
        monkeypatch.setattr(AsyncMSAL, "_clientsession", None)

        async def run():
            ses = AsyncMSAL(items)
            await get_user_info(ses)
            assert (ses.mail, ses.name) == ("ada@contoso.example", "Ada Marsh") and AsyncMSAL.client_session is None
            emulator.fault("graph_me", {"answer": {"status": 401, "body": '{"error": {"code": "Denied"}}'}})
            with pytest.raises(KeyError, match="401: Denied"):
                await get_user_info(ses)
            AsyncMSAL.client_session = mine = ClientSession()
            with pytest.raises(aiohttp.ClientConnectorCertificateError):  # that one does not know the emulator's authority
                await get_user_info.__wrapped__(ses)
            await mine.close()

        asyncio.run(run())

    def test_the_client_session_is_made_anew_when_its_loop_has_closed(self, env):
        async def client():
            made = msal_async.client_session(AsyncMSAL)
            assert made is msal_async.client_session(AsyncMSAL) is AsyncMSAL.client_session and not made.closed
            return made

        first, second = asyncio.run(client()), asyncio.run(client())
        assert first is not second

        async def own():
            AsyncMSAL.client_session = mine = ClientSession()
            assert msal_async.client_session(AsyncMSAL) is mine
            await mine.close()
            assert msal_async.client_session(AsyncMSAL) is not mine
            await AsyncMSAL.client_session.close()

        asyncio.run(own())

    def test_nobody_signed_in_and_other_methods(self, env):
        async def run():
            with pytest.raises(web.HTTPClientError):
                await AsyncMSAL({}).request("get", "https://graph.microsoft.com/v1.0/me")
            with pytest.raises(web.HTTPClientError):
                await AsyncMSAL({}).request("trace", "https://graph.microsoft.com/v1.0/me")
            await AsyncMSAL.client_session.close()

        asyncio.run(run())


@pytest.mark.parametrize("name", ["DEMO_CA_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "a folder"])
def test_certificate_authorities_are_those_of_requests(name, emulator, tmp_path):
    path = emulator.ca_file
    if name == "a folder":
        name, path = "REQUESTS_CA_BUNDLE", str(tmp_path)
        (tmp_path / "ca.pem").write_bytes(open(emulator.ca_file, "rb").read())
    code = (
        "from async_msal.aiohttp import ENV, AsyncMSAL; ENV.load('DEMO_')\n"
        "print(AsyncMSAL({}).app._native.metadata(blocking=True)['token_endpoint'])"
    )
    environment = {key: value for key, value in os.environ.items() if "CA_" not in key and "CERT" not in key}
    environment |= {
        "DEMO_SP_APP_ID": emulator.client_id,
        "DEMO_SP_APP_PW": emulator.client_secret,
        "DEMO_SP_AUTHORITY": emulator.authority,
        "DEMO_DOMAIN": "localhost",
        name: path,
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=30)
    assert done.stdout.startswith(emulator.base), done.stderr


@pytest.mark.parametrize(("allowed", "host", "works"), [("true", "localhost", True), ("", "localhost", False), ("1", "x.example", False)])
def test_plain_http_is_for_loopback_and_has_to_be_allowed(allowed, host, works, env, monkeypatch):
    monkeypatch.setenv(f"{env.env_prefix}DANGEROUS_ALLOW_LOOPBACK_AUTHORITY", allowed)
    monkeypatch.setattr(env, "SP_AUTHORITY", f"http://{host}:1/{allowed or 'no'}")
    if works:
        assert AsyncMSAL({}).app.get_accounts() == []
    else:
        with pytest.raises(ValueError):
            AsyncMSAL({}).app
