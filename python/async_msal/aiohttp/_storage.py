"""Sessions in Redis: the records of aiohttp_session, saved by rules of their own.

A save writes what this request changed, and merges it with what others changed meanwhile; a session that has ended is not
brought back; a sign-in gets a new id. Reading, merging, renewal and index are `_native.Sessions`, the same code as in Rust
services on the same Redis.
"""

import json
import logging
import re
import time
import uuid
import weakref
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from aiohttp import web
from aiohttp_session import Session
from aiohttp_session import redis_storage
from redis import exceptions as redis_exceptions
from redis.asyncio import Redis
from redis.asyncio import connection as redis_connection

from .. import _native
from ._clients import Core, core
from ._lane import Address, LaneError, Lanes
from .settings import ENV

_LOG = logging.getLogger(__name__)

_IS_ID = re.compile("[0-9a-f]{32}").fullmatch
#: Sessions that a sign-in in progress takes the place of: they are ended when it succeeds.
_REPLACES = "async_msal_replaces"
_MOST_REPLACED = 8
_MAX_AGE = 3600 * 24 * 90
#: More than this are not kept.
_MOST = 32
#: A session is seen to so often at most, in seconds; more of them are not remembered for it.
_CARE_EVERY = 60.0
_MOST_SEEN = 4096

_SESSIONS: "OrderedDict[Any, _native.Sessions]" = OrderedDict()
_LAST_STORAGE: "weakref.ref[RedisStorage] | None" = None


class _Held:
    """Items that stand in a record of Redis."""

    #: The token cache as it stands there, as far as is known here.
    _token_cache: Any = None

    def _sessions_of(self, client: Core) -> "_native.Sessions | None":
        raise NotImplementedError

    def _record_id(self) -> str | None:
        raise NotImplementedError

    def _took(self, items: dict[str, str]) -> None:
        """Items that a renewal has written, as JSON texts."""
        raise NotImplementedError


class StoredSession(Session, _Held):
    """A session of :class:`RedisStorage`."""

    def __init__(
        self, storage: "RedisStorage", identity: str | None, *, data: Any, new: bool, text: str | None = None
    ) -> None:
        super().__init__(identity, data=data, new=new, max_age=storage.max_age)
        self._storage = storage
        #: The record as it was read, and what was written into it since.
        self._text = text
        self._renewed: dict[str, str] = {}
        self._token_cache = self._mapping.get("token_cache")
        #: Somebody signed in during this request.
        self._signed_in = False
        #: Nothing could be read under this id.
        self._broken = False

    def _sessions_of(self, client: Core) -> "_native.Sessions | None":
        return self._storage._sessions(client)

    def _record_id(self) -> str | None:
        if self._signed_in or self._broken or self._text is None:
            return None
        cache = self._mapping.get("token_cache")
        return self._identity if cache is self._token_cache or cache == self._token_cache else None

    def _took(self, items: dict[str, str]) -> None:
        for name, text in items.items():
            self._mapping[name] = self._storage._decoder(text)
        self._renewed.update(items)
        self._token_cache = self._mapping.get("token_cache")
        self._changed = True  # the cookie lives on

    def _base(self) -> dict[str, Any]:
        """The items as they stand in the record, as far as is known here."""
        if self._text is None:
            return {}
        items = dict(self._storage._decoder(self._text)["session"])
        items.update((name, self._storage._decoder(text)) for name, text in self._renewed.items())
        return items


class RecordItems(dict[str, Any], _Held):
    """The items of a session that was found in Redis outside of a request."""

    def __init__(self, key: str, items: dict[str, Any]) -> None:
        super().__init__(items)
        self._key = key
        self._token_cache = items.get("token_cache")

    def _sessions_of(self, client: Core) -> "_native.Sessions | None":
        return runtime_sessions(client, self._key.rpartition("_")[0])

    def _record_id(self) -> str | None:
        return self._key.rpartition("_")[2] if self.get("token_cache") == self._token_cache else None

    def _took(self, items: dict[str, str]) -> None:
        self.update((name, json.loads(text)) for name, text in items.items())
        self._token_cache = self.get("token_cache")


