"""One user's session: sign-in, tokens, and requests with them."""

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partialmethod
from inspect import getattr_static, isawaitable, signature
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from aiohttp import web
from aiohttp.client import ClientResponse, ClientSession, _RequestContextManager
from aiohttp_session import Session, get_session, new_session
from multidict import CIMultiDict

from ..application import SyncConfidentialClientApplication as ConfidentialClientApplication
from ..token_cache import SerializableTokenCache
from . import helpers
from ._callbacks import finished, write_back
from ._clients import core
from ._requests import check_host, client_session, encode, is_own
from ._tokens import TOKEN_CACHE, Tokens
from .settings import ENV
from .settings_base import attrs_mirror
from .utils import async_wrap, dict_property

if TYPE_CHECKING:
    from typing import Self

    from aiohttp.typedefs import StrOrURL

    from .. import _native

try:
    from ._storage import RecordItems, StoredSession, runtime_sessions
except ImportError:  # redis is not installed: no sessions are kept there
    StoredSession = RecordItems = None  # type: ignore[assignment,misc]
    runtime_sessions = None  # type: ignore[assignment]

_LOG = logging.getLogger(__name__)

HttpMethods = Literal["get", "post", "put", "patch", "delete"]
HTTP_GET = "get"
HTTP_POST = "post"
HTTP_PUT = "put"
HTTP_PATCH = "patch"
HTTP_DELETE = "delete"
HTTP_ALLOWED = [HTTP_GET, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE]

DEFAULT_SCOPES = ["User.Read", "User.Read.All"]

FLOW_CACHE = "flow_cache"
USER_EMAIL = "mail"

#: Login callbacks have so many seconds together.
_CALLBACK_TIME = 30
#: A sync starter that takes longer has asked the authority on the caller's thread.
_LONG = 0.02

__all__ = [
    "DEFAULT_SCOPES",
    "ENV",
    "FLOW_CACHE",
    "HTTP_ALLOWED",
    "HTTP_DELETE",
    "HTTP_GET",
    "HTTP_PATCH",
    "HTTP_POST",
    "HTTP_PUT",
    "TOKEN_CACHE",
    "USER_EMAIL",
    "AsyncMSAL",
    "ClientResponse",
    "ClientSession",
    "ConfidentialClientApplication",
    "HttpMethods",
    "SerializableTokenCache",
    "Session",
    "async_wrap",
    "dict_property",
    "get_session",
    "helpers",
    "new_session",
]


class SessionTypeError(TypeError, ValueError):
    """What was given as a session is neither an aiohttp_session ``Session`` nor a dict."""


