//! What `customer_metrics` says: customers by segment, source, tier and worth, and lists of them. From the kept sums; where some customers
//! are left out, from the packed rows of the others ([`super::acquired`]).

use std::ops::AddAssign;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use sqlx::{PgPool, Postgres, QueryBuilder};

use super::acquired;
use super::metrics::month_number;
use super::segments::{Segment, SegmentRules};
use crate::reports::filter::Filters;
use crate::reports::table;
use crate::site::Site;

/// With a window longer than this, many customers moved in it more than once: all are read instead of their moves. The index on the
/// time between moves holds what is shorter.
const MOVES_OF_DAYS: i64 = 30;

/// Which customers of a site, by their first purchase, or which orders of a campaign; without a filter all, and the kept sums answer.
#[derive(Debug, Clone, Copy)]
pub struct Whom<'a> {
    /// The site.
    pub site: &'a Site,
    /// By what the purchase or order took over from its session.
    pub filters: &'a Filters,
}

impl Whom<'_> {
    /// Whether some are left out.
    pub fn is_filtered(&self) -> bool {
        !self.filters.is_empty()
    }
}

/// Who the customers are.
#[derive(Debug)]
pub struct Makeup {
    /// In each segment, on the later day.
    pub segments: Vec<SegmentSum>,
    /// Who is in another segment than on the earlier day.
    pub moves: Vec<Move>,
    /// By source, tier and worth, whatever the day.
    pub groups: Vec<Group>,
    /// How many are at risk of not coming back today.
    pub at_risk: i64,
}

/// Who the customers are, in segments on `day` and on `before`: as orders up to then and today's knowledge of refunds say.
///
/// # Errors
/// The database's.
pub async fn makeup(
    pool: &PgPool,
    whom: Whom<'_>,
    (before, day): (NaiveDate, NaiveDate),
    today: NaiveDate,
) -> sqlx::Result<Makeup> {
    let site_id = whom.site.id;
    if whom.is_filtered() {
        return acquired::makeup(pool, whom, (before, day), today).await;
    }
    let (segments, groups, at_risk) = tokio::try_join!(
        segments(pool, site_id, day, before),
        groups(pool, site_id),
        count(pool, whom, today, Section::In(Segment::AtRisk)),
    )?;
    let moves = if segments.iter().all(|sum| sum.before == 0) {
        // Nobody was a customer yet: everybody is new.
        let new = segments.iter().map(|sum| Move {
            from: None,
            to: sum.segment,
            customers: sum.customers,
        });
        new.filter(|moved| moved.customers != 0).collect()
    } else {
        moves(pool, site_id, before, day).await?
    };
    Ok(Makeup {
        segments,
        moves,
        groups,
        at_risk,
    })
}

/// A segment on two days.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "segment is a code; before: customers on the earlier day")]
pub struct SegmentSum {
    pub segment: i16,
    pub customers: i64,
    pub revenue: Decimal,
    pub orders: i64,
    pub unvalued_orders: i64,
    pub before: i64,
}

/// Segments on `day`, with what their customers spent and bought in all, and their sizes on `before`.
async fn segments(pool: &PgPool, site_id: i32, day: NaiveDate, before: NaiveDate) -> sqlx::Result<Vec<SegmentSum>> {
    sqlx::query_as!(
        SegmentSum,
        r#"select segment, sum(customers)::bigint as "customers!", sum(revenue) as "revenue!", sum(orders)::bigint as "orders!",
            sum(unvalued_orders)::bigint as "unvalued_orders!",
            coalesce(sum(customers) filter (where day <= $3), 0)::bigint as "before!"
        from customer_segment_days where site_id = $1 and day <= $2 group by segment"#,
        site_id,
        day,
        before
    )
    .fetch_all(pool)
    .await
}

/// Customers who are in another segment on `day` than on `before`.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "codes of segments; none: no customer yet")]
pub struct Move {
    pub from: Option<i16>,
    pub to: i16,
    pub customers: i64,
}

