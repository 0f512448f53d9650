"""The decorator, the routes and the pages: what a stranger can and cannot do."""

import asyncio
import contextlib
import functools
from unittest.mock import AsyncMock

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp_session import SimpleCookieStorage, get_session, new_session
from aiohttp_session import setup as setup_sessions

import async_msal.aiohttp as dropin
from async_msal.aiohttp import ENV, AsyncMSAL, auth_ok, auth_or, authenticated, helpers, msal_session, routes
from async_msal.aiohttp.user_info import get_manager_info, get_user_info

AUTHORITY = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555"


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    for name, value in {
        "SP_APP_ID": "client",
        "SP_APP_PW": "secret",
        "SP_AUTHORITY": AUTHORITY,
        "DOMAIN": "contoso.example",
        "PUBLIC_URL": "",
        "GRAPH_URL": "",
        "CA_FILE": "",
        "DEBUG_ROUTE": False,
        "info": dict(ENV.info),
        "login_callback": [],
    }.items():
        monkeypatch.setattr(ENV, name, value)
    return ENV


def ask(handler_calls, *, items=None, routes_of=(), handlers=()):
    """Runs an application whose sessions have these items, and what is asked of it."""

    async def run():
        app = web.Application()
        setup_sessions(app, SimpleCookieStorage())

        async def begin(request):
            (await new_session(request)).update(items or {})
            return web.Response()

        app.router.add_get("/begin", begin)
        app.router.add_routes(routes_of)
        for path, handler in handlers:
            app.router.add_get(path, handler)
        async with TestClient(TestServer(app)) as client:
            if items is not None:
                await client.get("/begin")
            return await handler_calls(client)

    return asyncio.run(run())


def get(path, *, items=None, handler=None, headers=None):
    async def calls(client):
        async with client.get(path, allow_redirects=False, headers=headers or {}) as answer:
            return answer.status, answer.headers.copy(), await answer.text(errors="replace")

    handlers = [(path, handler)] if handler else ()
    return ask(calls, items=items, routes_of=() if handler else routes.ROUTES, handlers=handlers)


def yes(ses):
    return True


async def no(ses):
    return False


class TestMsalSession:
    def test_a_handler_gets_the_session_where_its_parameter_stands(self):
        @msal_session()
        async def last(request, ses):
            return web.Response(text=ses.mail)

        @msal_session()
        async def first(ses, request):
            return web.Response(text=ses.mail)

        @msal_session()
        async def by_keyword(request, *, ses):
            return web.Response(text=ses.mail)

        for handler in (last, first, by_keyword):
            assert get("/page", items={"mail": "ada@x"}, handler=handler)[2] == "ada@x"

    def test_the_wrapped_handler_is_called_by_keyword_too(self):
        @msal_session()
        async def inner(request, ses):
            return web.Response(text=ses.mail)

        async def outer(request):
            return await inner(request=request)

        assert get("/page", items={"mail": "ada@x"}, handler=outer)[2] == "ada@x"

    def test_further_arguments_are_passed_on(self):
        @msal_session()
        async def inner(request, colour, ses):
            return web.Response(text=f"{colour} {ses.mail}")

        async def outer(request):
            return await inner(request, "red")

        assert get("/page", items={"mail": "ada@x"}, handler=outer)[2] == "red ada@x"

    def test_methods_of_a_view(self):
        class Page(web.View):
            @msal_session(yes)
            async def get(self, ses):
                return web.Response(text=ses.mail)

        assert get("/page", items={"mail": "ada@x"}, handler=Page)[2] == "ada@x"

    @pytest.mark.parametrize(
        "checks,at_least_one,status",
        [
            ((), False, 200),
            ((yes,), False, 200),
            ((yes, no), False, 403),
            ((no, yes), False, 403),
            ((), True, 403),
            ((no, yes), True, 200),
            ((no, no), True, 403),
            ((functools.partial(no),), False, 403),
            ((auth_or(no, yes),), False, 200),
            ((auth_or(no, no),), False, 403),
            ((auth_ok,), False, 200),
            ((authenticated, yes), False, 200),
            ((auth_or(functools.partial(no)),), False, 403),
        ],
    )
    def test_checks(self, checks, at_least_one, status):
        @msal_session(*checks, at_least_one=at_least_one)
        async def handler(request, ses):
            return web.Response()

        assert get("/page", items={"mail": "ada@x"}, handler=handler)[0] == status

    def test_nobody_is_signed_in_without_mail(self):
        @msal_session(auth_ok)
        async def handler(request, ses):
            return web.Response()

        assert get("/page", items={"name": "Ada"}, handler=handler)[0] == 403

    def test_what_is_no_handler_is_refused(self):
        with pytest.raises(AssertionError):
            msal_session()(lambda request, ses: None)
        with pytest.raises(AssertionError):

            @msal_session()
            async def handler(request):
                pass


