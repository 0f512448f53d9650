"""The examples for Python work as they stand."""

import asyncio
import importlib.util
from pathlib import Path

import httpx

EXAMPLES = Path(__file__).parents[2] / "examples" / "python"


def load(name, monkeypatch, settings):
    for key, value in settings.items():
        monkeypatch.setenv(key, value)
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_starlette_application_signs_in_and_calls_graph(emulator, monkeypatch):
    module = load("starlette_app", monkeypatch, emulator.settings)

    async def go():
        transport = httpx.ASGITransport(app=module.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as browser:
            assert "Sign in" in (await browser.get("/")).text
            begun = await browser.get("/login")
            answer = await asyncio.to_thread(emulator.sign_in, begun.headers["location"])
            before = browser.cookies[module.COOKIE]
            done = await browser.get("/user/authorized", params=answer)
            assert done.status_code == 303 and browser.cookies[module.COOKIE] != before
            assert (await browser.get("/")).text.startswith("Hello Ada")
            # The same answer a second time, and one that belongs to no sign-in.
            for again in (answer, {"state": "x", "code": "y"}):
                assert (await browser.get("/user/authorized", params=again)).status_code == 400

    asyncio.run(go())
    assert emulator.counted("discovery") == 1
