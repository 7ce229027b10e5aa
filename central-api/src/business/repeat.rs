//! Repeat purchases, counted from the customers that are kept. [`crate::statistics::customers`] counts the same from every order.

use chrono::{DateTime, Days, Utc};
use sqlx::{PgPool, Postgres, QueryBuilder, Row as _};

use crate::orders::identity::ContactKind;
use crate::reports::period::start_of_day;
use crate::reports::scope::{AttributionDate, Bots, Scope};
use crate::reports::sql::from_purchases;
use crate::rollup::midnights_come_once;

/// The counts of a scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Customers with at least two purchases in the scope.
    pub repeat_customers: i64,
    /// With exactly one.
    pub one_time_customers: i64,
    /// Purchases of a customer.
    pub orders: i64,
    /// Purchases of nobody known.
    pub unidentified_orders: i64,
    /// Milliseconds between consecutive purchases of the same customer, summed.
    pub between_ms: i64,
}

/// Purchases of one customer in one minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SameMinute {
    /// Its start, UTC.
    pub minute: DateTime<Utc>,
    /// Their ids, in the order of time.
    pub orders: Vec<String>,
}

/// A contact that joins nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedContact {
    /// `customer`, `email` or `phone`.
    pub kind: String,
    /// Orders that carry it.
    pub orders: i64,
    /// The most different values of another kind seen with it.
    pub identities: i64,
    /// The latest order that carries it.
    pub example_order: Option<String>,
}

/// The counts of a scope: from the kept sums where these know all that is asked about, else from its purchases.
///
/// # Errors
/// The database's.
pub async fn counts(pool: &PgPool, scope: &Scope) -> sqlx::Result<Counts> {
    let plain = scope.filters.iter().next().is_none() && !scope.confirmed && scope.bots == Bots::Exclude;
    let (period, zone) = (&scope.period, scope.site.time_zone);
    // Sums are of whole local days: a day that the clock enters twice is not one.
    let whole = period
        .from
        .is_none_or(|from| midnights_come_once(zone, from, period.to));
    if plain && whole && !beyond(pool, scope).await? {
        from_sums(pool, scope).await
    } else {
        from_rows(pool, scope).await
    }
}

/// Whether purchases lie on the period's last day and after its end, from a clock that is ahead.
async fn beyond(pool: &PgPool, scope: &Scope) -> sqlx::Result<bool> {
    let (site_id, to) = (scope.site.id, scope.period.to);
    let end = start_of_day(scope.period.last_day + Days::new(1), scope.site.time_zone);
    match scope.attribution_date {
        AttributionDate::Order => {
            sqlx::query_scalar!(
                r#"select exists (select from order_facts where site_id = $1 and day = $2 and created_at >= $3) as "found!""#,
                site_id,
                scope.period.last_day,
                to
            )
            .fetch_one(pool)
            .await
        }
        AttributionDate::Session => {
            sqlx::query_scalar!(
                r#"select exists (select from order_facts where site_id = $1 and purchase and session_first_seen >= $2
                    and session_first_seen < $3) as "found!""#,
                site_id,
                to,
                end
            )
            .fetch_one(pool)
            .await
        }
    }
}

