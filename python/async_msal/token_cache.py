"""MSAL's token cache: entries by section and key, in MSAL's own file format."""

import base64
import hashlib
import json
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any
from urllib.parse import urlsplit

from . import _native
from ._options import SETS, checked

#: A state as JSON: entries by key, by section.
_Sections = dict[str, dict[str, dict[str, Any]]]

# Parameters of a token request that do not set its tokens apart from others.
_COMMON_PARAMETERS = frozenset(
    "client_id grant_type scope claims username password refresh_token code redirect_uri code_verifier device_code "
    "assertion requested_token_use client_assertion client_assertion_type client_secret token_type req_cnf key_id "
    "user_federated_identity_credential user_id client_info".split()
)
# Grants by which a user signs in.
_SIGN_INS = frozenset(
    ["authorization_code", "password", "urn:ietf:params:oauth:grant-type:device_code", "user_fic", "broker"]
)


# Whose token endpoints may leave the tenant out.
_CIAM = ".ciamlogin.com"


class CredentialType:
    """The sections of a cache."""

    ACCESS_TOKEN = "AccessToken"
    ACCESS_TOKEN_EXTENDED = "atext"
    REFRESH_TOKEN = "RefreshToken"
    ACCOUNT = "Account"
    ID_TOKEN = "IdToken"
    APP_METADATA = "AppMetadata"


class AuthorityType:
    """What kind of authority an account belongs to."""

    ADFS = "ADFS"
    MSSTS = "MSSTS"


def _decoded(name: str, part: Any) -> dict[str, Any]:
    """The JSON object in a base64url text."""
    checked(name, part, str, "a str")
    try:
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError as error:
        raise ValueError(f"{name}: base64url of a JSON object is wanted") from error
    if not isinstance(found, dict):
        raise ValueError(f"{name}: base64url of a JSON object is wanted")
    return found


def _extended_key(data: Mapping[str, Any]) -> str | None:
    """Sets the tokens of requests with parameters of their own apart."""
    pairs = sorted((name, str(value)) for name, value in data.items() if value and name not in _COMMON_PARAMETERS)
    if not pairs:
        return None
    joined = "".join(f"{len(n.encode())}:{n}{len(v.encode())}:{v}" for n, v in pairs)
    return base64.urlsafe_b64encode(hashlib.sha256(joined.encode()).digest()).decode().rstrip("=").lower()


def _key(section: str, entry: Mapping[str, Any]) -> str:
    """The key under which MSAL writes an entry."""

    def text(name: str) -> str:
        value = entry.get(name) or ""
        return value if isinstance(value, str) else str(value)

    if section == CredentialType.APP_METADATA:
        return f"appmetadata-{text('environment')}-{text('client_id')}"
    parts = [text("home_account_id"), text("environment")]
    if section == CredentialType.ACCOUNT:
        parts += [text("realm")]
    elif section == CredentialType.REFRESH_TOKEN:
        parts += ["refreshtoken", text("client_id"), "", text("target")]
    elif section == CredentialType.ID_TOKEN:
        parts += ["idtoken", text("client_id"), text("realm"), ""]
    else:
        extended = text("ext_cache_key")
        parts += ["atext" if extended else "accesstoken", text("client_id"), text("realm"), text("target")]
        parts += [extended] if extended else []
    return "-".join(parts).lower()


def _is_match(entry: Mapping[str, Any], query: Mapping[str, Any], target: set[str]) -> bool:
    for name, wanted in query.items():
        if name == "environment" and isinstance(wanted, str):
            wanted = wanted.lower()
        if name not in entry or entry[name] != wanted:
            return False
    covered = entry.get("target")
    return not target or (isinstance(covered, str) and target <= set(covered.split()))