@dataclass(init=False, repr=False, eq=False)
class AsyncMSAL(Tokens):
    """One user's session, an aiohttp_session ``Session`` or a dict: signs the user in, and has the user's tokens.

    ``save_callback`` is called with the session when its token cache has changed, ``save_cache`` (by keyword) with the token
    cache; a ``Session`` needs neither. ``app_kwargs`` are further arguments for the application.

    Subclasses may be plain classes, dataclasses or ``attrs.define`` classes.
    """

    # In nobody's printed form: tokens and secrets are in them.
    session: Session | dict[str, Any] = field(repr=False)
    save_callback: Callable[[Any], Any] | None = field(default=None, repr=False)
    app_kwargs: dict[str, Any] | None = field(default=None, repr=False)

    client_session: ClassVar[ClientSession | None] = None
    token_cache_key: ClassVar[str] = TOKEN_CACHE
    user_email_key: ClassVar[str] = USER_EMAIL
    flow_cache_key: ClassVar[str] = FLOW_CACHE
    redirect_key: ClassVar[str] = "redirect"
    default_scopes: ClassVar[list[str]] = DEFAULT_SCOPES
    #: The name of `client_session` in version 0.6.
    _clientsession: ClassVar[ClientSession | None] = None

    def __init__(
        self,
        session: Session | dict[str, Any],
        save_callback: Callable[[Any], Any] | None = None,
        app_kwargs: dict[str, Any] | None = None,
        *,
        save_cache: Callable[[Any], Any] | None = None,
    ) -> None:
        self.session = session
        self.save_callback = save_callback
        self.app_kwargs = app_kwargs
        if save_cache is not None:
            self._save_cache = save_cache
        self.__post_init__()

    def __post_init__(self) -> None:
        if not isinstance(self.session, (Session, dict)):
            kind = type(self.session).__name__
            raise SessionTypeError(f"session: a Session of aiohttp_session or a dict is wanted, not {kind}")
        if self.save_callback is not None and not callable(self.save_callback):
            raise TypeError(f"save_callback: a callable is wanted, not {type(self.save_callback).__name__}")
        if self.app_kwargs is not None and not isinstance(self.app_kwargs, dict):
            raise TypeError(f"app_kwargs: a dict is wanted, not {type(self.app_kwargs).__name__}")

    def __attrs_post_init__(self) -> None:
        """The name under which attrs calls it."""
        self.__post_init__()

    def __repr__(self) -> str:
        """Nothing of the tokens."""
        return f"<{type(self).__name__} {'signed in' if self.authenticated else 'nobody'}>"

    # --- making one

    @classmethod
    async def from_request(
        cls, request: web.Request, /, allow_new: bool = False, app_kwargs: dict[str, Any] | None = None
    ) -> "Self":
        """With the request's session; a 400 where it cannot be read, or with ``allow_new`` a new one."""
        try:
            return cls(await get_session(request), app_kwargs=app_kwargs)
        except TypeError as err:
            _LOG.error("Invalid session, %s: %s", "create new" if allow_new else "fail", err)
        if allow_new:
            return cls(await new_session(request), app_kwargs=app_kwargs)
        text = "Invalid session. Login for a new session: '/user/login'"
        if not request.cookies.get(ENV.COOKIE_NAME):
            text = f"Cookie empty. Expected '{ENV.COOKIE_NAME}'. Cookie should be set with Samesite:None"
        raise web.HTTPBadRequest(text=text)

    @classmethod
    def _of_record(cls, key: str, created: int, session: dict[str, Any], /) -> "Self":
        """Of a session that was found in Redis: what is renewed is written back before it is handed out."""
        if runtime_sessions is not None and runtime_sessions() is not None:
            return cls(RecordItems(key, session))
        return cls(session, save_callback=lambda items: write_back(key, created, items))

    # --- token cache and application

    @cached_property
    def app(self) -> ConfidentialClientApplication:
        """MSAL's application over this session's token cache. Its requests block: for use outside of coroutines."""
        given = (self.app_kwargs or {}).get("token_cache")
        return core(self.app_kwargs).with_cache(self.token_cache if given is None else given)

    @cached_property
    def token_cache(self) -> SerializableTokenCache:
        """The session's token cache."""
        cache = SerializableTokenCache()
        if text := self._text():
            try:
                cache.deserialize(text)
            except ValueError as err:
                _LOG.warning("The session's token cache cannot be read: %s", err)
        return cache

    def save_token_cache(self, token_cache: Any = None, /) -> None:
        """Puts the token cache into the session if it has changed, and tells the callback."""
        cache = self.token_cache if token_cache is None else token_cache
        if cache.has_state_changed:
            self.session[self.token_cache_key] = cache.serialize()
            self._tell()

    def _save_token_cache(self) -> None:
        """The name of the above in version 0.6, whose subclasses may have a callback in its place."""
        if type(self).save_token_cache is AsyncMSAL.save_token_cache:
            self.save_token_cache()
        elif self.token_cache.has_state_changed:
            takes_cache = bool(signature(self.save_token_cache).parameters)
            if takes_cache:
                self.session[self.token_cache_key] = self.token_cache.serialize()
                self.save_token_cache(self.token_cache)
            else:
                self.save_token_cache()

    def _tell(self) -> None:
        save_cache = self.__dict__.get("_save_cache")
        if save_cache is not None:
            finished(save_cache(self.token_cache))
        if self.save_callback is not None:
            finished(self.save_callback(self.session))

    def _text(self) -> str | None:
        text = self.session.get(self.token_cache_key)
        return text if text and isinstance(text, str) else None

    def _take(self, text: str) -> None:
        """A token cache that was renewed elsewhere in this process."""
        self.session[self.token_cache_key] = text
        self._show(text)
        if type(self).save_token_cache is not AsyncMSAL.save_token_cache:
            self.token_cache.has_state_changed = True
            self._save_token_cache()
        else:
            self._tell()

    def _show(self, text: str | None) -> None:
        if "token_cache" in self.__dict__:
            self.token_cache.deserialize(text)

    # --- sign-in

    def initiate_auth_code_flow(
        self,
        redirect_uri: str,
        scopes: list[str] | None = None,
        prompt: Literal["login", "consent", "select_account", "none"] | None = None,
        **kwargs: Any,
    ) -> str:
        """First step: keeps the sign-in in the session and gives the address to send the browser to."""
        self.session.pop(self.token_cache_key, None)
        self.session.pop(self.user_email_key, None)
        self._show(None)
        begun = monotonic()
        flow = self.app.initiate_auth_code_flow(
            scopes or self.default_scopes,
            redirect_uri=redirect_uri,
            response_mode="form_post",
            prompt=prompt,
            **kwargs,
        )
        if monotonic() - begun > _LONG:
            _LOG.warning("A sign-in waited for the authority's metadata: call check_proxy() when the application starts")
        self.session[self.flow_cache_key] = flow
        return str(flow["auth_uri"])

    build_auth_code_flow = initiate_auth_code_flow

    def acquire_token_by_auth_code_flow(self, auth_response: Any, scopes: list[str] | None = None) -> None:
        """Second step: redeems the code. KeyError where no sign-in is in progress, HTTPBadRequest where it is refused."""
        flow = self.session.pop(self.flow_cache_key)
        self._signed_in(self.app.acquire_token_by_auth_code_flow(flow, auth_response, scopes=scopes))

    async def async_acquire_token_by_auth_code_flow(self, auth_response: Any, scopes: list[str] | None = None) -> None:
        """The second step, awaited."""
        own = type(self).acquire_token_by_auth_code_flow is AsyncMSAL.acquire_token_by_auth_code_flow
        redeem = getattr(self.app, "_redeem", None)
        if not own or redeem is None:
            more = () if scopes is None else (scopes,)
            await asyncio.to_thread(self.acquire_token_by_auth_code_flow, auth_response, *more)
            return
        flow = self.session.pop(self.flow_cache_key)
        self._signed_in(await redeem(False, flow, auth_response, scopes, {}))

    def _signed_in(self, result: dict[str, Any]) -> None:
        if "error" in result:
            description = str(result.get("error_description") or "").partition("\n")[0]
            _LOG.warning("The authority refused the sign-in: %s: %s", result["error"], description)
            code = re.match(r"AADSTS[0-9]+", description)
            raise web.HTTPBadRequest(text=f"{result['error']} ({code[0]})" if code else str(result["error"]))
        claims = result.get("id_token_claims")
        if claims is None:
            raise web.HTTPBadRequest(text="Expected id_token_claims in the authority's answer")
        self._save_token_cache()
        # Whoever has no name has an id; without a mail nobody would be signed in.
        names = ("preferred_username", "email", "oid", "sub")
        self.session[self.user_email_key] = next((claims[name] for name in names if claims.get(name)), None)
        if StoredSession is not None and isinstance(self.session, StoredSession):
            self.session._signed_in = True

    async def async_acquire_token_by_auth_code_flow_plus(
        self, request: web.Request, get_info: Literal["user", "manager", ""] = "manager"
    ) -> tuple[bool, list[str]]:
        """The second step with all that belongs to it: reads the form that was posted, redeems the code, asks Graph who the
        user and the manager are, and calls ENV.login_callback. Gives whether it succeeded, and messages, as plain text."""
        try:
            form = await request.post()
        except (ValueError, LookupError) as err:  # no boundary, no such charset
            raise web.HTTPBadRequest(text="The form that was posted cannot be read.") from err
        auth_response = {name: value for name, value in form.items() if isinstance(value, str)}
        assert isinstance(self.session, Session)
        if not auth_response.get("state") or not (auth_response.get("code") or auth_response.get("error")):
            received = f"Received auth_response: {sorted(auth_response)}"
            return False, ["Expected 'code' and 'state' in auth_response", received]
        msg = self._unexpected(auth_response)
        if msg and not auth_response.get("code"):
            return False, msg
        redirect = self.redirect
        self.redirect = "/" + (redirect if isinstance(redirect, str) else "").lstrip("/")
        if msg:
            return False, msg
        try:
            await self.async_acquire_token_by_auth_code_flow(auth_response)
        except Exception as err:
            text = (err.text if isinstance(err, web.HTTPException) else None) or str(err)
            _LOG.warning("Sign-in failed: %s", text)
            return False, ["Could not get token - async_acquire_token_by_auth_code_flow", text]
        try:
            if get_info in ("user", "manager"):
                await helpers.get_user_info(self)
            if get_info == "manager":
                await helpers.get_manager_info(self)
        except Exception as err:
            _LOG.warning("Graph: %s", err)
            msg += ["Could not get org info from MS graph", str(err)]
            self.mail = ""
            self.name = ""
        if self.session.get(self.user_email_key):
            await self._call_back()
        return True, msg

    def _unexpected(self, auth_response: dict[str, str]) -> list[str]:
        msg = []
        if cast(Session, self.session).new:
            msg.append("Warning: This is a new session and may not have all expected values.")
        flow = self.session.get(self.flow_cache_key)
        if not flow:
            msg.append(f"Expected '{self.flow_cache_key}' in session")
        elif not msg and (not isinstance(flow, dict) or flow.get("state") != auth_response["state"]):
            # Another site can have a browser post anything: that must not use up the sign-in in progress.
            msg.append("The answer belongs to another sign-in. Sign in again.")
        return msg

    async def _call_back(self) -> None:
        """A callback that refuses, raises or does not return leaves nobody signed in."""
        try:
            async with asyncio.timeout(_CALLBACK_TIME):
                for callback in ENV.login_callback:
                    answer = callback(self)
                    if isawaitable(answer):
                        await answer
        except BaseException:
            for name in (self.token_cache_key, self.user_email_key, "name", "m_mail", "m_name"):
                self.session.pop(name, None)
            self._show(None)
            raise

    # --- requests

    async def request(self, method: HttpMethods, url: "StrOrURL", **kwargs: Any) -> ClientResponse:
        """A request with the user's token, to Microsoft Graph or a host of ENV.ALLOWED_HOSTS.

        ``data`` is sent as JSON where it can be, and as it is otherwise. Further arguments are those of aiohttp's
        ``ClientSession.request``.
        """
        if method not in HTTP_ALLOWED:
            raise web.HTTPBadRequest(text=f"HTTP method {method} not allowed")
        client = client_session(AsyncMSAL)
        check_host(client, url)
        token = await self.async_get_token()
        if token is None:
            raise web.HTTPUnauthorized(text="No login token available.")
        headers: CIMultiDict[str] = CIMultiDict(kwargs.get("headers") or {})
        headers["Authorization"] = "Bearer " + token["access_token"]
        kwargs["headers"] = headers
        if method == HTTP_GET:
            kwargs.setdefault("allow_redirects", True)
        elif method in (HTTP_POST, HTTP_PUT, HTTP_PATCH):
            encode(headers, kwargs)
        return await client.request(method, url, **kwargs)

    async def _ask_core(self, url: str) -> tuple[int, str] | None:
        """A document of Graph, its status and its text, asked on the core's threads; None where the application has a client
        or a request method of its own."""
        names = ("get", "request_ctx", "request")
        if not is_own(AsyncMSAL) or any(getattr_static(type(self), name) is not AsyncMSAL.__dict__[name] for name in names):
            return None
        check_host(None, url)
        token = await self.async_get_token()
        if token is None:
            raise web.HTTPUnauthorized(text="No login token available.")
        answer: Any = await core(self.app_kwargs).native.graph(url, token["access_token"])
        return answer["status"], answer["body"]

    def request_ctx(self, method: HttpMethods, url: "StrOrURL", **kwargs: Any) -> _RequestContextManager:
        """:meth:`request` for ``async with``."""
        return _RequestContextManager(self.request(method, url, **kwargs))

    get = partialmethod(request_ctx, HTTP_GET)
    post = partialmethod(request_ctx, HTTP_POST)

    # --- who it is

    @property
    def authenticated(self) -> bool:
        """Whether somebody is signed in."""
        return bool(self.session.get(self.user_email_key))

    name = cast(str, dict_property("session", "name"))
    mail = cast(str, dict_property("session", USER_EMAIL))
    manager_name = cast(str, dict_property("session", "m_name"))
    manager_mail = cast(str, dict_property("session", "m_mail"))
    redirect = cast(str, dict_property("session", "redirect"))


AsyncMSAL._made_here = (AsyncMSAL.app, AsyncMSAL.token_cache)
attrs_mirror(AsyncMSAL)


def _runtime_sessions() -> "_native.Sessions | None":
    """The sessions of the process; None where Redis is not at hand or its settings cannot be read."""
    return None if runtime_sessions is None else runtime_sessions()
