"""What is raised beside ValueError and TypeError."""

from ._native import IdTokenError

__all__ = ["IdTokenError", "MsalError", "MsalServiceError"]


class MsalError(Exception):
    """The root of MSAL's own errors."""


class MsalServiceError(MsalError, OSError):
    """The authority failed, or asked to wait: what it said is in the text."""
