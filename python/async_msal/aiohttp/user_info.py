"""Microsoft Graph's answers about the user, under the name of this module in version 0.6."""

from .helpers import get_manager_info, get_user_info
from .msal_async import AsyncMSAL
from .utils import retry

__all__ = ["AsyncMSAL", "get_manager_info", "get_user_info", "retry"]
