"""Every public name of aiohttp_msal exists here, and can be called as it was.

The lists are made by ``make_surface.py`` from the packages.
"""

import importlib
import inspect
import json

import pytest

from parts import HERE, VERSIONS, reference_python

#: Called otherwise, with the reason. Everything else is called as before.
CALLED_OTHERWISE = {
    ("1.0.7", "settings", "MSALSettings"): "1.1 put the prefix before the settings: they go by name",
}


def surfaces():
    for version in VERSIONS:
        for module, names in json.loads((HERE / f"surface-{version}.json").read_text()).items():
            for name, signature in names.items():
                yield pytest.param(version, module, name, signature, id=f"{version}-{module}.{name}")


def ours(module, name):
    found = importlib.import_module(f"async_msal.aiohttp.{module}" if module else "async_msal.aiohttp")
    for part in name.split("."):
        found = getattr(found, part)
    return found


def call_shapes(signature, of_class):
    """Positional as far as it goes, by keyword as far as it goes, and only what is required."""
    plain, keyword = [], []
    for parameter in signature:
        if parameter.startswith("*") or of_class and parameter in ("self", "positional cls"):
            continue
        kind, _, name = parameter.rpartition(" ")
        (keyword if kind == "keyword" else plain).append((kind, name.rstrip("="), name.endswith("=")))
    yield [1 for _ in plain], {name: 1 for _, name, _ in keyword}
    positional = [1 for kind, _, _ in plain if kind == "positional"]
    by_name = [entry for entry in plain if entry[0] != "positional"] + keyword
    yield positional, {name: 1 for _, name, _ in by_name}
    yield positional, {name: 1 for _, name, optional in by_name if not optional}


@pytest.mark.parametrize("version,module,name,signature", list(surfaces()))
def test_name_exists_and_is_called_as_before(version, module, name, signature):
    if name.endswith((".SP_APP_ID", ".database")) or name == "AsyncMSAL.session" or name.startswith("MSALSettings."):
        holder = ours(module, name.split(".")[0])
        assert hasattr(holder() if holder.__name__ == "MSALSettings" else holder({}), name.split(".")[1])
        return
    found = ours(module, name)
    if signature is None or (version, module, name) in CALLED_OTHERWISE:
        return
    called = inspect.signature(found)
    bound_to_class = "self" in called.parameters
    for args, kwargs in call_shapes(signature, "." in name):
        called.bind(*([0] if bound_to_class else []), *args, **kwargs)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_list_is_the_package_s(version):
    python = reference_python(version)
    if python is None:
        pytest.skip(f"NO PYTHON FOR aiohttp_msal {version}: the list is not checked against the package")
    import subprocess

    made = subprocess.run([python, str(HERE / "make_surface.py")], capture_output=True, text=True, check=True).stdout
    assert json.loads(made) == json.loads((HERE / f"surface-{version}.json").read_text())
