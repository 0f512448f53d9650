"""async_msal.aiohttp against aiohttp_msal, in one run: the same application, emulator, Redis and load.

    compare.py --ours VENV --theirs VENV --command target/release/async-msal [--rounds 5]

Each virtual environment holds one package and its dependencies, both for the same Python. The rounds of the two
servers alternate; a ratio is the median over the rounds. CPU is that of the server's process, user and system
(/proc/<pid>/stat). The load is sent by connections that stay open. It needs uvloop, so that it takes little from the
servers, which run on asyncio's own loop.
"""

import argparse
import asyncio
import html
import json
import os
import re
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

import uvloop

PERSON = "ada@contoso.example"
TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Connection:
    """One connection that stays open; as little HTTP as the servers here need."""

    def __init__(self, port, tls=None):
        self.port, self.tls = port, tls
        self.reader = self.writer = None

    async def ask(self, method, path, headers=(), body=b""):
        if self.writer is None:
            name = "localhost" if self.tls else None
            self.reader, self.writer = await asyncio.open_connection(
                "127.0.0.1", self.port, ssl=self.tls, server_hostname=name, limit=1 << 20
            )
        lines = [f"{method} {path} HTTP/1.1", f"Host: localhost:{self.port}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        status = int(head[0].split()[1])
        fields = [line.split(": ", 1) for line in head[1:] if ": " in line]
        fields = [(name.lower(), value) for name, value in fields]
        length = next((int(value) for name, value in fields if name == "content-length"), 0)
        return status, fields, await self.reader.readexactly(length)

    def close(self):
        if self.writer:
            self.writer.close()


def field(fields, name):
    return next((value for key, value in fields if key == name), "")


def session_cookie(fields):
    lines = [value.split(";")[0] for name, value in fields if name == "set-cookie"]
    return next((line for line in lines if line.startswith("AIOHTTP_SESSION=")), None)


class Emulator:
    """The emulator over https, with the applications' redirect addresses registered."""

    def __init__(self, command, folder, ports):
        self.port = free_port()
        self.ca = folder / "ca.pem"
        addresses = [f"https://localhost:{port}/user/authorized" for port in ports]
        options = [option for address in addresses for option in ("--redirect-uri", address)]
        self.process = subprocess.Popen(
            [command, "emulator", "--port", str(self.port), "--https", str(self.ca), *options],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        self.settings = {}
        while not {"SP_APP_ID", "SP_APP_PW", "SP_AUTHORITY", "CA_FILE"} <= self.settings.keys():
            line = self.process.stdout.readline()
            if not line:
                raise SystemExit("the emulator ended before it printed its settings")
            if found := re.match(r"(?:export )?([A-Z_]+)=(.*)", line.strip()):
                self.settings[found[1]] = found[2].strip("'\"")
        self.settings.pop("PUBLIC_URL", None)  # both take the address from the request
        self.tls = ssl.create_default_context(cafile=str(self.ca))

    async def admin(self, method, path, body=None):
        connection = Connection(self.port, self.tls)
        data = json.dumps(body or {}).encode()
        status, _, answer = await connection.ask(method, f"/_admin/{path}", [("Content-Type", "application/json")], data)
        connection.close()
        if status >= 300:
            raise SystemExit(f"the emulator's admin API answered {status}: {answer[:200]!r}")

    async def slow(self, endpoint, millis):
        await self.admin("DELETE", "faults")
        if millis:
            rule = {"endpoint": endpoint, "fault": {"delay_millis": millis}, "count": 1_000_000}
            await self.admin("POST", "faults", rule)


class Server:
    """One of the two servers."""

    def __init__(self, package, venv, port, environment):
        self.package, self.port = package, port
        self.process = subprocess.Popen(
            [f"{venv}/bin/python", str(Path(__file__).with_name("server.py")), package, str(port)],
            env=environment, stdout=subprocess.PIPE, text=True, cwd="/",
        )

    def wait_ready(self):
        while (line := self.process.stdout.readline()) != "ready\n":
            if not line:
                raise SystemExit(f"the server with {self.package} ended before it was ready")

    def cpu(self):
        text = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(text[11]) + int(text[12])) / TICKS


class Browser:
    """What one person's browser does, without drawing anything."""

    def __init__(self, server, emulator):
        self.app = Connection(server.port)
        self.login = Connection(emulator.port, emulator.tls)

    async def begin(self):
        """To the login page; what the authority will post back, and the cookie."""
        status, fields, body = await self.app.ask("GET", "/user/login")
        if status != 302:
            raise SystemExit(f"/user/login answered {status}: {body[:300]!r}")
        cookie, address = session_cookie(fields), urllib.parse.urlsplit(field(fields, "location"))
        form = {"request": address.query, "step": "consent", "person": PERSON}
        tenant = address.path.split("/")[1]
        status, _, page = await self.login.ask(
            "POST", f"/{tenant}/login", [("Content-Type", "application/x-www-form-urlencoded")],
            urllib.parse.urlencode(form).encode(),
        )
        values = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.decode())
        if status != 200 or "code" not in dict(values):
            raise SystemExit(f"the login page answered {status}: {page[:500]!r}")
        return cookie, urllib.parse.urlencode([(name, html.unescape(value)) for name, value in values]).encode()

    async def finish(self, cookie, answer):
        """The authority's form arrives at the application; the cookie of the session."""
        status, fields, body = await self.app.ask(
            "POST", "/user/authorized",
            [("Content-Type", "application/x-www-form-urlencoded"), ("Cookie", cookie)], answer,
        )
        if status != 302:
            raise SystemExit(f"/user/authorized answered {status}: {body[-500:]!r}")
        return session_cookie(fields) or cookie

    async def sign_in(self):
        return await self.finish(*await self.begin())

    def close(self):
        self.app.close()
        self.login.close()


