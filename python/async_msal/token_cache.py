"""MSAL's token cache: entries by section and key, in MSAL's own file format."""

import base64
import hashlib
import json
import threading
import time
import warnings

from . import _native

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


def _decoded(part):
    """The JSON object in a base64url text."""
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def _extended_key(data):
    """Sets the tokens of requests with parameters of their own apart."""
    pairs = sorted((name, str(value)) for name, value in data.items() if value and name not in _COMMON_PARAMETERS)
    if not pairs:
        return None
    joined = "".join(f"{len(n.encode())}:{n}{len(v.encode())}:{v}" for n, v in pairs)
    return base64.urlsafe_b64encode(hashlib.sha256(joined.encode()).digest()).decode().rstrip("=").lower()


def _key(section, entry):
    """The key under which MSAL writes an entry."""

    def text(name):
        return entry.get(name) or ""

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
        extended = entry.get("ext_cache_key")
        parts += ["atext" if extended else "accesstoken", text("client_id"), text("realm"), text("target")]
        parts += [extended] if extended else []
    return "-".join(parts).lower()


def _is_match(entry, query, target):
    for name, wanted in query.items():
        if name == "environment" and isinstance(wanted, str):
            wanted = wanted.lower()
        if name not in entry or entry[name] != wanted:
            return False
    return not target or target <= set((entry.get("target") or "").split())


class SerializableTokenCache(_native.SerializableTokenCache):
    """A token cache that an application saves and loads, as MSAL's class of this name.

    ``serialize()`` gives the text and ``deserialize(text)`` takes it over; ``has_state_changed`` says whether there is
    something to save. What MSAL does not know (sections, fields) is kept.
    """

    CredentialType = CredentialType
    AuthorityType = AuthorityType

    def __init__(self):
        self._lock = threading.RLock()

    # --- looking

    def search(self, credential_type, target=None, query=None, *, now=None):
        """Yields copies of the entries whose fields are those of ``query`` and whose target covers ``target``.

        Access tokens that have expired are passed over and removed.
        """
        if target is not None and not isinstance(target, (list, tuple, set, frozenset)):
            raise TypeError(f"target: a list of strings is wanted, not {type(target).__name__}")
        if query is not None and not isinstance(query, dict):
            raise TypeError(f"query: a dict is wanted, not {type(query).__name__}")
        now = int(time.time() if now is None else now)
        query, wanted = query or {}, set(target or ())
        entries = self._sections().get(credential_type, {})
        exact = None
        if credential_type == CredentialType.ACCESS_TOKEN:
            expired = [entry for entry in entries.values() if int(entry["expires_on"]) < now]
            if expired:
                self._change(lambda sections: [_drop(sections, credential_type, entry) for entry in expired])
            entries = {key: entry for key, entry in entries.items() if int(entry["expires_on"]) >= now}
            if "ext_cache_key" not in query:
                entries = {key: entry for key, entry in entries.items() if "ext_cache_key" not in entry}
            exact = _key(credential_type, dict(query, target=" ".join(sorted(wanted)))) if wanted else None
        # Exactly what was asked comes first.
        for key in sorted(entries, key=lambda key: key != exact):
            if _is_match(entries[key], query, wanted):
                yield entries[key]

    def find(self, credential_type, target=None, query=None, *, now=None):
        """As ``list(search(...))``."""
        warnings.warn("Use list(search(...)) instead.", DeprecationWarning, stacklevel=2)
        return list(self.search(credential_type, target=target, query=query, now=now))

    # --- changing

    def add(self, event, now=None):
        """Takes over the tokens of a token response.

        ``event`` is MSAL's: ``client_id``, ``scope``, ``token_endpoint`` or ``environment``, ``response``, ``data``,
        ``grant_type``.
        """
        if not isinstance(event, dict):
            raise TypeError(f"event: a dict is wanted, not {type(event).__name__}")
        entries = list(_entries_of(event, int(time.time() if now is None else now)))

        def put(sections):
            for section, entry in entries:
                sections.setdefault(section, {})[_key(section, entry)] = entry

        self._change(put)

    def modify(self, credential_type, old_entry, new_key_value_pairs=None):
        """Changes an entry, or removes it where no new values are given."""

        def change(sections):
            if new_key_value_pairs:
                entry = dict(old_entry, **new_key_value_pairs)
                sections.setdefault(credential_type, {})[_key(credential_type, old_entry)] = entry
            else:
                _drop(sections, credential_type, old_entry)

        self._change(change)

    def remove_rt(self, rt_item):
        """Removes a refresh token."""
        self._remove(CredentialType.REFRESH_TOKEN, rt_item)

    def update_rt(self, rt_item, new_rt):
        """Replaces the secret of a refresh token."""
        _check_kind(CredentialType.REFRESH_TOKEN, rt_item)
        changed = {"secret": new_rt, "last_modification_time": str(int(time.time()))}
        self.modify(CredentialType.REFRESH_TOKEN, rt_item, changed)

    def remove_at(self, at_item):
        """Removes an access token."""
        self._remove(CredentialType.ACCESS_TOKEN, at_item)

    def remove_idt(self, idt_item):
        """Removes an id token."""
        self._remove(CredentialType.ID_TOKEN, idt_item)

    def remove_account(self, account_item):
        """Removes an account, and none of its tokens."""
        assert "authority_type" in account_item
        self.modify(CredentialType.ACCOUNT, account_item)

    def _remove(self, section, entry):
        _check_kind(section, entry)
        self.modify(section, entry)

    def _sections(self):
        return json.loads(self._snapshot()[1])

    def _change(self, change):
        """Again, where a renewal in the background came between."""
        while True:
            version, text = self._snapshot()
            sections = json.loads(text)
            change(sections)
            if self._install(version, json.dumps(sections)):
                return


