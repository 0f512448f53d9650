"""`AsyncMSAL` subclassed in the three ways that applications of the three versions use."""

import dataclasses
from typing import Any, ClassVar

import attrs
import pytest

from async_msal.aiohttp import ENV, AsyncMSAL


@attrs.define(slots=False)
class WithAttrs(AsyncMSAL):
    team: str = "red"
    default_scopes: ClassVar[list[str]] = ["Mail.Read"]


@attrs.define
class WithSlots(AsyncMSAL):
    team: str = "red"
    default_scopes: ClassVar[list[str]] = ["Mail.Read"]


@dataclasses.dataclass
class WithDataclass(AsyncMSAL):
    team: str = "red"
    default_scopes: ClassVar[list[str]] = ["Mail.Read"]


class Plain(AsyncMSAL):
    team = "red"
    default_scopes = ["Mail.Read"]

    def __init__(self, session: Any, save_callback: Any = None, app_kwargs: Any = None, team: str = "red") -> None:
        super().__init__(session, save_callback, app_kwargs)
        self.team = team


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    monkeypatch.setattr(ENV, "SP_APP_ID", "client")
    monkeypatch.setattr(ENV, "SP_APP_PW", "secret")
    monkeypatch.setattr(ENV, "SP_AUTHORITY", "https://login.microsoftonline.com/common")


@pytest.mark.parametrize("cls", [WithAttrs, WithSlots, WithDataclass, Plain])
class TestSubclass:
    def test_has_its_fields_and_those_of_the_base(self, cls):
        ses = cls({"mail": "ada@x"}, None, {"app_name": "demo"}, "blue")
        assert (ses.mail, ses.app_kwargs, ses.team) == ("ada@x", {"app_name": "demo"}, "blue")
        assert cls(session={}, team="green").team == "green" and cls({}).team == "red"

    def test_begins_a_sign_in_with_its_scopes(self, cls):
        items = {"mail": "ada@x", "token_cache": "{}"}
        address = cls(items).initiate_auth_code_flow(redirect_uri="https://app.example/user/authorized")
        assert address.startswith("https://login.microsoftonline.com/common/oauth2/v2.0/authorize?")
        assert "Mail.Read" in items["flow_cache"]["scope"] and "User.Read" not in items["flow_cache"]["scope"]
        assert set(items) == {"flow_cache"}

    def test_tells_what_it_saves(self, cls):
        told = []
        ses = cls({}, save_callback=told.append)
        ses.token_cache.deserialize('{"AccessToken": {}}')
        ses.token_cache.has_state_changed = True
        ses.save_token_cache()
        assert told == [ses.session] and "AccessToken" in ses.session["token_cache"]

    def test_refuses_what_is_no_session(self, cls):
        with pytest.raises(TypeError, match="session"):
            cls("text")


def test_the_callbacks_of_both_shapes():
    for named, expected in (("save_callback", "session"), ("save_cache", "token_cache"), (None, "session")):
        told = []
        ses = AsyncMSAL({}, **{named: told.append}) if named else AsyncMSAL({}, told.append)
        ses.token_cache.has_state_changed = True
        ses.save_token_cache(ses.token_cache)
        assert told == [getattr(ses, expected)]


@pytest.mark.parametrize("kind", [WithAttrs, WithSlots, WithDataclass, Plain])
def test_a_printed_session_shows_no_token(kind):
    assert "canary" not in repr(kind({"token_cache": "canary"}, None, {"client_credential": "canary"}))
