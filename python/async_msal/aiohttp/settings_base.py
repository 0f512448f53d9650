"""Settings from environment variables."""

import logging
import os
import types
import typing
from dataclasses import MISSING, Field, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import attrs

_LOG = logging.getLogger(__name__)

KEY_REQ = "required"
KEY_HIDE = "hide"
VAR_REQ_HIDE = {KEY_REQ: True, KEY_HIDE: True}
VAR_REQ = {KEY_REQ: True}
VAR_HIDE = {KEY_HIDE: True}

_MASK = "***"


class Var:
    """A plain class attribute that is a setting: ``NAME = Var(str, required=True)``."""

    def __init__(self, var_type: type, hidden: bool = False, required: bool = False) -> None:
        self.v_type = var_type
        self.hide = hidden
        self.required = required

    @staticmethod
    def from_value(val: Any) -> "Var":
        """The value itself if it is a ``Var``, else one for the value's type."""
        return val if isinstance(val, Var) else Var(type(val))


@dataclass
class SettingsBase:
    """Settings with a default here and a value in the environment.

    Each upper-case attribute is read from the variable of its name, after a prefix: ``APP_FOOBAR`` for ``FOOBAR`` after
    ``load("APP_")``. Values are converted to the type of the attribute. Subclasses may be dataclasses, ``attrs.define``
    classes, or plain classes with plain attributes and :class:`Var`.
    """

    env_prefix: str = ""

    def __new__(cls, *args: Any, **kwargs: Any) -> "SettingsBase":
        """An ``__init__`` made by attrs sets what its class names; the rest has its defaults from here."""
        self = super().__new__(cls)
        for name, atr in _declared(cls).items():
            if isinstance(atr, Field) and atr.default_factory is not MISSING:
                object.__setattr__(self, name, atr.default_factory())
        return self

    def __post_init__(self) -> None:
        for name, atr in _declared(type(self)).items():
            if isinstance(atr, _Override) and getattr(self, name) == atr.replaced:
                setattr(self, name, atr.default)
        for atr in self.fields.values():
            value = getattr(self, atr.name)
            if atr.name.endswith("_URI") and value and isinstance(value, str) and not value.endswith("/"):
                setattr(self, atr.name, f"{value}/")

    def __attrs_post_init__(self) -> None:
        """The name under which attrs calls it."""
        self.__post_init__()

    @property
    def fields(self) -> dict[str, Any]:
        """The settings by the names of their environment variables."""
        prefix = self.env_prefix.upper()
        return {f"{prefix}{name}": atr for name, atr in _declared(type(self)).items() if name.isupper()}

    def load(self, env_prefix: str | None = None, *, environment_prefix: str | None = None) -> None:
        """Reads the environment.

        The prefix is looked up as given, then in upper case. Without one the prefix of the object counts, or none where
        no variable has that one. ValueError names a required variable that is missing.
        """
        prefix = environment_prefix if env_prefix is None else env_prefix
        if prefix is None:
            prefix = self.env_prefix if self._has(self.env_prefix) else ""
        self.__dict__["_prefix"] = prefix
        self.env_prefix = prefix.upper()
        hints = _hints(type(self))
        loaded = self.__dict__.setdefault("_loaded", set())
        for ename, atr in self.fields.items():
            text = self._variable(atr.name)
            if text is None:
                if atr.metadata.get(KEY_REQ):
                    raise ValueError(f"Required value missing: {ename}")
                continue
            kind = hints.get(atr.name, atr.type)
            setattr(self, atr.name, _convert(atr.name, text, kind, getattr(self, atr.name, None)))
            loaded.add(atr.name)
            _LOG.debug("ENV %s = %s", ename, _MASK if atr.metadata.get(KEY_HIDE) else getattr(self, atr.name))

    def asdict(self, as_string: bool = False, hide: Literal["***"] | None = None) -> dict[str, Any]:
        """All settings. Hidden ones are left out, or shown as ``***``."""
        res: dict[str, Any] = {}
        for ename, atr in self.fields.items():
            value = getattr(self, atr.name)
            if atr.metadata.get(KEY_HIDE):
                if hide is None:
                    continue
                value = _MASK
            res[ename] = str(value) if as_string else value
        return res

    def to_dict(self, as_string: bool = False) -> dict[str, Any]:
        """The settings that were loaded or set, hidden ones left out, with the prefix as it was given."""
        loaded = self.__dict__.get("_loaded", ())
        prefix = self.__dict__.get("_prefix", self.env_prefix)
        res: dict[str, Any] = {}
        for atr in self.fields.values():
            value = getattr(self, atr.name)
            untouched = atr.name not in loaded and value == atr.default
            if not (atr.metadata.get(KEY_HIDE) or untouched or isinstance(value, Var)):
                res[prefix + atr.name] = str(value) if as_string else value
        return res

    def __getitem__(self, name: str) -> str:
        """Any other variable of the environment with the prefix; ``""`` where it is not set."""
        if name != name.upper():
            raise NameError(f"Only uppercase environment variables supported: {name}")
        return self._variable(name, strip=False) or ""

    def _variable(self, name: str, strip: bool = True) -> str | None:
        for prefix in (self.__dict__.get("_prefix", self.env_prefix), self.env_prefix.upper()):
            text = os.getenv(prefix + name)
            if text is not None:
                quoted = strip and text.startswith('"') and text.endswith('"')
                return text.strip('"') if quoted else text
        return None

    def _has(self, prefix: str) -> bool:
        """Whether the environment has a setting with this prefix."""
        names = [atr.name for atr in self.fields.values()]
        return any(start + name in os.environ for start in {prefix, prefix.upper()} for name in names)


