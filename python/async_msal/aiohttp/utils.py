"""Small tools."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

import aiohttp
from aiohttp import web

T = TypeVar("T")
P = ParamSpec("P")

#: Pauses between attempts, in seconds.
_PAUSES = (1, 2, 4)


def async_wrap(func: Callable[..., T]) -> Callable[..., Coroutine[None, None, T]]:
    """Makes a function that blocks awaitable: it runs in a thread.

    The arguments ``loop`` and ``executor`` are taken as long as the function has none of these names.
    """

    @wraps(func)
    async def run(*args: Any, loop: asyncio.AbstractEventLoop | None = None, executor: Any = None, **kwargs: Any) -> T:
        if loop is None and executor is None:
            return await asyncio.to_thread(func, *args, **kwargs)
        loop = loop or asyncio.get_running_loop()
        return await loop.run_in_executor(executor, partial(func, *args, **kwargs))

    return run


class dict_property(property):
    """An attribute that lives in a dict of the object. A missing one reads ``""``, setting ``""`` removes it."""

    def __init__(self, dict_name: str, prop_name: str) -> None:
        super().__init__()
        self.dict_name = dict_name
        self.prop_name = prop_name

    def __get__(self, instance: Any, owner: type | None = None, /) -> Any:
        return getattr(instance, self.dict_name, {}).get(self.prop_name, "")

    def __set__(self, instance: Any, value: Any, /) -> None:
        items = getattr(instance, self.dict_name, {})
        if value == "":
            items.pop(self.prop_name, None)
        else:
            items[self.prop_name] = value


def retry(func: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[None, None, T]]:
    """Calls a coroutine function again, up to three times, when the network or the other side failed for a while.

    Other exceptions are raised at once: they would only come again.
    """

    @wraps(func)
    async def attempt(*args: P.args, **kwargs: P.kwargs) -> T:
        for pause in _PAUSES:
            try:
                return await func(*args, **kwargs)
            except Exception as err:
                if not is_transient(err):
                    raise
            await asyncio.sleep(pause)
        return await func(*args, **kwargs)

    return attempt


def is_transient(err: BaseException) -> bool:
    """Whether the same call may succeed a little later."""
    if isinstance(err, (web.HTTPException, FileNotFoundError, PermissionError, IsADirectoryError)):
        return False
    if isinstance(err, aiohttp.ClientResponseError):
        return err.status in (0, 429) or err.status >= 500
    return isinstance(err, (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError, TimeoutError))
