-- The database as it is once all migrations have been applied: for reading. A new one is made by the
-- migrations; a test holds the two equal.

-- Which migrations have been applied.

create table schema_migrations (
    version int primary key,
    name text not null,
    digest text not null,
    applied_at timestamptz not null default now()
);

-- The pool: keys, who may use them, and what happened.

create table pool_users (
    id bigint generated always as identity primary key,
    ref uuid not null unique default gen_random_uuid(),
    name text not null,
    max_devices int not null default 3 check (max_devices between 1 and 1000),
    max_streams int not null default 2 check (max_streams between 1 and 1000),
    stores text[],
    plays_per_day int check (plays_per_day > 0),
    bytes_per_month bigint check (bytes_per_month > 0),
    expires_at timestamptz,
    disabled_at timestamptz,
    replaced_on date,
    replaced int not null default 0,
    created_at timestamptz not null default now()
);
create index pool_users_by_end on pool_users (expires_at) where expires_at is not null;
comment on column pool_users.ref is 'what everything outside the pool holds; survives a new UUID';
comment on column pool_users.stores is 'null: every store';
comment on column pool_users.replaced is 'idle devices that gave way to new ones on replaced_on';

create table pool_user_auths (
    auth_hash bytea primary key check (length(auth_hash) = 32),
    user_id bigint not null references pool_users on delete cascade,
    expires_at timestamptz,
    created_at timestamptz not null default now()
);
comment on column pool_user_auths.auth_hash is 'SHA-256 of the UUID, which is a password';
create index pool_user_auths_by_user on pool_user_auths (user_id);

create table pool_devices (
    id bigint generated always as identity primary key,
    user_id bigint not null references pool_users on delete cascade,
    class text not null default '',
    name text not null default '',
    first_seen_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    moved_on date,
    moves int not null default 0,
    revoked_at timestamptz
);
create index pool_devices_by_user on pool_devices (user_id);

create table pool_device_prints (
    user_id bigint not null references pool_users on delete cascade,
    print bytea not null,
    device_id bigint not null references pool_devices on delete cascade,
    created_at timestamptz not null default now(),
    primary key (user_id, print)
);
comment on table pool_device_prints is 'a device that roamed keeps its old prints';
create index pool_device_prints_by_device on pool_device_prints (device_id);

create table pool_keys (
    id bigint generated always as identity primary key,
    store text not null,
    label text not null default '',
    scope text not null default 'household' check (scope in ('household', 'group', 'shared')),
    terms_ack jsonb,
    owner_user_id bigint references pool_users on delete set null,
    network_policy text not null default 'any' check (network_policy in ('any', 'single_network')),
    priority int not null default 0,
    max_users int not null check (max_users between 1 and 1000),
    max_streams int not null check (max_streams between 1 and 1000),
    state text not null default 'active' check (
        state in ('active', 'throttled', 'exhausted', 'quarantined', 'draining', 'disabled', 'retired')
    ),
    state_reason text not null default '',
    closed_until timestamptz not null default '-infinity',
    failures int not null default 0 check (failures >= 0),
    secret_version int not null default 1,
    secret bytea not null,
    kek_id text not null,
    fingerprint bytea not null unique,
    created_at timestamptz not null default now()
);
comment on column pool_keys.closed_until is 'no new lease before then; copied to seats and slots';
comment on column pool_keys.failures is 'times in a row that the key came into this state';
comment on column pool_keys.fingerprint is 'keyed digest of store and secret: finds a key added twice';

create table pool_seats (
    key_id bigint not null references pool_keys on delete cascade,
    seat_no int not null,
    store text not null,
    user_id bigint references pool_users on delete set null,
    left_by bigint references pool_users on delete set null,
    closed_until timestamptz not null default '-infinity',
    taken_at timestamptz,
    primary key (key_id, seat_no)
);
comment on table pool_seats is 'one row for each user that a key may serve';
comment on column pool_seats.left_by is
    'moved to another key; nobody else sits here before their last lease on this key has ended';
create unique index pool_seats_one_per_user on pool_seats (user_id, store) where user_id is not null;

create table pool_slots (
    key_id bigint not null references pool_keys on delete cascade,
    slot_no int not null,
    store text not null,
    user_id bigint references pool_users on delete set null,
    device_id bigint references pool_devices on delete set null,
    lease_id uuid,
    expires_at timestamptz not null default '-infinity',
    hard_until timestamptz not null default '-infinity',
    fence bigint not null default 0,
    closed_until timestamptz not null default '-infinity',
    network bytea,
    media text,
    primary key (key_id, slot_no)
) with (fillfactor = 70);
comment on table pool_slots is 'one row for each play that a key may serve at once; free when expired';
comment on column pool_slots.hard_until is 'a lease is not renewed past this';
comment on column pool_slots.fence is 'grows with every grant and renewal; a stale one changes nothing';
create unique index pool_slots_one_per_device on pool_slots (device_id, store) where device_id is not null;
create unique index pool_slots_by_lease on pool_slots (lease_id) where lease_id is not null;
create index pool_slots_by_user on pool_slots (user_id) where user_id is not null;