/// Who moved between two days. Whoever came back to the segment of `before` did not.
async fn moves(pool: &PgPool, site_id: i32, before: NaiveDate, day: NaiveDate) -> sqlx::Result<Vec<Move>> {
    if (day - before).num_days() > MOVES_OF_DAYS {
        // With the reports' settings, so that several processes share the reading.
        let mut db = table::snapshot(pool).await?;
        // Who was no customer yet needs no reading: these are everybody in a segment but those who were.
        return sqlx::query_as!(
            Move,
            r#"with known as materialized (
                select segments[width_bucket($2::date, move_days)] as f, segments[width_bucket($3::date, move_days)] as t, count(*) as n
                from customer_metrics where site_id = $1 and first_day <= $2 group by 1, 2
            )
            select f as "from?", t as "to!", n as "customers!" from known where f is distinct from t
            union all
            select null, segment, sum(n)::bigint from (
                select segment, customers as n from customer_segment_days where site_id = $1 and day <= $3
                union all
                select t, -n from known
            ) new group by segment having sum(n) <> 0"#,
            site_id,
            before,
            day
        )
        .fetch_all(&mut *db)
        .await;
    }
    // Nearly everybody moves once in a window: moves are counted as they are, and put right for those who moved again, whom the time
    // since their move before tells. Of these the first move tells where from, the last where to: both with their day before them, so
    // that they are the smallest and the largest number.
    let lags: Vec<i32> = (1..(day - before).num_days() as i32).collect();
    sqlx::query_as!(
        Move,
        r#"with again as materialized (
            select customer_no, day, lag, from_segment, to_segment from customer_moves
            where site_id = $1 and lag < 30 and lag = any($4) and day > $2 and day <= $3 and day - lag > $2
        ), members as materialized (
            select customer_no, day, from_segment, to_segment from again
            union
            select p.customer_no, p.day, p.from_segment, p.to_segment from again a
            join customer_moves p on p.site_id = $1 and p.day = a.day - a.lag and p.customer_no = a.customer_no
        ), counts as (
            select from_segment as f, to_segment as t, count(*) as n from customer_moves
                where site_id = $1 and day > $2 and day <= $3 group by 1, 2
            union all
            select from_segment, to_segment, -count(*) from members group by 1, 2
            union all
            select f, t, count(*) from (
                select (nullif(min((day - date '1970-01-01') * 8 + coalesce(from_segment, 0)) % 8, 0))::smallint as f,
                    (max((day - date '1970-01-01') * 8 + to_segment) % 8)::smallint as t
                from members group by customer_no) m group by 1, 2
        )
        select f as "from?", t as "to!", sum(n)::bigint as "customers!" from counts
        where f is distinct from t group by f, t having sum(n) <> 0"#,
        site_id,
        before,
        day,
        &lags
    )
    .fetch_all(pool)
    .await
}

/// Customers that are alike in source, tier and worth. `M`: money and points, exact; while they are added up, whole ten-thousandths.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct Group<M = Decimal> {
    pub utm_source: String,
    pub vip_tier: String,
    pub band: i32,
    pub customers: i64,
    pub revenue: M,
    pub orders: i64,
    pub subscribers: i64,
    pub loyalty_earned: M,
    pub loyalty_redeemed: M,
    pub referrers: i64,
    pub referrals: i64,
    pub repeat_customers: i64,
}

impl<M: Copy + AddAssign> Group<M> {
    /// Adds other customers who are alike.
    pub fn add(&mut self, other: &Self) {
        self.customers += other.customers;
        self.revenue += other.revenue;
        self.orders += other.orders;
        self.subscribers += other.subscribers;
        self.loyalty_earned += other.loyalty_earned;
        self.loyalty_redeemed += other.loyalty_redeemed;
        self.referrers += other.referrers;
        self.referrals += other.referrals;
        self.repeat_customers += other.repeat_customers;
    }
}

