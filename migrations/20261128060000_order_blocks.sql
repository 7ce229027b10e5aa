-- The orders of a local day as packed columns, for business figures under any filter; and what was sold in them. Made with the day's other
-- sums: from order_facts, and from orders for the items. How they are packed is known to the program alone, which asks for everything anew
-- when it changes that.
create table order_blocks (
    site_id integer not null,
    day date not null,
    orders bytea not null,
    items bytea not null,
    primary key (site_id, day)
);