/// A customer's first purchase in a window is the one whose predecessor lies before it, the second the one whose predecessor's
/// predecessor does: so pairs of days add up to customers and to those who came back.
async fn from_sums(pool: &PgPool, scope: &Scope) -> sqlx::Result<Counts> {
    let (site_id, period) = (scope.site.id, &scope.period);
    let basis: i16 = match scope.attribution_date {
        AttributionDate::Order => 0,
        AttributionDate::Session => 1,
    };
    let mut purchases = [0_i64; 3];
    let mut between_us = 0;
    let rows = match period.first_day {
        Some(first) => {
            sqlx::query_as!(
                Sum,
                r#"select back, sum(purchases)::bigint as "purchases!", sum(between_us)::bigint as "between_us!" from repeat_purchases
                where site_id = $1 and basis = $2 and back between 0 and 2 and earlier_day >= $3 and day <= $4 group by back"#,
                site_id,
                basis,
                first,
                period.last_day
            )
            .fetch_all(pool)
            .await?
        }
        None => {
            sqlx::query_as!(
                Sum,
                r#"select back as "back!", sum(purchases)::bigint as "purchases!", sum(between_us)::bigint as "between_us!" from (
                    select back, purchases, between_us from repeat_purchases
                    where site_id = $1 and basis = $2 and back = 0 and day <= $3
                    union all
                    select back, purchases, between_us from repeat_purchases
                    where site_id = $1 and basis = $2 and back in (1, 2) and earlier_day = '-infinity' and day <= $3
                ) s group by 1"#,
                site_id,
                basis,
                period.last_day
            )
            .fetch_all(pool)
            .await?
        }
    };
    for row in rows {
        if let Some(sum) = usize::try_from(row.back).ok().and_then(|back| purchases.get_mut(back)) {
            *sum = row.purchases;
        }
        between_us += row.between_us;
    }
    if scope.attribution_date == AttributionDate::Session {
        between_us += crossed(pool, scope).await?;
    }
    let [orders, returns, third] = purchases;
    let repeat_customers = returns - third;
    Ok(Counts {
        repeat_customers,
        one_time_customers: orders - returns - repeat_customers,
        orders,
        unidentified_orders: of_nobody(pool, scope).await?,
        between_ms: between_us / 1_000,
    })
}

struct Sum {
    back: i16,
    purchases: i64,
    between_us: i64,
}

/// Microseconds from the first to the last purchase in the scope of each customer whose purchases cross: their pairs tell it not.
async fn crossed(pool: &PgPool, scope: &Scope) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select coalesce((extract(epoch from sum(z - a)) * 1000000)::bigint, 0) as "us!" from (
            select min(o.created_at) as a, max(o.created_at) as z
            from customer_metrics m join order_facts o on o.site_id = m.site_id and o.customer_no = m.customer_no and o.purchase
            where m.site_id = $1 and m.crossed and o.bot_reason is null
                and ($2::timestamptz is null or o.session_first_seen >= $2) and o.session_first_seen < $3
            group by m.customer_no) c"#,
        scope.site.id,
        scope.period.from,
        scope.period.to
    )
    .fetch_one(pool)
    .await
}

/// Purchases that no customer can be told of.
async fn of_nobody(pool: &PgPool, scope: &Scope) -> sqlx::Result<i64> {
    let (site_id, from, to) = (
        scope.site.id,
        scope.period.from.unwrap_or(chrono::DateTime::UNIX_EPOCH),
        scope.period.to,
    );
    match scope.attribution_date {
        AttributionDate::Order => {
            sqlx::query_scalar!(
                r#"select count(*) as "count!" from order_facts where site_id = $1 and purchase and customer_no is null
                    and bot_reason is null and created_at >= $2 and created_at < $3"#,
                site_id,
                from,
                to
            )
            .fetch_one(pool)
            .await
        }
        AttributionDate::Session => {
            sqlx::query_scalar!(
                r#"select count(*) as "count!" from order_facts where site_id = $1 and purchase and customer_no is null
                    and bot_reason is null and session_first_seen >= $2 and session_first_seen < $3"#,
                site_id,
                from,
                to
            )
            .fetch_one(pool)
            .await
        }
    }
}

