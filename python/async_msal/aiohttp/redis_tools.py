"""Sessions in Redis, outside of a request: find one, go over all, clean up."""

import logging
import re
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar, overload

from redis.asyncio import Redis, from_url
from redis.exceptions import ResponseError

from .msal_async import AsyncMSAL, _runtime_sessions
from .settings import ENV

_LOG = logging.getLogger(__name__)

#: What a record that is none raises: no JSON, JSON of another shape, a time beyond all numbers, brackets without end.
_UNREADABLE = (ValueError, TypeError, KeyError, OverflowError, RecursionError)

SES_KEYS = ("mail", "name", "m_mail", "m_name")

#: Without these nobody is signed in, and with the second a sign-in is in progress.
_SIGNED_IN, _SIGNING_IN = "mail", "flow_cache"
#: A sign-in that takes longer than this many seconds was given up.
_SIGN_IN_TIME = 3600

T = TypeVar("T", bound=AsyncMSAL)


@asynccontextmanager
async def get_redis() -> AsyncGenerator[Redis, None]:
    """The connection ``ENV.database``, or one to ``ENV.REDIS`` that is closed afterwards."""
    if ENV.database is not None:
        yield ENV.database
        return
    _LOG.info("Connect to Redis")
    redis = from_url(ENV.REDIS)
    ENV.database = redis
    try:
        yield redis
    finally:
        if ENV.database is redis:
            ENV.database = None  # type: ignore[assignment]
        await redis.aclose()


async def session_iter(
    redis: Redis, *, match: dict[str, str] | None = None, key_match: str | None = None
) -> AsyncGenerator[tuple[str, int, dict[str, Any]], None]:
    """Yields key, time of the last change and items of the sessions.

    ``match``: only those whose items have exactly these values, upper and lower case alike for addresses of mail.
    ``key_match``: a pattern of Redis for the keys; without it the keys of sessions under ``ENV.COOKIE_NAME``.
    """
    if match and not all(isinstance(value, str) for value in match.values()):
        raise ValueError("match values must be strings")
    async for key, value in _records(redis, key_match):
        created, items = _opened(value)
        if not match or all(_equal(name, items.get(name), wanted) for name, wanted in match.items()):
            yield key, created, items


async def session_clean(redis: Redis, *, max_age: int = 90, expected_keys: Iterable[str] | None = None) -> None:
    """Removes sessions that are older than ``max_age`` days, and those in which nobody is signed in.

    A sign-in in progress is kept for an hour. ``expected_keys``: the items without which a session is removed, in the
    place of ``mail``.
    """
    if isinstance(expected_keys, (str, bytes)):
        raise TypeError(f"expected_keys: a list of strings is wanted, not {type(expected_keys).__name__}")
    removed = kept = 0
    now = int(time.time())
    expire = now - max_age * 24 * 60 * 60
    expected = tuple(expected_keys or (_SIGNED_IN,))
    try:
        async for key, created, items in session_iter(redis):
            in_progress = bool(items.get(_SIGNING_IN)) and created > now - _SIGN_IN_TIME
            complete = all(items.get(name) is not None for name in expected)
            if created < expire or not (complete or in_progress):
                await redis.delete(key)
                removed += 1
            else:
                kept += 1
    finally:
        _LOG.log(logging.INFO if removed else logging.DEBUG, "Sessions removed: %s, kept: %s", removed, kept)


async def invalid_sessions(redis: Redis) -> None:
    """Removes records that no session can be read from. Emptied ones (``{}``) go by themselves and are kept."""
    async for key, value in _records(redis, None):
        try:
            record = ENV.json_loads(value)
            valid = record == {} or (_created(record) > 0 and isinstance(record["session"], dict))
        except (*_UNREADABLE, AttributeError):
            valid = False
        if not valid:
            _LOG.warning("Removing the session record %s, which cannot be read", _masked(key))
            await redis.delete(key)


def async_msal_factory(cls: type[T], key: str, created: int, session: dict[str, Any], /) -> T:
    """A session that was read from Redis. What ``get_token`` renews is written back there before it returns."""
    return cls._of_record(key, created, session)  # type: ignore[no-any-return]


@overload
async def get_session(email: str, /, *, redis: Redis | None = None, scope: str = "") -> AsyncMSAL: ...
@overload
async def get_session(cls: type[T], email: str, /, *, redis: Redis | None = None, scope: str = "") -> T: ...
async def get_session(*args: Any, redis: Redis | None = None, scope: str = "", **named: Any) -> Any:
    """The session of a user, by the exact address: ``get_session(email)`` or ``get_session(cls, email)``.

    The newest one, if there are several. ``scope``: only one whose tokens have this scope. ValueError if there is none.
    Its ``get_token`` works from any thread, and after the loop that found it has closed.
    """
    cls, email = _asked(args, named)
    if not email:
        raise ValueError("Session for an empty address not found")
    found = await _find(email, redis)
    found.sort(key=lambda entry: entry[1], reverse=True)
    for key, created, items in found:
        if not scope or scope.lower() in str(items.get(cls.token_cache_key)).lower():
            return async_msal_factory(cls, key, created, items)
    if not scope:
        raise ValueError(f"Session for {email} not found")
    raise ValueError(f"Session for {email} with scope {scope} not found ({len(found)} checked)")