create table pool_user_days (
    user_id bigint not null references pool_users on delete cascade,
    day date not null,
    plays int not null default 0,
    bytes bigint not null default 0,
    primary key (user_id, day)
);

create table pool_usage_logs (
    event_id uuid not null,
    day date not null,
    at timestamptz not null,
    user_id bigint,
    device_id bigint,
    key_id bigint,
    store text,
    action text not null,
    info_hash text,
    media text,
    cached boolean,
    bytes bigint,
    size_bytes bigint,
    quality text,
    primary key (event_id, day)
) partition by range (day);
comment on column pool_usage_logs.day is
    'of the event''s own time, however wrong, so that a repeat finds the row; at is made plausible';
create index pool_usage_logs_by_user on pool_usage_logs (user_id, at);
create index pool_usage_logs_by_time on pool_usage_logs using brin (at);
create table pool_usage_logs_default partition of pool_usage_logs default;

create table audit_log (
    seq bigint primary key,
    at timestamptz not null,
    actor text not null,
    action text not null,
    subject text not null,
    detail jsonb not null,
    prev bytea not null,
    mac bytea not null
);
comment on table audit_log is 'each row''s mac covers the row before it, so none can be changed or cut out';

-- What the server knows of titles and torrents.

create table titles (
    id text primary key,
    body jsonb not null,
    is_seeded boolean not null default false,
    fetched_at timestamptz not null default now()
);
comment on table titles is 'last good answer of the metadata services, by MediaId.title_id';

create table torrents (
    info_hash text primary key check (info_hash ~ '^[0-9a-f]{40}$'),
    name text not null,
    size_bytes bigint,
    seeders int,
    tracker text not null default '',
    trackers text[] not null default '{}',
    parser_version smallint not null,
    title text not null,
    titles_norm text[] not null,
    year int,
    country text not null,
    resolution smallint not null,
    source smallint not null,
    codec smallint not null,
    hdr int not null,
    audio int not null,
    channels smallint not null,
    languages text[] not null,
    seasons int[] not null,
    episodes int[] not null,
    aired_on date,
    flags int not null,
    release_group text not null,
    container text not null,
    seen_at timestamptz not null default now()
);
comment on column torrents.resolution is 'this and its like: codes of addon/titles/vocabulary.py';

create table torrent_files (
    info_hash text not null references torrents on delete cascade,
    path text not null,
    size_bytes bigint,
    primary key (info_hash, path)
);
comment on table torrent_files is 'the whole file list of a torrent, once somebody has shown it';

create table torrent_media (
    title_id text not null,
    info_hash text not null references torrents on delete cascade,
    scope text not null default '',
    by_id boolean not null,
    primary key (title_id, info_hash, scope)
);
comment on table torrent_media is 'which torrents were found for which title';
comment on column torrent_media.scope is 'empty: for all; else the digest of one user''s indexer';
comment on column torrent_media.by_id is 'a source matched it by id, not only by its name';
create index torrent_media_by_hash on torrent_media (info_hash);

create table torrent_hints (
    info_hash text not null references torrents on delete cascade,
    media text not null,
    path text not null,
    size_bytes bigint,
    primary key (info_hash, media)
);
comment on table torrent_hints is 'the file of a pack that a source points at for one episode';

create table searches (
    media text not null,
    source text not null,
    found int not null,
    searched_at timestamptz not null,
    primary key (media, source)
);
comment on table searches is 'when a source last answered for a film or an episode';

create table availability (
    store text not null,
    info_hash text not null,
    is_cached boolean not null,
    evidence text not null,
    checked_at timestamptz not null,
    primary key (store, info_hash)
);

create table account_items (
    store text not null,
    account text not null,
    info_hash text not null,
    torrent_id text not null,
    added_at timestamptz not null default now(),
    used_at timestamptz not null default now(),
    primary key (store, account, info_hash)
);
comment on table account_items is 'what we found or added in which account';
comment on column account_items.account is 'key:<pool key id>, or the digest of an own token';

create table saved_configs (
    id_digest bytea primary key check (octet_length(id_digest) = 32),
    key_id text not null,
    sealed bytea not null,
    owner text,
    password_digest bytea,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    used_at timestamptz not null default now()
);
comment on table saved_configs is 'sealed under APP_SECRET; whoever has the id may use one';
comment on column saved_configs.id_digest is 'SHA-256: the id itself stands in addon URLs only';
comment on column saved_configs.key_id is 'which key of the ring has sealed it';
comment on column saved_configs.owner is 'ref of the pool user that it was saved with';
comment on column saved_configs.password_digest is 'salt and scrypt digest; null: none was chosen';
comment on column saved_configs.used_at is 'by the day';
create index saved_configs_by_owner on saved_configs (owner) where owner is not null;