async def in_parallel(count, workers, work):
    """`work(number)` for each of `count` numbers, by so many at once."""
    numbers = iter(range(count))

    async def worker():
        for number in numbers:
            await work(number)

    await asyncio.gather(*(worker() for _ in range(workers)))


class Figures:
    def __init__(self):
        self.rounds = {}

    def note(self, name, package, value):
        self.rounds.setdefault(name, {}).setdefault(package, []).append(value)

    def show(self, name, unit, goal, invert=False):
        theirs, ours = (self.rounds[name][package] for package in ("aiohttp_msal", "async_msal.aiohttp"))
        ratios = [(t / o if invert else o / t) for t, o in zip(theirs, ours)]
        print(
            f"| {name} | {statistics.median(theirs):.4g} {unit} | {statistics.median(ours):.4g} {unit} "
            f"| {statistics.median(ratios):.2f} | {goal} |", flush=True,
        )


async def cached_token(server, cookie, requests, figures):
    connections = [Connection(server.port) for _ in range(8)]
    free = list(connections)

    async def one(_):
        connection = free.pop()
        status, _, body = await connection.ask("GET", "/token", [("Cookie", cookie)])
        if status != 200:
            raise SystemExit(f"/token answered {status}: {body[:300]!r}")
        free.append(connection)

    cpu, begin = server.cpu(), time.perf_counter()
    await in_parallel(requests, len(connections), one)
    took, cpu = time.perf_counter() - begin, server.cpu() - cpu
    figures.note("requests with a cached token", server.package, requests / took)
    figures.note("their CPU", server.package, cpu / requests * 1000)
    for connection in connections:
        connection.close()


async def full_sign_ins(server, emulator, count, figures):
    browsers = [Browser(server, emulator) for _ in range(8)]
    free = list(browsers)

    async def one(_):
        browser = free.pop()
        await browser.sign_in()
        free.append(browser)

    begin = time.perf_counter()
    await in_parallel(count, len(browsers), one)
    figures.note("full sign-ins", server.package, count / (time.perf_counter() - begin))
    for browser in browsers:
        browser.close()


async def probe_hello(server, waits, stop):
    connection = Connection(server.port)
    while not stop.is_set():
        begin = time.perf_counter()
        await connection.ask("GET", "/hello")
        waits.append(time.perf_counter() - begin)
        await asyncio.sleep(0.002)
    connection.close()


