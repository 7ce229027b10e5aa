//! Table `order_facts`: kept equal to the view `order_facts_now`, which says what it must be.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgExecutor};

use crate::orders::identity::{ContactHash, ContactKind};

/// An order whose facts were made anew, with what they were and are.
#[derive(Debug)]
#[expect(
    missing_docs,
    reason = "old_: before, none for a new order; new_: after, none for a deleted one"
)]
pub struct Changed {
    pub order_id: String,
    pub old_day: Option<NaiveDate>,
    pub new_day: Option<NaiveDate>,
    pub customer_no: Option<i64>,
    pub old_customer_hash: Option<Vec<u8>>,
    pub old_email_hash: Option<Vec<u8>>,
    pub old_phone_hash: Option<Vec<u8>>,
    pub new_customer_hash: Option<Vec<u8>>,
    pub new_email_hash: Option<Vec<u8>>,
    pub new_phone_hash: Option<Vec<u8>>,
    pub old_referred_by: Option<Vec<u8>>,
    pub new_referred_by: Option<Vec<u8>>,
}

impl Changed {
    /// Its contacts, before and after.
    pub fn contacts(&self) -> impl Iterator<Item = (ContactKind, ContactHash)> {
        [
            (ContactKind::Customer, &self.old_customer_hash),
            (ContactKind::Customer, &self.new_customer_hash),
            (ContactKind::Email, &self.old_email_hash),
            (ContactKind::Email, &self.new_email_hash),
            (ContactKind::Phone, &self.old_phone_hash),
            (ContactKind::Phone, &self.new_phone_hash),
        ]
        .into_iter()
        .filter_map(|(kind, hash)| Some((kind, hash.as_deref()?.try_into().ok()?)))
    }
}

/// Brings the facts of these orders up to date and answers each with what they were and are.
///
/// Also those whose facts are as before: an order may be written between two statements, and is then found as it already is when its
/// mark is worked off; and what is not in its facts, like its items, may have changed alone.
///
/// # Errors
/// The database's.
pub async fn refresh(conn: &mut PgConnection, site_id: i32, orders: &[String]) -> sqlx::Result<Vec<Changed>> {
    let changed = sqlx::query_as!(
        Changed,
        r#"select k.order_id as "order_id!", f.day as "old_day?", n.day as "new_day?", f.customer_no as "customer_no?",
            f.customer_hash as "old_customer_hash?", f.email_hash as "old_email_hash?", f.phone_hash as "old_phone_hash?",
            n.customer_hash as "new_customer_hash?", n.email_hash as "new_email_hash?", n.phone_hash as "new_phone_hash?",
            f.referred_by as "old_referred_by?", n.referred_by as "new_referred_by?"
        from unnest($2::text[]) as k(order_id)
        left join order_facts f on f.site_id = $1 and f.order_id = k.order_id
        left join order_facts_now n on n.site_id = $1 and n.order_id = k.order_id"#,
        site_id,
        orders
    )
    .fetch_all(&mut *conn)
    .await?;
    let gone: Vec<String> = changed
        .iter()
        .filter(|order| order.new_day.is_none())
        .map(|order| order.order_id.clone())
        .collect();
    sqlx::query!(
        "delete from order_facts where site_id = $1 and order_id = any($2)",
        site_id,
        &gone
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into order_facts (site_id, order_id, created_at, day, payment_status, purchase, revenue, discount, payment_method,
            sales_channel, stream, customer_hash, email_hash, phone_hash, referred_by, referral_code, promo_code, utm_campaign, vip_tier,
            subscription, subscription_active, loyalty_earned, loyalty_redeemed, session_first_seen, bot_reason,
                utm_source, utm_medium, utm_content, utm_term, channel, country, city, device_type, browser_name, os_name, landing_path)
        select site_id, order_id, created_at, day, payment_status, purchase, revenue, discount, payment_method,
            sales_channel, stream, customer_hash, email_hash, phone_hash, referred_by, referral_code, promo_code, utm_campaign, vip_tier,
            subscription, subscription_active, loyalty_earned, loyalty_redeemed, session_first_seen, bot_reason,
                utm_source, utm_medium, utm_content, utm_term, channel, country, city, device_type, browser_name, os_name, landing_path
        from order_facts_now where site_id = $1 and order_id = any($2) order by order_id
        on conflict (site_id, order_id) do update set
            created_at = excluded.created_at, day = excluded.day, payment_status = excluded.payment_status, purchase = excluded.purchase,
            revenue = excluded.revenue, discount = excluded.discount, payment_method = excluded.payment_method,
            sales_channel = excluded.sales_channel, stream = excluded.stream, customer_hash = excluded.customer_hash,
            email_hash = excluded.email_hash, phone_hash = excluded.phone_hash, referred_by = excluded.referred_by,
            referral_code = excluded.referral_code, promo_code = excluded.promo_code, utm_campaign = excluded.utm_campaign,
            vip_tier = excluded.vip_tier, subscription = excluded.subscription, subscription_active = excluded.subscription_active,
            loyalty_earned = excluded.loyalty_earned, loyalty_redeemed = excluded.loyalty_redeemed,
            session_first_seen = excluded.session_first_seen, bot_reason = excluded.bot_reason,
            utm_source = excluded.utm_source, utm_medium = excluded.utm_medium, utm_content = excluded.utm_content, utm_term = excluded.utm_term,
            channel = excluded.channel, country = excluded.country, city = excluded.city, device_type = excluded.device_type,
            browser_name = excluded.browser_name, os_name = excluded.os_name, landing_path = excluded.landing_path",
        site_id,
        orders
    )
    .execute(&mut *conn)
    .await?;
    Ok(changed)
}

