//! Repeat purchases, counted from the customers that are kept. [`crate::statistics::customers`] counts the same from every order.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, QueryBuilder, Row as _};

use crate::orders::identity::ContactKind;
use crate::reports::scope::Scope;
use crate::reports::sql::from_purchases;

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

/// Counts the customers of a scope.
///
/// # Errors
/// The database's.
pub async fn counts(pool: &PgPool, scope: &Scope) -> sqlx::Result<Counts> {
    let mut sql = QueryBuilder::<Postgres>::new(
        "select count(*) filter (where n > 1 and customer_no is not null) as repeat_customers, \
         count(*) filter (where n = 1 and customer_no is not null) as one_time_customers, \
         coalesce(sum(n) filter (where customer_no is not null), 0)::bigint as orders, \
         coalesce(sum(n) filter (where customer_no is null), 0)::bigint as unidentified_orders, \
         coalesce(trunc(1000 * extract(epoch from sum(z - a) filter (where n > 1 and customer_no is not null))), 0)::bigint as between_ms \
         from (select f.customer_no, count(*) as n, min(f.created_at) as a, max(f.created_at) as z",
    );
    from_purchases(&mut sql, scope);
    sql.push(" group by f.customer_no) c");
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
        "select date_trunc('minute', f.created_at, 'UTC') as minute, array_agg(f.order_id order by f.created_at, f.order_id) as orders, \
         count(*) over () as total",
    );
    from_purchases(&mut sql, scope);
    sql.push(
        " and f.same_minute group by f.customer_no, 1 having count(*) > 1 order by 1 desc, f.customer_no desc limit ",
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
