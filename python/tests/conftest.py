"""The parts that the tests stand on: the emulator, over https with a certificate authority of its own."""

import json
import os
import ssl
import subprocess
import urllib.request
from pathlib import Path

import pytest

# They beat the `verify` of MSAL Python.
for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
    os.environ.pop(name, None)


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

    def admin(self, method: str, path: str, body=None):
        """One call of the admin API."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.base}/_admin{path}", data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, context=self.context, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture(scope="session")
def command() -> str:
    return os.environ.get("ASYNC_MSAL_COMMAND", "async-msal")


@pytest.fixture(scope="session")
def emulator(command, tmp_path_factory):
    """One for all tests; whoever plans faults or changes settings clears them."""
    running = Emulator(command, tmp_path_factory.mktemp("emulator"))
    yield running
    running.stop()
