//! Sums over `customer_metrics`: how many came back, segments day by day, who moved between them, tiers and bands.
//!
//! A customer's row is taken off the sums before it changes and put on again after, in one transaction; so the sums are those of the rows,
//! and a page reads a few thousand numbers instead of every customer.

use sqlx::PgConnection;

use crate::site::Site;

/// Takes what the rows of these customers add off the sums.
///
/// # Errors
/// The database's.
pub async fn take_off(conn: &mut PgConnection, site: &Site, customers: &[i64]) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from customer_moves v using (
            select m.customer_no, unnest(m.move_days) as day from customer_metrics m where m.site_id = $1 and m.customer_no = any($2)) k
        where v.site_id = $1 and v.day = k.day and v.customer_no = k.customer_no",
        site.id,
        customers
    )
    .execute(&mut *conn)
    .await?;
    add(conn, site, Some(customers), -1).await
}

/// Puts what the rows of these customers add on the sums.
///
/// # Errors
/// The database's.
pub async fn put_on(conn: &mut PgConnection, site: &Site, customers: &[i64]) -> sqlx::Result<()> {
    moves(conn, site.id, Some(customers)).await?;
    add(conn, site, Some(customers), 1).await
}

/// Makes the sums of all rows anew.
///
/// # Errors
/// The database's.
pub async fn rebuild(conn: &mut PgConnection, site: &Site) -> sqlx::Result<()> {
    for table in [
        sqlx::query!("delete from repeat_purchases where site_id = $1", site.id),
        sqlx::query!("delete from customer_segment_days where site_id = $1", site.id),
        sqlx::query!("delete from customer_moves where site_id = $1", site.id),
        sqlx::query!("delete from customer_groups where site_id = $1", site.id),
    ] {
        table.execute(&mut *conn).await?;
    }
    moves(conn, site.id, None).await?;
    add(conn, site, None, 1).await
}

async fn moves(conn: &mut PgConnection, site_id: i32, customers: Option<&[i64]>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into customer_moves (site_id, day, customer_no, from_segment, to_segment, lag)
        select $1, k.day, m.customer_no, k.before, k.segment, k.day - k.day_before
        from customer_metrics m
        cross join lateral unnest(m.move_days, m.segments, array_prepend(null::smallint, m.segments),
            array_prepend(null::date, m.move_days)) as k(day, segment, before, day_before)
        where m.site_id = $1 and ($2::bigint[] is null or m.customer_no = any($2)) and k.day is not null
        order by k.day, m.customer_no",
        site_id,
        customers
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds `sign` times what the rows of these customers (or all) say. What was taken back leaves zeros.
async fn add(conn: &mut PgConnection, site: &Site, customers: Option<&[i64]>, sign: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into customer_segment_days as d (site_id, day, segment, customers, revenue, orders, unvalued_orders)
        select $1, day, segment, $3 * sum(n), $3 * sum(n * revenue), $3 * sum(n * orders), $3 * sum(n * unvalued_orders) from (
            select k.day, k.segment, 1 as n, m.revenue, m.orders, m.unvalued_orders
            from customer_metrics m cross join lateral unnest(m.move_days, m.segments) as k(day, segment)
            where m.site_id = $1 and ($2::bigint[] is null or m.customer_no = any($2))
            union all
            select k.day, k.segment, -1, m.revenue, m.orders, m.unvalued_orders
            from customer_metrics m
            cross join lateral unnest(m.move_days[2:], m.segments[:cardinality(m.segments) - 1]) as k(day, segment)
            where m.site_id = $1 and ($2::bigint[] is null or m.customer_no = any($2))
        ) u group by day, segment order by day, segment
        on conflict (site_id, day, segment) do update
            set customers = d.customers + excluded.customers, revenue = d.revenue + excluded.revenue, orders = d.orders + excluded.orders,
                unvalued_orders = d.unvalued_orders + excluded.unvalued_orders",
        site.id,
        customers,
        sign
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into customer_groups as g (site_id, utm_source, vip_tier, band, customers, revenue, orders, subscribers, loyalty_earned,
            loyalty_redeemed, referrers, referrals, repeat_customers)
        select $1, coalesce(utm_source, '') as source, coalesce(vip_tier, '') as tier, width_bucket(revenue, $4::numeric[]) as band,
            $3 * count(*), $3 * sum(revenue),
            $3 * sum(orders), $3 * count(*) filter (where subscription_active), $3 * sum(loyalty_earned), $3 * sum(loyalty_redeemed),
            $3 * count(*) filter (where referrals > 0), $3 * sum(referrals), $3 * count(*) filter (where orders > 1)
        from customer_metrics where site_id = $1 and ($2::bigint[] is null or customer_no = any($2)) group by 2, 3, 4 order by 2, 3, 4
        on conflict (site_id, utm_source, vip_tier, band) do update set customers = g.customers + excluded.customers,
            revenue = g.revenue + excluded.revenue, orders = g.orders + excluded.orders, subscribers = g.subscribers + excluded.subscribers,
            loyalty_earned = g.loyalty_earned + excluded.loyalty_earned, loyalty_redeemed = g.loyalty_redeemed + excluded.loyalty_redeemed,
            referrers = g.referrers + excluded.referrers, referrals = g.referrals + excluded.referrals,
            repeat_customers = g.repeat_customers + excluded.repeat_customers",
        site.id,
        customers,
        sign,
        &site.settings.ltv_bands
    )
    .execute(&mut *conn)
    .await?;
    // By session the purchases stand in the order of their sessions; those of one session in the order of time.
    sqlx::query!(
        "with placed as (
            select m.customer_no, m.crossed, u.placed_at, u.began_at, u.n
            from customer_metrics m
            cross join lateral unnest(m.purchases_at, m.sessions_at) with ordinality as u(placed_at, began_at, n)
            where m.site_id = $1 and ($2::bigint[] is null or m.customer_no = any($2))
        ), neighbours as (
            select 0::smallint as basis, placed_at as at, lag(placed_at) over w as one, lag(placed_at, 2) over w as two,
                placed_at - lag(placed_at) over w as between
            from placed window w as (partition by customer_no order by n)
            union all
            select 1, began_at, lag(began_at) over w, lag(began_at, 2) over w,
                case when crossed then interval '0' else placed_at - lag(placed_at) over w end
            from placed where began_at is not null window w as (partition by customer_no order by began_at, n)
        ), days as (
            select basis, (at at time zone $4)::date as day, (one at time zone $4)::date as one, (two at time zone $4)::date as two,
                (extract(epoch from between) * 1000000)::bigint as us
            from neighbours
        ), pairs as (
            select basis, 0::smallint as back, day as earlier_day, day, 0::bigint as us from days
            union all select basis, 1, one, day, us from days where one is not null
            union all select basis, 2, two, day, 0 from days where two is not null
            union all select basis, 1, '-infinity', day, us from days where one is not null
            union all select basis, 2, '-infinity', day, 0 from days where two is not null
        )
        insert into repeat_purchases as r (site_id, basis, back, earlier_day, day, purchases, between_us)
        select $1, basis, back, earlier_day, day, $3 * count(*), $3 * sum(us)::bigint from pairs
        group by basis, back, earlier_day, day order by basis, back, earlier_day, day
        on conflict (site_id, basis, back, earlier_day, day) do update
            set purchases = r.purchases + excluded.purchases, between_us = r.between_us + excluded.between_us",
        site.id,
        customers,
        sign,
        site.time_zone.name()
    )
    .execute(conn)
    .await?;
    Ok(())
}
