"""Fixtures of the drop-in's tests."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis


sys.path.insert(0, str(Path(__file__).parent))
from parts import REDIRECT, Server  # noqa: E402


@pytest.fixture(scope="session")
def redis_url():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port)
    until = time.monotonic() + 10
    while True:
        try:
            client.ping()
            break
        except redis.ConnectionError:
            assert time.monotonic() < until and process.poll() is None, "redis-server did not start"
            time.sleep(0.01)
    client.close()
    yield f"redis://127.0.0.1:{port}"
    process.terminate()
    process.wait(10)


@pytest.fixture(scope="session")
def redis_client(redis_url):
    client = redis.Redis.from_url(redis_url)
    yield client
    client.close()


@pytest.fixture(scope="session")
def authority(running_emulator, command, tmp_path_factory):
    """An emulator with the addresses of the tests' applications registered."""
    http_redirect = REDIRECT.replace("https", "http", 1)
    options = [option for address in (REDIRECT, http_redirect) for option in ("--redirect-uri", address)]
    running = type(running_emulator)(command, tmp_path_factory.mktemp("authority"), *options)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def servers(authority, redis_url):
    """A function that starts an application once: of a package, with a Python, by its file."""
    started = {}

    def start(package, app, python=sys.executable):
        key = (package, app, str(python))
        if key not in started:
            started[key] = Server(str(python), package, app, authority, redis_url)
        return started[key].wait_ready()

    yield start
    for server in started.values():
        server.stop()
