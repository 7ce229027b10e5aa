-- Every session of an hour (UTC, by first_seen; bots too) in one value, column by column: what reports can filter, split and sum by, as
-- central_api::rollup::blocks writes it. A question that no sum of `rollups` answers reads these instead of the sessions, which are ten times as
-- wide. Made with the other sums of an hour: rollup_dirty says which hours are not up to date.
do $$
begin
    create table session_blocks (
        site_id integer not null,
        -- Start of the hour; one without sessions has no row.
        start timestamptz not null,
        -- Which columns the block has. One of another layout than the program's is not read, and made anew when nothing else is to be done.
        layout integer not null,
        data bytea not null,
        primary key (site_id, start)
    );
    -- It is packed already: compressing costs more time than it saves room.
    alter table session_blocks alter column data set storage external;
    create index session_blocks_by_layout on session_blocks (layout);

    -- No program's layout: upkeep makes them one after another.
    insert into session_blocks (site_id, start, layout, data)
        select distinct site_id, date_trunc('hour', first_seen, 'UTC'), 0, ''::bytea from sessions;
end
$$