class RedisStorage(redis_storage.RedisStorage):
    """aiohttp_session's storage of this name, with safe saves.

    Where the connection settings of ``redis_pool`` cannot be read (Sentinels, a stand-in), or ids or texts of the
    application's own are wanted, it works as aiohttp_session's does.
    """

    def __init__(
        self,
        redis_pool: "Redis",
        *,
        key_factory: Callable[[], str] | None = None,
        encoder: Callable[[object], Any] = json.dumps,
        decoder: Callable[[Any], Any] = json.loads,
        **options: Any,
    ) -> None:
        factory = key_factory or (lambda: uuid.uuid4().hex)
        super().__init__(redis_pool, key_factory=factory, encoder=encoder, decoder=decoder, **options)
        global _LAST_STORAGE
        _LAST_STORAGE = weakref.ref(self)
        self._address = redis_address(redis_pool)
        self._lanes = None if self._address is None else Lanes(self._address)
        self._prefix = f"{self.cookie_name}_"
        #: When a session was seen to by `_native` last.
        self._seen: dict[str, float] = {}
        self._native_of: tuple[Core, _native.Sessions] | None = None
        self._foreign = self._why_foreign(key_factory)
        if self._foreign:
            _LOG.warning("Sessions are kept as aiohttp_session keeps them: %s", self._foreign)

    def _why_foreign(self, key_factory: Callable[[], str] | None) -> str:
        if key_factory is not None:
            return "ids come from a key_factory"
        if self._address is None:
            return "the connection settings of the Redis client cannot be read"
        probe = {"a": ["\u00e9", 1, None], "b": {}}
        try:
            text = self._encoder(probe)
            if json.loads(text) == probe and self._decoder(json.dumps(probe)) == probe:
                return ""
        except Exception as err:
            _LOG.debug("encoder or decoder: %s", err)
        return "encoder and decoder are not of JSON"

    def _sessions(self, client: Core | None = None) -> "_native.Sessions | None":
        if self._foreign or self._address is None:
            return None
        client = client or core()
        if self._native_of is None or self._native_of[0] is not client:
            self._native_of = (client, _sessions(client, self._address, self.cookie_name, self.max_age))
        return self._native_of[1]

    async def new_session(self) -> Session:
        return StoredSession(self, None, data=None, new=True)

    async def load_session(self, request: web.Request) -> Session:
        sessions = self._sessions()
        if sessions is None:
            return await super().load_session(request)
        cookie = self.load_cookie(request)
        if cookie is None or not _IS_ID(cookie):
            return StoredSession(self, None, data=None, new=True)
        text = await self._read(sessions, cookie)
        if text is None:
            return StoredSession(self, None, data=None, new=True)
        session = self._opened(cookie, text)
        if self._needs_care(session):
            self._care_for(sessions, cookie)
        return session

    async def _read(self, sessions: "_native.Sessions", session_id: str) -> str | None:
        lane = self._lanes.get() if self._lanes is not None else None
        if lane is not None:
            try:
                value = await lane.get(self._prefix + session_id)
                return None if value is None else value.decode("utf-8", "replace")
            except LaneError:
                pass
        text: str | None = await _of_redis(sessions.load(session_id))
        return text

    def _needs_care(self, session: StoredSession) -> bool:
        """Whether the index may not know who is signed in, or the record's life is to be lengthened."""
        items = session._mapping
        if not items:
            return False
        unknown = "token_cache" in items and "async_msal" not in items
        return unknown or self.max_age is not None and (time.time() - session._created) * 10 > self.max_age

    def _care_for(self, sessions: "_native.Sessions", session_id: str) -> None:
        now = time.monotonic()
        if now - self._seen.get(session_id, -_CARE_EVERY) < _CARE_EVERY:
            return
        if len(self._seen) >= _MOST_SEEN:
            self._seen.clear()
        self._seen[session_id] = now
        # Reading is enough: what is missing is done behind its back.
        sessions.load(session_id).add_done_callback(lambda done: done.cancelled() or done.exception())

    def _opened(self, session_id: str, text: str) -> StoredSession:
        try:
            data = self._decoder(text)
        except (ValueError, RecursionError):
            data = None
        if data == {}:
            return StoredSession(self, None, data={}, new=True)
        created, items = _parts(data)
        if created is None or self.max_age is not None and time.time() - created > self.max_age + 1:
            session = StoredSession(self, session_id, data=None, new=False)
            session._broken = True
            return session
        return StoredSession(self, session_id, data={"created": created, "session": items}, new=False, text=text)

    async def save_session(self, request: web.Request, response: web.StreamResponse, session: Session) -> None:
        sessions = self._sessions()
        if sessions is None or not isinstance(session, StoredSession):
            await super().save_session(request, response, session)
            return
        session_id = session.identity
        if session_id is None:
            session_id = await self._create(request, sessions, session)
        elif session.empty:
            await _of_redis(sessions.end(session_id))
            session_id = ""
        elif session._signed_in or session._broken:
            session_id = await self._create(request, sessions, session)
        elif not await self._patch(sessions, session_id, session):
            session_id = ""
        self.save_cookie(response, session_id, max_age=session.max_age)

    async def _create(self, request: web.Request, sessions: "_native.Sessions", session: StoredSession) -> str:
        items, replaces = dict(session._mapping), []
        if session._signed_in or session._broken:
            replaces = [*_ids(items.pop(_REPLACES, None)), session.identity]
            session._mapping.pop(_REPLACES, None)
        elif "flow_cache" in items:
            if earlier := await self._earlier(request, sessions):
                items[_REPLACES] = earlier
        text = _text(self._encoder(items))
        session_id: str = await _of_redis(sessions.create(text, [old for old in replaces if old]))
        session._identity = session_id
        return session_id

    async def _earlier(self, request: web.Request, sessions: "_native.Sessions") -> list[str]:
        """The sessions of this browser whose place a sign-in in progress will take."""
        cookie = self.load_cookie(request)
        if cookie is None or not _IS_ID(cookie):
            return []
        text = await self._read(sessions, cookie)
        if text is None:
            return []
        items = self._opened(cookie, text)._mapping
        earlier = _ids(items.get(_REPLACES))
        if items.get("token_cache"):
            earlier.append(cookie)
        return earlier[-_MOST_REPLACED:]

    async def _patch(self, sessions: "_native.Sessions", session_id: str, session: StoredSession) -> bool:
        """Writes what was changed; False where the session has ended."""
        base, now = session._base(), session._mapping
        before = {name: _text(self._encoder(value)) for name, value in base.items()}
        texts = {name: _text(self._encoder(value)) for name, value in now.items()}
        changed = {name: text for name, text in texts.items() if before.get(name) != text}
        removed = [name for name in before if name not in texts]
        if not changed and not removed:
            return True
        cache = base.get("token_cache")
        saved: bool = await _of_redis(
            sessions.save(session_id, changed, removed, cache if isinstance(cache, str) else None)
        )
        return saved