#: The cache of an application that is given none. It can be serialised too.
TokenCache = SerializableTokenCache


def _check_kind(section, entry):
    assert entry.get("credential_type") == section


def _drop(sections, section, entry):
    sections.setdefault(section, {}).pop(_key(section, entry), None)


def _entries_of(event, now):
    """The entries that MSAL makes of a token response, with their sections."""
    response, data = event.get("response", {}), event.get("data", {})
    environment, realm = _where(event)
    id_token = response.get("id_token")
    claims = response.get("id_token_claims") or (_decoded(id_token.split(".")[1]) if id_token else {})
    home, has_account = _home_account_id(response, claims)
    common = {"home_account_id": home, "environment": environment, "client_id": event.get("client_id")}
    target = " ".join(sorted(event.get("scope") or []))
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


def _where(event):
    """Environment and realm: the host and the first segment of the token endpoint."""
    environment = realm = None
    if "token_endpoint" in event:
        from urllib.parse import urlsplit

        address = urlsplit(event["token_endpoint"])
        environment, realm = address.hostname, address.path.split("/")[1]
    return event.get("environment", environment), realm


def _home_account_id(response, claims):
    """Whose tokens they are, and whether there is an account."""
    if "client_info" in response:
        info = _decoded(response["client_info"])
        if "uid" in info and "utid" in info:
            return f"{info['uid']}.{info['utid']}", True
    if claims:
        return claims["sub"], True
    return None, False


def _access_token(response, data, common, target, realm, now):
    default = int(response["expires_on"]) - now if response.get("expires_on") else 600
    expires_in = int(response.get("expires_in", default))
    entry = dict(
        common,
        credential_type=CredentialType.ACCESS_TOKEN,
        secret=response["access_token"],
        target=target,
        realm=realm,
        token_type=response.get("token_type", "Bearer"),
        cached_at=str(now),
        expires_on=str(now + expires_in),
        extended_expires_on=str(now + int(response.get("ext_expires_in", expires_in))),
    )
    if "key_id" in data:
        entry["key_id"] = data["key_id"]
    extended = _extended_key(data)
    if extended:
        entry["ext_cache_key"] = extended
    if "refresh_in" in response:
        entry["refresh_on"] = str(now + int(response["refresh_in"]))
    return entry