/// Counts the customers of a scope, purchase by purchase.
async fn from_rows(pool: &PgPool, scope: &Scope) -> sqlx::Result<Counts> {
    let mut sql = QueryBuilder::<Postgres>::new(
        "select count(*) filter (where n > 1 and customer_no is not null) as repeat_customers, \
         count(*) filter (where n = 1 and customer_no is not null) as one_time_customers, \
         coalesce(sum(n) filter (where customer_no is not null), 0)::bigint as orders, \
         coalesce(sum(n) filter (where customer_no is null), 0)::bigint as unidentified_orders, \
         coalesce(trunc(1000 * extract(epoch from sum(z - a) filter (where n > 1 and customer_no is not null))), 0)::bigint as between_ms \
         from (select o.customer_no, count(*) as n, min(o.created_at) as a, max(o.created_at) as z",
    );
    from_purchases(&mut sql, scope);
    sql.push(" group by o.customer_no) c");
    let row = sql.build().persistent(false).fetch_one(pool).await?;
    Ok(Counts {
        repeat_customers: row.try_get("repeat_customers")?,
        one_time_customers: row.try_get("one_time_customers")?,
        orders: row.try_get("orders")?,
        unidentified_orders: row.try_get("unidentified_orders")?,
        between_ms: row.try_get("between_ms")?,
    })
}

/// How many times a customer placed several purchases of the scope in one minute, and the latest of them.
///
/// # Errors
/// The database's.
pub async fn same_minute(pool: &PgPool, scope: &Scope, limit: i64) -> sqlx::Result<(i64, Vec<SameMinute>)> {
    let mut sql = QueryBuilder::<Postgres>::new(
        "select date_trunc('minute', o.created_at, 'UTC') as minute, array_agg(o.order_id order by o.created_at, o.order_id) as orders, \
         count(*) over () as total",
    );
    from_purchases(&mut sql, scope);
    sql.push(
        " and o.same_minute group by o.customer_no, 1 having count(*) > 1 order by 1 desc, o.customer_no desc limit ",
    )
    .push_bind(limit);
    let rows = sql.build().persistent(false).fetch_all(pool).await?;
    let total = rows.first().map_or(Ok(0), |row| row.try_get("total"))?;
    let listed = rows
        .iter()
        .map(|row| {
            Ok(SameMinute {
                minute: row.try_get("minute")?,
                orders: row.try_get("orders")?,
            })
        })
        .collect::<sqlx::Result<_>>()?;
    Ok((total, listed))
}

/// How many contacts of the site join nobody, and those on the most orders.
///
/// # Errors
/// The database's.
pub async fn shared_contacts(pool: &PgPool, site_id: i32, limit: i64) -> sqlx::Result<(i64, Vec<SharedContact>)> {
    let rows = sqlx::query!(
        r#"select contact_hash, kind, orders as "orders!", identities as "identities!", count(*) over () as "total!"
        from customer_contacts where site_id = $1 and customer_no is null order by orders desc, contact_hash, kind limit $2"#,
        site_id,
        limit
    )
    .fetch_all(pool)
    .await?;
    let total = rows.first().map_or(0, |row| row.total);
    let mut listed = Vec::with_capacity(rows.len());
    for row in rows {
        listed.push(SharedContact {
            example_order: latest_with(pool, site_id, &row.kind, &row.contact_hash).await?,
            kind: row.kind,
            orders: row.orders,
            identities: row.identities,
        });
    }
    Ok((total, listed))
}

async fn latest_with(pool: &PgPool, site_id: i32, kind: &str, hash: &[u8]) -> sqlx::Result<Option<String>> {
    if kind == ContactKind::Customer.name() {
        sqlx::query_scalar!(
            "select order_id from order_facts where site_id = $1 and customer_hash = $2 order by created_at desc, order_id limit 1",
            site_id,
            hash
        )
        .fetch_optional(pool)
        .await
    } else if kind == ContactKind::Email.name() {
        sqlx::query_scalar!(
            "select order_id from order_facts where site_id = $1 and email_hash = $2 order by created_at desc, order_id limit 1",
            site_id,
            hash
        )
        .fetch_optional(pool)
        .await
    } else {
        sqlx::query_scalar!(
            "select order_id from order_facts where site_id = $1 and phone_hash = $2 order by created_at desc, order_id limit 1",
            site_id,
            hash
        )
        .fetch_optional(pool)
        .await
    }
}
