"""A drop-in for aiohttp_msal: sign-in with Microsoft for aiohttp applications.

Write ``async_msal.aiohttp`` for ``aiohttp_msal`` in the imports; everything else stays. What differs on purpose
stands in ``docs/python-differences.md``.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from importlib.metadata import PackageNotFoundError, version
from inspect import getfullargspec, isawaitable, iscoroutinefunction
from typing import Any, Literal, TypeVar

from aiohttp import ClientSession, web
from aiohttp_session import get_session
from aiohttp_session import setup as _setup

from .msal_async import AsyncMSAL
from .settings import ENV
from .utils import retry

try:
    VERSION = version("async-msal")
except PackageNotFoundError:  # the sources, not installed
    VERSION = "0"

_LOG = logging.getLogger(__name__)

T = TypeVar("T")

Check = Callable[[AsyncMSAL], "bool | Awaitable[bool]"]

__all__ = [
    "ENV",
    "VERSION",
    "AsyncMSAL",
    "ClientSession",
    "app_init_redis_session",
    "auth_ok",
    "auth_or",
    "authenticated",
    "check_proxy",
    "get_session",
    "msal_session",
    "retry",
]


def msal_session(
    *callbacks: Check, at_least_one: bool | None = False
) -> Callable[[Callable[..., Awaitable[T]]], Callable[..., Awaitable[T]]]:
    """Gives a handler the session as its argument ``ses``, and a 403 to whom a check refuses.

    Every check must pass, or one of them with ``at_least_one``. The handler gets what its wrapper got, and the session
    where its parameter ``ses`` stands, so ``async def page(request, ses)`` and methods of a view both work.
    """

    def decorate(func: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
        if not iscoroutinefunction(func):
            raise AssertionError(f"Function needs to be a coroutine: {func}")
        spec = getfullargspec(func)
        if "ses" not in spec.args + spec.kwonlyargs:
            raise AssertionError(f"Function needs to accept a session 'ses': {func}")
        place = spec.args.index("ses") if "ses" in spec.args else None

        @wraps(func)
        async def wrapper(*args: Any, **kwargs: Any) -> T:
            ses = AsyncMSAL(session=await get_session(_request_of(args, kwargs)))
            await _check(callbacks, ses, bool(at_least_one))
            if place is not None and place <= len(args):
                return await func(*args[:place], ses, *args[place:], **kwargs)
            return await func(*args, **kwargs, ses=ses)

        return wrapper

    return decorate


def _request_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> web.Request:
    for value in (*args[:2], kwargs.get("request")):
        if isinstance(value, web.BaseRequest):
            return value  # type: ignore[return-value]
        if isinstance(value, web.View):
            return value.request
    if args or "request" in kwargs:
        return args[0] if args else kwargs["request"]
    raise AssertionError("Requires a Request as the first parameter")


async def _check(callbacks: tuple[Check, ...], ses: AsyncMSAL, at_least_one: bool) -> None:
    for callback in callbacks:
        passed = await _ask(callback, ses)
        if passed and at_least_one:
            return
        if not passed and not at_least_one:
            raise web.HTTPForbidden
    if at_least_one:
        raise web.HTTPForbidden


async def _ask(callback: Check, ses: AsyncMSAL) -> Any:
    """A coroutine function hidden in a partial or an object gives an awaitable, which would always count as true."""
    answer = callback(ses)
    return await answer if isawaitable(answer) else answer


def auth_ok(ses: AsyncMSAL) -> bool:
    """Whether somebody is signed in."""
    return bool(ses.mail)


def authenticated(ses: AsyncMSAL) -> bool:
    """Whether somebody is signed in, under the name of :func:`auth_ok` in version 0.6."""
    return auth_ok(ses)


def auth_or(*args: Check) -> Callable[[AsyncMSAL], Awaitable[bool]]:
    """A check that passes where one of these passes, for use among others; a 403 where none does."""

    async def or_auth(ses: AsyncMSAL) -> bool:
        for arg in args:
            if await _ask(arg, ses):
                return True
        raise web.HTTPForbidden

    return or_auth


async def app_init_redis_session(
    app: web.Application,
    max_age: int | None = 3600 * 24 * 90,
    check_proxy_cb: Callable[[], Awaitable[None]] | None = None,
    *,
    samesite: Literal["None", "Lax", "Strict"] | None = "None",
) -> None:
    """Keeps sessions in Redis: ``ENV.REDIS``, or ``ENV.database`` where the application has set it.

    First the authority is asked for its metadata, with :func:`check_proxy` or ``check_proxy_cb``. The cookie is Secure,
    HttpOnly, for ``ENV.DOMAIN`` and ``max_age`` seconds (None: for the browser's session). ``samesite`` must stay
    ``None`` as long as the authority answers with a form (``response_mode="form_post"``): browsers send that with no
    other cookie.
    """
    from redis.asyncio import from_url

    from ._storage import RedisStorage

    if not ENV.DOMAIN:
        raise ValueError(f"Required value missing: {ENV.env_prefix}DOMAIN")
    await (check_proxy_cb or check_proxy)()
    if ENV.database is None:
        _LOG.info("Connect to Redis")
        ENV.database = from_url(ENV.REDIS)
    storage = RedisStorage(
        ENV.database,
        max_age=max_age,
        path="/",
        samesite=samesite,
        httponly=True,
        secure=True,
        domain=ENV.DOMAIN,
        cookie_name=ENV.COOKIE_NAME,
        encoder=ENV.json_dumps,
        decoder=ENV.json_loads,
    )
    _setup(app, storage)


@retry
async def check_proxy() -> None:
    """Asks the authority for its metadata, through proxies if there are any; ConnectionError where that fails. What is
    wrong in the settings is raised as it is.

    Nobody else is asked. A sign-in that begins later finds the metadata at hand.
    """
    authority = ENV.SP_AUTHORITY
    try:
        await AsyncMSAL({}).app._native.metadata()
    except (ValueError, TypeError, FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except Exception as err:
        raise ConnectionError(f"No connection to the authority {authority}. Check your proxy? {err}") from err
    _LOG.info("The authority %s answers", authority)
