"""Finding one person's session by mail among many: `redis_tools.get_session`, after the first scan has indexed them.

    find.py --ours VENV --command target/release/async-msal [--sessions 100000]

Run by that environment's Python. Every session is the record of a real sign-in, written again for somebody else.
"""

import argparse
import asyncio
import base64
import json
import os
import signal
import statistics
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

from compare import Browser, Emulator, Server, free_port

LOOKUPS = 2000


def somebody_else(record, number):
    """The record of a person with another object id and mail."""
    session = dict(record["session"])
    cache = json.loads(session["token_cache"])
    token = next(iter(cache["IdToken"].values()))["secret"].split(".")
    claims = json.loads(base64.urlsafe_b64decode(token[1] + "=="))
    old, new = claims["oid"], str(uuid.UUID(int=number))
    claims |= {"oid": new, "sub": f"sub-{number}", "preferred_username": f"person{number}@contoso.example"}
    token[1] = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    for entry in cache["IdToken"].values():
        entry["secret"] = ".".join(token)
    session["token_cache"] = json.dumps(cache).replace(old, new)
    session["mail"] = f"person{number}@contoso.example"
    session.pop("async_msal", None)
    return json.dumps({"created": int(time.time()), "session": session})


async def seed(sessions, redis, cookie):
    record = json.loads(await redis.get(cookie.replace("=", "_")))
    for begin in range(0, sessions, 1000):
        async with redis.pipeline(transaction=False) as pipe:
            for number in range(begin, min(begin + 1000, sessions)):
                pipe.set(f"AIOHTTP_SESSION_{uuid.uuid4().hex}", somebody_else(record, number), ex=86400)
            await pipe.execute()


async def look_up(sessions):
    from async_msal.aiohttp import redis_tools
    from async_msal.aiohttp.msal_async import AsyncMSAL

    begin, took = time.perf_counter(), 1.0
    while took > 0.1:
        asked = time.perf_counter()
        await redis_tools.get_session(AsyncMSAL, "person7@contoso.example")
        took = time.perf_counter() - asked
    print(f"all are indexed, and the first one is found by it, after {time.perf_counter() - begin:.1f} s", flush=True)
    waits = []
    for number in range(LOOKUPS):
        mail = f"person{number * 7919 % sessions}@contoso.example"
        begin = time.perf_counter()
        found = await redis_tools.get_session(AsyncMSAL, mail)
        waits.append(time.perf_counter() - begin)
        if found.mail != mail:
            raise SystemExit(f"asked for {mail}, got {found.mail}")
    waits.sort()
    print(
        f"{LOOKUPS} others among {sessions}: median {statistics.median(waits) * 1000:.2f} ms, "
        f"p99 {waits[int(LOOKUPS * 0.99)] * 1000:.2f} ms", flush=True,
    )


async def measure(server, emulator, sessions):
    from redis.asyncio import from_url

    from async_msal.aiohttp import ENV

    ENV.load("")
    browser = Browser(server, emulator)
    cookie = await browser.sign_in()
    browser.close()
    redis = from_url(ENV.REDIS)
    await seed(sessions, redis, cookie)
    await redis.aclose()
    await look_up(sessions)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--command", required=True)
    parser.add_argument("--sessions", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="async-msal-bench-") as name:
        port, redis_port = free_port(), free_port()
        processes = [subprocess.Popen(
            ["redis-server", "--port", str(redis_port), "--save", "", "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL
        )]
        try:
            emulator = Emulator(arguments.command, Path(name), [port])
            processes.append(emulator.process)
            os.environ.update(emulator.settings)
            os.environ.update({
                "REDIS": f"redis://127.0.0.1:{redis_port}", "DOMAIN": "localhost",
                "REQUESTS_CA_BUNDLE": str(emulator.ca), "BENCH_EMULATOR_PORT": str(emulator.port),
            })
            server = Server("async_msal.aiohttp", arguments.ours, port, dict(os.environ))
            processes.append(server.process)
            server.wait_ready()
            asyncio.run(measure(server, emulator, arguments.sessions))
        finally:
            for process in reversed(processes):
                process.send_signal(signal.SIGTERM)
            for process in processes:
                process.wait(timeout=10)


if __name__ == "__main__":
    main()
