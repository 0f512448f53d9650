"""A call is awaited by any loop, or blocks without one."""

import asyncio
import threading
import time

import async_msal
import uvloop

REDIRECT = "http://localhost:8000/user/authorized"


async def signed_in(emulator, app, person="ada@contoso.example", **arguments):
    flow = await app.initiate_auth_code_flow(["User.Read"], redirect_uri=REDIRECT, response_mode="form_post", **arguments)
    response = emulator.sign_in(flow["auth_uri"], person)
    return await app.acquire_token_by_auth_code_flow(flow, response)


def test_a_sign_in_is_awaited_and_its_token_comes_from_the_cache(emulator, app):
    async def go():
        result = await signed_in(emulator, app)
        assert result["token_source"] == "identity_provider" and result["id_token_claims"]["oid"]
        (account,) = app.get_accounts()
        again = await app.acquire_token_silent(["User.Read"], account)
        assert again["access_token"] == result["access_token"] and again["token_source"] == "cache"

    asyncio.run(go())


def test_uvloop_and_several_loops_at_once_share_an_application(emulator, app):
    async def go():
        return await app.acquire_token_for_client(["https://graph.microsoft.com/.default"])

    results = []

    def run(runner):
        results.append(runner(go()))

    threads = [threading.Thread(target=run, args=(runner,)) for runner in (uvloop.run, asyncio.run, asyncio.run)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({result["access_token"] for result in results}) == 1
    assert emulator.token_requests() == 1


def test_the_blocking_face_needs_no_loop(emulator, options):
    app = async_msal.SyncConfidentialClientApplication(**options)
    flow = app.initiate_auth_code_flow(["User.Read"], redirect_uri=REDIRECT)
    result = app.acquire_token_by_auth_code_flow(flow, emulator.sign_in(flow["auth_uri"]))
    (account,) = app.get_accounts(username=result["id_token_claims"]["preferred_username"].upper())
    assert app.acquire_token_silent(["User.Read"], account)["token_source"] == "cache"
    assert app.acquire_token_silent(["User.Read"], account, force_refresh=True)["token_source"] == "identity_provider"
    app.remove_account(account)
    assert app.get_accounts() == []


def test_results_that_come_together_are_told_one_in_a_turn_of_the_loop(app):
    app._native.metadata(blocking=True)

    async def together():
        order = []

        async def one():
            await app._native.metadata()
            order.append("result")

        async def turns():
            # The loop stands still until all have come.
            while app._native.flights():
                time.sleep(0.001)
            while order.count("result") < 32:
                order.append("turn")
                await asyncio.sleep(0)

        await asyncio.gather(*(one() for _ in range(32)), turns())
        return "".join(step[0] for step in order)

    # One result in each turn: two stand side by side where one is the last of its turn and one the first.
    assert "rrr" not in asyncio.run(together())
