"""What the routes of the pool are given."""

from typing import TypedDict

from chillproxy.api.bearer import Gate
from chillproxy.pool import Pool


class PoolState(TypedDict):
    """The state of an application that holds the pool, as Starlette types it."""

    pool: Pool
    gate: Gate
