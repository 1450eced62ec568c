-- Admission: which key may this device of this user use? One round trip, exact under any concurrency.
--
-- Every change to what a user holds happens under the lock on the user's row, so counts of the
-- user's own devices and streams are exact. Seats and slots are rows: taking one is an UPDATE of a
-- free row found with SKIP LOCKED, so no key ever serves one more than it has rows. Locks are taken
-- in the order user, device and print, own seat, own slot, user day, free seat and slot; the last
-- two never wait, so no two admissions can block each other in a circle.

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

-- A free seat for a user, on a key that is open: own keys first, then by priority, then where
-- fewest sit. With p_slot also a key with a free slot. Locks the seat when p_lock; rows that
-- somebody else has locked are passed over.
create function pool_find_seat(
    p_user_id bigint, p_store text, p_now timestamptz, p_exclude bigint[], p_slot boolean,
    p_lock boolean, out key_id bigint, out seat_no int
) language plpgsql as $$
declare
    v_key bigint;
begin
    for v_key in
        select k.id from pool_keys k
        where k.store = p_store and k.closed_until <= p_now and k.id <> all (p_exclude)
          and (k.owner_user_id is null or k.owner_user_id = p_user_id)
          and exists (
              select from pool_seats s
              where s.key_id = k.id and s.user_id is null and s.closed_until <= p_now)
          and (not p_slot or exists (
              select from pool_slots s
              where s.key_id = k.id and s.expires_at <= p_now and s.closed_until <= p_now))
        order by k.owner_user_id is null, k.priority desc,
            (select count(*) from pool_seats s where s.key_id = k.id and s.user_id is not null),
            k.id
    loop
        if p_lock then
            select s.key_id, s.seat_no into key_id, seat_no from pool_seats s
            where s.key_id = v_key and s.user_id is null and s.closed_until <= p_now
            order by s.seat_no limit 1 for update skip locked;
        else
            key_id := v_key;
        end if;
        exit when key_id is not null;
    end loop;
end $$;

-- A free slot of a key, locked. A key for one network at a time is looked at under a lock of its
-- own, so that two networks cannot slip in together.
create function pool_find_slot(
    p_key_id bigint, p_device_id bigint, p_network bytea, p_now timestamptz,
    out slot_no int, out is_conflict boolean
) language plpgsql as $$
begin
    is_conflict := false;
    if (select network_policy from pool_keys where id = p_key_id) = 'single_network' then
        perform pg_advisory_xact_lock(hashtext('pool_key_network'), p_key_id::int);
        is_conflict := exists (
            select from pool_slots s
            where s.key_id = p_key_id and s.expires_at > p_now
              and s.device_id is distinct from p_device_id
              and s.network is distinct from p_network);
        if is_conflict then
            return;
        end if;
    end if;
    select s.slot_no into slot_no from pool_slots s
    where s.key_id = p_key_id and s.closed_until <= p_now
      and (s.expires_at <= p_now or s.device_id = p_device_id)
    order by s.device_id is distinct from p_device_id, s.expires_at, s.slot_no
    limit 1 for update skip locked;
end $$;

-- Whether a further stream of a user would take one of the last slots (a tenth, at least one)
-- from somebody else who may want it. First streams may take the last slot.
create function pool_is_scarce(p_user_id bigint, p_store text, p_now timestamptz) returns boolean
language sql as $$
    select exists (
        select from pool_seats s
        where s.store = p_store and s.user_id <> p_user_id
    ) and (
        select count(*) filter (where s.expires_at <= p_now and s.closed_until <= p_now)
            <= greatest(1, count(*) / 10)
        from pool_slots s where s.store = p_store
    )
$$;

-- Takes or renews the lease of a device. The user's row is locked by the caller.
create function pool_take_lease(
    p_user pool_users, p_device_id bigint, p_store text, p_now timestamptz, p_network bytea,
    p_media text, p_size_bytes bigint, p_exclude bigint[], p_play_for interval,
    p_play_at_most interval,
    out code text, out key_id bigint, out lease_id uuid, out fence bigint,
    out expires_at timestamptz, out limit_value int, out until timestamptz
) language plpgsql as $$
declare
    v_seat pool_seats;
    v_own pool_slots;
    v_key bigint;
    v_seat_no int;
    v_slot_no int;
    v_tried bigint[];
    v_sits boolean;
    v_is_conflict boolean;
    v_met_conflict boolean := false;
    v_day pool_user_days;
    v_today date := (p_now at time zone 'utc')::date;