def test_a_login_for_another_host_is_refused():
    assert get("/user/login", headers={"Host": "evil.example"})[0] == 400


class TestSignOut:
    def location(self, path="/user/logout", **headers):
        status, answer, _ = get(path, items={"mail": "ada@x"}, headers={"Host": "contoso.example"} | headers)
        return status, answer.get("Location")

    @pytest.fixture(autouse=True)
    def metadata(self, monkeypatch):
        async def endpoint(ses):
            return f"{AUTHORITY}/oauth2/v2.0/logout"

        monkeypatch.setattr(routes, "_end_session_endpoint", endpoint)

    def test_the_target_is_here_and_encoded(self):
        status, location = self.location("/user/logout/bye/now")
        assert status == 302
        assert location == f"{AUTHORITY}/oauth2/v2.0/logout?post_logout_redirect_uri=https://contoso.example/bye/now"

    def test_the_referer_is_no_target(self):
        assert "evil" not in self.location(Referer="https://contoso.example/?x=//evil.example")[1]

    def test_a_link_on_another_site_does_nothing(self):
        assert self.location(**{"Sec-Fetch-Site": "cross-site"})[0] == 403
        assert self.location(Referer="https://evil.example/")[0] == 403

    def test_a_typed_address_and_a_page_of_this_site_do(self):
        assert self.location()[0] == 302
        assert self.location(**{"Sec-Fetch-Site": "none"})[0] == 302
        assert self.location(**{"Sec-Fetch-Site": "same-origin"}, Referer="https://contoso.example/")[0] == 302


class TestDebugRoute:
    def test_is_off(self):
        assert get("/user/debug", items={"mail": "ada@x"})[0] == 404

    def test_shows_no_value(self, settings):
        settings.DEBUG_ROUTE = True
        status, _, text = get("/user/debug", items={"mail": "ada@x", "token_cache": "REFRESH-TOKEN"})
        assert status == 200 and "token_cache" in text
        assert "REFRESH-TOKEN" not in text and "ada@x" not in text

    def test_stores_nothing_for_visitors(self, settings):
        settings.DEBUG_ROUTE = True
        assert "Set-Cookie" not in get("/user/debug")[1]