-- Admission: which key may this device of this user use? One round trip, exact whoever else asks.
--
-- Every change to what a user holds happens under the lock on the user's row, so counts of the
-- user's own devices and streams are exact. Seats and slots are rows: taking one is an UPDATE of a
-- free row found with SKIP LOCKED, so no key ever serves one more than it has rows.
--
-- Whoever waits for locks takes them in this order, so that nobody waits in a circle: user, key,
-- own seat or the seats of a key by number, own slots or the slots of a key or a user by key and
-- number, then the lock on a key's network. Free seats and slots are never waited for. The lock on
-- a network is kept by whoever has found a slot, and then waits for nothing more.

create type pool_verdict as (
    code text,                     -- null: allowed
    user_id bigint,
    user_ref uuid,
    device_id bigint,
    device_count int,
    device_limit int,
    key_id bigint,
    secret_version int,
    secret bytea,
    kek_id text,
    lease_id uuid,
    fence bigint,
    lease_expires_at timestamptz,
    limit_value int,               -- of the limit that was reached
    until timestamptz              -- when that limit may ease
);

-- The device behind the prints (the present one first, then what it was under older secrets).
-- Seats it when p_seat, else only says whether it would be seated.
create function pool_seat_device(
    p_user pool_users, p_prints bytea[], p_class text, p_now timestamptz, p_seat boolean,
    out code text, out device_id bigint, out devices int
) language plpgsql as $$
declare
    v_device pool_devices;
    v_today date := (p_now at time zone 'utc')::date;
begin
    select d.* into v_device
    from pool_device_prints p join pool_devices d on d.id = p.device_id
    where p.user_id = p_user.id and p.print = any (p_prints)
    order by array_position(p_prints, p.print) limit 1;
    devices := (
        select count(*) from pool_devices d
        where d.user_id = p_user.id and d.revoked_at is null
          and d.last_seen_at > p_now - interval '30 days'
    );
    if v_device.revoked_at is not null then
        code := 'device_limit';
        return;
    end if;
    if v_device.id is not null then
        device_id := v_device.id;
        if v_device.last_seen_at <= p_now - interval '30 days' then
            devices := devices + 1;  -- back again
        end if;
        if p_seat and v_device.last_seen_at <= p_now - interval '5 minutes' then
            update pool_devices d set last_seen_at = p_now where d.id = v_device.id;
        end if;
        if p_seat then
            insert into pool_device_prints (user_id, print, device_id)
            values (p_user.id, p_prints[1], v_device.id) on conflict do nothing;
        end if;
        return;
    end if;

    -- A device of this class that has been quiet: it came back under another address.
    select d.* into v_device from pool_devices d
    where d.user_id = p_user.id and d.revoked_at is null and d.class = p_class and p_class <> ''
      and d.last_seen_at <= p_now - interval '10 minutes'
      and d.last_seen_at > p_now - interval '30 days'
      and not (d.moved_on is not distinct from v_today and d.moves >= 6)
    order by d.last_seen_at desc limit 1;
    if v_device.id is not null then
        device_id := v_device.id;
        if p_seat then
            update pool_devices d
            set last_seen_at = p_now, moved_on = v_today,
                moves = case when d.moved_on = v_today then d.moves + 1 else 1 end
            where d.id = v_device.id;
            insert into pool_device_prints (user_id, print, device_id)
            values (p_user.id, p_prints[1], v_device.id) on conflict do nothing;
        end if;
        return;
    end if;

    if p_seat then
        -- Devices that go leave their slots: these are locked first, and in order.
        perform from pool_slots s where s.user_id = p_user.id
        order by s.key_id, s.slot_no for update;
    end if;
    if devices >= p_user.max_devices then
        -- The one that was idle longest gives way, twice a day at most.
        select d.* into v_device from pool_devices d
        where d.user_id = p_user.id and d.revoked_at is null
          and d.last_seen_at <= p_now - interval '24 hours'
          and not (p_user.replaced_on is not distinct from v_today and p_user.replaced >= 2)
        order by d.last_seen_at limit 1;
        if v_device.id is null then
            code := 'device_limit';
            return;
        end if;
        if p_seat then
            update pool_users u
            set replaced_on = v_today,
                replaced = case when u.replaced_on = v_today then u.replaced + 1 else 1 end
            where u.id = p_user.id;
            delete from pool_devices d where d.id = v_device.id;
            devices := devices - 1;
        end if;
    end if;
    if p_seat then
        delete from pool_devices d
        where d.user_id = p_user.id and d.revoked_at is null
          and d.last_seen_at <= p_now - interval '30 days';
        insert into pool_devices (user_id, class, first_seen_at, last_seen_at)
        values (p_user.id, p_class, p_now, p_now) returning id into device_id;
        insert into pool_device_prints (user_id, print, device_id)
        values (p_user.id, p_prints[1], device_id);
        devices := devices + 1;
    end if;
