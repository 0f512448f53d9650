"""A job on aiohttp_msal's redis_tools: finds a user's session in Redis, renews the token, and waits for the write-back.

The argument is the user's mail. Settings come from the environment, prefix SHARED_.
"""

import asyncio
import sys

from aiohttp_msal import redis_tools
from aiohttp_msal.msal_async import AsyncMSAL
from aiohttp_msal.settings import ENV


async def main():
    ENV.load("SHARED_")
    mail = sys.argv[1]
    try:
        session = await redis_tools.get_session(AsyncMSAL, mail)
    except TypeError:  # 0.6.7
        session = await redis_tools.get_session(mail)
    # On the loop's own thread, so that the write-back becomes a task here.
    token = session.get_token()
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not asyncio.current_task()))
    print(token["token_source"])


asyncio.run(main())
