"""Reads records of Redis on the event loop that wants them: a GET costs less than a change of threads.

A connection for each loop, made at the first use and made again when it broke. Whatever it cannot do at once it leaves to
`_native.Sessions`, which waits, tries again, and knows what to say of a Redis that does not answer.
"""

import asyncio
import ssl
from collections import deque
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary

#: An answer that takes longer ends the connection.
_LIMIT = 0.5
#: After a connection failed, and after Redis refused a GET, none is tried for so long.
_REST, _LONG_REST = 1.0, 30.0


class LaneError(Exception):
    """The other way has to be taken."""


class Address(NamedTuple):
    """Where Redis is."""

    url: str
    ca_pem: bytes | None

    def __repr__(self) -> str:
        """Without the password in it."""
        return "<the address of Redis>"

    def context(self) -> ssl.SSLContext | None:
        """For TLS, where the address asks for it."""
        if not self.url.startswith("rediss:"):
            return None
        context = ssl.create_default_context()
        if self.ca_pem is not None:
            context.load_verify_locations(cadata=self.ca_pem.decode("ascii", "replace"))
        return context


class Lane(asyncio.Protocol):
    """One connection: questions go out as they come, answers come in their order."""

    def __init__(self, event_loop: asyncio.AbstractEventLoop) -> None:
        self._loop = event_loop
        self._transport: Any = None
        self._waiting: deque[asyncio.Future[bytes | None]] = deque()
        self._greetings = 0
        self._buffer = b""
        self._answers = 0
        self._watch: asyncio.TimerHandle | None = None
        #: Redis does not let us read.
        self.refused = False

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self.refused

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def greet(self, user: str, password: str, database: str) -> None:
        """Says who asks for what."""
        if password:
            self._send("AUTH", *((user, password) if user else (password,)))
        if database not in ("", "0"):
            self._send("SELECT", database)

    def _send(self, *words: str) -> None:
        self._greetings += 1
        texts = [word.encode() for word in words]
        self._transport.write(b"*%d\r\n" % len(texts) + b"".join(b"$%d\r\n%s\r\n" % (len(text), text) for text in texts))

    def get(self, key: str) -> "asyncio.Future[bytes | None]":
        """What is under a key of letters, digits, dots, dashes and underscores."""
        future = self._loop.create_future()
        self._waiting.append(future)
        self._transport.write(f"*2\r\n$3\r\nGET\r\n${len(key)}\r\n{key}\r\n".encode("ascii"))
        if self._watch is None:
            self._watch = self._loop.call_later(_LIMIT, self._look, self._answers)
        return future

    def _look(self, answers: int) -> None:
        self._watch = None
        if not self._waiting:
            return
        if self._answers == answers:
            self._transport.abort()
        else:
            self._watch = self._loop.call_later(_LIMIT, self._look, self._answers)

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        begin, total = 0, len(data)
        while begin < total:
            end = data.find(b"\r\n", begin)
            if end < 0:
                break
            kind = data[begin]
            after = end + 2
            if kind == 36:  # $
                length = int(data[begin + 1 : end])
                value = None
                if length >= 0:
                    if after + length + 2 > total:
                        break
                    value = data[after : after + length]
                    after += length + 2
                self._answer(value)
            elif kind == 43 and self._greetings:  # +OK
                self._greetings -= 1
            elif data.startswith(b"-WRONGTYPE", begin) and not self._greetings:
                self._answer(None)
            else:
                self.refused = True
                self._transport.abort()
                return
            begin = after
        self._buffer = data[begin:] if begin < total else b""

    def _answer(self, value: bytes | None) -> None:
        self._answers += 1
        future = self._waiting.popleft()
        if not future.done():
            future.set_result(value)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(LaneError())


class Lanes:
    """The connections to one Redis, one for each event loop."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._lanes: WeakKeyDictionary[asyncio.AbstractEventLoop, Lane] = WeakKeyDictionary()
        #: Under way, or at rest until then.
        self._later: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()

    def get(self) -> Lane | None:
        """The running loop's, if it is there; else it is being made."""
        event_loop = asyncio.get_running_loop()
        lane = self._lanes.get(event_loop)
        if lane is not None and lane.is_open:
            return lane
        later = self._later.get(event_loop)
        if isinstance(later, asyncio.Task) or later is not None and event_loop.time() < later:
            return None
        if lane is not None and lane.refused:
            del self._lanes[event_loop]
            self._later[event_loop] = event_loop.time() + _LONG_REST
            return None
        self._later[event_loop] = event_loop.create_task(self._connect(event_loop))
        return None

    async def _connect(self, event_loop: asyncio.AbstractEventLoop) -> None:
        parts = urlsplit(self._address.url)
        try:
            async with asyncio.timeout(_LIMIT * 4):
                _, lane = await event_loop.create_connection(
                    lambda: Lane(event_loop), parts.hostname, parts.port or 6379, ssl=self._address.context()
                )
            lane.greet(unquote(parts.username or ""), unquote(parts.password or ""), parts.path.lstrip("/"))
            self._lanes[event_loop] = lane
            self._later.pop(event_loop, None)
        except (OSError, TimeoutError, AttributeError):
            self._later[event_loop] = event_loop.time() + _REST
