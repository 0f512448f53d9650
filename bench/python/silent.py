"""What `await app.acquire_token_silent` costs where the cache has the token, event loop included; MSAL's beside it.

    silent.py [--calls 20000] [--rounds 7]

Run by a Python that has the wheel to be measured (a release build) and msal 1.39. Nothing is asked of the network: the
cache is made here, as a sign-in leaves it. Times are medians over the rounds, in CPU time of the process.
"""

import argparse
import asyncio
import statistics
import time

import async_msal

TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT = "33333333-3333-3333-3333-333333333333"
HOST = "login.microsoftonline.com"
SCOPES = ["User.Read"]


def filled(cache):
    """Puts the tokens of one user in."""
    cache.add(
        {
            "client_id": CLIENT,
            "scope": ["User.Read", "email", "openid", "profile"],
            "token_endpoint": f"https://{HOST}/{TENANT}/oauth2/v2.0/token",
            "grant_type": "authorization_code",
            "response": {
                "access_token": "a" * 1800,
                "expires_in": 3600,
                "refresh_in": 1800,
                "refresh_token": "r" * 1200,
                "id_token": "e30.eyJzdWIiOiJzIiwib2lkIjoibyIsInByZWZlcnJlZF91c2VybmFtZSI6ImFkYSJ9.c2ln",
                "client_info": "eyJ1aWQiOiJ1IiwidXRpZCI6InQifQ",
            },
        }
    )
    return cache


async def nothing():
    """What awaiting itself costs."""


async def rate(call, calls):
    begun = time.process_time()
    for _ in range(calls):
        await call()
    return (time.process_time() - begun) / calls * 1e6


def msal_application():
    """MSAL asks for metadata when it is made; it gets them from here."""
    import json

    import msal

    class Answer:
        status_code, headers = 200, {}
        text = json.dumps(
            {
                "issuer": f"https://{HOST}/{TENANT}/v2.0",
                "authorization_endpoint": f"https://{HOST}/{TENANT}/oauth2/v2.0/authorize",
                "token_endpoint": f"https://{HOST}/{TENANT}/oauth2/v2.0/token",
            }
        )

        def raise_for_status(self):
            pass

    class Http:
        def get(self, *_, **__):
            return Answer()

        post = get

        def close(self):
            pass

    return msal.ConfidentialClientApplication(
        CLIENT,
        client_credential="secret",
        authority=f"https://{HOST}/{TENANT}",
        token_cache=filled(msal.SerializableTokenCache()),
        http_client=Http(),
    )


async def main(arguments):
    app = async_msal.ConfidentialClientApplication(
        CLIENT,
        client_credential="secret",
        authority=f"https://{HOST}/{TENANT}",
        token_cache=filled(async_msal.SerializableTokenCache()),
    )
    theirs = msal_application()
    (account,) = app.get_accounts()
    assert (await app.acquire_token_silent(SCOPES, account))["token_source"] == "cache"
    assert theirs.acquire_token_silent(SCOPES, account)["token_source"] == "cache"

    async def of_msal():
        return theirs.acquire_token_silent(SCOPES, account)

    def make():
        return async_msal.ConfidentialClientApplication(
            CLIENT, client_credential="secret", authority=f"https://{HOST}/{TENANT}", token_cache=app.token_cache
        )

    async def made():
        return make()

    ways = {
        "await of an empty coroutine": nothing,
        "await async_msal acquire_token_silent": lambda: app.acquire_token_silent(SCOPES, account),
        "msal acquire_token_silent (in a coroutine)": of_msal,
        "an application more of the same arguments": made,
    }
    figures = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, call in ways.items():
            figures[name].append(await rate(call, arguments.calls))
    for name, times in figures.items():
        print(f"{name:45} {statistics.median(times):8.2f} us   (from {min(times):.2f} to {max(times):.2f})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    asyncio.run(main(parser.parse_args()))