begin
    select * into v_seat from pool_seats s
    where s.store = p_store and s.user_id = p_user.id for update;
    select * into v_own from pool_slots s
    where s.store = p_store and s.device_id = p_device_id for update;

    if v_own.expires_at > p_now and v_own.hard_until > p_now
        and v_own.key_id <> all (p_exclude) and v_own.media is not distinct from p_media
    then
        update pool_slots s
        set fence = s.fence + 1, expires_at = least(p_now + p_play_for, s.hard_until)
        where s.key_id = v_own.key_id and s.slot_no = v_own.slot_no
        returning s.key_id, s.lease_id, s.fence, s.expires_at
        into key_id, lease_id, fence, expires_at;
        return;
    end if;

    select count(*), min(s.expires_at) into limit_value, until from pool_slots s
    where s.user_id = p_user.id and s.expires_at > p_now
      and s.device_id is distinct from p_device_id;
    if limit_value >= p_user.max_streams then
        code := 'stream_limit';
        limit_value := p_user.max_streams;
        return;
    end if;
    if limit_value > 0 and pool_is_scarce(p_user.id, p_store, p_now) then
        code := 'pool_busy';
        return;
    end if;
    limit_value := null;
    until := null;

    select * into v_day from pool_user_days d
    where d.user_id = p_user.id and d.day = v_today for update;
    if coalesce(v_day.plays, 0) >= p_user.plays_per_day then
        code := 'quota_exceeded';
        limit_value := p_user.plays_per_day;
        until := (v_today + 1)::timestamp at time zone 'utc';
        return;
    end if;
    if p_user.bytes_per_month is not null and p_user.bytes_per_month < coalesce(p_size_bytes, 0) + (
        select coalesce(sum(d.bytes), 0) from pool_user_days d
        where d.user_id = p_user.id and d.day > v_today - 30)
    then
        code := 'quota_exceeded';
        until := (v_today + 1)::timestamp at time zone 'utc';
        return;
    end if;

    -- The key the user sits on, then every other one that has a free seat and a free slot.
    v_sits := v_seat.closed_until <= p_now and v_seat.key_id <> all (p_exclude);
    for v_round in 1..4 loop
        v_tried := p_exclude;
        if v_sits then
            v_key := v_seat.key_id;
            v_seat_no := v_seat.seat_no;
        end if;
        loop
            if v_key is null then
                select f.key_id, f.seat_no into v_key, v_seat_no
                from pool_find_seat(p_user.id, p_store, p_now, v_tried, true, true) f;
                exit when v_key is null;
            end if;
            select f.slot_no, f.is_conflict into v_slot_no, v_is_conflict
            from pool_find_slot(v_key, p_device_id, p_network, p_now) f;
            exit when v_slot_no is not null;
            v_met_conflict := v_met_conflict or v_is_conflict;
            v_tried := v_tried || v_key;
            v_key := null;
        end loop;
        exit when v_slot_no is not null or v_met_conflict;
        -- Nothing found may mean that others hold the rows locked and will let some go.
        exit when not exists (
            select from pool_slots s
            where v_sits and s.key_id = v_seat.key_id
              and s.expires_at <= p_now and s.closed_until <= p_now)
        and not exists (
            select from pool_find_seat(p_user.id, p_store, p_now, p_exclude, true, false) f
            where f.key_id is not null);
        perform pg_sleep(0.005 * v_round);
    end loop;

    if v_slot_no is null then
        code := case
            when v_met_conflict then 'network_conflict'
            when v_sits then 'pool_busy'
            when exists (
                select from pool_find_seat(p_user.id, p_store, p_now, p_exclude, false, false) f
                where f.key_id is not null) then 'pool_busy'
            else 'no_key' end;
        if code = 'pool_busy' then
            until := (select min(s.expires_at) from pool_slots s
                      where s.store = p_store and s.expires_at > p_now);
        end if;
        return;
    end if;

    if v_key is distinct from v_seat.key_id then
        update pool_seats s set user_id = null, taken_at = null
        where s.store = p_store and s.user_id = p_user.id;
        update pool_seats s set user_id = p_user.id, taken_at = p_now
        where s.key_id = v_key and s.seat_no = v_seat_no;
    end if;
    if v_own.key_id is not null
        and (v_own.key_id, v_own.slot_no) is distinct from (v_key, v_slot_no)
    then
        update pool_slots s
        set user_id = null, device_id = null, lease_id = null, expires_at = least(s.expires_at, p_now)
        where s.key_id = v_own.key_id and s.slot_no = v_own.slot_no;
    end if;
    update pool_slots s
    set user_id = p_user.id, device_id = p_device_id, lease_id = gen_random_uuid(),
        fence = s.fence + 1, expires_at = p_now + p_play_for, hard_until = p_now + p_play_at_most,
        network = p_network, media = p_media
    where s.key_id = v_key and s.slot_no = v_slot_no
    returning s.key_id, s.lease_id, s.fence, s.expires_at
    into key_id, lease_id, fence, expires_at;
    insert into pool_user_days as d (user_id, day, plays, bytes)
    values (p_user.id, v_today, 1, coalesce(p_size_bytes, 0))
    on conflict (user_id, day)
    do update set plays = d.plays + 1, bytes = d.bytes + excluded.bytes;
