-- Customers as packed columns, for their figures under any filter: a row of customer_metrics has some forty columns, and what most
-- customers have in common asks for nearly all of them. Made with the customers' rows. The sums by source that answered one of the filters are no longer
-- needed. How they are packed is known to the program alone, which asks for everything anew when it changes that.
do $$
begin
    create table customer_blocks (
        site_id integer not null,
        -- The customers from this number on, to below that of the next block.
        first_no bigint not null,
        -- What brought each, and how many values of the others it has.
        origins bytea not null,
        -- What each bought and is.
        worth bytea not null,
        -- The days on which each came into a segment.
        moves bytea not null,
        -- The months in which each purchased.
        months bytea not null,
        primary key (site_id, first_no)
    );
    -- They are packed already.
    alter table customer_blocks alter column origins set storage external;
    alter table customer_blocks alter column worth set storage external;
    alter table customer_blocks alter column moves set storage external;
    alter table customer_blocks alter column months set storage external;

    drop table customer_months;
end
$$
