"""The two bridges from Python to the network."""

import asyncio

import pytest

from async_msal import _native


@pytest.fixture
def client(emulator):
    with open(emulator.ca_file, "rb") as file:
        pem = file.read()
    return _native.Client(emulator.client_id, emulator.authority, emulator.client_secret, ca_pem=pem)


def test_metadata_is_awaited(client, emulator):
    async def ask():
        return await client.metadata()

    assert asyncio.run(ask())["token_endpoint"].startswith(emulator.base)


def test_metadata_is_had_without_a_loop(client, emulator):
    assert client.metadata_blocking()["token_endpoint"].startswith(emulator.base)