end $$;

-- Gives the seats of users whose time is over to others.
create function pool_free_seats(p_store text, p_now timestamptz) returns void
language plpgsql as $$
declare
    v_seat record;
begin
    for v_seat in
        select s.key_id, s.seat_no
        from pool_users u join pool_seats s on s.user_id = u.id  -- pool_users_by_end
        where u.expires_at <= p_now and s.store = p_store
        for update of s skip locked
    loop
        update pool_seats s set user_id = null, taken_at = null, left_by = s.user_id
        where s.key_id = v_seat.key_id and s.seat_no = v_seat.seat_no;
    end loop;
end $$;

-- Whether who left a seat of a key has ended the last lease there. Leases that could be renewed
-- meanwhile are locked; one that somebody else has locked counts as live.
create function pool_has_gone(p_key_id bigint, p_user_id bigint) returns boolean
language plpgsql as $$
declare
    v_locked int;
    v_now timestamptz;
begin
    select count(*) into v_locked from (
        select from pool_slots s
        where s.key_id = p_key_id and s.user_id = p_user_id for update skip locked
    ) locked;
    v_now := clock_timestamp();
    return (
        select count(*) = v_locked and coalesce(max(s.expires_at) <= v_now, true)
        from pool_slots s where s.key_id = p_key_id and s.user_id = p_user_id
    );
end $$;

-- A free seat for a user, on a key that is open: own keys first, then by priority, then where
-- fewest sit. With p_slot also a key with a slot for the device. Locks the seat when p_lock; rows
-- that somebody else has locked are passed over.
create function pool_find_seat(
    p_user_id bigint, p_device_id bigint, p_store text, p_now timestamptz, p_exclude bigint[],
    p_slot boolean, p_lock boolean, out key_id bigint, out seat_no int
) language plpgsql as $$
declare
    v_key bigint;
    v_seat pool_seats;
begin
    for v_key in
        select k.id from pool_keys k
        where k.store = p_store and k.closed_until <= p_now and k.id <> all (p_exclude)
          and (k.owner_user_id is null or k.owner_user_id = p_user_id)
          and exists (
              select from pool_seats s
              where s.key_id = k.id and s.user_id is null and s.closed_until <= p_now
                and (s.left_by is null or s.left_by = p_user_id or not exists (
                    select from pool_slots l
                    where l.key_id = k.id and l.user_id = s.left_by and l.expires_at > p_now)))
          and (not p_slot or exists (
              select from pool_slots s
              where s.key_id = k.id and s.closed_until <= p_now
                and (s.expires_at <= p_now or s.device_id = p_device_id)))
        order by k.owner_user_id is null, k.priority desc,
            (select count(*) from pool_seats s where s.key_id = k.id and s.user_id is not null),
            k.id
    loop
        if not p_lock then
            key_id := v_key;
            return;
        end if;
        -- The seat that the user has left is the best: another one would be a second one held.
        select s.* into v_seat from pool_seats s
        where s.key_id = v_key and s.user_id is null and s.closed_until <= p_now
          and (s.left_by is null or s.left_by = p_user_id or not exists (
              select from pool_slots l
              where l.key_id = v_key and l.user_id = s.left_by and l.expires_at > p_now))
        order by s.left_by is distinct from p_user_id, s.left_by is not null, s.seat_no
        limit 1 for update skip locked;
        if v_seat.left_by is null or v_seat.left_by = p_user_id
            or pool_has_gone(v_key, v_seat.left_by)
        then
            key_id := v_seat.key_id;
            seat_no := v_seat.seat_no;
        end if;
        exit when key_id is not null;
    end loop;
end $$;

-- Seats a user on the seat that was found. The seat of before is others' only once the user
-- streams there no more.
create function pool_move_seat(
    p_user_id bigint, p_from pool_seats, p_key_id bigint, p_seat_no int, p_now timestamptz
) returns void language sql as $$
    update pool_seats s set user_id = null, taken_at = null, left_by = p_user_id
    where s.key_id = (p_from).key_id and s.seat_no = (p_from).seat_no;
    update pool_seats s set user_id = p_user_id, taken_at = p_now, left_by = null
    where s.key_id = p_key_id and s.seat_no = p_seat_no;
$$;

-- A free slot of an open key, or the device's own one there; locked.
create function pool_lock_slot(p_key_id bigint, p_device_id bigint, out slot_no int)
language plpgsql as $$
declare
    v_now timestamptz := clock_timestamp();