def _expiry(entry: Any) -> int | None:
    """When an access token expires; None for an entry that does not say."""
    try:
        return int(entry["expires_on"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _at(now: Any) -> int:
    """A time as an argument; this moment where there is none."""
    try:
        return int(time.time() if now is None else now)
    except (TypeError, ValueError, OverflowError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"now: a number of seconds is wanted, not {now!r}") from error


class SerializableTokenCache(_native.SerializableTokenCache):
    """A token cache that an application saves and loads, as MSAL's class of this name.

    ``serialize()`` gives the text and ``deserialize(text)`` takes it over; ``has_state_changed`` says whether there is
    something to save. What MSAL does not know (sections, fields) is kept.
    """

    CredentialType = CredentialType
    AuthorityType = AuthorityType

    def __init__(self) -> None:
        self._lock = threading.RLock()

    # --- looking

    def search(
        self,
        credential_type: str,
        target: Sequence[str] | AbstractSet[str] | None = None,
        query: Mapping[str, Any] | None = None,
        *,
        now: float | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yields copies of the entries whose fields are those of ``query`` and whose target covers ``target``.

        Access tokens that have expired are passed over and removed; those that do not say when they expire are passed over.
        """
        checked("credential_type", credential_type, str, "a member of CredentialType")
        if target is not None:
            checked("target", target, SETS, "a list of strings")
            for each in target:
                checked("target", each, str, "a list of str")
        if query is not None:
            checked("query", query, Mapping, "a dict")
        return self._found(credential_type, set(target or ()), dict(query or {}), _at(now))

    def _found(
        self, credential_type: str, wanted: set[str], query: dict[str, Any], now: int
    ) -> Iterator[dict[str, Any]]:
        section = self._sections().get(credential_type)
        found = section.items() if isinstance(section, dict) else ()
        entries = {key: entry for key, entry in found if isinstance(entry, dict)}
        exact = None
        if credential_type == CredentialType.ACCESS_TOKEN:
            times = {key: _expiry(entry) for key, entry in entries.items()}
            expired = {key: entries[key] for key, at in times.items() if at is not None and at < now}
            if expired:
                self._change(lambda sections: _drop_unchanged(sections, credential_type, expired))
            entries = {key: entries[key] for key, at in times.items() if at is not None and at >= now}
            if "ext_cache_key" not in query:
                entries = {key: entry for key, entry in entries.items() if "ext_cache_key" not in entry}
            exact = _key(credential_type, dict(query, target=" ".join(sorted(wanted)))) if wanted else None
        # Exactly what was asked comes first.
        for key in sorted(entries, key=lambda key: key != exact):
            if _is_match(entries[key], query, wanted):
                yield entries[key]

    def find(
        self,
        credential_type: str,
        target: Sequence[str] | AbstractSet[str] | None = None,
        query: Mapping[str, Any] | None = None,
        *,
        now: float | None = None,
    ) -> list[dict[str, Any]]:
        """As ``list(search(...))``."""
        warnings.warn("Use list(search(...)) instead.", DeprecationWarning, stacklevel=2)
        return list(self.search(credential_type, target=target, query=query, now=now))

    # --- changing

    def add(self, event: Mapping[str, Any], now: float | None = None) -> None:
        """Takes over the tokens of a token response.

        ``event`` is MSAL's: ``client_id``, ``scope``, ``token_endpoint`` or ``environment``, ``response``, ``data``,
        ``grant_type``.
        """
        checked("event", event, Mapping, "a dict")
        entries = list(_entries_of(event, _at(now)))

        def put(sections: _Sections) -> None:
            for section, entry in entries:
                sections.setdefault(section, {})[_key(section, entry)] = entry

        self._change(put)

    def modify(
        self,
        credential_type: str,
        old_entry: Mapping[str, Any],
        new_key_value_pairs: Mapping[str, Any] | None = None,
    ) -> None:
        """Changes an entry, or removes it where no new values are given."""
        checked("credential_type", credential_type, str, "a member of CredentialType")
        checked("old_entry", old_entry, Mapping, "an entry of search()")
        if new_key_value_pairs is not None:
            checked("new_key_value_pairs", new_key_value_pairs, Mapping, "a dict")

        def change(sections: _Sections) -> None:
            if new_key_value_pairs:
                entry = dict(old_entry, **new_key_value_pairs)
                sections.setdefault(credential_type, {})[_key(credential_type, old_entry)] = entry
            else:
                _drop(sections, credential_type, old_entry)

        self._change(change)

    def remove_rt(self, rt_item: Mapping[str, Any]) -> None:
        """Removes a refresh token."""
        self._remove("rt_item", CredentialType.REFRESH_TOKEN, rt_item)

    def update_rt(self, rt_item: Mapping[str, Any], new_rt: str) -> None:
        """Replaces the secret of a refresh token."""
        _check_kind("rt_item", CredentialType.REFRESH_TOKEN, rt_item)
        checked("new_rt", new_rt, str, "a str")
        changed = {"secret": new_rt, "last_modification_time": str(int(time.time()))}
        self.modify(CredentialType.REFRESH_TOKEN, rt_item, changed)

    def remove_at(self, at_item: Mapping[str, Any]) -> None:
        """Removes an access token."""
        self._remove("at_item", CredentialType.ACCESS_TOKEN, at_item)

    def remove_idt(self, idt_item: Mapping[str, Any]) -> None:
        """Removes an id token."""
        self._remove("idt_item", CredentialType.ID_TOKEN, idt_item)

    def remove_account(self, account_item: Mapping[str, Any]) -> None:
        """Removes an account, and none of its tokens."""
        checked("account_item", account_item, Mapping, "an entry of search()")
        if "authority_type" not in account_item:
            raise ValueError("account_item: an entry of the section Account is wanted; \"authority_type\" is missing")
        self.modify(CredentialType.ACCOUNT, account_item)

    def _remove(self, name: str, section: str, entry: Mapping[str, Any]) -> None:
        _check_kind(name, section, entry)
        self.modify(section, entry)

    def _sections(self) -> _Sections:
        sections: _Sections = json.loads(self._snapshot()[1])
        return sections

    def _change(self, change: Callable[[_Sections], None]) -> None:
        """Again, where a renewal in the background came between."""
        with self._lock:
            while True:
                version, text = self._snapshot()
                sections = json.loads(text)
                change(sections)
                if self._install(version, json.dumps(sections)):
                    return


#: The cache of an application that is given none. It can be serialised too.
TokenCache = SerializableTokenCache


def _check_kind(name: str, section: str, entry: Mapping[str, Any]) -> None:
    checked(name, entry, Mapping, "an entry of search()")
    if entry.get("credential_type") != section:
        raise ValueError(f"{name}: an entry whose \"credential_type\" is {section!r} is wanted")


def _drop(sections: _Sections, section: str, entry: Mapping[str, Any]) -> None:
    sections.setdefault(section, {}).pop(_key(section, entry), None)


def _drop_unchanged(sections: _Sections, section: str, entries: Mapping[str, Any]) -> None:
    """Not what a renewal has put in the place of one meanwhile."""
    kept = sections.get(section, {})
    for key, entry in entries.items():
        if kept.get(key) == entry:
            del kept[key]


def _entries_of(event: Mapping[str, Any], now: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries that MSAL makes of a token response, with their sections."""
    response = checked('event["response"]', event.get("response", {}), Mapping, "a dict")
    data = checked('event["data"]', event.get("data", {}), Mapping, "a dict")
    scopes = event.get("scope") or []
    checked('event["scope"]', scopes, SETS, "a list of strings")
    for scope in scopes:
        checked('event["scope"]', scope, str, "a list of str")
    environment, realm = _where(event)
    id_token = response.get("id_token")
    claims = response.get("id_token_claims") or (_claims_of(id_token) if id_token else {})
    checked('event["response"]["id_token_claims"]', claims, Mapping, "a dict")
    home, has_account = _home_account_id(response, claims)
    common = {"home_account_id": home, "environment": environment, "client_id": event.get("client_id")}
    target = " ".join(sorted(scopes))
    family = {"family_id": response["foci"]} if "foci" in response else {}
    if response.get("access_token"):
        yield CredentialType.ACCESS_TOKEN, _access_token(response, data, common, target, realm, now)
    if has_account and not event.get("skip_account_creation"):
        username = claims.get("preferred_username", claims.get("upn"))
        account = {
            "home_account_id": home,
            "environment": environment,
            "realm": realm,
            "local_account_id": event.get("_account_id", claims.get("oid", claims.get("sub"))),
            "username": username or data.get("username") or event.get("username") or "",
            "authority_type": event.get(
                "authority_type", AuthorityType.ADFS if realm == "adfs" else AuthorityType.MSSTS
            ),
        }
        if event.get("grant_type") in _SIGN_INS:
            account["account_source"] = event["grant_type"]
        yield CredentialType.ACCOUNT, account
    if id_token:
        entry = dict(common, credential_type=CredentialType.ID_TOKEN, secret=id_token, realm=realm)
        yield CredentialType.ID_TOKEN, entry
    if response.get("refresh_token"):
        entry = dict(common, credential_type=CredentialType.REFRESH_TOKEN, secret=response["refresh_token"])
        entry.update(target=target, last_modification_time=str(now), **family)
        yield CredentialType.REFRESH_TOKEN, entry
    yield CredentialType.APP_METADATA, dict(client_id=event.get("client_id"), environment=environment, **family)


def _where(event: Mapping[str, Any]) -> tuple[Any, str | None]:
    """Environment and realm: the host and the first segment of the token endpoint."""
    environment = realm = None
    if "token_endpoint" in event:
        address = urlsplit(checked('event["token_endpoint"]', event["token_endpoint"], str, "a str"))
        environment, realm = address.hostname, address.path.partition("/")[2].partition("/")[0]
        if not realm and environment and environment.endswith(_CIAM):
            realm = environment.removesuffix(_CIAM) + ".onmicrosoft.com"
        if not environment or not realm:
            raise ValueError('event["token_endpoint"]: an address with a host and a path is wanted')
    return event.get("environment", environment), realm


def _claims_of(id_token: Any) -> dict[str, Any]:
    """What an id token says; it has been verified by whoever got it."""
    name = 'event["response"]["id_token"]'
    parts = checked(name, id_token, str, "a str").split(".")
    if len(parts) < 2:
        raise ValueError(f"{name}: a JSON Web Token is wanted")
    return _decoded(name, parts[1])


def _number(response: Mapping[str, Any], name: str, default: int) -> int:
    value = response.get(name, default)
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f'event["response"]["{name}"]: a number of seconds is wanted, not {value!r}') from error


def _home_account_id(response: Mapping[str, Any], claims: Mapping[str, Any]) -> tuple[Any, bool]:
    """Whose tokens they are, and whether there is an account."""
    if "client_info" in response:
        info = _decoded('event["response"]["client_info"]', response["client_info"])
        if "uid" in info and "utid" in info:
            return f"{info['uid']}.{info['utid']}", True
    if claims:
        return claims["sub"], True
    return None, False


def _access_token(
    response: Mapping[str, Any],
    data: Mapping[str, Any],
    common: dict[str, Any],
    target: str,
    realm: str | None,
    now: int,
) -> dict[str, Any]:
    default = _number(response, "expires_on", 0) - now if response.get("expires_on") else 600
    expires_in = _number(response, "expires_in", default)
    entry = dict(
        common,
        credential_type=CredentialType.ACCESS_TOKEN,
        secret=response["access_token"],
        target=target,
        realm=realm,
        token_type=response.get("token_type", "Bearer"),
        cached_at=str(now),
        expires_on=str(now + expires_in),
        extended_expires_on=str(now + _number(response, "ext_expires_in", expires_in)),
    )
    if "key_id" in data:
        entry["key_id"] = data["key_id"]
    extended = _extended_key(data)
    if extended:
        entry["ext_cache_key"] = extended
    if "refresh_in" in response:
        entry["refresh_on"] = str(now + _number(response, "refresh_in", 0))
    return entry
