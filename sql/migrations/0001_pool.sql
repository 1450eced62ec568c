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