class TestPhoto:
    def photo(self, monkeypatch, status, headers, body=b"picture"):
        class Content:
            async def iter_chunked(self, size):
                yield body

        answer = FakeAnswer(status, None)
        answer.headers, answer.content = headers, Content()
        answer.content_type = headers.get("Content-Type", "application/octet-stream")

        @contextlib.asynccontextmanager
        async def graph(self, url):
            assert url == "https://graph.microsoft.com/v1.0/me/photo/$value"
            yield answer

        monkeypatch.setattr(AsyncMSAL, "get", graph)
        return get("/user/photo", items={"mail": "ada@x"})

    def test_is_passed_on_without_graph_s_other_headers(self, monkeypatch):
        status, headers, text = self.photo(
            monkeypatch,
            200,
            {"Content-Type": "image/jpeg", "Content-Length": "7", "Set-Cookie": "a=b", "Server": "graph"},
        )
        assert (status, text, headers["Content-Type"], headers["Content-Length"]) == (200, "picture", "image/jpeg", "7")
        assert headers["Cache-Control"] == "private, max-age=3600" and headers["X-Content-Type-Options"] == "nosniff"
        assert "Set-Cookie" not in headers and headers["Server"] != "graph"

    def test_its_length_is_not_that_of_a_compressed_answer(self, monkeypatch):
        headers = {"Content-Type": "image/png", "Content-Length": "3", "Content-Encoding": "gzip"}
        status, _, text = self.photo(monkeypatch, 200, headers)
        assert (status, text) == (200, "picture")

    @pytest.mark.parametrize("kind", ["text/html", "image/svg+xml"])
    def test_what_is_no_picture_is_not_passed_on(self, monkeypatch, kind):
        status, _, text = self.photo(monkeypatch, 200, {"Content-Type": kind}, b"<script>")
        assert status == 502 and "<script>" not in text

    def test_a_user_without_one(self, monkeypatch):
        assert self.photo(monkeypatch, 404, {"Content-Type": "application/json"})[0] == 404


class TestPages:
    def test_what_is_shown_is_escaped(self):
        page = helpers.html_wrap(["<script>alert(1)</script>"]) + helpers.html_table({"<b>": "<i>"})
        assert "<script>" not in page and "<b>:" not in page and "&lt;script&gt;" in page and "&lt;i&gt;" in page

    def test_a_failed_sign_in_repeats_nothing_of_the_request(self):
        async def calls(client):
            form = {"state": "<script>state</script>", "<script>name</script>": "x", "error": "access_denied"}
            async with client.post("/user/authorized", data=form) as answer:
                return answer.status, await answer.text()

        _, text = ask(calls, items={"mail": "ada@x"}, routes_of=routes.ROUTES)
        assert "<script>" not in text


