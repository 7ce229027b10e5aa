-- Links by which a user sets a password once: an invitation or a reset. Only the token's SHA-256 is stored; a used link is deleted,
-- a new one takes the place of the user's earlier ones.
create table password_links (
    user_id uuid primary key references users on delete cascade,
    token_hash bytea not null unique,
    -- invite: the user never had a password; reset
    purpose text not null check (purpose in ('invite', 'reset')),
    created_at timestamptz not null,
    expires_at timestamptz not null
)
