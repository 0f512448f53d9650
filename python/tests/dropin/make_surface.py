"""Writes the public names of aiohttp_msal, with their signatures, by inspection.

    <virtual environment with one version>/bin/python make_surface.py > surface-<version>.json

Own names, and those of aiohttp, aiohttp_session, redis and MSAL that a module offers. Members of classes stand as
``Class.member``. A signature is its parameters' names and kinds, with ``=`` where there is a default.
"""

import importlib
import importlib.metadata
import inspect
import json
import pkgutil
import sys
import types

PACKAGE = "aiohttp_msal"
OFFERED = (PACKAGE, "aiohttp", "aiohttp_session", "redis", "msal")
CONSTANTS = (str, int, bool, list, tuple, dict)
KINDS = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**", "KEYWORD_ONLY": "keyword ", "POSITIONAL_ONLY": "positional "}


def signature(value):
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return None
    shown = []
    for parameter in parameters:
        default = "" if parameter.default is parameter.empty else "="
        shown.append(KINDS.get(parameter.kind.name, "") + parameter.name + default)
    return shown


def is_own(value):
    return (getattr(value, "__module__", None) or "").split(".")[0] == PACKAGE


def is_public(value):
    if isinstance(value, types.ModuleType) or type(value).__module__ == "typing":
        return False
    module = (getattr(value, "__module__", None) or "").split(".")[0]
    return module in OFFERED or isinstance(value, CONSTANTS) or is_own(type(value))


def members(name, cls):
    """The class's own: methods, properties, class variables, fields."""
    names = {member for base in cls.__mro__ if is_own(base) for member in vars(base)}
    fields = getattr(cls, "__dataclass_fields__", None) or {atr.name for atr in getattr(cls, "__attrs_attrs__", ())}
    names |= set(fields)
    # What its constructor sets, as far as it is public.
    source = getattr(getattr(cls, "__init__", None), "__code__", None)
    names |= set(source.co_names if source else ()) & {"session"}
    for member in sorted(names):
        if member.startswith("_"):
            continue
        value = inspect.getattr_static(cls, member, None)
        value = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
        yield f"{name}.{member}", signature(value) if inspect.isroutine(value) else None


def names_of(module):
    found = {}
    for name, value in sorted(vars(module).items()):
        if name.startswith("_") or name == "TYPE_CHECKING" or not is_public(value):
            continue
        found[name] = signature(value) if is_own(value) and callable(value) else None
        if inspect.isclass(value) and value.__module__ == module.__name__:
            found.update(members(name, value))
    return found


def main():
    package = importlib.import_module(PACKAGE)
    modules = sorted(info.name for info in pkgutil.iter_modules(package.__path__))
    surface = {name: names_of(importlib.import_module(f"{PACKAGE}.{name}")) for name in modules}
    surface[""] = names_of(package)
    json.dump(surface, sys.stdout, indent=1, sort_keys=True)
    print()


main()