begin
    select s.slot_no into slot_no from pool_slots s
    where s.key_id = p_key_id and s.closed_until <= v_now
      and (s.expires_at <= v_now or s.device_id = p_device_id)
    order by s.device_id is distinct from p_device_id, s.expires_at, s.slot_no
    limit 1 for update skip locked;
end $$;

-- A slot of a key for a viewer's network: the one given, which the caller has locked, or any free
-- one. A key for one network at a time is looked at under a lock of its own, so that two networks
-- cannot slip in together. Without a slot that lock is let go of, which takes an error inside a
-- block: two users who try several such keys in different orders would else wait for each other.
create function pool_find_slot(
    p_key_id bigint, p_device_id bigint, p_network bytea, p_given int,
    out slot_no int, out is_conflict boolean
) language plpgsql as $$
begin
    is_conflict := false;
    if (select k.network_policy from pool_keys k where k.id = p_key_id) = 'any' then
        slot_no := coalesce(p_given, pool_lock_slot(p_key_id, p_device_id));
        return;
    end if;
    begin
        perform pg_advisory_xact_lock(hashtext('pool_key_network'), p_key_id::int);
        is_conflict := exists (
            select from pool_slots s
            where s.key_id = p_key_id and s.expires_at > clock_timestamp()
              and s.device_id is distinct from p_device_id
              and s.network is distinct from p_network);
        if not is_conflict then
            slot_no := coalesce(p_given, pool_lock_slot(p_key_id, p_device_id));
        end if;
        if slot_no is null then
            raise sqlstate 'CP001';
        end if;
    exception when sqlstate 'CP001' then
        null;
    end;
end $$;

-- Whether a further stream of a user would take one of the last slots (a tenth, at least one)
-- from somebody else who may want it. First streams may take the last slot. Slots that are closed,
-- or of a key that serves its owner only, are nobody else's to want.
create function pool_is_scarce(p_user_id bigint, p_store text, p_now timestamptz) returns boolean
language sql as $$
    select exists (
        select from pool_seats s join pool_keys k on k.id = s.key_id
        where s.store = p_store and s.user_id <> p_user_id and k.owner_user_id is null
    ) and not exists (
        select from pool_keys k join pool_slots s on s.key_id = k.id
        where k.store = p_store and k.owner_user_id = p_user_id
          and s.expires_at <= p_now and s.closed_until <= p_now
    ) and (
        select count(*) > 0
            and count(*) filter (where s.expires_at <= p_now) <= greatest(1, count(*) / 10)
        from pool_slots s join pool_keys k on k.id = s.key_id
        where s.store = p_store and k.owner_user_id is null and s.closed_until <= p_now
    )
$$;

-- When the first lease at a store ends.
create function pool_next_end(p_store text, p_now timestamptz) returns timestamptz
language sql as $$
    select min(s.expires_at) from pool_slots s where s.store = p_store and s.expires_at > p_now
$$;

-- Takes or renews the lease of a device. The caller has locked the user's row and seat.
create function pool_take_lease(
    p_user pool_users, p_seat pool_seats, p_device_id bigint, p_store text, p_network bytea,
    p_media text, p_size_bytes bigint, p_exclude bigint[], p_play_for interval,
    p_play_at_most interval,
    out code text, out key_id bigint, out lease_id uuid, out fence bigint,
    out expires_at timestamptz, out limit_value int, out until timestamptz
) language plpgsql as $$
declare
    v_now timestamptz;
    v_today date;
    v_own pool_slots;
    v_is_live boolean;
    v_is_same_play boolean;
    v_sits boolean;
    v_key bigint;
    v_seat_no int;
    v_slot_no int;
    v_is_conflict boolean;
    v_conflicts bigint[] := '{}';
    v_tried bigint[];
    v_streams int;
    v_plays int;
    v_size_bytes bigint := greatest(coalesce(p_size_bytes, 0), 0);
