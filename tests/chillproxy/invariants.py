"""What holds in the pool's tables at every moment, as queries that find what breaks it."""

from infra.db import Database

_LIVE = "(select * from pool_slots where expires_at > clock_timestamp())"
_BREACHES = {
    "a key serves more users than it has seats": f"""
        select k.id from pool_keys k where k.max_users < (
            select count(*) from (
                select user_id from pool_seats where key_id = k.id and user_id is not null
                union
                select user_id from {_LIVE} l where l.key_id = k.id
            ) served)""",
    "a key streams more than it has slots": f"""
        select k.id from pool_keys k
        where k.max_streams < (select count(*) from {_LIVE} l where l.key_id = k.id)""",
    "a user has two seats at a store": """
        select user_id from pool_seats where user_id is not null
        group by user_id, store having count(*) > 1""",
    "a device has two leases": f"""
        select device_id from {_LIVE} l group by device_id having count(*) > 1""",
    "a user streams more than the limit": f"""
        select u.id from pool_users u
        where u.max_streams < (select count(*) from {_LIVE} l where l.user_id = u.id)""",
    "a user has more devices than the limit": """
        select u.id from pool_users u
        where u.max_devices < (
            select count(*) from pool_devices d where d.user_id = u.id and d.revoked_at is null)""",
    "a lease belongs to nobody": f"""
        select slot_no from {_LIVE} l
        where user_id is null or device_id is null or lease_id is null""",
    "somebody who is shut out streams": f"""
        select l.user_id from {_LIVE} l
        join pool_users u on u.id = l.user_id join pool_devices d on d.id = l.device_id
        join pool_keys k on k.id = l.key_id
        where u.disabled_at is not null or d.revoked_at is not null or k.state = 'disabled'""",
    "a key for one network serves two": f"""
        select k.id from pool_keys k join {_LIVE} l on l.key_id = k.id
        where k.network_policy = 'single_network'
        group by k.id having count(distinct l.network) > 1""",
    "seats and slots are not closed as their key is": """
        select k.id from pool_keys k
        where exists (select from pool_seats s
                      where s.key_id = k.id and s.closed_until <> k.closed_until)
           or exists (select from pool_slots s
                      where s.key_id = k.id and s.closed_until <> k.closed_until)""",
}
# One statement: all of it is seen at one moment.
_ALL = " union all ".join(
    f"select '{name}' where exists ({query})" for name, query in _BREACHES.items()
)


async def breaches(database: Database) -> list[str]:
    """Return what is broken just now."""
    return [row[0] for row in await database.fetch(_ALL)]
