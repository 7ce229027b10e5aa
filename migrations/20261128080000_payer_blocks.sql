-- The paying sessions of a day (UTC, by first_seen; people only, those with a utm_content) in one value, as central_api::rollup::payers writes
-- it: an A/B test asks what each of them brought, of a campaign that may run for a year. Made with the day's other sums, from its
-- session_blocks.
do $$
begin
    create table payer_blocks (
        site_id integer not null,
        -- Start of the day; one without such sessions has no row.
        start timestamptz not null,
        -- Which columns the block has and what they mean, as in session_blocks.
        layout integer not null,
        data bytea not null,
        primary key (site_id, start)
    );
    -- It is packed already.
    alter table payer_blocks alter column data set storage external;
    create index payer_blocks_by_layout on payer_blocks (layout);

    -- No program's layout: upkeep makes them one after another.
    insert into payer_blocks (site_id, start, layout, data)
        select distinct site_id, date_trunc('day', start, 'UTC'), 0, ''::bytea from session_blocks;
end
$$
