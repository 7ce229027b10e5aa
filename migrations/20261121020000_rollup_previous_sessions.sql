-- Distinct visitors of any window as a sum: sessions in it, less those whose visitor's previous session lies in it too. "Previous" is among
-- the people's sessions with the same values of the split. The splits' list grew as well, so all that was summed up is made anew;
-- until then reports read the sessions.
do $$
begin
    alter table rollups
        -- Sessions of the row with a previous session, and when those began: quarters of an hour since 1970, sorted. Every zone's midnight
        -- is a full quarter, so a window's returns are those from its first quarter on.
        add column returns integer not null default 0,
        add column previous integer[];
    insert into rollup_dirty (site_id, hour)
        select site_id, start from rollups where hours = 1 and split = 0
        on conflict do nothing;
end
$$
