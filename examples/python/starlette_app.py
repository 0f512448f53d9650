"""A Starlette application that signs users in and calls Microsoft Graph for them, with MSAL's interface awaited.

    pip install async-msal starlette httpx uvicorn
    cargo run -- emulator --https ca.pem     # prints the settings; put them into the environment
    uvicorn starlette_app:app --port 8000

FastAPI is the same: its routes take the `Request` too. Sessions are kept in the memory of this process, by a cookie that holds
nothing but their name; a real application keeps them in a database, with `cache.serialize()` for each.
"""

import os
import secrets
import ssl

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from starlette.routing import Route

import async_msal

SCOPES = ["User.Read"]
PUBLIC_URL = os.environ.get("PUBLIC_URL", "http://localhost:8000")
GRAPH_URL = os.environ.get("GRAPH_URL", "https://graph.microsoft.com/v1.0")
CA_FILE = os.environ.get("CA_FILE")
COOKIE = "session"

sessions: dict[str, dict] = {}
tls = ssl.create_default_context(cafile=CA_FILE)


def application(cache) -> async_msal.ConfidentialClientApplication:
    """Cheap: applications with the same settings share their connections and what they know of the authority."""
    return async_msal.ConfidentialClientApplication(
        os.environ["SP_APP_ID"],
        client_credential=os.environ["SP_APP_PW"],
        authority=os.environ["SP_AUTHORITY"],
        token_cache=cache,
        # The emulator's host is none of Microsoft's. Leave both out for the real thing.
        instance_discovery=CA_FILE is None,
        verify=CA_FILE or True,
    )


def session_of(request: Request) -> dict:
    return sessions.get(request.cookies.get(COOKIE, ""), {})


def begin_session(response, content: dict):
    """Always under a new name: whoever knew the old one must not share what is in the new one."""
    name = secrets.token_urlsafe(32)
    sessions[name] = content
    secure = PUBLIC_URL.startswith("https:")
    response.set_cookie(COOKIE, name, httponly=True, samesite="lax", secure=secure, max_age=8 * 3600)
    return response


async def login(request: Request):
    flow = await application(None).initiate_auth_code_flow(SCOPES, redirect_uri=f"{PUBLIC_URL}/user/authorized")
    sessions.pop(request.cookies.get(COOKIE, ""), None)
    return begin_session(RedirectResponse(flow["auth_uri"]), {"flow": flow})


async def authorized(request: Request):
    # Once only: the flow goes before it is used.
    flow = sessions.pop(request.cookies.get(COOKIE, ""), {}).get("flow", {})
    cache = async_msal.SerializableTokenCache()
    try:
        result = await application(cache).acquire_token_by_auth_code_flow(flow, dict(request.query_params))
    except ValueError:
        return PlainTextResponse("This sign-in was not begun here. Please start again.", 400)
    if "error" in result:
        return PlainTextResponse(f"Signing in failed: {result['error']}", 403)
    return begin_session(RedirectResponse("/", 303), {"cache": cache, "name": result["id_token_claims"].get("name")})


async def home(request: Request):
    cache = session_of(request).get("cache")
    if cache is None:
        return HTMLResponse('<a href="/login">Sign in</a>')
    app = application(cache)
    (account,) = app.get_accounts()
    token = await app.acquire_token_silent(SCOPES, account)
    if token is None:
        return RedirectResponse("/login")
    async with httpx.AsyncClient(verify=tls) as client:
        answer = await client.get(f"{GRAPH_URL}/me", headers={"Authorization": f"Bearer {token['access_token']}"})
    return PlainTextResponse(f"Hello {answer.json()['displayName']}")


async def logout(request: Request):
    sessions.pop(request.cookies.get(COOKIE, ""), None)
    response = RedirectResponse("/", 303)
    response.delete_cookie(COOKIE)
    return response


app = Starlette(
    routes=[
        Route("/", home),
        Route("/login", login),
        Route("/user/authorized", authorized),
        Route("/logout", logout, methods=["POST"]),
    ]
)