begin
    -- All that the device holds: it plays one thing at a time, at whichever store.
    perform from pool_slots s where s.device_id = p_device_id
    order by s.key_id, s.slot_no for update;
    select * into v_own from pool_slots s where s.device_id = p_device_id and s.store = p_store;
    -- Read only now: a lease that ended, or a key that closed, while we waited for a lock is known.
    v_now := clock_timestamp();
    v_today := (v_now at time zone 'utc')::date;
    v_is_live := v_own.key_id is not null and v_own.expires_at > v_now and v_own.hard_until > v_now;
    -- A play that a failing key has cut off (no lease is left, the media is) goes on elsewhere.
    v_is_same_play := v_own.key_id is not null and v_own.hard_until > v_now
        and (v_is_live or v_own.lease_id is null) and v_own.media is not distinct from p_media;

    if v_is_live and v_is_same_play and v_own.key_id <> all (p_exclude) then
        v_slot_no := v_own.slot_no;
        if v_own.network is distinct from p_network then
            select f.slot_no into v_slot_no
            from pool_find_slot(v_own.key_id, p_device_id, p_network, v_own.slot_no) f;
        end if;
        if v_slot_no is not null then
            update pool_slots s
            set fence = s.fence + 1, expires_at = least(v_now + p_play_for, s.hard_until),
                network = p_network
            where s.key_id = v_own.key_id and s.slot_no = v_slot_no
            returning s.key_id, s.lease_id, s.fence, s.expires_at
            into key_id, lease_id, fence, expires_at;
            return;
        end if;
        v_conflicts := array[v_own.key_id];
    end if;

    select count(*), min(s.expires_at) into v_streams, until from pool_slots s
    where s.user_id = p_user.id and s.expires_at > v_now
      and s.device_id is distinct from p_device_id;
    if v_streams >= p_user.max_streams then
        code := 'stream_limit';
        limit_value := p_user.max_streams;
        return;
    end if;
    if v_streams > 0 and not v_is_live and pool_is_scarce(p_user.id, p_store, v_now) then
        code := 'pool_busy';
        until := pool_next_end(p_store, v_now);
        return;
    end if;
    until := null;

    if not v_is_same_play then
        v_plays := (
            select d.plays from pool_user_days d where d.user_id = p_user.id and d.day = v_today);
        if v_plays >= p_user.plays_per_day then
            code := 'quota_exceeded';
            limit_value := p_user.plays_per_day;
        elsif p_user.bytes_per_month is not null and p_user.bytes_per_month < v_size_bytes + (
            select coalesce(sum(d.bytes), 0) from pool_user_days d
            where d.user_id = p_user.id and d.day > v_today - 30)
        then
            code := 'quota_exceeded';
        end if;
        if code is not null then
            until := (v_today + 1)::timestamp at time zone 'utc';
            return;
        end if;
    end if;

    -- The key the user sits on, then every other one that has a free seat and a free slot.
    v_sits := (p_seat).key_id is not null and (p_seat).closed_until <= v_now
        and (p_seat).key_id <> all (p_exclude);
    if not v_sits then
        perform pool_free_seats(p_store, v_now);
    end if;
    for v_round in 1..4 loop
        v_tried := p_exclude || v_conflicts;
        v_key := null;
        if v_sits and (p_seat).key_id <> all (v_conflicts) then
            v_key := (p_seat).key_id;
            v_seat_no := (p_seat).seat_no;
        end if;
        loop
            if v_key is null then
                select f.key_id, f.seat_no into v_key, v_seat_no
                from pool_find_seat(p_user.id, p_device_id, p_store, v_now, v_tried, true, true) f;
                exit when v_key is null;
            end if;
            select f.slot_no, f.is_conflict into v_slot_no, v_is_conflict
            from pool_find_slot(v_key, p_device_id, p_network, null) f;
            exit when v_slot_no is not null;
            if v_is_conflict then
                v_conflicts := v_conflicts || v_key;
            end if;
            v_tried := v_tried || v_key;
            v_key := null;
        end loop;
        exit when v_slot_no is not null;
        -- Nothing found may mean that others hold the rows locked and will let some go.
        v_now := clock_timestamp();
        exit when not exists (
            select from pool_slots s
            where v_sits and s.key_id = (p_seat).key_id and s.key_id <> all (v_conflicts)
              and s.expires_at <= v_now and s.closed_until <= v_now)
        and not exists (
            select from pool_find_seat(p_user.id, p_device_id, p_store, v_now,
                p_exclude || v_conflicts, true, false) f
            where f.key_id is not null);
        perform pg_sleep(0.005 * v_round);
        v_now := clock_timestamp();
    end loop;

    if v_slot_no is null then
        code := case
            when v_conflicts <> '{}' then 'network_conflict'
            when v_sits then 'pool_busy'
            when exists (
                select from pool_find_seat(p_user.id, p_device_id, p_store, v_now, p_exclude,
                    false, false) f
                where f.key_id is not null) then 'pool_busy'
            else 'no_key' end;
        if code = 'pool_busy' then
            until := pool_next_end(p_store, v_now);
        end if;
        return;
    end if;

    if v_key is distinct from (p_seat).key_id then
        perform pool_move_seat(p_user.id, p_seat, v_key, v_seat_no, v_now);
    end if;
    update pool_slots s
    set user_id = null, device_id = null, lease_id = null, expires_at = least(s.expires_at, v_now)
    where s.device_id = p_device_id and (s.key_id, s.slot_no) is distinct from (v_key, v_slot_no);
    update pool_slots s
    set user_id = p_user.id, device_id = p_device_id, lease_id = gen_random_uuid(),
        fence = s.fence + 1, expires_at = v_now + p_play_for, hard_until = v_now + p_play_at_most,
        network = p_network, media = p_media
    where s.key_id = v_key and s.slot_no = v_slot_no
    returning s.key_id, s.lease_id, s.fence, s.expires_at
    into key_id, lease_id, fence, expires_at;
    if not v_is_same_play then
        insert into pool_user_days as d (user_id, day, plays, bytes)
        values (p_user.id, v_today, 1, v_size_bytes)
        on conflict (user_id, day)
        do update set plays = d.plays + 1, bytes = d.bytes + excluded.bytes;
    end if;
