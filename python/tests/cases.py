"""Caches, questions and faults, each from its number."""

import random
import time

PEOPLE = ["ada@contoso.example", "ben@contoso.example", "gil@fabrikam.example"]
APP_SCOPE = "https://graph.microsoft.com/.default"


class Case:
    """A cache, a question and a fault, from a number."""

    def __init__(self, number: int, seeds: dict):
        self.random = random.Random(number)
        self.number = number
        self.seeds = seeds
        self.notes = set()
        self.now = int(time.time())
        self.people = self.random.sample(PEOPLE, self.random.choice([1, 1, 2, 3]))
        self.question = self.random.choice(
            ["silent"] * 6 + ["force", "claims", "accounts", "remove account", "client", "client", "remove client", "migrate"]
        )
        self.scopes = self.random.choice(
            [["User.Read"], ["User.Read"], ["User.Read", "Mail.Read"], ["Mail.Read", "User.Read"], ["email"], ["Mail.Send"], ["https://graph.microsoft.com/User.Read"]]
        )
        self.cache = self.make_cache()
        self.fault = self.make_fault()

    def make_cache(self) -> dict:
        cache = {}
        for person in self.people:
            for section, entries in self.seeds[person].items():
                for key, entry in entries.items():
                    cache.setdefault(section, {})[key] = dict(entry)
        for entry in cache["AccessToken"].values():
            self.set_age(entry)
        self.changes = self.random.sample(CHANGES, self.random.randint(1, 4))
        for change in self.changes:
            change(self, cache)
        return cache

    def set_age(self, entry):
        left = self.random.choice([-4000, -1, 20, 200, 290, 310, 310, 2000, 3000, 3000])
        entry["cached_at"] = str(self.now + left - 3600)
        entry["expires_on"] = entry["extended_expires_on"] = str(self.now + left)
        ahead = self.random.choice([None, None, -50, 900])
        entry.pop("refresh_on", None)
        if ahead is not None:
            entry["refresh_on"] = str(self.now + ahead)

    def make_fault(self):
        if self.random.random() < 0.55:
            return None
        error = lambda code, name, **more: {"oauth_error": {"status": 400, "error": name, "code": code, **more}}
        return self.random.choice(
            [
                error(65001, "invalid_grant", suberror="consent_required"),
                error(50076, "interaction_required", suberror="basic_action", claims='{"access_token":{"a":null}}'),
                error(50173, "invalid_grant", suberror="bad_token"),
                error(53003, "invalid_grant", suberror="message_only"),
                error(70011, "invalid_scope"),
                error(7000222, "invalid_client"),
                error(90033, "temporarily_unavailable"),
                {"answer": {"status": 503, "body": "busy"}},
                {"answer": {"status": 500, "body": '{"error":"server_error"}', "content_type": "application/json"}},
                {"answer": {"status": 429, "body": '{"error":"slow_down"}', "headers": [["Retry-After", "9"]]}},
                {"answer": {"status": 429, "body": "wait", "headers": [["Retry-After", "9"]]}},
                "not_json",
                "close_connection",
            ]
        )

    def secret(self, kind: str) -> str:
        return f"{kind}-{self.number}-{self.random.getrandbits(32):x}"


# --- how caches differ


def dead_refresh_tokens(case, cache):
    for entry in cache.get("RefreshToken", {}).values():
        entry["secret"] = case.secret("dead")


def a_newer_dead_refresh_token(case, cache):
    for key, entry in list(cache.get("RefreshToken", {}).items()):
        newer = dict(entry, secret=case.secret("dead"), target="zz", last_modification_time=str(case.now + 5))
        cache["RefreshToken"][key + " zz"] = newer


def no_refresh_tokens(case, cache):
    cache.pop("RefreshToken", None)


def bare_refresh_tokens(case, cache):
    for entry in cache.get("RefreshToken", {}).values():
        entry.pop("last_modification_time", None)


