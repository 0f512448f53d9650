"""The same application with both packages: the same answers, cookies and session contents.

What differs on purpose is listed here by step, each with the heading in docs/python-differences.md that says why.
"""

import json
import re
import urllib.parse

import pytest

from parts import HERE, VERSIONS, change_record, expire_tokens, record, reference_python, sign_in

HEADERS = ("Location", "Content-Type", "Cache-Control", "Set-Cookie")
DOCUMENT = HERE.parents[2] / "docs" / "python-differences.md"
OURS = "async_msal.aiohttp"

#: (step, what differs): heading of the document. Steps and parts are regular expressions, matched in full.
DIFFERENCES = {
    ("sign-in, back|back to the page on localhost|README, back", "cookie|session id"): "A new session id at sign-in",
    ("login for another host", ".*"): "The address of the application",
    ("login from another site's page", ".*"): "Where a sign-in leads",
    ("declined, back", "body|Content-Type|session items|cookie|session id"): "Messages of a sign-in that failed",
    ("back without a code", "body|Content-Type"): "Messages of a sign-in that failed",
    ("back without a cookie", ".*"): "Messages of a sign-in that failed",
    ("the same answer again", ".*"): "Messages of a sign-in that failed",
    ("debug.*", ".*"): "The debug route",
    ("photo", "Cache-Control"): "The photo",
    ("logout to a page", "Location"): "Sign-out",
    ("logout from another site", ".*"): "Sign-out",
}
#: Further ones of versions that begin so.
OF_VERSION = {
    "1.": {("back to the page on localhost", "Location"): "Where a sign-in leads"},
    "0.6.7": {
        ("README, login|login.*|back without a code", "session items"): "Items of version 0.6",
    },
}


class Transcript:
    """What one server answered, step by step, with everything that is never twice the same replaced."""

    def __init__(self, server, emulator, redis):
        self.server, self.emulator, self.redis = server, emulator, redis
        self.steps, self.session = {}, None

    def step(self, name, method, path, *, session="kept", **named):
        """Asks, notes the answer, and goes on with the session that it set."""
        sent = self.session if session == "kept" else session
        answer = self.server.ask(method, path, session=sent, **named)
        new = answer.session
        noted = {"status": answer.status, "body": self._body(answer)}
        for header in HEADERS:
            values = sorted(value for key, value in answer.headers if key.lower() == header.lower())
            noted[header if header != "Set-Cookie" else "cookie"] = [self._plain(value) for value in values]
        if session == "kept":
            noted["session id"] = {None: "not set", "": "deleted", sent: "the same"}.get(new, "new")
            self.session = sent if new is None else (new or None)
        noted["session items"] = self._items(new or sent) if (new or sent) else None
        self.steps[name] = noted
        return answer

    def _body(self, answer):
        if answer.status in (302, 303):
            return None
        if (answer.header("Content-Type") or "").startswith("image/"):
            return len(answer.body) > 100
        return self._plain(answer.body.decode())

    def _items(self, session):
        items = record(self.redis, session)
        if items is None:
            return "no record"
        shown = dict(items)
        if shown.get("token_cache"):
            shown["token_cache"] = sorted(
                f"{section} {entry.get('target', '')}"
                for section, entries in shown["token_cache"].items()
                for entry in entries.values()
            )
        if shown.get("flow_cache"):
            flow = shown["flow_cache"]
            shown["flow_cache"] = sorted(flow.keys() - {"issuer"}) + sorted(flow["scope"]) + [flow["redirect_uri"]]
        for own in ("async_msal", "async_msal_replaces"):  # "Items in the session"
            shown.pop(own, None)
        return shown

    def _plain(self, text):
        """Addresses, ids, dates and secrets by their names."""
        text = text.replace(self.emulator.authority, "AUTHORITY").replace(str(self.server.port), "PORT")
        text = text.replace(self.emulator.client_id, "CLIENT")
        text = re.sub(r"[0-9a-f]{32}", "ID", text)
        text = re.sub(r"expires=[^;]+;", "expires=DATE;", text)
        text = re.sub(r'"debug_previous": [0-9.]+', '"debug_previous": TIME', text)
        if text.startswith("AUTHORITY/oauth2/v2.0/authorize?"):
            query = urllib.parse.parse_qsl(text.split("?")[1])
            text = "AUTHORITY/oauth2/v2.0/authorize " + json.dumps(
                sorted((name, self._parameter(name, value)) for name, value in query)
            )
        return text

    def _parameter(self, name, value):
        if name in ("state", "nonce", "code_challenge"):
            return f"SOME {len(value)}" if name == "code_challenge" else "SOME"
        return " ".join(sorted(value.split())) if name == "scope" else value

    def back(self, name, location, path="/user/authorized", **named):
        """From the authority's sign-in page back to the application."""
        form = self.emulator.sign_in(location)
        self.step(name, "POST", path, form=form, **named)
        return form