/// All customers of the site.
async fn groups(pool: &PgPool, site_id: i32) -> sqlx::Result<Vec<Group>> {
    sqlx::query_as!(
        Group,
        "select utm_source, vip_tier, band, customers, revenue, orders, subscribers, loyalty_earned, loyalty_redeemed, referrers, referrals,
            repeat_customers
        from customer_groups where site_id = $1 and customers <> 0",
        site_id
    )
    .fetch_all(pool)
    .await
}

/// A customer in a list.
#[derive(Debug, Clone, sqlx::FromRow)]
#[expect(missing_docs, reason = "the columns of customer_metrics")]
pub struct Customer {
    pub customer_no: i64,
    pub orders: i32,
    pub orders_placed: i32,
    pub revenue: Decimal,
    pub avg_order_value: Option<Decimal>,
    pub discounts: Decimal,
    pub first_order_at: DateTime<Utc>,
    pub last_order_at: DateTime<Utc>,
    pub last_day: NaiveDate,
    pub vip_tier: Option<String>,
    pub subscription: Option<String>,
    pub subscription_active: bool,
    pub loyalty_earned: Decimal,
    pub loyalty_redeemed: Decimal,
    pub referrals: i32,
    pub segment: Option<i16>,
}

impl Customer {
    /// Local days since the last purchase.
    pub fn days_since_last_order(&self, today: NaiveDate) -> i64 {
        (today - self.last_day).num_days()
    }

    /// No purchase for longer than the site's setting and no active subscription.
    pub fn churn_risk(&self, today: NaiveDate, rules: &SegmentRules) -> bool {
        self.days_since_last_order(today) > i64::from(rules.at_risk_after_days) && !self.subscription_active
    }
}

/// What a list of customers is ordered by, the largest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// What was spent in all.
    Revenue,
    /// The last purchase.
    LastOrder,
    /// The first purchase.
    FirstOrder,
}

/// Which of the customers a list shows.
#[derive(Debug, Clone, Copy)]
pub enum Section<'a> {
    /// All.
    All,
    /// Those in a segment on the list's day.
    In(Segment),
    /// Those who are at risk of not coming back today, by these rules.
    AtRisk(&'a SegmentRules),
}

/// Customers in a list as they come, with their segment on a day. `whole`: they are all read before anything is done with them.
pub fn statement(whom: Whom<'_>, day: NaiveDate, section: Section<'_>, whole: bool) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new(
        "select * from (select o.customer_no, o.orders, o.orders_placed, o.revenue, o.avg_order_value, o.discounts, o.first_order_at, \
         o.last_order_at, o.first_day, o.last_day, o.vip_tier, o.subscription, o.subscription_active, o.loyalty_earned, o.loyalty_redeemed, \
         o.referrals, o.segments[width_bucket(",
    );
    sql.push_bind(day);
    sql.push("::date, o.move_days)] as segment from customer_metrics o");
    acquired::within(&mut sql, whom);
    acquired::section(&mut sql, day, section);
    sql.push(if whole { " offset 0) m" } else { ") m" });
    sql
}

/// A page of a list of so many customers.
///
/// # Errors
/// The database's.
pub async fn list(
    pool: &PgPool,
    whom: Whom<'_>,
    day: NaiveDate,
    section: Section<'_>,
    order: Order,
    (limit, offset): (i64, i64),
    total: i64,
) -> sqlx::Result<Vec<Customer>> {
    /// Finding a row by the order's index costs as much as reading this many one after another.
    const BY_INDEX: i64 = 8;
    // The planner takes filters to be independent of each other. Of a few whom it takes for many it would look for a page among all
    // customers, so it is told here which way is shorter.
    let few = total < BY_INDEX * (offset + limit);
    let mut sql = statement(whom, day, section, few);
    sql.push(match order {
        Order::Revenue => " order by revenue desc, customer_no",
        Order::LastOrder => " order by last_day desc, last_order_at desc, customer_no",
        Order::FirstOrder => " order by first_day desc, first_order_at desc, customer_no",
    });
    sql.push(" limit ").push_bind(limit);
    sql.push(" offset ").push_bind(offset);
    let mut db = table::snapshot(pool).await?;
    sql.build_query_as().persistent(false).fetch_all(&mut *db).await
}

