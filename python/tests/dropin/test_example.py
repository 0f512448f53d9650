"""The example runs as it stands, with the settings that the emulator prints."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
import urllib.parse

import pytest

from parts import HERE, record

EXAMPLE = HERE.parents[2] / "examples" / "python" / "aiohttp_app.py"


@pytest.fixture
def running(command, running_emulator, redis_url, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    emulator = type(running_emulator)(command, tmp_path, "--public-url", f"http://localhost:{port}")
    environment = os.environ | emulator.settings | {"DOMAIN": "localhost", "REDIS": redis_url, "PORT": str(port)}
    process = subprocess.Popen([sys.executable, EXAMPLE], env=environment, stdout=subprocess.DEVNULL, cwd=tmp_path)
    until = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except ConnectionRefusedError:
            assert time.monotonic() < until and process.poll() is None, "the example did not start"
            time.sleep(0.02)
    yield port, emulator
    process.terminate()
    process.wait(10)
    emulator.stop()


def ask(port, method, path, cookie=None, form=None):
    connection = http.client.HTTPConnection("localhost", port, timeout=30)
    headers = {"Cookie": f"AIOHTTP_SESSION={cookie}"} if cookie else {}
    if form:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    connection.request(method, path, urllib.parse.urlencode(form) if form else None, headers)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    cookie = (answer.getheader("Set-Cookie") or "").partition(";")[0].partition("=")[2].strip('"') or cookie
    return answer.status, answer.getheader("Location"), body, cookie


def test_the_example_signs_in_and_out(running, redis_client):
    port, emulator = running
    assert "Sign in" in ask(port, "GET", "/")[2]
    assert ask(port, "GET", "/profile")[0] == 403
    status, location, _, cookie = ask(port, "GET", "/user/login")
    assert status == 302
    form = emulator.sign_in(location)
    status, location, body, cookie = ask(port, "POST", "/user/authorized", cookie, form)
    assert (status, location) == (302, "/"), body
    assert "Hello Ada Marsh" in ask(port, "GET", "/", cookie)[2]
    assert json.loads(ask(port, "GET", "/profile", cookie)[2])["mail"] == "ada@contoso.example"
    assert record(redis_client, cookie)["visits"] == 1
    status, location, _, _ = ask(port, "GET", "/user/logout", cookie)
    assert status == 302 and location.startswith(f"{emulator.authority}/oauth2/v2.0/logout")
    assert "Sign in" in ask(port, "GET", "/", cookie)[2]