def travel(script):
    """The journey that both packages make."""
    script.step("hello", "GET", "/hello")
    script.step("info, signed out", "GET", "/user/info")
    script.step("guarded, signed out", "GET", "/me")
    script.step("photo, signed out", "GET", "/user/photo")
    script.step("logout, signed out", "GET", "/user/logout")
    script.step(
        "back without a cookie", "POST", "/user/authorized", form={"code": "c", "state": "s", "session_state": "x"}
    )
    script.step("login for another host", "GET", "/user/login", host="evil.example", session=None)
    script.step(
        "login from another site's page",
        "GET",
        "/user/login/in",
        session=None,
        headers={"Referer": "https://evil.example/?localhost"},
    )
    page = {"Referer": "http://localhost:3000/"}
    begun = script.step("login from a page on localhost", "GET", "/user/login/in", headers=page)
    script.back("back to the page on localhost", begun.header("Location"))
    script.session = None
    script.step("login to a page", "GET", "/user/login/in/here", session=None)
    begun = script.step("login, declined", "GET", "/user/login")
    state = urllib.parse.parse_qs(urllib.parse.urlsplit(begun.header("Location")).query)["state"][0]
    script.step("declined, back", "POST", "/user/authorized", form={"state": state, "error": "access_denied"})
    script.session = None
    begun = script.step("login", "GET", "/user/login")
    script.step("back without a code", "POST", "/user/authorized", form={"state": "s"})
    form = script.back("sign-in, back", begun.header("Location"))
    script.step("info", "GET", "/user/info")
    script.step("info, asked anew", "GET", "/user/info?debug=1")
    for page in ("me", "token", "plain-token", "forbidden", "either", "or", "refresh-info"):
        script.step(page, "GET", f"/{page}")
    script.step("an item", "GET", "/set/blue")
    change_record(script.redis, script.session, expire_tokens)
    script.step("token, renewed", "GET", "/token")
    script.step("photo", "GET", "/user/photo")
    script.step("debug", "GET", "/user/debug")
    script.step("the same answer again", "POST", "/user/authorized", form=form)
    script.step("logout to a page", "GET", "/user/logout/bye")
    script.step("info after the logout", "GET", "/user/info")
    begun = script.step("README, login", "GET", "/readme/login")
    script.back("README, back", begun.header("Location"), "/readme/authorized")
    script.step("README, info", "GET", "/user/info")
    script.step("README, token", "GET", "/token")
    page = {"Referer": "https://evil.example/", "Sec-Fetch-Site": "cross-site"}
    script.step("logout from another site", "GET", "/user/logout", headers=page)
    return script.steps


def reference(version, servers):
    python = reference_python(version)
    if python is None:
        pytest.skip(f"NO PYTHON {VERSIONS[version][0]} FOR aiohttp_msal {version}: ITS TRANSCRIPT IS NOT COMPARED")
    return servers("aiohttp_msal", VERSIONS[version][1], python)


@pytest.mark.parametrize("version", VERSIONS)
def test_both_packages_answer_alike(version, servers, authority, redis_client):
    known = set(DIFFERENCES).union(*(more for begin, more in OF_VERSION.items() if version.startswith(begin)))
    theirs = travel(Transcript(reference(version, servers), authority, redis_client))
    ours = travel(Transcript(servers(OURS, VERSIONS[version][1]), authority, redis_client))
    different, met = [], set()
    for step, noted in theirs.items():
        for part, value in noted.items():
            if ours[step][part] == value:
                continue
            listed = {pattern for pattern in known if re.fullmatch(pattern[0], step) and re.fullmatch(pattern[1], part)}
            met |= listed
            if not listed:
                different.append(f"{step}: {part}\n    theirs {value!r}\n    ours   {ours[step][part]!r}")
    assert not different, "\n".join(different)
    assert met == known, f"listed, but no difference any more: {known - met}"


def test_every_difference_is_documented():
    headings = set(re.findall(r"^## (.+)$", DOCUMENT.read_text(), re.M))
    listed = set(DIFFERENCES.values()) | {heading for more in OF_VERSION.values() for heading in more.values()}
    assert listed <= headings, listed - headings


@pytest.mark.parametrize("direction", ["theirs to ours", "ours to theirs"])
@pytest.mark.parametrize("version", VERSIONS)
class TestSharedSessions:
    """Both packages on one Redis, with one cookie."""

    @pytest.fixture
    def pair(self, version, direction, servers):
        both = [reference(version, servers), servers(OURS, VERSIONS[version][1])]
        return both if direction == "theirs to ours" else both[::-1]

    def test_a_sign_in_of_one_is_usable_by_the_other(self, pair, authority, redis_client):
        first, second = pair
        session = sign_in(first, authority)
        assert json.loads(second.ask("GET", "/user/info", session=session).body)["name"] == "Ada Marsh"
        assert second.ask("GET", "/token", session=session).status == 200
        assert json.loads(second.ask("GET", "/me", session=session).body)["mail"] == "ada@contoso.example"

    def test_a_sign_in_begun_by_one_is_finished_by_the_other(self, pair, authority, redis_client):
        first, second = pair
        session = sign_in(first, authority, finish_at=second)
        assert json.loads(first.ask("GET", "/user/info", session=session).body)["mail"] == "ada@contoso.example"
        assert first.ask("GET", "/token", session=session).status == 200

    def test_a_token_renewed_by_one_is_used_by_the_other(self, pair, authority, redis_client):
        first, second = pair
        session = sign_in(first, authority)
        change_record(redis_client, session, expire_tokens)
        assert second.ask("GET", "/token", session=session).status == 200
        cache = record(redis_client, session)["token_cache"]
        assert all(int(entry["expires_on"]) > 1000000000 for entry in cache["AccessToken"].values())
        asked = authority.token_requests()
        assert first.ask("GET", "/token", session=session).status == 200
        assert authority.token_requests() == asked

    def test_a_sign_out_of_one_holds_for_the_other(self, pair, authority, redis_client):
        first, second = pair
        session = sign_in(first, authority)
        assert second.ask("GET", "/user/logout", session=session).status == 302
        assert json.loads(first.ask("GET", "/user/info", session=session).body) == {"authenticated": False}