/// The purchases of a calendar month.
#[derive(Debug, Clone, Default)]
#[expect(
    missing_docs,
    reason = "customers with a purchase in it; those of them who also purchased in the month before; purchases with a customer; first ones"
)]
pub struct Month {
    /// Twelve times the year, plus the month less one.
    pub month: i32,
    pub customers: i64,
    pub retained: i64,
    pub purchases: i64,
    pub first_purchases: i64,
}

/// Calendar months with a purchase, from the one of `first` to the one that ends with `last`.
///
/// # Errors
/// The database's.
pub async fn months(pool: &PgPool, whom: Whom<'_>, (first, last): (NaiveDate, NaiveDate)) -> sqlx::Result<Vec<Month>> {
    if whom.is_filtered() {
        let numbers = (month_number(first), month_number(last));
        return acquired::months(pool, whom, numbers).await;
    }
    sqlx::query_as!(
        Month,
        r#"select (12 * extract(year from day) + extract(month from day) - 1)::integer as "month!", sum(month_customers) as "customers!",
            sum(month_retained) as "retained!", sum(purchases - unidentified_purchases) as "purchases!",
            sum(new_customers) as "first_purchases!"
        from daily_analytics_snapshots where site_id = $1 and day between $2 and $3 group by 1"#,
        whom.site.id,
        first,
        last
    )
    .fetch_all(pool)
    .await
}

/// How many customers a section has on a day.
///
/// # Errors
/// The database's.
pub async fn count(pool: &PgPool, whom: Whom<'_>, day: NaiveDate, section: Section<'_>) -> sqlx::Result<i64> {
    if whom.is_filtered() {
        return acquired::count(pool, whom, day, section).await;
    }
    let wanted = match section {
        Section::All => None,
        Section::In(segment) => Some(segment.code()),
        Section::AtRisk(_) => Some(Segment::AtRisk.code()),
    };
    let sizes = segments(pool, whom.site.id, day, day).await?;
    let own = sizes
        .iter()
        .filter(|size| wanted.is_none_or(|code| code == size.segment));
    Ok(own.map(|size| size.customers).sum())
}

/// One customer.
///
/// # Errors
/// The database's.
pub async fn one(pool: &PgPool, site_id: i32, day: NaiveDate, customer_no: i64) -> sqlx::Result<Option<Customer>> {
    sqlx::query_as!(
        Customer,
        r#"select customer_no, orders, orders_placed, revenue, avg_order_value, discounts, first_order_at, last_order_at, last_day, vip_tier,
            subscription, subscription_active, loyalty_earned, loyalty_redeemed, referrals,
            segments[width_bucket($2::date, move_days)] as segment
        from customer_metrics where site_id = $1 and customer_no = $3"#,
        site_id,
        day,
        customer_no
    )
    .fetch_optional(pool)
    .await
}

/// An order of a customer, with what the site keeps of who ordered.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of orders")]
pub struct OrderOf {
    pub order_id: String,
    pub order_number: Option<String>,
    pub created_at: DateTime<Utc>,
    pub payment_status: String,
    pub revenue: Option<Decimal>,
    pub stream: String,
    pub customer_contact: Option<serde_json::Value>,
}

/// A customer's latest orders.
///
/// # Errors
/// The database's.
pub async fn orders_of(pool: &PgPool, site_id: i32, customer_no: i64, limit: i64) -> sqlx::Result<Vec<OrderOf>> {
    sqlx::query_as!(
        OrderOf,
        "select o.order_id, o.order_number, o.created_at, o.payment_status, o.revenue, f.stream, o.customer_contact
        from order_facts f join orders o on o.site_id = f.site_id and o.order_id = f.order_id
        where f.site_id = $1 and f.customer_no = $2 order by o.created_at desc, o.order_id limit $3",
        site_id,
        customer_no,
        limit
    )
    .fetch_all(pool)
    .await
}
