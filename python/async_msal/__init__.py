"""MSAL for asyncio: the interface of MSAL Python, each request awaited, over a core in Rust.

>>> import asyncio, async_msal
>>> app = async_msal.ConfidentialClientApplication(
...     "client id",
...     client_credential="from your vault",
...     authority="https://login.microsoftonline.com/contoso.onmicrosoft.com",
... )
>>> async def token():
...     return await app.acquire_token_for_client(["https://graph.microsoft.com/.default"])

Nothing is asked of the network when an application is made, and nothing at all happens at import. The token cache is
MSAL's own file format, both ways.
"""

from .application import ConfidentialClientApplication, SyncConfidentialClientApplication
from .exceptions import IdTokenError, MsalError, MsalServiceError
from .token_cache import SerializableTokenCache, TokenCache

__all__ = [
    "ConfidentialClientApplication",
    "IdTokenError",
    "MsalError",
    "MsalServiceError",
    "SerializableTokenCache",
    "SyncConfidentialClientApplication",
    "TokenCache",
]
