"""Credentials that run out, for whoever hands them out: the REST API of draft-uberti-behave-turn-rest-00.

    username = <Unix time of the end> ":" <whom they are for>
    password = base64(HMAC-SHA1(secret shared with the server, username))

The server keeps no list of users; coturn calls this `use-auth-secret` and the secret `static-auth-secret`.
"""

from __future__ import annotations

import base64
import hmac
import math

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.turn.configuration import Credentials


def rest_credentials(username: str, secret: str, expires_at: float) -> Credentials:
    """Make credentials that the server takes until `expires_at`.

    Args:
        username: whom they are for, to be read in the server's log; may be empty.
        secret: what the server has as well.
        expires_at: seconds since 1970 as `time.time` counts them, which trio's clock does not.

    Raises:
        InvalidArgument: a value that no server takes; the secret is not quoted.
    """
    if not 1 <= expires_at < math.inf:
        raise InvalidArgument(f"expires_at is {expires_at!r}; it is a number of seconds since 1970")
    if not secret:
        raise InvalidArgument("the secret is empty; it is the server's static-auth-secret")
    name = f"{int(expires_at)}:{username}" if username else f"{int(expires_at)}"
    _ = Credentials(name, secret)  # which refuses what UTF-8 or USERNAME cannot carry
    digest = hmac.digest(secret.encode(), name.encode(), "sha1")
    return Credentials(name, base64.b64encode(digest).decode())
