"""Callbacks of the application, each in a daemon thread: one that never returns holds up nobody."""

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from typing import Any


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _called(callback: Callable[..., Any], request: Any, event_loop: asyncio.AbstractEventLoop | None) -> str:
    result = callback() if request is None else callback(request)
    if inspect.isawaitable(result):
        # On the loop of whoever waits for the token, where its clients live; where none runs, on one of its own.
        if event_loop is not None and event_loop.is_running():
            result = asyncio.run_coroutine_threadsafe(_awaited(result), event_loop).result()
        else:
            result = asyncio.run(_awaited(result))
    if isinstance(result, (bytes, bytearray)):
        result = result.decode("ascii")
    if not isinstance(result, str):
        raise TypeError(f"client_assertion: the callable must give str or bytes, not {type(result).__name__}")
    return result


def begin(
    callback: Callable[..., Any],
    request: Any,
    event_loop: asyncio.AbstractEventLoop | None,
    done: Callable[[str | None, BaseException | None], Any],
) -> None:
    """Calls ``callback`` in a thread; ``done(text, None)`` or ``done(None, exception)`` follows."""

    def run() -> None:
        try:
            text = _called(callback, request, event_loop)
        except BaseException as error:  # whatever it is, the caller hears of it
            done(None, error)
        else:
            done(text, None)

    threading.Thread(target=run, name="async-msal assertion", daemon=True).start()
