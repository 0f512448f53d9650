"""What type checkers and the wrong types get: annotations, docstrings, errors that name the argument."""

import inspect
import json
import os
import subprocess
import sys
import threading
import time
import typing
from pathlib import Path

import msal
import pytest

import async_msal
from async_msal import _options

CLASSES = [
    async_msal.ConfidentialClientApplication,
    async_msal.SyncConfidentialClientApplication,
    async_msal.SerializableTokenCache,
]
PUBLIC = [
    pytest.param(member, id=f"{cls.__name__}.{name}")
    for cls in CLASSES
    for name, member in inspect.getmembers(cls, inspect.isfunction)
    if name == "__init__" or not name.startswith("_")
]
PROGRAM = '''
import asyncio
from typing import Any

from async_msal import ConfidentialClientApplication, SerializableTokenCache, SyncConfidentialClientApplication


class Mine:
    has_state_changed = False

    def serialize(self) -> str:
        return ""

    def deserialize(self, state: str) -> None:
        pass


async def ask() -> dict[str, Any] | None:
    app = ConfidentialClientApplication("c", {"client_assertion": lambda: "x"}, token_cache=Mine(), timeout=(1, 2.5))
    flow: dict[str, Any] = await app.initiate_auth_code_flow(["s"], redirect_uri="https://a.example/cb")
    result: dict[str, Any] = await app.acquire_token_by_auth_code_flow(flow, {"state": "s"})
    result = await app.acquire_token_for_client({"s"})
    result = await app.acquire_token_on_behalf_of(result["access_token"], frozenset("s"))
    result = await app.acquire_token_by_refresh_token("r", ("s",))
    accounts: list[dict[str, Any]] = app.get_accounts("ada")
    app.remove_account(accounts[0])
    app.remove_tokens_for_client()
    await app.acquire_token_silent_with_error(["s"], None)
    return await app.acquire_token_silent(["s"], accounts[0])


def block() -> dict[str, Any] | None:
    cache = SerializableTokenCache()
    cache.deserialize(cache.serialize())
    cache.add({"scope": ["s"]}, now=1)
    for entry in cache.search(cache.CredentialType.ACCESS_TOKEN, target=["s"], query={"realm": "t"}):
        cache.remove_at(entry)
    app = SyncConfidentialClientApplication("c", "secret", token_cache=cache)
    result: dict[str, Any] = app.acquire_token_for_client(["s"])
    return result or app.acquire_token_silent(["s"], app.get_accounts()[0])


asyncio.run(ask())
block()
'''


@pytest.mark.parametrize("function", PUBLIC)
def test_public_methods_have_annotations_and_docstrings(function):
    parameters = list(inspect.signature(function).parameters)[1:]
    assert typing.get_type_hints(function).keys() == {*parameters, "return"}
    assert function.__name__ == "__init__" or inspect.getdoc(function)


