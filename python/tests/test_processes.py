"""Loops that close, processes that fork or end, callbacks that raise or never return."""

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest

import async_msal
from test_bridges import signed_in
from test_promises import APP, SCOPES, until

# --- loops, threads, processes


def test_a_loop_that_closes_loses_no_result(emulator, app):
    loop = asyncio.new_event_loop()
    loop.run_until_complete(signed_in(emulator, app))
    (account,) = app.get_accounts()
    emulator.fault("token", {"delay_millis": 200})
    app.token_cache.serialize()

    async def begin():
        # Begun and never awaited: nobody cancels it.
        begin.future = app._native.silent(app.token_cache, account["home_account_id"], SCOPES, force_refresh=True)

    loop.run_until_complete(begin())
    loop.close()
    asyncio.run(until(lambda: app._native.flights() == 0))
    assert app.token_cache.has_state_changed
    # The application works on with the next loop.
    assert asyncio.run(app.acquire_token_silent(SCOPES, account))["token_source"] == "cache"


def test_the_blocking_face_works_on_the_thread_of_a_running_loop(emulator, options):
    app = async_msal.SyncConfidentialClientApplication(**options)

    async def go():
        return app.acquire_token_for_client(APP)

    assert asyncio.run(go())["token_source"] == "identity_provider"


def test_a_call_without_a_loop_says_so(app):
    with pytest.raises(RuntimeError, match="no running event loop"):
        app._native.for_client(app.token_cache, APP)


def script(options, text, **named):
    """Runs a script of its own; gives its standard output."""
    lines = ["import asyncio, json, os, sys, threading, async_msal", f"options = {options!r}", f"APP = {APP!r}"]
    program = "\n".join(lines) + "\n" + textwrap.dedent(text)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, **named)
    assert done.returncode == 0, done.stderr
    assert "atal" not in done.stderr and "Traceback" not in done.stderr, done.stderr
    return done.stdout


def test_a_forked_child_has_its_cache_and_refuses_the_network(options):
    out = script(
        options,
        """
        app = async_msal.ConfidentialClientApplication(**options)
        asyncio.run(app.acquire_token_for_client(APP))
        if os.fork() == 0:
            assert asyncio.run(app.acquire_token_for_client(APP))["token_source"] == "cache"
            app.remove_tokens_for_client()
            try:
                asyncio.run(app.acquire_token_for_client(APP))
            except RuntimeError as error:
                print(error)
                sys.exit()
        os.wait()
        """,
    )
    assert "forked" in out and "create the application" in out


def test_a_process_that_forks_before_its_first_request_works_in_every_child(options):
    out = script(
        options,
        """
        app = async_msal.ConfidentialClientApplication(**options)
        children = [os.fork(), os.fork()]
        source = asyncio.run(app.acquire_token_for_client(APP))["token_source"]
        os.write(1, f"{source}\\n".encode())
        while all(children):
            try:
                os.wait()
            except ChildProcessError:
                break
        """,
    )
    assert out.split() == ["identity_provider"] * len(out.split()) and "identity_provider" in out


def test_the_interpreter_ends_with_a_request_in_flight(emulator, options):
    emulator.fault("token", {"delay_millis": 600}, count=4)
    begun = time.monotonic()
    script(
        options,
        """
        app = async_msal.ConfidentialClientApplication(**options)

        async def go():
            app._native.for_client(app.token_cache, APP)
            await app._native.metadata()

        asyncio.run(go())
        blocking = async_msal.SyncConfidentialClientApplication(**options)
        threading.Thread(target=blocking.acquire_token_for_client, args=(APP,), daemon=True).start()
        """,
    )
    assert time.monotonic() - begun < 6


def test_an_import_does_no_work():
    out = script(
        {},
        """
        print(threading.active_count(), len(os.listdir("/proc/self/task")), "requests" in sys.modules, "msal" in sys.modules)
        """,
    )
    assert out.split() == ["1", "1", "False", "False"]


# --- callbacks


def with_assertion(emulator, options, callback, **more):
    return async_msal.ConfidentialClientApplication(
        **{**options, "client_credential": {"client_assertion": callback}, **more}
    )


def refused_by_the_authority(app):
    """The assertion is no good one; what matters is that it was sent."""
    return asyncio.run(app.acquire_token_for_client(APP))["error"]


def test_assertions_come_from_functions_and_coroutines_for_each_request(emulator, options):
    asked = []

    def plain():
        asked.append(threading.current_thread() is threading.main_thread())
        return "e30.e30.c2ln"

    async def coroutine():
        await asyncio.sleep(0)
        asked.append(threading.current_thread() is threading.main_thread())
        return b"e30.e30.c2ln"

    for callback in (plain, coroutine):
        assert refused_by_the_authority(with_assertion(emulator, options, callback)) == "invalid_client"
    # A function has a thread of its own; a coroutine runs on the loop that awaits the token.
    assert asked == [False, True]


def test_an_assertion_callback_with_a_parameter_learns_of_the_request(emulator, options):
    asked = []
    app = with_assertion(emulator, options, lambda request: asked.append(request) or "e30.e30.c2ln")
    asyncio.run(app.acquire_token_for_client(APP, fmi_path="a/b"))
    (request,) = asked
    assert request["client_id"] == emulator.client_id and request["fmi_path"] == "a/b"
    assert request["token_endpoint"].startswith(emulator.base)


def test_a_callback_that_raises_is_heard_of_as_it_is(emulator, options):
    class Vault(Exception):
        pass

    def raises():
        raise Vault("sealed")

    async def raises_later():
        raise Vault("sealed")

    for callback in (raises, raises_later):
        with pytest.raises(Vault, match="sealed"):
            asyncio.run(with_assertion(emulator, options, callback).acquire_token_for_client(APP))
    with pytest.raises(TypeError, match="client_assertion"):
        asyncio.run(with_assertion(emulator, options, lambda: 3).acquire_token_for_client(APP))
    assert emulator.token_requests() == 0


def test_a_callback_that_never_returns_holds_up_nobody(emulator, options):
    never = threading.Event()
    app = with_assertion(emulator, options, never.wait, timeout=0.3)
    with pytest.raises(TimeoutError):
        asyncio.run(app.acquire_token_for_client(APP))

    async def cancelled():
        task = asyncio.ensure_future(app.acquire_token_for_client(APP))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    never.set()


def test_the_interpreter_ends_though_a_callback_never_returns(options):
    script(
        {**options, "client_credential": "replaced"},
        """
        begun = threading.Event()

        def callback():
            begun.set()
            threading.Event().wait()

        options["client_credential"] = {"client_assertion": callback}
        app = async_msal.ConfidentialClientApplication(**options)

        async def go():
            task = asyncio.ensure_future(app.acquire_token_for_client(APP))
            await asyncio.to_thread(begun.wait)
            task.cancel()

        asyncio.run(go())
        """,
    )
