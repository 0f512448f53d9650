"""MSAL for asyncio: the interface of MSAL Python, each request awaited, over a core in Rust."""

from ._native import SerializableTokenCache

__all__ = ["SerializableTokenCache"]