def another_clients_tokens(case, cache):
    for section in ("AccessToken", "RefreshToken"):
        for key, entry in list(cache.get(section, {}).items()):
            other = dict(entry, client_id="99999999-0000-0000-0000-000000000000", secret=case.secret("other"))
            cache[section][key.replace(entry["client_id"], other["client_id"])] = other


def another_tenants_token(case, cache):
    for key, entry in list(cache["AccessToken"].items()):
        cache["AccessToken"]["realm-" + key] = dict(entry, realm="88888888-0000-0000-0000-000000000000", secret=case.secret("realm"))


def an_extended_token(case, cache):
    for key, entry in list(cache["AccessToken"].items()):
        extended = dict(entry, ext_cache_key="abc", secret=case.secret("ext"))
        cache["AccessToken"][key.replace("accesstoken", "atext") + "-abc"] = extended


def foreign_keys(case, cache):
    for section in ("AccessToken", "RefreshToken"):
        cache[section] = {f"foreign-{n}": entry for n, entry in enumerate(cache.get(section, {}).values())}
    case.notes.add("in place")


def unsorted_target(case, cache):
    for section in ("AccessToken", "RefreshToken"):
        entries = cache.get(section, {})
        for key, entry in list(entries.items()):
            entry["target"] = " ".join(reversed((entry.get("target") or "").split()))
            entries[f"unsorted {key}"] = entries.pop(key)
    case.notes.add("in place")


def unknown_fields(case, cache):
    for section in ("AccessToken", "RefreshToken", "Account", "IdToken", "AppMetadata"):
        for entry in cache.get(section, {}).values():
            entry["x_unknown"] = {"n": [1, None, "é"]}
    case.notes.add("kept fields")


def unknown_sections(case, cache):
    cache["Other"] = {"a": [1.5, {"b": "ü"}], "c": None}


def numbers_for_times(case, cache):
    for entry in cache["AccessToken"].values():
        entry["expires_on"] = int(entry["expires_on"])


def no_accounts(case, cache):
    cache.pop("Account", None)


def no_access_tokens(case, cache):
    cache["AccessToken"] = {}


def more_scopes(case, cache):
    for key, entry in list(cache["AccessToken"].items()):
        wider = dict(entry, target="Mail.Read User.Read email openid profile", secret=case.secret("wide"))
        case.set_age(wider)
        cache["AccessToken"][key.rsplit("-", 1)[0] + "-mail.read user.read email openid profile"] = wider


def app_tokens(case, cache):
    environment, client, realm = case.seeds["names"]
    entry = {
        "credential_type": "AccessToken",
        "secret": case.secret("app"),
        "home_account_id": None,
        "environment": environment,
        "client_id": client,
        "target": APP_SCOPE,
        "realm": realm,
        "token_type": "Bearer",
    }
    case.set_age(entry)
    cache["AccessToken"][f"-{environment}-accesstoken-{client}-{realm}-{APP_SCOPE}".lower()] = entry


def short_lives(case, cache):
    for entry in cache["AccessToken"].values():
        entry.pop("refresh_on", None)
        entry["cached_at"], entry["expires_on"] = str(case.now - 60), str(case.now + 240)
    case.notes.add("leeway")


def another_kind_of_account(case, cache):
    for entry in cache.get("Account", {}).values():
        entry["authority_type"] = case.random.choice(["ADFS", "Other", "MSSTS"])


def guest_of_two_tenants(case, cache):
    for key, entry in list(cache.get("Account", {}).items()):
        cache["Account"][key + "-2"] = dict(entry, realm="88888888-0000-0000-0000-000000000000", local_account_id="oid-2")


CHANGES = [
    dead_refresh_tokens,
    a_newer_dead_refresh_token,
    no_refresh_tokens,
    bare_refresh_tokens,
    another_clients_tokens,
    another_tenants_token,
    an_extended_token,
    foreign_keys,
    unsorted_target,
    unknown_fields,
    unknown_sections,
    numbers_for_times,
    no_accounts,
    no_access_tokens,
    more_scopes,
    app_tokens,
    app_tokens,
    short_lives,
    another_kind_of_account,
    guest_of_two_tenants,
]