def test_a_program_passes_the_strict_checker(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    folder = Path(async_msal.__file__).parent.parent
    # A folder of packages that are installed may not stand in MYPYPATH; mypy looks there anyway.
    environment = dict(os.environ) if folder.name == "site-packages" else {**os.environ, "MYPYPATH": str(folder)}
    check = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(program)]
    checked = subprocess.run(check, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert checked.returncode == 0, checked.stdout + checked.stderr


# --- the clients of the process


class Service:
    def assertion(self):
        return "a.b.c"


def made(credential="secret", **options):
    return async_msal.ConfidentialClientApplication("client", credential, **options)._native


def test_clients_are_known_by_the_callable_itself():
    service, other = Service(), Service()
    first = made({"client_assertion": service.assertion})
    assert made({"client_assertion": service.assertion}) is first
    assert made({"client_assertion": other.assertion}) is not first

    class NoHash:
        __hash__ = None

        def __call__(self):
            return "a.b.c"

    no_hash = NoHash()
    assert made({"client_assertion": no_hash}) is made({"client_assertion": no_hash})
    assert made({"client_assertion": no_hash}) is not made({"client_assertion": NoHash()})


def test_the_client_that_was_not_used_for_longest_goes_first(monkeypatch):
    monkeypatch.setattr(_options, "_clients", type(_options._clients)())
    monkeypatch.setattr(_options, "_MOST_CLIENTS", 2)
    first, second = made(app_name="first"), made(app_name="second")
    assert made(app_name="first") is first
    made(app_name="third")
    assert made(app_name="first") is first and len(_options._clients) == 2
    assert made(app_name="second") is not second


def test_threads_get_one_client(monkeypatch):
    monkeypatch.setattr(_options, "_clients", type(_options._clients)())
    start, clients = threading.Barrier(16), []

    def make():
        start.wait()
        clients.append(made(app_name="threads"))

    threads = [threading.Thread(target=make) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(clients) == 16 and len(set(map(id, clients))) == 1


# --- the token cache

EVENT = {
    "client_id": "c",
    "scope": ["s"],
    "token_endpoint": "https://login.example/tenant/token",
    "response": {"access_token": "at", "expires_in": 3600},
}


def test_searches_skip_entries_that_lack_what_is_needed():
    cache = async_msal.SerializableTokenCache()
    cache.add(EVENT)
    sections = json.loads(cache.serialize())
    (whole,) = sections["AccessToken"].values()
    lacking = {name: {n: v for n, v in whole.items() if n != name} for name in ("expires_on", "target", "environment")}
    sections["AccessToken"].update(lacking, empty={})
    cache.deserialize(json.dumps(sections))
    query = {"environment": "login.example"}
    assert list(cache.search("AccessToken", target=["s"], query=query)) == [whole]
    with pytest.warns(DeprecationWarning):
        assert cache.find("AccessToken", target=["s"], query=query) == [whole]
    assert list(cache.search("AccessToken", target=["s"], query={"client_id": 3})) == []
    assert not cache.has_state_changed
    assert list(cache.search("NoSuchSection")) == []


def test_what_has_expired_is_removed_under_whatever_key_it_stands():
    cache = async_msal.SerializableTokenCache()
    cache.add(EVENT, now=1)
    sections = json.loads(cache.serialize())
    (entry,) = sections["AccessToken"].values()
    cache.deserialize(json.dumps({"AccessToken": {"another key": entry}}))
    assert list(cache.search("AccessToken")) == []
    assert not json.loads(cache.serialize()).get("AccessToken")


@pytest.mark.parametrize(
    "arguments, named, word",
    [
        ((3,), {}, "credential_type"),
        (("AccessToken", "s"), {}, "target"),
        (("AccessToken", [3]), {}, "target"),
        (("AccessToken", None, "q"), {}, "query"),
        (("AccessToken",), {"now": []}, "now"),
    ],
)
def test_arguments_of_a_search_are_checked_at_the_call(arguments, named, word):
    with pytest.raises(TypeError, match=word):
        async_msal.SerializableTokenCache().search(*arguments, **named)


@pytest.mark.parametrize(
    "change, error, word",
    [
        ({"scope": "s"}, TypeError, r'event\["scope"\]'),
        ({"scope": [3]}, TypeError, r'event\["scope"\]'),
        ({"token_endpoint": "https://login.example"}, ValueError, r'event\["token_endpoint"\]'),
        ({"token_endpoint": "https://login.example/"}, ValueError, r'event\["token_endpoint"\]'),
        ({"token_endpoint": "tenant"}, ValueError, r'event\["token_endpoint"\]'),
        ({"token_endpoint": 3}, TypeError, r'event\["token_endpoint"\]'),
        ({"response": "r"}, TypeError, r'event\["response"\]'),
        ({"data": None}, TypeError, r'event\["data"\]'),
        ({"response": {"access_token": "a", "expires_in": "soon"}}, ValueError, "expires_in"),
        ({"response": {"access_token": "a", "expires_in": None}}, TypeError, "expires_in"),
        ({"response": {"id_token": "x"}}, ValueError, "id_token"),
        ({"response": {"id_token": "x.x.x"}}, ValueError, "id_token"),
        ({"response": {"client_info": "x"}}, ValueError, "client_info"),
    ],
)
def test_wrong_events_are_refused_by_name_and_leave_nothing(change, error, word):
    cache = async_msal.SerializableTokenCache()
    with pytest.raises(error, match=word):
        cache.add({**EVENT, **change})
    assert cache.serialize() == "{}"


def test_a_ciam_endpoint_without_a_path_has_the_tenant_of_its_host():
    event = {**EVENT, "token_endpoint": "https://contoso.ciamlogin.com/"}
    theirs, mine = msal.SerializableTokenCache(), async_msal.SerializableTokenCache()
    for cache in (theirs, mine):
        cache.add(event, now=int(time.time()))
    assert json.loads(mine.serialize()) == json.loads(theirs.serialize())


@pytest.mark.parametrize("method", ["remove_account", "remove_rt", "remove_at", "remove_idt"])
def test_entries_of_another_kind_are_refused_by_name(method):
    cache = async_msal.SerializableTokenCache()
    (parameter,) = inspect.signature(getattr(cache, method)).parameters
    with pytest.raises(ValueError, match=parameter):
        getattr(cache, method)({})
    with pytest.raises(TypeError, match=parameter):
        getattr(cache, method)("entry")


def test_changes_wait_for_whoever_holds_the_lock():
    cache = async_msal.SerializableTokenCache()
    thread = threading.Thread(target=cache.add, args=(EVENT,))
    with cache._lock:
        thread.start()
        thread.join(0.1)
        assert thread.is_alive() and cache.serialize() == "{}"
    thread.join(10)
    assert len(list(cache.search("AccessToken"))) == 1