end $$;

-- Ends the leases of a key, a user or a device. A stale fence then changes nothing.
create function pool_cut_leases(p_key_id bigint, p_user_id bigint, p_device_id bigint)
returns void language sql as $$
    update pool_slots s
    set user_id = null, device_id = null, lease_id = null, fence = s.fence + 1,
        expires_at = least(s.expires_at, clock_timestamp())
    where s.key_id = p_key_id or s.user_id = p_user_id or s.device_id = p_device_id
$$;

-- The way in. p_action: 'check' refuses what a play would and changes nothing, 'init' seats the
-- device and the user, 'play' also takes or renews the lease.
create function pool_admit(
    p_auth_hash bytea, p_ref uuid, p_store text, p_prints bytea[], p_class text, p_action text,
    p_network bytea, p_media text, p_size_bytes bigint, p_exclude bigint[],
    p_play_for interval, p_play_at_most interval
) returns pool_verdict language plpgsql as $$
declare
    v pool_verdict;
    v_user pool_users;
    v_now timestamptz;
    v_prints bytea[];
    v_seat_no int;
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
    end if;
    -- Read only now: a clock read before the wait for the lock could free a slot that a later
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
        from pool_take_lease(v_user, v.device_id, p_store, v_now, p_network, p_media, p_size_bytes,
            p_exclude, p_play_for, p_play_at_most) l;
    else
        select s.key_id into v.key_id from pool_seats s
        where s.store = p_store and s.user_id = v_user.id and s.closed_until <= v_now
          and s.key_id <> all (p_exclude);
        if v.key_id is null then
            select f.key_id, f.seat_no into v.key_id, v_seat_no
            from pool_find_seat(v_user.id, p_store, v_now, p_exclude, false, p_action = 'init') f;
            if v.key_id is not null and p_action = 'init' then
                update pool_seats s set user_id = null, taken_at = null
                where s.store = p_store and s.user_id = v_user.id;
                update pool_seats s set user_id = v_user.id, taken_at = v_now
                where s.key_id = v.key_id and s.seat_no = v_seat_no;
            end if;
        end if;
        if v.key_id is null then
            v.code := case when exists (
                select from pool_find_seat(v_user.id, p_store, v_now, p_exclude, false, false) f
                where f.key_id is not null) then 'pool_busy' else 'no_key' end;
        end if;
    end if;
    if v.code is null then
        select k.secret_version, k.secret, k.kek_id into v.secret_version, v.secret, v.kek_id
        from pool_keys k where k.id = v.key_id;
    end if;
    return v;
end $$;