end $$;

-- Seats a user who has no seat of use; null when there is none.
create function pool_take_seat(
    p_user_id bigint, p_seat pool_seats, p_device_id bigint, p_store text, p_exclude bigint[],
    out key_id bigint
) language plpgsql as $$
declare
    v_now timestamptz;
    v_seat_no int;
begin
    for v_round in 1..4 loop
        v_now := clock_timestamp();
        select f.key_id, f.seat_no into key_id, v_seat_no
        from pool_find_seat(p_user_id, p_device_id, p_store, v_now, p_exclude, false, true) f;
        exit when key_id is not null;
        exit when not exists (
            select from pool_find_seat(p_user_id, p_device_id, p_store, v_now, p_exclude,
                false, false) f
            where f.key_id is not null);
        perform pg_sleep(0.005 * v_round);
    end loop;
    if key_id is not null then
        perform pool_move_seat(p_user_id, p_seat, key_id, v_seat_no, v_now);
    end if;
end $$;

-- Ends the leases of a key, a user or a device. A stale fence then changes nothing. Device and
-- media stay, so that a play whose key failed is known when it goes on with another.
create function pool_cut_leases(p_key_id bigint, p_user_id bigint, p_device_id bigint)
returns void language plpgsql as $$
begin
    perform from pool_slots s
    where s.key_id = p_key_id or s.user_id = p_user_id or s.device_id = p_device_id
    order by s.key_id, s.slot_no for update;
    update pool_slots s
    set lease_id = null, fence = s.fence + 1, expires_at = least(s.expires_at, clock_timestamp())
    where s.key_id = p_key_id or s.user_id = p_user_id or s.device_id = p_device_id;
end $$;

-- Sets how long a key takes nobody new, on its seats and slots, which admission locks.
create function pool_close_places(p_key_id bigint, p_until timestamptz) returns void
language plpgsql as $$
begin
    perform from pool_seats s where s.key_id = p_key_id order by s.seat_no for update;
    update pool_seats s set closed_until = p_until where s.key_id = p_key_id;
    perform from pool_slots s where s.key_id = p_key_id order by s.slot_no for update;
    update pool_slots s set closed_until = p_until where s.key_id = p_key_id;
end $$;

-- Takes all from a user whose row the caller has locked: seats and leases.
create function pool_shut_out(p_user_id bigint) returns void language plpgsql as $$
begin
    perform from pool_seats s where s.user_id = p_user_id order by s.key_id, s.seat_no for update;
    update pool_seats s set user_id = null, taken_at = null where s.user_id = p_user_id;
    perform pool_cut_leases(null, p_user_id, null);
end $$;

-- The way in. p_action: 'check' refuses what a play would and changes nothing, 'init' seats the
-- device and the user, 'play' also takes or renews the lease. p_keks: the encryption keys that the
-- caller has; what is sealed with another one is out of reach.
create function pool_admit(
    p_auth_hash bytea, p_ref uuid, p_store text, p_prints bytea[], p_class text, p_action text,
    p_network bytea, p_media text, p_size_bytes bigint, p_exclude bigint[], p_keks text[],
    p_play_for interval, p_play_at_most interval
) returns pool_verdict language plpgsql as $$
declare
    v pool_verdict;
    v_user pool_users;
    v_seat pool_seats;
    v_now timestamptz;
    v_prints bytea[];
    v_locked bigint[];