def runtime_sessions(client: Core | None = None, cookie_name: str | None = None) -> "_native.Sessions | None":
    """The sessions of the process: in ENV.database, where the application has set it, else in ENV.REDIS. None where the
    connection settings cannot be read."""
    if ENV.database is not None:
        address = redis_address(ENV.database)
    else:
        try:
            address = _address(redis_connection.parse_url(ENV.REDIS))
        except ValueError:
            address = None
    if address is None:
        return None
    storage = _LAST_STORAGE() if _LAST_STORAGE else None
    max_age = storage.max_age if storage is not None else _MAX_AGE
    return _sessions(client or core(), address, cookie_name or ENV.COOKIE_NAME, max_age)


def _sessions(
    client: Core, address: Address, cookie_name: str, max_age: int | None
) -> "_native.Sessions":
    key = (client, address, cookie_name, max_age)
    found = _SESSIONS.get(key)
    if found is None:
        url, ca_pem = address
        found = _SESSIONS[key] = _native.Sessions(
            client.native, redis_url=url, cookie_name=cookie_name, max_age=max_age, secret=client.secret, ca_pem=ca_pem
        )
        while len(_SESSIONS) > _MOST:
            _SESSIONS.popitem(last=False)
    return found


def redis_address(redis: Any) -> Address | None:
    """Where a client of redis-py connects to, and whom it trusts; None where that cannot be read."""
    pool = getattr(redis, "connection_pool", None)
    kinds = (redis_connection.ConnectionPool, redis_connection.BlockingConnectionPool)
    if type(pool) not in kinds:
        return None
    return _address({"connection_class": pool.connection_class, **pool.connection_kwargs})


def _address(settings: dict[str, Any]) -> Address | None:
    kind = settings.get("connection_class", redis_connection.Connection)
    secure = kind is redis_connection.SSLConnection
    if not secure and kind is not redis_connection.Connection or settings.get("credential_provider") is not None:
        return None
    ca_pem = None
    if secure:
        plain = str(settings.get("ssl_cert_reqs", "required")).lower() in ("required", "2", "verifymode.cert_required")
        if not plain or settings.get("ssl_certfile") or settings.get("ssl_check_hostname") is False:
            return None
        try:
            ca_pem = _ca_pem(settings)
        except OSError:
            return None
    user, password = settings.get("username"), settings.get("password")
    login = f"{quote(user or '', safe='')}:{quote(str(password), safe='')}@" if password else ""
    host = str(settings.get("host", "localhost"))
    host = f"[{host}]" if ":" in host else host
    url = f"redis{'s' if secure else ''}://{login}{host}:{settings.get('port', 6379)}/{settings.get('db') or 0}"
    return Address(url, ca_pem)


def _ca_pem(settings: dict[str, Any]) -> bytes | None:
    if data := settings.get("ssl_ca_data"):
        return data.encode() if isinstance(data, str) else bytes(data)
    if path := settings.get("ssl_ca_certs"):
        with open(path, "rb") as file:
            return file.read()
    return None


def _parts(data: Any) -> tuple[int | None, dict[str, Any]]:
    """Time and items of a record; None of what is none. An older tool wrote the time as a text."""
    if not isinstance(data, dict) or not isinstance(data.get("session"), dict):
        return None, {}
    created = data.get("created")
    try:
        number = int(float(created)) if isinstance(created, (int, float, str)) else 0
    except (ValueError, OverflowError):
        number = 0
    return (number, data["session"]) if number > 0 else (None, {})


def _ids(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str) and _IS_ID(text)] if isinstance(value, list) else []


def _text(encoded: Any) -> str:
    return encoded if isinstance(encoded, str) else bytes(encoded).decode()


async def _of_redis(awaitable: Awaitable[Any]) -> Any:
    """Applications know the errors of redis-py."""
    try:
        return await awaitable
    except ConnectionError as err:
        raise redis_exceptions.ConnectionError(str(err)) from err