/// Orders placed between two times, by the facts or by the orders themselves, whose facts are not what they must be.
///
/// # Errors
/// The database's.
pub async fn stale(
    db: impl PgExecutor<'_>,
    site_id: i32,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    days: (NaiveDate, NaiveDate),
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"select order_id as "order_id!" from (
            select site_id, order_id, created_at, day, payment_status, purchase, revenue, discount, payment_method,
                sales_channel, stream, customer_hash, email_hash, phone_hash, referred_by, referral_code, promo_code, utm_campaign, vip_tier,
                subscription, subscription_active, loyalty_earned, loyalty_redeemed, session_first_seen, bot_reason,
                utm_source, utm_medium, utm_content, utm_term, channel, country, city, device_type, browser_name, os_name, landing_path
            from order_facts_now where site_id = $1 and created_at >= $2 and created_at < $3
            union all
            select site_id, order_id, created_at, day, payment_status, purchase, revenue, discount, payment_method,
                sales_channel, stream, customer_hash, email_hash, phone_hash, referred_by, referral_code, promo_code, utm_campaign, vip_tier,
                subscription, subscription_active, loyalty_earned, loyalty_redeemed, session_first_seen, bot_reason,
                utm_source, utm_medium, utm_content, utm_term, channel, country, city, device_type, browser_name, os_name, landing_path
            from order_facts where site_id = $1 and day between $4 and $5
        ) both_sides
        group by site_id, order_id, created_at, day, payment_status, purchase, revenue, discount, payment_method,
            sales_channel, stream, customer_hash, email_hash, phone_hash, referred_by, referral_code, promo_code, utm_campaign, vip_tier,
            subscription, subscription_active, loyalty_earned, loyalty_redeemed, session_first_seen, bot_reason,
                utm_source, utm_medium, utm_content, utm_term, channel, country, city, device_type, browser_name, os_name, landing_path
        having count(*) <> 2"#,
        site_id,
        from,
        to,
        days.0,
        days.1
    )
    .fetch_all(db)
    .await
}

