"""The settings of the package: :data:`ENV`."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any

from .settings_base import VAR_HIDE, VAR_REQ, VAR_REQ_HIDE, SettingsBase, Var, attrs_mirror

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["ENV", "VAR_HIDE", "VAR_REQ", "VAR_REQ_HIDE", "MSALSettings", "SettingsBase", "Var"]


@dataclass
class MSALSettings(SettingsBase):
    """What the package reads from the environment, and what an application hangs into it."""

    SP_APP_ID: str = field(metadata=VAR_REQ, default="")
    """Application (client) id."""
    SP_APP_PW: str = field(metadata=VAR_REQ_HIDE, default="", repr=False)
    """Client secret."""
    SP_AUTHORITY: str = field(metadata=VAR_REQ, default="")
    """Authority: ``https://login.microsoftonline.com/<tenant>``, or ``.../common`` for several tenants."""

    DOMAIN: str = ""
    """Domain of the session cookie. ``app_init_redis_session`` needs it."""

    COOKIE_NAME: str = "AIOHTTP_SESSION"
    """Name of the session cookie, and beginning of the keys in Redis."""

    login_callback: list[Callable[[Any], Awaitable[Any]]] = field(default_factory=list)
    """Awaited one after the other, with the session, when somebody has signed in."""
    info: dict[str, Callable[[Any], Any | Awaitable[Any]]] = field(default_factory=dict)
    """Further members of ``/user/info``: name and function of the session."""

    REDIS: str = field(metadata=VAR_HIDE, default="redis://redis1:6379", repr=False)
    """Redis, where ``app_init_redis_session`` and ``redis_tools`` connect to."""
    database: "Redis" = None  # type: ignore[assignment]
    """The connection to Redis, or one of the application's own."""

    json_dumps: Callable[[Any], str] = field(default=json.dumps)
    json_loads: Callable[[str | bytes | bytearray], Any] = field(default=json.loads)

    PUBLIC_URL: str = ""
    """The application's own address as browsers see it. Redirect addresses are made from it; else from the request."""
    ALLOWED_HOSTS: str = ""
    """Hosts beside Microsoft Graph's that ``AsyncMSAL.request`` may send the user's token to, comma-separated."""
    GRAPH_URL: str = ""
    """Address of Microsoft Graph; without it that of the authority's cloud, ``https://graph.microsoft.com/v1.0``."""
    CA_FILE: str = ""
    """PEM file of a certificate authority to trust as well."""
    DEBUG_ROUTE: bool = False
    """Serve ``/user/debug``."""

    def __repr__(self) -> str:
        """Nothing of what is secret."""
        return f"{type(self).__name__}({self.asdict(hide='***')})"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("dumps", "loads"):  # a subclass may have given them, under the names they had in 1.0
            if not isinstance(getattr(type(self), name), property):
                setattr(self, f"json_{name}", getattr(self, name))

    @property
    def dumps(self) -> Callable[[Any], str]:
        """``json_dumps``, under its name in 1.0."""
        return self.json_dumps

    @dumps.setter
    def dumps(self, value: Callable[[Any], str]) -> None:
        self.json_dumps = value

    @property
    def loads(self) -> Callable[[str | bytes | bytearray], Any]:
        """``json_loads``, under its name in 1.0."""
        return self.json_loads

    @loads.setter
    def loads(self, value: Callable[[str | bytes | bytearray], Any]) -> None:
        self.json_loads = value


attrs_mirror(MSALSettings)
_init = MSALSettings.__init__


@wraps(_init)
def _init_with_former_names(self: MSALSettings, *args: Any, **kwargs: Any) -> None:
    """Takes ``dumps`` and ``loads`` too, as in 1.0."""
    for name in ("dumps", "loads"):
        if name in kwargs:
            kwargs[f"json_{name}"] = kwargs.pop(name)
    _init(self, *args, **kwargs)


MSALSettings.__init__ = _init_with_former_names  # type: ignore[method-assign]

ENV = MSALSettings("MSAL")
