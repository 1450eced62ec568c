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
