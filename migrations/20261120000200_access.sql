-- Who may ask and who may send. No secret is stored: passwords as argon2id, tokens as SHA-256 of 256 random bits,
-- and an ingest key's secret is derived from the installation's secret and the key's id.
do $$
begin
    create table users (
        user_id uuid primary key,
        email text not null unique,
        password_hash text not null,
        role text not null check (role in ('admin', 'viewer')),
        -- null: every site
        site_id integer,
        created_at timestamptz not null default now(),
        disabled_at timestamptz
    );

    create table admin_sessions (
        token_hash bytea primary key,
        user_id uuid not null references users on delete cascade,
        created_at timestamptz not null,
        last_used_at timestamptz not null,
        expires_at timestamptz not null,
        revoked_at timestamptz,
        user_agent text
    );
    create index admin_sessions_user on admin_sessions (user_id);

    create table api_keys (
        key_id text primary key,
        site_id integer not null,
        token_hash bytea not null unique,
        name text not null,
        -- any of: read (analytics), orders, events
        scopes text[] not null check (scopes <@ array['read', 'orders', 'events'] and cardinality(scopes) > 0),
        created_at timestamptz not null default now(),
        last_used_at timestamptz,
        revoked_at timestamptz
    );

    create table ingest_keys (
        key_id text primary key,
        site_id integer not null,
        name text not null,
        created_at timestamptz not null default now(),
        revoked_at timestamptz
    );
end
$$
