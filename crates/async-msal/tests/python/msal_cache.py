"""MSAL's side of the token cache tests: one JSON command a line in, one JSON answer a line out.

Time is the caller's, and requests go where the caller says: to no network at all, to the emulator at any address, or
over https through a proxy that leads every name to the emulator.
"""

import json
import sys
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request

import msal
import requests

NOW = 0
time.time = lambda: NOW


class Response:
    def __init__(self, status, text):
        self.status_code, self.text, self.headers = status, text, {}

    def raise_for_status(self):
        if self.status_code >= 400:
            raise RuntimeError(self.status_code)


class Transport:
    """Metadata of any authority; tokens from the emulator, or an error."""

    def __init__(self, base):
        self.base, self.posts = base, 0

    def get(self, url, **_):
        authority = url.split("/v2.0/")[0].split("/.well-known/")[0]
        if authority.endswith("/adfs"):
            endpoints = f"{authority}/oauth2/token", f"{authority}/oauth2/authorize"
        else:
            endpoints = f"{authority}/oauth2/v2.0/token", f"{authority}/oauth2/v2.0/authorize"
        token, authorize = endpoints
        document = {"issuer": f"{authority}/v2.0", "token_endpoint": token, "authorization_endpoint": authorize}
        return Response(200, json.dumps(document))

    def post(self, url, data=None, headers=None, **_):
        self.posts += 1
        if self.base is None:
            return Response(400, '{"error": "invalid_grant", "error_description": "no network"}')
        path = url.split("/", 3)[3]
        body = urllib.parse.urlencode(data).encode()
        request = urllib.request.Request(f"{self.base}/{path}", body, headers or {})
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
                return Response(answer.status, answer.read().decode())
        except urllib.error.HTTPError as error:
            return Response(error.code, error.read().decode())

    def close(self):
        pass


class RealNames(requests.Session):
    """MSAL's own way of asking, by the names of the authorities."""

    def __init__(self, proxy, ca):
        super().__init__()
        self.trust_env, self.verify, self.proxies, self.posts = False, ca, {"https": proxy}, 0

    def post(self, url, **arguments):
        self.posts += 1
        return super().post(url, **arguments)


def application(command, cache, transport):
    rules = {}
    if "proxy" not in command:
        rules = {"instance_discovery": False, "validate_authority": False}
    return msal.ConfidentialClientApplication(
        command["client_id"],
        client_credential=command.get("secret", "secret"),
        authority=command["authority"],
        token_cache=cache,
        http_client=transport,
        **rules,
    )


def account_of(app, command):
    if command.get("home") is None:
        return None
    found = [a for a in app.get_accounts() if a["home_account_id"] == command["home"]]
    return found[0] if found else {"home_account_id": command["home"]}


def silent(app, command):
    if command.get("application") and hasattr(app, "_acquire_token_for_client"):
        return app.acquire_token_for_client(command["scopes"])
    try:
        return app.acquire_token_silent(command["scopes"], account=account_of(app, command))
    except ValueError:  # without a hit, reserved scopes are refused
        return None


def start(app, command):
    return app.initiate_auth_code_flow(
        command["scopes"], redirect_uri=command["redirect_uri"], response_mode="form_post")


def finish(app, command):
    response = dict(urllib.parse.parse_qsl(command["response"]))
    return app.acquire_token_by_auth_code_flow(command["flow"], response)


def accounts(app, command):
    return app.get_accounts(username=command.get("username"))


def remove(app, command):
    return app.remove_account(account_of(app, command))


def app_token(app, command):
    return app.acquire_token_for_client(command["scopes"])


OPERATIONS = {f.__name__: f for f in (silent, start, finish, accounts, remove, app_token)}


def run(command):
    global NOW
    NOW = command["now"]
    cache = msal.SerializableTokenCache()
    cache.deserialize(command.get("cache") or "{}")
    if "proxy" in command:
        transport = RealNames(command["proxy"], command["ca"])
    else:
        transport = Transport(command.get("base"))
    if command["op"] == "add":
        for event in command["events"]:
            cache.add(event, now=NOW)
        result = None
    else:
        result = OPERATIONS[command["op"]](application(command, cache, transport), command)
    return {"result": result, "changed": cache.has_state_changed, "posts": transport.posts,
            "cache": cache.serialize()}


for line in sys.stdin:
    try:
        answer = run(json.loads(line))
    except BaseException:
        answer = {"crash": traceback.format_exc()}
    print(json.dumps(answer), flush=True)