async def slow_token_endpoint(server, emulator, count, figures):
    """64 people come back from the login page while the token endpoint takes 500 ms."""
    browsers = [Browser(server, emulator) for _ in range(64)]
    answers = await asyncio.gather(*(browser.begin() for browser in browsers))
    for browser in browsers:
        browser.login.close()
    await emulator.slow("token", 500)
    waits, stop = [], asyncio.Event()
    probe = asyncio.create_task(probe_hello(server, waits, stop))
    begin = time.perf_counter()
    await asyncio.gather(*(browser.finish(*answer) for browser, answer in zip(browsers, answers)))
    took = time.perf_counter() - begin
    stop.set()
    await probe
    await emulator.slow("token", 0)
    figures.note("64 sign-ins, token endpoint takes 500 ms", server.package, len(browsers) / took)
    figures.note("p99 of /hello meanwhile", server.package, sorted(waits)[int(len(waits) * 0.99)] * 1000)
    for browser in browsers:
        browser.close()


async def slow_discovery(server, emulator, figures):
    """Logins begin while the discovery endpoint takes 100 ms; the longest pause of the event loop."""
    await emulator.slow("discovery", 100)
    connection = Connection(server.port)
    await connection.ask("GET", "/stall")
    browsers = [Connection(server.port) for _ in range(8)]
    await asyncio.gather(*(browser.ask("GET", "/user/login") for browser in browsers))
    _, _, longest = await connection.ask("GET", "/stall")
    await emulator.slow("discovery", 0)
    figures.note("longest pause of the loop, discovery takes 100 ms", server.package, float(longest) * 1000)
    for connection in [connection, *browsers]:
        connection.close()


async def measure(servers, emulator, arguments):
    figures = Figures()
    cookies = {}
    for server in servers:
        browser = Browser(server, emulator)
        await slow_discovery(server, emulator, figures)
        cookies[server.package] = await browser.sign_in()
        browser.close()
    for number in range(arguments.rounds):
        for server in servers:
            ours = server.package != "aiohttp_msal"
            await cached_token(server, cookies[server.package], 4000 if ours else 200, figures)
            await full_sign_ins(server, emulator, 200 if ours else 40, figures)
            await slow_token_endpoint(server, emulator, 64, figures)
            await slow_discovery(server, emulator, figures)
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
    print("| what | aiohttp_msal | async_msal.aiohttp | ratio | goal |\n|---|---|---|---|---|")
    figures.show("requests with a cached token", "/s", "15 or more")
    figures.show("their CPU", "ms", "15 or more", invert=True)
    figures.show("full sign-ins", "/s", "5 or more")
    figures.show("64 sign-ins, token endpoint takes 500 ms", "/s", "ours 100 /s or more")
    figures.show("p99 of /hello meanwhile", "ms", "3 or more", invert=True)
    figures.show("longest pause of the loop, discovery takes 100 ms", "ms", "ours under 20 ms", invert=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--theirs", required=True)
    parser.add_argument("--command", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="async-msal-bench-") as name:
        folder = Path(name)
        ports = {"aiohttp_msal": free_port(), "async_msal.aiohttp": free_port()}
        redis_port = free_port()
        processes = [subprocess.Popen(
            ["redis-server", "--port", str(redis_port), "--save", "", "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL
        )]
        try:
            emulator = Emulator(arguments.command, folder, ports.values())
            processes.append(emulator.process)
            environment = dict(os.environ) | emulator.settings | {
                "REDIS": f"redis://127.0.0.1:{redis_port}", "DOMAIN": "localhost",
                "REQUESTS_CA_BUNDLE": str(emulator.ca), "BENCH_EMULATOR_PORT": str(emulator.port),
            }
            servers = []
            for package, venv in (("aiohttp_msal", arguments.theirs), ("async_msal.aiohttp", arguments.ours)):
                servers.append(Server(package, venv, ports[package], environment))
                processes.append(servers[-1].process)
            for server in servers:
                server.wait_ready()
            uvloop.run(measure(servers, emulator, arguments))
        finally:
            for process in reversed(processes):
                process.send_signal(signal.SIGTERM)
            for process in processes:
                process.wait(timeout=10)


if __name__ == "__main__":
    main()
