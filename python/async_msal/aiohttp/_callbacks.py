"""What is called when a session's tokens have changed."""

import asyncio
from collections.abc import Awaitable
from inspect import isawaitable
from typing import Any, cast

from .settings import ENV

_TASKS: set[asyncio.Task[Any]] = set()


def finished(answer: Any) -> None:
    """A callback may be a coroutine function: on the running loop, else on one of its own."""
    if not isawaitable(answer):
        return

    async def finish() -> Any:
        return await cast(Awaitable[Any], answer)

    try:
        task = asyncio.get_running_loop().create_task(finish())
    except RuntimeError:
        asyncio.run(finish())
        return
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)


def write_back(key: str, created: int, items: dict[str, Any]) -> Any:
    """For a Redis whose settings cannot be read: over the record, if it is there still."""

    async def write() -> None:
        value = ENV.json_dumps({"created": max(int(created), 1), "session": dict(items)})
        if ENV.database is not None:
            await ENV.database.set(key, value, xx=True, keepttl=True)

    return write()