class _Plain(NamedTuple):
    """A plain attribute as a field."""

    name: str
    type: Any
    metadata: dict[str, bool]
    default: Any


class _Override(NamedTuple):
    """A plain attribute in the place of a field, whose default an inherited ``__init__`` would set."""

    name: str
    type: Any
    metadata: dict[str, bool]
    default: Any
    replaced: Any


def _declared(cls: type) -> dict[str, Any]:
    """Fields by name, bases first: of dataclasses, of attrs classes, and plain upper-case attributes."""
    res: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        own = vars(base)
        found: dict[str, Any] = {}
        if "__dataclass_fields__" in own:  # it repeats those of its bases
            found = {name: atr for name, atr in own["__dataclass_fields__"].items() if res.get(name) is not atr}
        elif "__attrs_attrs__" in own:
            found = {atr.name: atr for atr in own["__attrs_attrs__"] if not atr.inherited}
        res.update(found)
        for name, value in own.items():
            if (name.isupper() or name in res) and name not in found and not hasattr(value, "__get__"):
                res[name] = _plain(name, value, res.get(name))
    return res


def _plain(name: str, value: Any, inherited: Any) -> _Plain | _Override:
    """What it replaces says what it does not say itself."""
    if inherited is None:
        var = Var.from_value(value)
        return _Plain(name, var.v_type, {KEY_REQ: var.required, KEY_HIDE: var.hide}, value)
    default = _default(inherited)
    if isinstance(value, Var):
        return _Override(name, value.v_type, {KEY_REQ: value.required, KEY_HIDE: value.hide}, default, default)
    return _Override(name, inherited.type, dict(inherited.metadata), value, default)


def _default(atr: Any) -> Any:
    if isinstance(atr, Field) and atr.default_factory is not MISSING:
        return atr.default_factory()
    return atr.default


def _hints(cls: type) -> dict[str, Any]:
    """Annotations as types, also where they are written as text."""
    try:
        return typing.get_type_hints(cls)
    except Exception:  # a name that exists for type checkers only
        return {}


def _convert(name: str, text: str, kind: Any, current: Any) -> Any:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        kind = next((arg for arg in typing.get_args(kind) if arg is not type(None)), str)
    if kind in (Any, None) or isinstance(kind, str):
        kind = str if current is None else type(current)
    if not isinstance(kind, type):
        kind = str
    if issubclass(kind, bool):
        return text.upper() in ("1", "TRUE")
    if issubclass(kind, int):
        return int(text)
    if issubclass(kind, Path):
        return Path(text)
    if issubclass(kind, bytes):
        return text.encode()
    return f"{text}/" if name.endswith("_URI") and not text.endswith("/") else text


def attrs_mirror(cls: type) -> type:
    """Lets a dataclass be subclassed by ``attrs.define`` with all its fields."""
    made = {}
    for atr in getattr(cls, "__dataclass_fields__").values():
        if not atr.init or typing.get_origin(atr.type) is typing.ClassVar or _kind(atr) == "_FIELD_CLASSVAR":
            continue
        default: Any = attrs.NOTHING
        if atr.default is not MISSING:
            default = atr.default
        elif atr.default_factory is not MISSING:
            default = attrs.Factory(atr.default_factory)
        made[atr.name] = attrs.field(
            default=default, repr=atr.repr, metadata=dict(atr.metadata), type=atr.type, kw_only=atr.kw_only
        )
    mirror = attrs.make_class(f"_{cls.__name__}", made, slots=False)
    setattr(cls, "__attrs_attrs__", attrs.fields(mirror))
    return cls


def _kind(atr: Any) -> str:
    return str(getattr(atr, "_field_type", ""))


attrs_mirror(SettingsBase)
