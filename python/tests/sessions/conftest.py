"""Fixtures of the tests of sessions."""

import sys
from pathlib import Path

import pytest

from async_msal.aiohttp import ENV, AsyncMSAL

sys.path.insert(0, str(Path(__file__).parent))
from session_parts import SCOPES, RedisServer  # noqa: E402


@pytest.fixture(scope="session")
def running_emulator(running_emulator, command, tmp_path_factory):
    """One of their own: clients of the same settings are shared in a process, and so is what they know."""
    running = type(running_emulator)(command, tmp_path_factory.mktemp("sessions"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def redis_server():
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture
def redis(redis_server):
    redis_server.client.flushall()
    return redis_server


@pytest.fixture
def env(emulator, monkeypatch):
    """ENV with the emulator's settings."""
    values = {
        "SP_APP_ID": emulator.client_id,
        "SP_APP_PW": emulator.client_secret,
        "SP_AUTHORITY": emulator.authority,
        "DOMAIN": "localhost",
        "CA_FILE": emulator.ca_file,
        "database": None,
        "login_callback": [],
    }
    for name, value in values.items():
        monkeypatch.setattr(ENV, name, value)
    monkeypatch.setattr(AsyncMSAL, "default_scopes", SCOPES)
    return ENV
