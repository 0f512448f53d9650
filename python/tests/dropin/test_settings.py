"""Settings: the environment, the three ways to subclass, and the names of every version."""

import dataclasses
import json
import logging

import attrs
import pytest

from async_msal.aiohttp import ENV
from async_msal.aiohttp.settings import VAR_HIDE, VAR_REQ, MSALSettings, SettingsBase, Var

REQUIRED = ("SP_APP_ID", "SP_APP_PW", "SP_AUTHORITY")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in (*REQUIRED, "DOMAIN", "REDIS", "COOKIE_NAME", "PUBLIC_URL", "CA_FILE"):
        for prefix in ("", "MSAL"):
            monkeypatch.delenv(prefix + name, raising=False)


@pytest.fixture
def environment(monkeypatch):
    """Sets variables of this prefix, the required ones too."""

    def put(prefix="X_", **values):
        for name, value in (dict.fromkeys(REQUIRED, "value") | values).items():
            monkeypatch.setenv(prefix + name, value)

    return put


def test_the_prefix_is_looked_up_as_given(environment):
    environment("my_", DOMAIN="as.given")
    environment("MY_", DOMAIN="in.upper.case")
    settings = MSALSettings()
    settings.load("my_")
    assert settings.DOMAIN == "as.given"


def test_the_prefix_is_looked_up_in_upper_case_then(environment):
    environment("MY_", DOMAIN="in.upper.case")
    settings = MSALSettings()
    settings.load("my_")
    assert (settings.DOMAIN, settings.env_prefix) == ("in.upper.case", "MY_")


def test_load_takes_the_prefix_of_the_object(environment):
    environment("MSAL", DOMAIN="prefixed")
    environment("", DOMAIN="plain")
    settings = MSALSettings("MSAL")
    settings.load()
    assert settings.DOMAIN == "prefixed"


def test_load_without_a_prefix_reads_plain_names_where_there_are_no_others(environment):
    environment("", DOMAIN="plain")
    settings = MSALSettings("MSAL")
    settings.load()
    assert settings.DOMAIN == "plain"


def test_load_takes_the_name_that_the_argument_had(environment):
    environment("OLD_")
    settings = MSALSettings()
    settings.load(environment_prefix="OLD_")
    assert settings.SP_APP_ID == "value"


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_setting_is_named(environment, monkeypatch, name):
    environment("X_")
    monkeypatch.delenv(f"X_{name}")
    with pytest.raises(ValueError, match=f"X_{name}"):
        MSALSettings().load("X_")


def test_a_missing_domain_is_no_error_of_load(environment):
    environment("X_")
    settings = MSALSettings()
    settings.load("X_")
    assert settings.DOMAIN == ""


def test_quotes_are_stripped(environment):
    environment("X_", DOMAIN='"contoso.example"')
    settings = MSALSettings()
    settings.load("X_")
    assert settings.DOMAIN == "contoso.example"


@attrs.define
class WithAttrs(MSALSettings):
    COLOUR: str = attrs.field(metadata=VAR_REQ, default="")
    LIMIT: int = 5
    TOKEN: str = attrs.field(metadata=VAR_HIDE, default="")
    PAGE_URI: str = "http://page"


@dataclasses.dataclass
class WithDataclass(MSALSettings):
    COLOUR: str = dataclasses.field(metadata=VAR_REQ, default="")
    LIMIT: "int" = 5
    TOKEN: str = dataclasses.field(metadata=VAR_HIDE, default="")
    PAGE_URI: str = "http://page"


class WithPlainAttributes(MSALSettings):
    COLOUR = Var(str, required=True)
    LIMIT = 5
    TOKEN = Var(str, hidden=True)
    PAGE_URI = "http://page"
    COOKIE_NAME = "PLAIN"


@pytest.mark.parametrize("cls", [WithAttrs, WithDataclass, WithPlainAttributes])
class TestSubclasses:
    def test_is_loaded(self, cls, environment):
        environment("X_", COLOUR="red", LIMIT="7", TOKEN="secret", PAGE_URI="http://other")
        settings = cls()
        settings.load("X_")
        assert (settings.COLOUR, settings.LIMIT, settings.TOKEN) == ("red", 7, "secret")
        assert settings.PAGE_URI == "http://other/"
        assert settings.SP_APP_ID == "value"

    def test_requires_what_it_says(self, cls, environment):
        environment("X_")
        with pytest.raises(ValueError, match="X_COLOUR"):
            cls().load("X_")

    def test_hides_what_it_says(self, cls, environment):
        environment("X_", COLOUR="red", TOKEN="secret")
        settings = cls()
        settings.load("X_")
        for shown in (settings.asdict(), settings.to_dict(), settings.asdict(as_string=True, hide="***")):
            assert "secret" not in json.dumps(shown)
            assert shown["X_COLOUR"] == "red"
        assert settings.asdict(hide="***")["X_TOKEN"] == "***"

    def test_has_lists_of_its_own(self, cls):
        first, second = cls(), cls()
        first.login_callback.append(len)
        first.info["x"] = len
        assert second.login_callback == [] and second.info == {}

    def test_names_its_settings(self, cls):
        names = set(cls().fields)
        assert {"COLOUR", "LIMIT", "SP_APP_ID", "REDIS"} <= names
        assert "database" not in names


def test_a_plain_attribute_replaces_a_default():
    assert (WithPlainAttributes().COOKIE_NAME, WithAttrs().COOKIE_NAME) == ("PLAIN", "AIOHTTP_SESSION")


def test_an_attrs_subclass_takes_every_setting():
    assert WithAttrs(SP_APP_ID="id", LIMIT=9).SP_APP_ID == "id"


def test_dumps_and_json_dumps_are_one():
    settings = MSALSettings()
    settings.dumps = repr
    assert settings.json_dumps is repr and settings.dumps is repr
    assert MSALSettings(loads=eval).json_loads is eval


def test_an_unknown_variable_is_read_by_its_name(environment):
    environment("X_", OTHER="other")
    settings = MSALSettings()
    settings.load("X_")
    assert (settings["OTHER"], settings["MISSING"]) == ("other", "")
    with pytest.raises(NameError):
        settings["other"]


def test_types_are_converted(environment):
    @dataclasses.dataclass
    class Typed(SettingsBase):
        FLAG: bool = False
        NUMBER: int | None = None
        RAW: bytes = b""

    environment("X_", FLAG="true", NUMBER="12", RAW="raw")
    settings = Typed()
    settings.load("X_")
    assert (settings.FLAG, settings.NUMBER, settings.RAW) == (True, 12, b"raw")


def test_no_password_is_logged(environment, caplog):
    environment("X_", SP_APP_PW="hunter2", REDIS="redis://user:hunter2@host")
    with caplog.at_level(logging.DEBUG):
        MSALSettings().load("X_")
    assert "X_SP_APP_PW" in caplog.text and "hunter2" not in caplog.text


def test_the_object_of_the_package_has_the_prefix_of_the_newest_version():
    assert isinstance(ENV, MSALSettings) and MSALSettings("MSAL").env_prefix == "MSAL"


@dataclasses.dataclass
class _Dataclass(MSALSettings):
    MORE: str = "more"


@attrs.define
class _Attrs(MSALSettings):
    MORE: str = "more"


@pytest.mark.parametrize("kind", [MSALSettings, _Dataclass, _Attrs])
def test_a_printed_object_shows_no_secret(kind):
    settings = kind()
    settings.SP_APP_PW, settings.REDIS = "the-secret", "redis://:the-password@redis"
    assert "the-secret" not in repr(settings) and "the-password" not in repr(settings)
