//! Table `customer_metrics`: each customer's purchases in one row.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use futures_util::TryStreamExt;
use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::segments::{History, SegmentRules};
use super::{customer_blocks, sums};
use crate::site::Site;

/// Customers written in one statement.
const AT_ONCE: usize = 5_000;

/// An order of a customer.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of order_facts")]
pub struct CustomerOrder {
    pub customer_no: i64,
    pub order_id: String,
    pub created_at: DateTime<Utc>,
    pub day: NaiveDate,
    pub purchase: bool,
    pub cancelled: bool,
    pub revenue: Option<Decimal>,
    pub discount: Option<Decimal>,
    pub vip_tier: Option<String>,
    pub subscription: Option<String>,
    pub subscription_active: Option<bool>,
    pub loyalty_earned: Option<Decimal>,
    pub loyalty_redeemed: Option<Decimal>,
    pub referred_by: Option<Vec<u8>>,
    pub purchase_no: Option<i32>,
    pub previous_day: Option<NaiveDate>,
    pub same_minute: bool,
    pub session_first_seen: Option<DateTime<Utc>>,
    pub bot_reason: Option<i16>,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct CustomerMetrics {
    pub site_id: i32,
    pub customer_no: i64,
    pub orders: i32,
    pub orders_placed: i32,
    pub unvalued_orders: i32,
    pub revenue: Decimal,
    pub discounts: Decimal,
    pub first_order_at: DateTime<Utc>,
    pub last_order_at: DateTime<Utc>,
    pub first_day: NaiveDate,
    pub last_day: NaiveDate,
    pub vip_tier: Option<String>,
    pub subscription: Option<String>,
    pub subscription_active: bool,
    pub loyalty_earned: Decimal,
    pub loyalty_redeemed: Decimal,
    pub referrals: i32,
    pub move_days: Vec<NaiveDate>,
    pub segments: Vec<i16>,
    pub purchases_at: Vec<DateTime<Utc>>,
    pub sessions_at: Vec<Option<DateTime<Utc>>>,
    pub crossed: bool,
    pub first_order_id: String,
    pub purchase_months: Vec<i32>,
    pub month_purchases: Vec<i32>,
}

/// A day's calendar month, counted from the year 0.
pub fn month_number(day: NaiveDate) -> i32 {
    12 * day.year() + day.month0() as i32
}

/// Sums one customer's orders up; none without a purchase. They come in the order of time. Tier and subscription are those last stated by
/// an order; a cancelled one begins no subscription.
pub fn sum_up(site_id: i32, orders: &[CustomerOrder], rules: &SegmentRules) -> Option<CustomerMetrics> {
    let purchases: Vec<&CustomerOrder> = orders.iter().filter(|order| order.purchase).collect();
    let (first, last) = (purchases.first()?, purchases.last()?);
    let mut history = History::default();
    let mut spent = Decimal::ZERO;
    for order in &purchases {
        spent += order.revenue.unwrap_or_default();
        history.purchases.push((order.day, spent));
    }
    let (mut tier, mut plan) = (None, None);
    for order in orders {
        if let Some(stated) = &order.vip_tier {
            tier = Some(stated.clone());
            history.vip_since.get_or_insert(order.day);
        }
        plan = order.subscription.clone().or(plan);
        // What was cancelled began no subscription, but it may end one.
        let stated = order.subscription_active.filter(|active| !(*active && order.cancelled));
        history.subscription.extend(stated.map(|active| (order.day, active)));
    }
    let moves = history.moves(rules);
    let people: Vec<&&CustomerOrder> = purchases.iter().filter(|order| order.bot_reason.is_none()).collect();
    let sessions_at: Vec<Option<DateTime<Utc>>> = people.iter().map(|order| order.session_first_seen).collect();
    let by_month = purchases.chunk_by(|one, next| month_number(one.day) == month_number(next.day));
    let (purchase_months, month_purchases) = by_month
        .map(|month| (month_number(month[0].day), month.len() as i32))
        .unzip();
    let sum = |of: fn(&CustomerOrder) -> Option<Decimal>| purchases.iter().filter_map(|order| of(order)).sum();
    Some(CustomerMetrics {
        site_id,
        customer_no: first.customer_no,
        orders: purchases.len() as i32,
        orders_placed: orders.len() as i32,
        unvalued_orders: purchases.iter().filter(|order| order.revenue.is_none()).count() as i32,
        revenue: spent,
        discounts: sum(|order| order.discount),
        first_order_at: first.created_at,
        last_order_at: last.created_at,
        first_day: first.day,
        last_day: last.day,
        vip_tier: tier,
        subscription: plan,
        subscription_active: history.subscription.last().is_some_and(|(_, active)| *active),
        loyalty_earned: sum(|order| order.loyalty_earned),
        loyalty_redeemed: sum(|order| order.loyalty_redeemed),
        referrals: 0,
        move_days: moves.iter().map(|(day, _)| *day).collect(),
        segments: moves.iter().map(|(_, segment)| segment.code()).collect(),
        purchases_at: people.iter().map(|order| order.created_at).collect(),
        crossed: !sessions_at.iter().flatten().is_sorted(),
        sessions_at,
        first_order_id: first.order_id.clone(),
        purchase_months,
        month_purchases,
    })
}

/// Makes these customers' rows anew, and those of who referred them; answers the days of orders whose place among their customer's
/// purchases changed. `referrers` are contact hashes that changed orders named or name.
///
/// # Errors
/// The database's.
pub async fn recompute(
    conn: &mut PgConnection,
    site: &Site,
    customers: &BTreeSet<i64>,
    referrers: &[Vec<u8>],
) -> sqlx::Result<BTreeSet<NaiveDate>> {
    let (site_id, rules) = (site.id, &site.settings.customer_segments);
    let mut numbers: Vec<i64> = customers.iter().copied().collect();
    let referrers = sqlx::query_scalar!(
        r#"select distinct c.customer_no as "customer_no!" from customer_contacts c
        where c.site_id = $1 and c.customer_no is not null and c.contact_hash in (
            select referred_by from order_facts where site_id = $1 and customer_no = any($2) and referred_by is not null
            union select unnest($3::bytea[]))"#,
        site_id,
        &numbers,
        referrers
    )
    .fetch_all(&mut *conn)
    .await?;
    numbers.extend(referrers);
    numbers.sort_unstable();
    numbers.dedup();
    sums::take_off(conn, site, &numbers).await?;

    let orders = sqlx::query_as!(
        CustomerOrder,
        r#"select customer_no as "customer_no!", order_id, created_at, day, purchase, payment_status = 'cancelled' as "cancelled!",
            revenue, discount, vip_tier, subscription, subscription_active, loyalty_earned, loyalty_redeemed, referred_by, purchase_no, previous_day, same_minute,
            session_first_seen, bot_reason
        from order_facts where site_id = $1 and customer_no = any($2)
        order by customer_no, created_at, order_id collate "C""#,
        site_id,
        &numbers
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut days: BTreeSet<NaiveDate> = BTreeSet::new();
    let (mut renumbered, mut places, mut previous_days, mut same) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut rows = Vec::new();
    for own in orders.chunk_by(|a, b| a.customer_no == b.customer_no) {
        let minute = |order: &CustomerOrder| order.created_at.timestamp().div_euclid(60);
        let mut place = 0;
        for (index, order) in own.iter().enumerate() {
            place += i32::from(order.purchase);
            let purchase_no = order.purchase.then_some(place);
            let alike = |other: &&CustomerOrder| other.purchase && minute(other) == minute(order);
            let before = own[..index].iter().rev().find(|other| other.purchase).filter(alike);
            let after = own[index + 1..].iter().find(|other| other.purchase).filter(alike);
            let same_minute = order.purchase && (before.is_some() || after.is_some());
            let previous = own[..index].iter().rev().find(|other| other.purchase);
            let previous_day = previous.filter(|_| order.purchase).map(|other| other.day);
            let known = (order.purchase_no, order.previous_day, order.same_minute);
            if known != (purchase_no, previous_day, same_minute) {
                days.insert(order.day);
                renumbered.push(order.order_id.clone());
                places.push(purchase_no);
                previous_days.push(previous_day);
                same.push(same_minute);
            }
        }
        rows.extend(sum_up(site_id, own, rules));
    }
    sqlx::query!(
        "update order_facts f set purchase_no = k.purchase_no, previous_day = k.previous_day, same_minute = k.same_minute
        from unnest($2::text[], $3::integer[], $4::date[], $5::boolean[]) as k(order_id, purchase_no, previous_day, same_minute)
        where f.site_id = $1 and f.order_id = k.order_id",
        site_id,
        &renumbered,
        &places as &[Option<i32>],
        &previous_days as &[Option<NaiveDate>],
        &same
    )
    .execute(&mut *conn)
    .await?;
    let kept: Vec<i64> = rows.iter().map(|row| row.customer_no).collect();
    sqlx::query!(
        "delete from customer_metrics where site_id = $1 and customer_no = any($2) and customer_no <> all($3)",
        site_id,
        &numbers,
        &kept
    )
    .execute(&mut *conn)
    .await?;
    for some in rows.chunks(AT_ONCE) {
        write(conn, some).await?;
    }
    count_referrals(conn, site_id, Some(&kept)).await?;
    sums::put_on(conn, site, &kept).await?;
    customer_blocks::recompute(conn, site_id, &numbers).await?;
    Ok(days)
}

/// Makes every customer's row anew; the facts stand. `progress` is told how many are done.
///
/// # Errors
/// The database's.
pub async fn rebuild(conn: &mut PgConnection, site: &Site, progress: impl Fn(usize)) -> sqlx::Result<()> {
    let (site_id, rules) = (site.id, &site.settings.customer_segments);
    sqlx::query!("delete from customer_metrics where site_id = $1", site_id)
        .execute(&mut *conn)
        .await?;
    let (mut after, mut done) = (i64::MIN, 0);
    loop {
        // Whole customers: the last one of a page is read again with the next.
        const PAGE: i64 = 50_000;
        let mut orders: Vec<CustomerOrder> = Vec::new();
        let mut found = sqlx::query_as!(
            CustomerOrder,
            r#"select customer_no as "customer_no!", order_id, created_at, day, purchase, payment_status = 'cancelled' as "cancelled!",
                revenue, discount, vip_tier, subscription, subscription_active, loyalty_earned, loyalty_redeemed, referred_by, purchase_no, previous_day, same_minute,
            session_first_seen, bot_reason
            from order_facts where site_id = $1 and customer_no >= $2
                and customer_no <= coalesce((select customer_no from order_facts where site_id = $1 and customer_no >= $2
                    order by customer_no offset $3 limit 1), 9223372036854775807)
            order by customer_no, created_at, order_id collate "C""#,
            site_id,
            after,
            PAGE
        )
        .fetch(&mut *conn);
        while let Some(order) = found.try_next().await? {
            orders.push(order);
        }
        drop(found);
        let Some(last) = orders.last().map(|order| order.customer_no) else {
            break;
        };
        let rows: Vec<CustomerMetrics> = orders
            .chunk_by(|a, b| a.customer_no == b.customer_no)
            .filter_map(|own| sum_up(site_id, own, rules))
            .collect();
        for some in rows.chunks(AT_ONCE) {
            write(conn, some).await?;
        }
        done += rows.len();
        progress(done);
        after = last + 1;
    }
    // See `upkeep`: who referred whom is joined over all customers.
    sqlx::query("analyze customer_metrics").execute(&mut *conn).await?;
    count_referrals(conn, site_id, None).await?;
    sums::rebuild(conn, site).await?;
    customer_blocks::rebuild(conn, site_id).await
}

async fn write(conn: &mut PgConnection, rows: &[CustomerMetrics]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into customer_metrics (site_id, customer_no, orders, orders_placed, unvalued_orders, revenue, discounts, first_order_at, last_order_at,
            first_day, last_day, vip_tier, subscription, subscription_active, loyalty_earned, loyalty_redeemed, referrals, move_days, segments,
            purchases_at, sessions_at, crossed, first_order_id, purchase_months, month_purchases,
            utm_source, utm_medium, utm_campaign, utm_content, utm_term, channel, country, city, device_type, browser_name, os_name,
            landing_path)
        select m.site_id, m.customer_no, m.orders, m.orders_placed, m.unvalued_orders, m.revenue, m.discounts, m.first_order_at, m.last_order_at,
            m.first_day, m.last_day, m.vip_tier, m.subscription, m.subscription_active, m.loyalty_earned, m.loyalty_redeemed, m.referrals,
            m.move_days, m.segments, m.purchases_at, m.sessions_at, m.crossed, m.first_order_id, m.purchase_months, m.month_purchases,
            f.utm_source, f.utm_medium, f.utm_campaign, f.utm_content, f.utm_term, f.channel, f.country, f.city, f.device_type,
            f.browser_name, f.os_name, f.landing_path
        from json_populate_recordset(null::customer_metrics, $1::json) m
        join order_facts f on f.site_id = m.site_id and f.order_id = m.first_order_id
        order by m.customer_no
        on conflict (site_id, customer_no) do update set
            orders = excluded.orders, orders_placed = excluded.orders_placed, unvalued_orders = excluded.unvalued_orders,
            revenue = excluded.revenue, discounts = excluded.discounts,
            first_order_at = excluded.first_order_at, last_order_at = excluded.last_order_at, first_day = excluded.first_day,
            last_day = excluded.last_day, vip_tier = excluded.vip_tier, subscription = excluded.subscription,
            subscription_active = excluded.subscription_active, loyalty_earned = excluded.loyalty_earned,
            loyalty_redeemed = excluded.loyalty_redeemed, move_days = excluded.move_days, segments = excluded.segments,
            purchases_at = excluded.purchases_at, sessions_at = excluded.sessions_at, crossed = excluded.crossed,
            first_order_id = excluded.first_order_id, purchase_months = excluded.purchase_months,
            month_purchases = excluded.month_purchases, utm_source = excluded.utm_source, utm_medium = excluded.utm_medium,
            utm_campaign = excluded.utm_campaign, utm_content = excluded.utm_content, utm_term = excluded.utm_term,
            channel = excluded.channel, country = excluded.country, city = excluded.city, device_type = excluded.device_type,
            browser_name = excluded.browser_name, os_name = excluded.os_name, landing_path = excluded.landing_path",
        Json(rows) as _
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Sets how many other customers each of these (or all) referred.
async fn count_referrals(conn: &mut PgConnection, site_id: i32, customers: Option<&[i64]>) -> sqlx::Result<()> {
    sqlx::query!(
        "with told as (
            select c.customer_no, count(distinct f.customer_no)::integer as referrals
            from customer_contacts c join order_facts f on f.site_id = $1 and f.referred_by = c.contact_hash
            where c.site_id = $1 and ($2::bigint[] is null or c.customer_no = any($2)) and c.customer_no is not null
                and f.purchase and f.customer_no <> c.customer_no
            group by 1
        )
        update customer_metrics m set referrals = coalesce(t.referrals, 0)
        from customer_metrics k left join told t on t.customer_no = k.customer_no
        where k.site_id = $1 and ($2::bigint[] is null or k.customer_no = any($2))
            and m.site_id = k.site_id and m.customer_no = k.customer_no and m.referrals <> coalesce(t.referrals, 0)",
        site_id,
        customers
    )
    .execute(conn)
    .await?;
    Ok(())
}
