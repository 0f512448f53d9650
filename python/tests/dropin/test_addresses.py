"""The application's own address, where a sign-in leads, and where Graph is: nothing that a stranger could choose."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from async_msal.aiohttp import ENV, helpers, routes


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    for name in ("PUBLIC_URL", "GRAPH_URL"):
        monkeypatch.setattr(ENV, name, "")
    monkeypatch.setattr(ENV, "DOMAIN", "contoso.example")
    monkeypatch.setattr(ENV, "SP_AUTHORITY", "https://login.microsoftonline.com/common")
    return ENV


class TestTheApplicationsAddress:
    @pytest.mark.parametrize(
        "host", ["contoso.example", "app.contoso.example:8443", "localhost:8080", "127.0.0.1", "[::1]:80"]
    )
    def test_is_the_host_that_is_ours(self, host):
        request = make_mocked_request("GET", "/user/login", headers={"Host": host})
        assert helpers.get_url(request, "user/authorized") == f"https://{host.removesuffix(':80')}/user/authorized"

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "contoso.example.evil.example",
            "evilcontoso.example",
            "localhost.evil.example",
            "a@evil.example",
            "localhost:99999",
            "localhost:0",
            "localhost:abc",
            "localhost:80,evil.example",
            "localhost#.evil.example",
            "localhost/x",
            "\u017f.localhost",
            "",
        ],
    )
    def test_is_no_other_host(self, host):
        request = make_mocked_request("GET", "/user/login", headers={"Host": host})
        with pytest.raises(web.HTTPBadRequest):
            helpers.get_url(request, "user/authorized")

    def test_is_public_url_where_that_is_set(self, settings):
        settings.PUBLIC_URL = "https://public.example/base/"
        request = make_mocked_request("GET", "/user/login", headers={"Host": "evil.example"})
        assert helpers.get_url(request, "user/authorized") == "https://public.example/base/user/authorized"

    def test_a_public_url_that_is_none_is_named(self, settings):
        settings.PUBLIC_URL = "/app"
        with pytest.raises(ValueError, match="PUBLIC_URL"):
            helpers.get_url(make_mocked_request("GET", "/", headers={"Host": "contoso.example"}), "")

    def test_get_route_keeps_http_on_loopback(self):
        at_home = make_mocked_request("GET", "/", headers={"Host": "localhost:8080"})
        outside = make_mocked_request("GET", "/", headers={"Host": "contoso.example"})
        assert routes.get_route(at_home, "user/authorized") == "http://localhost:8080/user/authorized"
        assert routes.get_route(outside, "user/authorized") == "https://contoso.example/user/authorized"


class TestWhereASignInLeads:
    @pytest.mark.parametrize(
        "referer,target,address",
        [
            ("", "", "/"),
            ("", "in/here", "/in/here"),
            ("http://localhost:3000/page?a=b", "", "http://localhost:3000/page?a=b"),
            ("http://localhost:3000/page", "in", "http://localhost:3000/in"),
            ("http://127.0.0.1:3000/", "in", "http://127.0.0.1:3000/in"),
            ("https://evil.example/localhost", "", "/"),
            ("https://localhost.evil.example/", "in", "/in"),
            ("https://localhost@evil.example/", "in", "/in"),
            ("https://evil.example/#localhost", "in", "/in"),
            ("https://contoso.example/page", "", "/"),
            ("", "/evil.example", "/evil.example"),
            ("", "//evil.example", "/evil.example"),
            ("", "\\evil.example", "/evil.example"),
            ("", "a\\..\\evil.example", "/"),
            ("", "..//evil.example", "/"),
            ("", "x\r\nSet-Cookie: a=b", "/"),
            ("http://localhost:3000/\r\n", "in", "/in"),
            ("http://localhost:99999/", "in", "/in"),
        ],
    )
    def test_only_here_or_to_this_machine(self, referer, target, address):
        assert helpers.return_address(referer, target) == address

    @pytest.mark.parametrize(
        "kept,address",
        [
            ("/in", "/in"),
            ("in", "/in"),
            ("//evil.example", "/evil.example"),
            ("https://evil.example/", "/https://evil.example/"),
            ("/http://localhost:3000/in", "http://localhost:3000/in"),
            ("http://localhost:3000/in", "http://localhost:3000/in"),
            ("javascript:alert(1)", "/javascript:alert(1)"),
            ("", "/"),
            (None, "/"),
            (5, "/"),
        ],
    )
    def test_what_a_session_says_is_checked_too(self, kept, address):
        assert helpers.kept_address(kept) == address


class TestGraphsAddress:
    @pytest.mark.parametrize(
        "authority_host,address",
        [
            ("login.microsoftonline.com", "https://graph.microsoft.com/v1.0"),
            ("login.microsoftonline.us", "https://graph.microsoft.us/v1.0"),
            ("login.chinacloudapi.cn", "https://microsoftgraph.chinacloudapi.cn/v1.0"),
            ("contoso.ciamlogin.com", "https://graph.microsoft.com/v1.0"),
        ],
    )
    def test_is_that_of_the_cloud(self, settings, authority_host, address):
        settings.SP_AUTHORITY = f"https://{authority_host}/common"
        assert helpers.graph_url() == address

    def test_is_set(self, settings):
        settings.GRAPH_URL = "https://localhost:1234/v1.0/"
        assert helpers.graph_url() == "https://localhost:1234/v1.0"
