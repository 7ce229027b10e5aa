//! Orders as [`crate::statistics::customers`] joins them: the contacts of every order of a site, and which orders count.

use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, Postgres, QueryBuilder, Row as _};

use super::scope::{AttributionDate, Scope};
use super::sql::{orders_where, sessions_where};
use crate::orders::identity::ContactHash;
use crate::statistics::customers::{OrderGroup, SharedContact};

/// SQL: whether order `o` is a purchase; [`crate::orders::payment::PaymentStatus::is_purchase`].
pub(super) const PURCHASE: &str = "o.payment_status in ('paid', 'partially_refunded')";

/// Every order of the site by its contacts; paid orders in the scope are counted. Identity is joined over all orders, whatever the scope.
///
/// # Errors
/// The database's.
pub async fn groups(executor: impl PgExecutor<'_>, scope: &Scope) -> sqlx::Result<Vec<OrderGroup>> {
    let mut sql = QueryBuilder::<Postgres>::new(
        "select o.customer_hash, o.email_hash, o.phone_hash, count(*) as orders, coalesce(array_agg(o.created_at) filter (where ",
    );
    sql.push(PURCHASE).push(" and ");
    match scope.attribution_date {
        AttributionDate::Session => {
            sql.push("s.session_id is not null");
        }
        AttributionDate::Order => orders_where(&mut sql, scope),
    }
    sql.push(
        "), '{}') as counted from orders o left join sessions s \
         on s.site_id = o.site_id and s.visitor_id = o.visitor_id and s.session_id = o.session_id",
    );
    if scope.attribution_date == AttributionDate::Session {
        sql.push(" and ");
        sessions_where(&mut sql, scope);
    }
    sql.push(" where o.site_id = ")
        .push_bind(scope.site.id)
        .push(" group by 1, 2, 3");
    let rows = sql.build().persistent(false).fetch_all(executor).await?;
    rows.iter()
        .map(|row| {
            let hash = |column: &str| -> sqlx::Result<Option<ContactHash>> {
                let bytes: Option<&[u8]> = row.try_get(column)?;
                bytes
                    .map(|bytes| bytes.try_into().map_err(|error| sqlx::Error::Decode(Box::new(error))))
                    .transpose()
            };
            Ok(OrderGroup {
                contacts: [hash("customer_hash")?, hash("email_hash")?, hash("phone_hash")?],
                orders: row.try_get::<i64, _>("orders")?.unsigned_abs() as usize,
                counted: row.try_get::<Vec<DateTime<Utc>>, _>("counted")?,
            })
        })
        .collect()
}

/// Whether the site has more orders than so many.
///
/// # Errors
/// The database's.
pub async fn are_more_than(executor: impl PgExecutor<'_>, site_id: i32, orders: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select 1 from orders where site_id = $1 offset $2) as "found!""#,
        site_id,
        orders
    )
    .fetch_one(executor)
    .await
}

/// The latest order that carries each of the contacts, in their order, so that people can find what a keyed hash hides.
///
/// # Errors
/// The database's.
pub async fn example_orders(
    executor: impl PgExecutor<'_>,
    site_id: i32,
    contacts: &[SharedContact],
) -> sqlx::Result<Vec<Option<String>>> {
    let mut examples = vec![None; contacts.len()];
    if contacts.is_empty() {
        return Ok(examples);
    }
    let kinds: Vec<String> = contacts.iter().map(|contact| contact.kind.name().to_owned()).collect();
    let hashes: Vec<Vec<u8>> = contacts.iter().map(|contact| contact.hash.to_vec()).collect();
    let found = sqlx::query!(
        r#"with c as (select kind, hash, n from unnest($2::text[], $3::bytea[]) with ordinality as t (kind, hash, n))
        select n as "n!", (array_agg(order_id order by created_at desc, order_id))[1] as "order_id!" from (
            select c.n, o.order_id, o.created_at from c join orders o on o.customer_hash = c.hash
                where o.site_id = $1 and c.kind = 'customer'
            union all select c.n, o.order_id, o.created_at from c join orders o on o.email_hash = c.hash
                where o.site_id = $1 and c.kind = 'email'
            union all select c.n, o.order_id, o.created_at from c join orders o on o.phone_hash = c.hash
                where o.site_id = $1 and c.kind = 'phone'
        ) q group by n"#,
        site_id,
        &kinds,
        &hashes
    )
    .fetch_all(executor)
    .await?;
    for row in found {
        let place = usize::try_from(row.n - 1).ok().and_then(|n| examples.get_mut(n));
        if let Some(place) = place {
            *place = Some(row.order_id);
        }
    }
    Ok(examples)
}

/// Orders placed in one minute, with their contacts.
///
/// # Errors
/// The database's.
pub async fn placed_in_minute(
    executor: impl PgExecutor<'_>,
    site_id: i32,
    minute: DateTime<Utc>,
) -> sqlx::Result<Vec<MinuteOrder>> {
    sqlx::query_as!(
        MinuteOrder,
        "select order_id, customer_hash, email_hash, phone_hash from orders
        where site_id = $1 and created_at >= $2 and created_at < $3
            and payment_status in ('paid', 'partially_refunded')
        order by created_at, order_id",
        site_id,
        minute,
        minute + chrono::TimeDelta::minutes(1)
    )
    .fetch_all(executor)
    .await
}

/// See [`placed_in_minute`].
#[derive(Debug)]
pub struct MinuteOrder {
    /// Its id.
    pub order_id: String,
    /// Keyed hash of the customer id.
    pub customer_hash: Option<Vec<u8>>,
    /// Keyed hash of the e-mail.
    pub email_hash: Option<Vec<u8>>,
    /// Keyed hash of the phone.
    pub phone_hash: Option<Vec<u8>>,
}

impl MinuteOrder {
    /// Whether it belongs to a group.
    pub fn is_of(&self, group: &OrderGroup) -> bool {
        let own = [&self.customer_hash, &self.email_hash, &self.phone_hash];
        own.into_iter()
            .zip(&group.contacts)
            .all(|(mine, theirs)| mine.as_deref() == theirs.as_ref().map(|hash| &hash[..]))
    }
}