/// Sets the site's orders aside as they are now, until the transaction ends: what a rebuild makes of them must be of the same orders,
/// though others write them meanwhile.
///
/// # Errors
/// The database's.
pub async fn set_aside(conn: &mut PgConnection, site_id: i32) -> sqlx::Result<()> {
    let sql = "create temp table order_facts_then on commit drop as select * from order_facts_now where site_id = $1";
    sqlx::query(sql)
        .bind(site_id)
        .persistent(false)
        .execute(&mut *conn)
        .await?;
    sqlx::query("analyze order_facts_then").execute(conn).await?;
    Ok(())
}

/// A set of contacts that orders carry together.
#[derive(Debug, sqlx::FromRow)]
#[expect(
    missing_docs,
    reason = "the columns of order_facts, and how many orders carry just these"
)]
pub struct ContactGroup {
    pub customer_hash: Option<Vec<u8>>,
    pub email_hash: Option<Vec<u8>>,
    pub phone_hash: Option<Vec<u8>>,
    pub orders: i64,
}

/// The contacts of the orders that were set aside.
///
/// # Errors
/// The database's.
pub async fn contact_groups(conn: &mut PgConnection) -> sqlx::Result<Vec<ContactGroup>> {
    sqlx::query_as(
        "select customer_hash, email_hash, phone_hash, count(*) as orders from order_facts_then
        where coalesce(customer_hash, email_hash, phone_hash) is not null group by 1, 2, 3",
    )
    .persistent(false)
    .fetch_all(conn)
    .await
}

/// Makes every fact of the site anew from the orders that were set aside, with the customers that `customer_contacts` says; in the order
/// of time, so that the facts of some days lie together.
///
/// # Errors
/// The database's.
pub async fn rebuild(conn: &mut PgConnection, site_id: i32) -> sqlx::Result<()> {
    sqlx::query!("delete from order_facts where site_id = $1", site_id)
        .execute(&mut *conn)
        .await?;
    sqlx::query(
        "with numbered as (
            select n.*, coalesce(c.customer_no, e.customer_no, p.customer_no) as customer_no
            from order_facts_then n
            left join customer_contacts c on c.site_id = n.site_id and c.contact_hash = n.customer_hash
            left join customer_contacts e on e.site_id = n.site_id and e.contact_hash = n.email_hash
            left join customer_contacts p on p.site_id = n.site_id and p.contact_hash = n.phone_hash
        )
        insert into order_facts (site_id, order_id, created_at, day, payment_status, purchase, revenue, discount, payment_method,
            sales_channel, stream, customer_hash, email_hash, phone_hash, referred_by, referral_code, promo_code, utm_campaign, vip_tier,
            subscription, subscription_active, loyalty_earned, loyalty_redeemed, session_first_seen, bot_reason,
                utm_source, utm_medium, utm_content, utm_term, channel, country, city, device_type, browser_name, os_name, landing_path, customer_no,
            purchase_no, previous_day, same_minute)
        select site_id, order_id, created_at, day, payment_status, purchase, revenue, discount, payment_method,
            sales_channel, stream, customer_hash, email_hash, phone_hash, referred_by, referral_code, promo_code, utm_campaign, vip_tier,
            subscription, subscription_active, loyalty_earned, loyalty_redeemed, session_first_seen, bot_reason,
                utm_source, utm_medium, utm_content, utm_term, channel, country, city, device_type, browser_name, os_name, landing_path, customer_no,
            case when customer_no is not null and purchase then
                (row_number() over (partition by customer_no, purchase order by created_at, order_id collate \"C\"))::integer end,
            case when customer_no is not null and purchase then
                lag(day) over (partition by customer_no, purchase order by created_at, order_id collate \"C\") end,
            customer_no is not null and purchase
                and count(*) over (partition by customer_no, purchase, date_trunc('minute', created_at, 'UTC')) > 1
        from numbered
        order by created_at",
    )
    .persistent(false)
    .execute(&mut *conn)
    .await?;
    Ok(())
}