class FakeGraph:
    """A session's `get` that answers as told."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), 0
        self.mail, self.name, self.manager_mail, self.manager_name = "ada@x", "", "old", "old"

    @contextlib.asynccontextmanager
    async def get(self, url):
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        yield FakeAnswer(*answer)


class FakeAnswer:
    request_info, history = None, ()

    def __init__(self, status, body):
        self.status, self.body = status, body

    async def json(self):
        return self.body


class TestUserInfo:
    @pytest.fixture(autouse=True)
    def no_pauses(self, monkeypatch):
        self.pauses = []

        async def sleep(seconds):
            self.pauses.append(seconds)

        monkeypatch.setattr("async_msal.aiohttp.utils.asyncio.sleep", sleep)

    def test_mail_and_name(self):
        ses = FakeGraph((200, {"mail": "Ada@x", "displayName": "Ada"}))
        asyncio.run(get_user_info(ses))
        assert (ses.mail, ses.name) == ("Ada@x", "Ada")

    def test_a_user_without_mailbox_stays_signed_in(self):
        ses = FakeGraph((200, {"mail": None, "displayName": "Ada"}))
        asyncio.run(get_user_info(ses))
        assert ses.mail == "ada@x"

    def test_a_user_without_manager(self):
        ses = FakeGraph((404, {"error": {"code": "Request_ResourceNotFound"}}))
        asyncio.run(get_manager_info(ses))
        assert (ses.manager_mail, ses.manager_name, ses.asked, self.pauses) == ("", "", 1, [])

    def test_an_error_of_graph_is_named_without_its_text(self):
        ses = FakeGraph((403, {"error": {"code": "Authorization_RequestDenied", "message": "SECRET"}}))
        with pytest.raises(KeyError, match="Authorization_RequestDenied") as raised:
            asyncio.run(get_user_info(ses))
        assert "SECRET" not in str(raised.value) and ses.asked == 1

    def test_what_passes_is_tried_again_with_growing_pauses(self):
        busy = (503, {})
        ses = FakeGraph(busy, ConnectionResetError(), busy, (200, {"mail": "Ada@x", "displayName": "Ada"}))
        asyncio.run(get_user_info(ses))
        assert ses.mail == "Ada@x" and self.pauses == sorted(self.pauses)


class TestStarting:
    def test_without_a_domain(self, settings):
        settings.DOMAIN = ""
        with pytest.raises(ValueError, match="DOMAIN"):
            asyncio.run(dropin.app_init_redis_session(web.Application()))

    @pytest.mark.parametrize("samesite", ["None", "Lax"])
    def test_the_cookie(self, settings, monkeypatch, samesite):
        monkeypatch.setattr(ENV, "REDIS", "redis://user:hunter2@127.0.0.1:1")
        monkeypatch.setattr(ENV, "database", None)
        made = []
        monkeypatch.setattr(dropin, "_setup", lambda app, storage: made.append(storage))

        async def no_check():
            made.append("checked")

        asyncio.run(dropin.app_init_redis_session(web.Application(), 60, no_check, samesite=samesite))
        assert made[0] == "checked"
        cookie = made[1].cookie_params
        assert (cookie["samesite"], cookie["secure"], cookie["httponly"]) == (samesite, True, True)
        assert (cookie["domain"], cookie["path"], made[1].max_age) == ("contoso.example", "/", 60)

    def test_a_database_of_the_application_is_kept(self, settings, monkeypatch):
        from redis.asyncio import from_url

        mine = from_url("redis://127.0.0.1:1")
        monkeypatch.setattr(ENV, "database", mine)

        async def no_check():
            pass

        asyncio.run(dropin.app_init_redis_session(web.Application(), check_proxy_cb=no_check))
        assert ENV.database is mine

    def test_no_password_is_logged(self, settings, monkeypatch, caplog):
        monkeypatch.setattr(ENV, "REDIS", "redis://user:hunter2@127.0.0.1:1")
        monkeypatch.setattr(ENV, "database", None)

        async def no_check():
            pass

        with caplog.at_level("DEBUG"):
            asyncio.run(dropin.app_init_redis_session(web.Application(), check_proxy_cb=no_check))
        assert "hunter2" not in caplog.text

    def test_check_proxy_asks_the_authority(self, authority, settings, monkeypatch):
        settings.CA_FILE = authority.ca_file
        settings.SP_APP_ID, settings.SP_APP_PW, settings.SP_AUTHORITY = (
            authority.client_id,
            authority.client_secret,
            authority.authority,
        )
        asyncio.run(dropin.check_proxy())

    def test_check_proxy_raises_what_is_wrong_in_the_settings_at_once(self, settings, monkeypatch):
        pause = AsyncMock()
        monkeypatch.setattr("async_msal.aiohttp.utils.asyncio.sleep", pause)
        monkeypatch.setattr(ENV, "SP_AUTHORITY", "http://login.microsoftonline.com/x")
        with pytest.raises(ValueError, match="https"):
            asyncio.run(dropin.check_proxy())
        assert pause.await_count == 0

    def test_check_proxy_names_an_authority_that_does_not_answer(self, settings, monkeypatch):
        async def sleep(seconds):
            pass

        monkeypatch.setattr("async_msal.aiohttp.utils.asyncio.sleep", sleep)
        settings.SP_AUTHORITY = "https://127.0.0.1:1/11111111-2222-3333-4444-555555555555"
        with pytest.raises(ConnectionError, match="127.0.0.1:1"):
            asyncio.run(dropin.check_proxy())


def test_a_session_class_of_the_application_s_own():
    class Own(AsyncMSAL):
        pass

    assert Own({"mail": "ada@x"}).authenticated
    assert get_session
