"""Virtual keys of a LiteLLM proxy that has no database.

VIRTUAL_KEYS is a JSON object: what the proxy knows of each key, as its table of keys would have it.
"""

import json
import os

from litellm.proxy._types import ProxyErrorTypes, ProxyException, UserAPIKeyAuth

KEYS = json.loads(os.environ["VIRTUAL_KEYS"])


async def look_up(request, api_key):
    key = KEYS.get(api_key)
    if key is None:
        return None  # the proxy's own check: the master key, or a key that it cannot look up
    if key.get("blocked"):  # the proxy checks this for keys of its database only: so it says it there
        raise ProxyException(
            message="Authentication Error, Key is blocked. Update via `/key/unblock` if you're an admin.",
            type=ProxyErrorTypes.auth_error,
            param="None",
            code=401,
        )
    return UserAPIKeyAuth(api_key=api_key, **key)
