"""What the tests of the drop-in share: servers, a browser without a screen, virtual environments of aiohttp_msal."""

import http.client
import json
import os
import shutil
import subprocess
import sys
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
DOMAIN = "contoso.example"
HOST = f"app.{DOMAIN}"
REDIRECT = f"https://{HOST}/user/authorized"
COOKIE = "AIOHTTP_SESSION"

#: The versions that are compared, with the Python that they need and the application of their shape.
VERSIONS = {"1.1.4": ("3.12", "app_1x.py"), "1.0.7": ("3.11", "app_1x.py"), "0.6.7": ("3.11", "app_06.py")}


def find_python(version):
    """An interpreter of this version or a later one that can make virtual environments; None if there is none."""
    wanted = tuple(map(int, version.split(".")))
    names = [f"python3.{minor}" for minor in range(wanted[1], 15)] + [sys.executable, "python3"]
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}*/bin/python3"))
    for candidate in [str(path) for path in pyenv] + [path for path in map(shutil.which, names) if path]:
        check = f"import sys, ensurepip, venv; sys.exit(sys.version_info < {wanted})"
        if subprocess.run([candidate, "-c", check], capture_output=True).returncode == 0:
            return candidate
    return None


def reference_python(version):
    """The Python of a virtual environment with this version of aiohttp_msal; None where it cannot be made."""
    target = os.environ.get("CARGO_TARGET_DIR") or HERE.parents[2] / "target"
    folder = Path(target) / "python-tests" / f"aiohttp_msal-{version}"
    python, done = folder / "bin" / "python", folder / "installed.txt"
    if done.exists():
        return python
    base = find_python(VERSIONS[version][0])
    if base is None:
        return None
    subprocess.run([base, "-m", "venv", str(folder)], check=True)
    wanted = [f"aiohttp_msal=={version}", "aiohttp-session[aioredis]>=2.12.1,<3"]
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *wanted], check=True, timeout=300)
    done.write_text("\n".join(wanted))
    return python


@dataclass
class Answer:
    """What a server answered."""

    status: int
    headers: list = field(default_factory=list)
    body: bytes = b""

    def header(self, name):
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def session(self):
        """The session id in the cookie; None where none is set, "" where it is deleted."""
        for key, value in self.headers:
            if key.lower() == "set-cookie" and value.startswith(f"{COOKIE}="):
                return value.split(";")[0].split("=", 1)[1].strip('"')
        return None


class Server:
    """One application in a process of its own."""

    def __init__(self, python, package, app, emulator, redis_url):
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("SP_", "DEMO_"))}
        environment |= {
            "DEMO_SP_APP_ID": emulator.client_id,
            "DEMO_SP_APP_PW": emulator.client_secret,
            "DEMO_SP_AUTHORITY": emulator.authority,
            "DEMO_DOMAIN": DOMAIN,
            "DEMO_REDIS": redis_url,
            "DEMO_COLOUR": '"red"',
            "DEMO_LIMIT": "7",
            "CA_FILE": emulator.ca_file,
            "REQUESTS_CA_BUNDLE": emulator.ca_file,
        }
        port = urllib.parse.urlsplit(emulator.base).port
        self.process = subprocess.Popen(
            [python, str(HERE / "serve.py"), package, str(HERE / app), str(port)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
        )
        self.port = None

    def wait_ready(self):
        while self.port is None:
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError("the server ended before it was ready")
            if line.strip().isdigit():
                self.port = int(line)
        return self

    def ask(self, method, path, *, session=None, host=HOST, form=None, headers=()):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {"Host": host} | dict(headers)
        if session is not None:
            sent["Cookie"] = f"{COOKIE}={session}"
        body = None
        if form is not None:
            body = urllib.parse.urlencode(form)
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()


def sign_in(
    server, emulator, *, login="/user/login", back="/user/authorized", finish_at=None, person="ada@contoso.example"
):
    """A whole sign-in; the session id after it."""
    begun = server.ask("GET", login)
    assert begun.status == 302, begun
    form = emulator.sign_in(begun.header("Location"), person)
    done = (finish_at or server).ask("POST", back, session=begun.session, form=form)
    assert done.status in (200, 302) and b"Login failed" not in done.body, done
    return done.session or begun.session


def record(redis, session):
    """The items of a session in Redis, with the token cache opened; None if there is no record."""
    text = redis.get(f"{COOKIE}_{session}")
    if text is None:
        return None
    items = json.loads(text).get("session", {})
    if isinstance(items.get("token_cache"), str):
        items["token_cache"] = json.loads(items["token_cache"])
    return items


def change_record(redis, session, change):
    """Changes the items of a session in Redis as another program would."""
    key = f"{COOKIE}_{session}"
    stored = json.loads(redis.get(key))
    change(stored["session"])
    redis.set(key, json.dumps(stored), keepttl=True)


def expire_tokens(items):
    """The access tokens of a session have run out."""
    cache = json.loads(items["token_cache"])
    for entry in cache["AccessToken"].values():
        entry["expires_on"] = entry["extended_expires_on"] = "1000000000"
        entry.pop("refresh_on", None)
    items["token_cache"] = json.dumps(cache)