def _asked(args: tuple[Any, ...], named: dict[str, Any]) -> tuple[type[AsyncMSAL], str]:
    values = [*args, *(named.pop(name) for name in ("cls", "email") if name in named)]
    if named:
        raise TypeError(f"get_session() takes no argument {next(iter(named))!r}")
    if len(values) == 1:
        values.insert(0, AsyncMSAL)
    if len(values) != 2:
        raise TypeError(f"get_session() takes an address, or a class and an address, not {len(values)} arguments")
    cls, email = values
    if not (isinstance(cls, type) and issubclass(cls, AsyncMSAL)):
        raise TypeError(f"cls: a subclass of AsyncMSAL is wanted, not {cls!r}")
    if not isinstance(email, str):
        raise TypeError(f"email: a str is wanted, not {type(email).__name__}")
    return cls, email


async def _find(email: str, redis: Redis | None) -> list[tuple[str, int, dict[str, Any]]]:
    """By the index. By a scan where it knows nobody, as long as another package has written the session, and where the
    application brings a client of its own."""
    sessions = None if redis is not None and redis is not ENV.database else _runtime_sessions()
    if sessions is not None:
        try:
            entries = await sessions.find(mail=email)
        except OSError as err:  # as long as many records of other services are being indexed
            _LOG.info("All sessions are read, since the index gives no answer: %s", err)
            entries = []
        if entries:
            return [(key, int(created), ENV.json_loads(items)) for key, created, items in entries]
    async with AsyncExitStack() as stack:
        if redis is None:
            redis = await stack.enter_async_context(get_redis())
        return [entry async for entry in session_iter(redis, match={_SIGNED_IN: email})]


async def _records(redis: Redis, key_match: str | None) -> AsyncGenerator[tuple[str, str | bytes], None]:
    """Keys and values of the records; keys of other kinds and other applications are passed over."""
    own = re.compile(re.escape(ENV.COOKIE_NAME) + "_[0-9a-f]{32}")
    pattern = key_match or re.sub(r"([*?\[\]\\])", r"\\\1", ENV.COOKIE_NAME) + "_*"
    async for key in redis.scan_iter(count=100, match=pattern):
        key = key if isinstance(key, str) else key.decode(errors="replace")
        if key_match is None and not own.fullmatch(key):
            continue
        try:
            value = await redis.get(key)
        except ResponseError:  # WRONGTYPE
            continue
        if value is not None:
            yield key, value


def _opened(value: str | bytes) -> tuple[int, dict[str, Any]]:
    """Time and items of a record; 0 and none of what is no record."""
    try:
        record = ENV.json_loads(value)
        items = record["session"]
        return (_created(record), items) if isinstance(items, dict) else (0, {})
    except _UNREADABLE:
        return 0, {}


def _created(record: Any) -> int:
    """An older tool wrote it as a text."""
    created = record["created"]
    if isinstance(created, bool) or not isinstance(created, (int, float, str)):
        raise TypeError("created: no number")
    return int(float(created))


def _equal(name: str, value: Any, wanted: str) -> bool:
    if not isinstance(value, str):
        return False
    return value.casefold() == wanted.casefold() if name in ("mail", "m_mail") else value == wanted


def _masked(key: str) -> str:
    """The id of a session is a secret."""
    return key[: len(ENV.COOKIE_NAME) + 5] + "..."


async def redis_get_json(key: str) -> list[Any] | dict[str, Any] | None:
    """A JSON value of ``ENV.database``."""
    res = await ENV.database.get(key)
    if isinstance(res, (str, bytes, bytearray)):
        return ENV.json_loads(res)  # type: ignore[no-any-return]
    if res is not None:
        _LOG.warning("Unexpected type for %s: %s", key, type(res))
    return None


async def redis_get(key: str) -> str | None:
    """A text of ``ENV.database``."""
    res = await ENV.database.get(key)
    if isinstance(res, (bytes, bytearray)):
        return res.decode()
    if res is not None and not isinstance(res, str):
        _LOG.warning("Unexpected type for %s: %s", key, type(res))
        return None
    return res


async def redis_set_set(key: str, new_set: set[str]) -> None:
    """Makes a set of ``ENV.database`` have these members."""
    members = await ENV.database.smembers(key)  # type: ignore[misc]
    current = {member if isinstance(member, str) else member.decode() for member in members}
    if gone := current - new_set:
        _LOG.warning("%s: removing %s", key, sorted(gone))
        await ENV.database.srem(key, *gone)  # type: ignore[misc]
    if added := new_set - current:
        _LOG.info("%s: adding %s", key, sorted(added))
        await ENV.database.sadd(key, *added)  # type: ignore[misc]


async def redis_scan_keys(match_str: str) -> list[str]:
    """The keys of ``ENV.database`` that match a pattern."""
    return [key if isinstance(key, str) else key.decode() async for key in ENV.database.scan_iter(match=match_str)]