begin
    if p_ref is not null then
        select * into v_user from pool_users u where u.ref = p_ref;
    else
        select u.* into v_user from pool_user_auths a join pool_users u on u.id = a.user_id
        where a.auth_hash = p_auth_hash
          and (a.expires_at is null or a.expires_at > clock_timestamp());
    end if;
    if v_user.id is not null and p_action <> 'check' then
        select * into v_user from pool_users u where u.id = v_user.id for no key update;
        select * into v_seat from pool_seats s
        where s.user_id = v_user.id and s.store = p_store for update;
    else
        select * into v_seat from pool_seats s where s.user_id = v_user.id and s.store = p_store;
    end if;
    -- Read only now: a clock read before the wait for the locks could free a slot that a later
    -- caller has just taken.
    v_now := clock_timestamp();
    v.user_id := v_user.id;
    v.user_ref := v_user.ref;
    v.device_limit := v_user.max_devices;
    v.device_count := 0;
    v.code := case
        when v_user.id is null then 'unknown_user'
        when v_user.disabled_at is not null then 'user_disabled'
        when v_user.expires_at <= v_now then 'user_expired'
        when p_store <> all (v_user.stores) then 'store_not_allowed' end;
    if v.code is not null then
        return v;
    end if;

    v_locked := array(
        select k.id from pool_keys k
        where k.store = p_store and k.kek_id <> all (p_keks)
          and k.state not in ('disabled', 'retired')
          and (k.owner_user_id is null or k.owner_user_id = v_user.id));
    if v_locked <> '{}' and not exists (
        select from pool_keys k
        where k.store = p_store and k.kek_id = any (p_keks)
          and k.state not in ('disabled', 'retired')
          and (k.owner_user_id is null or k.owner_user_id = v_user.id))
    then
        -- Before the device: its prints are keyed, too, and would be those of a stranger.
        v.code := 'locked';
        return v;
    end if;
    p_exclude := p_exclude || v_locked;

    -- The user is part of the print, so that one device seen with two users cannot be linked.
    v_prints := array(
        select sha256(print || uuid_send(v_user.ref))
        from unnest(p_prints) with ordinality as given (print, place) order by place);
    select d.code, d.device_id, d.devices into v.code, v.device_id, v.device_count
    from pool_seat_device(v_user, v_prints, p_class, v_now, p_action <> 'check') d;
    if v.code is not null then
        v.limit_value := v_user.max_devices;
        return v;
    end if;

    if p_action = 'play' then
        select l.code, l.key_id, l.lease_id, l.fence, l.expires_at, l.limit_value, l.until
        into v.code, v.key_id, v.lease_id, v.fence, v.lease_expires_at, v.limit_value, v.until
        from pool_take_lease(v_user, v_seat, v.device_id, p_store, p_network, p_media,
            p_size_bytes, p_exclude, p_play_for, p_play_at_most) l;
    elsif v_seat.closed_until <= v_now and v_seat.key_id <> all (p_exclude) then
        v.key_id := v_seat.key_id;
    else
        perform pool_free_seats(p_store, v_now);
        if p_action = 'init' then
            v.key_id := pool_take_seat(v_user.id, v_seat, v.device_id, p_store, p_exclude);
        end if;
        if v.key_id is null then
            select f.key_id into v.key_id
            from pool_find_seat(v_user.id, v.device_id, p_store, v_now, p_exclude, false, false) f;
            v.code := case
                when v.key_id is null then 'no_key'
                when p_action = 'init' then 'pool_busy' end;
        end if;
    end if;
    if v.code is null then
        select k.secret_version, k.secret, k.kek_id into v.secret_version, v.secret, v.kek_id
        from pool_keys k where k.id = v.key_id;
    end if;
    return v;
end $$;

-- The usage log by days.

-- Makes the daily partitions around a day. Rows that came before their partition are moved out of
-- the default one, which is why this is not a plain CREATE ... PARTITION OF.
create function pool_usage_make_partitions(p_first date, p_last date) returns int
language plpgsql as $$
declare
    v_day date;
    v_name text;
    v_made int := 0;
begin
    -- One at a time, also with the dropping of days.
    perform pg_advisory_xact_lock(hashtext('pool_usage_partitions'));
    for v_day in select generate_series(p_first, p_last, interval '1 day')::date loop
        v_name := 'pool_usage_logs_' || to_char(v_day, 'YYYYMMDD');
        if to_regclass(v_name) is null then
            -- Writers wait here: a row for this day must not come into the default partition
            -- behind our back, and one that repeats a row which we move must not wait for us
            -- while we wait for it.
            lock table pool_usage_logs in share row exclusive mode;
            execute format('create table %I (like pool_usage_logs including defaults)', v_name);
            execute format(
                'with moved as (delete from pool_usage_logs_default where day = %L returning *)
                 insert into %I select * from moved', v_day, v_name);
            execute format(
                'alter table pool_usage_logs attach partition %I for values from (%L) to (%L)',
                v_name, v_day, v_day + 1);
            v_made := v_made + 1;
        end if;
    end loop;
    return v_made;
end $$;

-- Drops whole days of usage that are older than the given day, and what of that age has come into
-- the default partition.
create function pool_usage_drop_partitions(p_before date) returns int
language plpgsql as $$
declare
    v_name text;
    v_dropped int := 0;
begin
    perform pg_advisory_xact_lock(hashtext('pool_usage_partitions'));
    for v_name in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'pool_usage_logs'::regclass
          and c.relname ~ '^pool_usage_logs_\d{8}$'
          and to_date(right(c.relname, 8), 'YYYYMMDD') < p_before
    loop
        execute format('drop table %I', v_name);
        v_dropped := v_dropped + 1;
    end loop;
    delete from pool_usage_logs_default d
    where d.day < p_before or d.at < p_before::timestamp at time zone 'utc';
    return v_dropped;
end $$;
