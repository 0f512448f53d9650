"""The parts that the tests stand on: the emulator, over https with a certificate authority of its own."""

import html
import itertools
import json
import os
import re
import ssl
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

import async_msal

# They beat the `verify` of MSAL Python.
for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
    os.environ.pop(name, None)


numbers = itertools.count()


class Emulator:
    """A running emulator and its admin API."""

    def __init__(self, command: str, folder: Path, *arguments: str):
        self.ca_file = str(folder / "ca.pem")
        command_line = [command, "emulator", "--port", "0", "--https", self.ca_file, *arguments]
        self.process = subprocess.Popen(command_line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.settings = {}
        while "CA_FILE" not in self.settings:
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError("the emulator did not start")
            name, _, value = line.strip().partition("=")
            self.settings[name] = value
        self.client_id = self.settings["SP_APP_ID"]
        self.client_secret = self.settings["SP_APP_PW"]
        self.authority = self.settings["SP_AUTHORITY"]
        self.base = self.authority.rsplit("/", 1)[0]
        self.context = ssl.create_default_context(cafile=self.ca_file)
        self.policy = self.admin("GET", "/policy")

    def admin(self, method: str, path: str, body=None):
        """One call of the admin API."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.base}/_admin{path}", data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, context=self.context, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def sign_in(self, auth_uri: str, person: str = "ada@contoso.example") -> dict:
        """Goes through the pages as `person`; gives the fields that come back to the application."""
        address = urllib.parse.urlsplit(auth_uri)
        login = f"{self.base}/{address.path.split('/')[1]}/login"
        for step in ("account", "consent"):
            form = {"request": address.query, "step": step, "person": person}
            request = urllib.request.Request(login, data=urllib.parse.urlencode(form).encode())
            answer = _Opener(self.context).open(request, timeout=10)
            location = answer.headers.get("Location")
            if location:
                return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query))
            page = answer.read().decode()
            if 'id="answer"' in page:
                fields = re.findall(r'name="([^"]+)" value="([^"]*)"', page.split('id="answer"')[1].split("</form>")[0])
                return {name: html.unescape(value) for name, value in fields}
        raise RuntimeError(f"no answer to {person}")

    def clear(self):
        """Forgets faults and counters and puts the settings back."""
        self.admin("DELETE", "/faults")
        self.admin("DELETE", "/counters")
        self.admin("PATCH", "/policy", self.policy)

    def fault(self, endpoint: str, fault, count: int = 1):
        self.admin("POST", "/faults", {"endpoint": endpoint, "fault": fault, "count": count})

    def counted(self, name: str) -> int:
        """How many requests of this kind came since the counters were cleared."""
        return self.admin("GET", "/counters")[name]

    def token_requests(self) -> int:
        """Token requests of every grant."""
        return sum(number for name, number in self.admin("GET", "/counters").items() if name.startswith("token_"))

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()


class _Opener:
    """An opener that follows no redirect."""

    class _Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    def __init__(self, context):
        self._opener = urllib.request.build_opener(self._Stay, urllib.request.HTTPSHandler(context=context))

    def open(self, request, timeout):
        try:
            return self._opener.open(request, timeout=timeout)
        except urllib.error.HTTPError as answer:
            if answer.code in (302, 303):
                return answer
            raise


@pytest.fixture(scope="session")
def command() -> str:
    return os.environ.get("ASYNC_MSAL_COMMAND", "async-msal")


@pytest.fixture(scope="session")
def running_emulator(command, tmp_path_factory):
    running = Emulator(command, tmp_path_factory.mktemp("emulator"))
    yield running
    running.stop()


@pytest.fixture
def emulator(running_emulator):
    """One for all tests; each finds it without faults and with its first settings."""
    running_emulator.clear()
    return running_emulator


@pytest.fixture
def options(emulator):
    """What both packages' applications are made with."""
    return {
        "client_id": emulator.client_id,
        "client_credential": emulator.client_secret,
        "authority": emulator.authority,
        "instance_discovery": False,
        "verify": emulator.ca_file,
        # Applications of the same arguments share what they know of the authority; each test begins anew.
        "app_name": f"test {next(numbers)}",
    }


@pytest.fixture
def app(options):
    return async_msal.ConfidentialClientApplication(**options)
