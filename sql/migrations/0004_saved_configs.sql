-- Configurations that people have saved, so that an addon URL holds an id and nothing else.

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
