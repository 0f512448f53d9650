"""The user's token: out of the session's token cache, else by a renewal that all who ask share."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, ClassVar, cast

from ._clients import Core, core

if TYPE_CHECKING:
    from .. import _native

try:
    from ._storage import _Held
except ImportError:  # redis is not installed: no sessions are kept there
    _Held = None  # type: ignore[assignment,misc]

_LOG = logging.getLogger(__package__)

TOKEN_CACHE = "token_cache"


class Tokens:
    """The part of `AsyncMSAL` that has tokens."""

    session: Any
    app_kwargs: dict[str, Any] | None
    app: Any
    token_cache: Any
    token_cache_key: ClassVar[str]
    default_scopes: ClassVar[list[str]]
    #: The application and the token cache of `AsyncMSAL`; a subclass may have others.
    _made_here: ClassVar[tuple[Any, Any]]
    _save_token_cache: Any
    _show: Any
    _take: Any
    _tell: Any
    _text: Any

    def get_token(self, scopes: list[str] | None = None) -> dict[str, Any] | None:
        """The user's token: MSAL's dict, or None where the user must sign in. Blocks while it is renewed.

        It works on any thread, with an event loop or without one.
        """
        if not self._is_plain():
            return self._get_token_of_app(scopes)
        found, client, held, asked = self._look(scopes)
        if found is not None or client is None:
            return found
        if held is not None:
            session_id, sessions = held
            return self._took(sessions.get_token(session_id, asked, blocking=True))
        opened = client.texts.open(self._text() or "")
        if opened is None:
            return None
        cache, version, home, local, realm = opened
        result = client.native.silent(
            cache, home, asked, local_account_id=local, realm=realm, blocking=True
        )
        return self._renewed(cache, version, cast("dict[str, Any] | None", result))

    async def async_get_token(self, scopes: list[str] | None = None) -> dict[str, Any] | None:
        """The user's token: MSAL's dict, or None where the user must sign in. Nothing is awaited while it is good."""
        if not self._is_plain() or type(self).get_token is not Tokens.get_token:
            return await asyncio.to_thread(self.get_token, *(() if scopes is None else (scopes,)))
        found, client, held, asked = self._look(scopes)
        if found is not None or client is None:
            return found
        if held is not None:
            session_id, sessions = held
            return self._took(await sessions.get_token(session_id, asked))
        opened = client.texts.open(self._text() or "")
        if opened is None:
            return None
        cache, version, home, local, realm = opened
        result: Any = client.native.silent(cache, home, asked, local_account_id=local, realm=realm)
        if result is not None and type(result) is not dict:
            result = await result
        return self._renewed(cache, version, result)

    def _look(
        self, scopes: list[str] | None
    ) -> "tuple[dict[str, Any] | None, Core | None, tuple[str, _native.Sessions] | None, list[str]]":
        """The token that is there; else by whom to renew it. Without a client there is nobody."""
        asked = scopes or self.default_scopes
        cache = self.__dict__.get("token_cache")
        if cache is not None and cache.has_state_changed:
            self._save_token_cache()
        text = self.session.get(self.token_cache_key)
        if not text or not isinstance(text, str):
            return None, None, None, asked
        client = core(self.app_kwargs)
        held = self._held(client)
        found, changed, due = client.texts.look(text, asked, only_account=held is not None)
        if found is None:
            return None, client, held, asked
        if held is not None:
            if due:
                held[1].renew_ahead(held[0], asked)
            return found, client, held, asked
        if changed is not None:
            self._take(changed)
        if due:
            self._renew_ahead(client, text, asked)
        return found, client, held, asked

    def _held(self, client: Core) -> "tuple[str, _native.Sessions] | None":
        """The record in Redis that these tokens stand in as they are here."""
        session = self.session
        if _Held is None or not isinstance(session, _Held) or self.token_cache_key != TOKEN_CACHE:
            return None
        session_id = session._record_id()
        if session_id is None:
            return None
        sessions = session._sessions_of(client)
        return None if sessions is None else (session_id, sessions)

    def _renew_ahead(self, client: Core, text: str, scopes: list[str]) -> None:
        """Behind the caller's back; whoever brings the same text next gets what came of it."""
        if opened := client.texts.open(text):
            cache, _, home, local, realm = opened
            # A hit still: nothing is waited for.
            client.native.silent(cache, home, scopes, local_account_id=local, realm=realm)

    def _took(self, answer: "tuple[dict[str, Any] | None, dict[str, str], str | None]") -> dict[str, Any] | None:
        result, items, reason = answer
        if items:
            session = cast(Any, self.session)
            before = session.get(TOKEN_CACHE)
            session._took(items)
            text = self._text()
            if text != before:
                self._show(text)
                self._tell()
        if reason:
            _LOG.info("No token: %s", reason)
        return result

    def _renewed(self, cache: Any, version: int, result: dict[str, Any] | None) -> dict[str, Any] | None:
        now, text = cache._snapshot()
        if now != version and text != self._text():
            self._take(text)
        if result and "error" in result:
            _LOG.info("No token: %s", result.get("error_description") or result["error"])
            return None
        return result or None

    def _is_plain(self) -> bool:
        """Whether the application is the one that is made here."""
        kind = type(self)
        return (kind.app, kind.token_cache) == kind._made_here

    def _get_token_of_app(self, scopes: list[str] | None) -> dict[str, Any] | None:
        accounts = self.app.get_accounts()
        if not accounts:
            return None
        result = self.app.acquire_token_silent(scopes=scopes or self.default_scopes, account=accounts[0])
        self._save_token_cache()
        return cast("dict[str, Any] | None", result)
