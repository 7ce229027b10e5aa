//! Promotional campaigns: what they may say, and their rows.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, PgPool};

use super::figures::Window;
use super::influenced;
use super::people::Whom;
use super::segments::Segment;
use crate::catalogue::Text;
use crate::error::ApiError;
use crate::record::money_limit;

/// Where a campaign stands. Only active, paused and completed ones count orders, on the days from start to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Being written.
    Draft,
    /// Running.
    Active,
    /// Held.
    Paused,
    /// Over; it never changes again.
    Completed,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Draft, Self::Active, Self::Paused, Self::Completed];

    /// The name in the database and in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Completed => "completed",
        }
    }

    /// Reads [`Status::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// For people.
    pub const fn label(self) -> Text {
        match self {
            Self::Draft => Text {
                uk: "Чернетка",
                en: "Draft",
            },
            Self::Active => Text {
                uk: "Активна",
                en: "Active",
            },
            Self::Paused => Text {
                uk: "Призупинена",
                en: "Paused",
            },
            Self::Completed => Text {
                uk: "Завершена",
                en: "Completed",
            },
        }
    }

    /// What it may become.
    pub const fn next(self) -> &'static [Self] {
        match self {
            Self::Draft => &[Self::Active],
            Self::Active => &[Self::Paused, Self::Completed],
            Self::Paused => &[Self::Active, Self::Completed],
            Self::Completed => &[],
        }
    }
}

/// What is taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiscountType {
    /// `discount_value` percent.
    Percent,
    /// `discount_value` in the site's currency.
    Fixed,
    /// Shipping.
    FreeShipping,
    /// Nothing.
    None,
}

impl DiscountType {
    /// The name in the database and in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Percent => "percent",
            Self::Fixed => "fixed",
            Self::FreeShipping => "free_shipping",
            Self::None => "none",
        }
    }
}

/// What people say about a campaign.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct Plan {
    pub name: String,
    pub description: String,
    pub discount_type: DiscountType,
    pub discount_value: Decimal,
    pub status: Status,
    pub start_day: NaiveDate,
    pub end_day: Option<NaiveDate>,
    pub audience: Option<Segment>,
    pub budget: Decimal,
    pub utm_campaigns: Vec<String>,
    pub promo_codes: Vec<String>,
}

impl Plan {
    /// Trims and lower-cases what orders are compared with, then checks everything.
    ///
    /// # Errors
    /// 400 naming the field and what is allowed.
    pub fn checked(mut self) -> Result<Self, ApiError> {
        let check = |fine: bool, field: &str, allowed: &str| {
            if fine {
                Ok(())
            } else {
                Err(ApiError::invalid(field, allowed))
            }
        };
        let plain = |text: &str, most: usize| text.chars().count() <= most && !text.chars().any(char::is_control);
        self.name = self.name.trim().to_owned();
        check(
            !self.name.is_empty() && plain(&self.name, 100),
            "name",
            "a name has 1 to 100 characters",
        )?;
        let description = self.description.chars().count() <= 2_000 && !self.description.contains('\0');
        check(description, "description", "a description has at most 2000 characters")?;
        let value = self.discount_value;
        let (fine, allowed) = match self.discount_type {
            DiscountType::Percent => (
                value > Decimal::ZERO && value <= Decimal::ONE_HUNDRED,
                "a percentage is more than 0 and at most 100",
            ),
            DiscountType::Fixed => (
                value > Decimal::ZERO && value < money_limit(),
                "an amount is more than 0 and below 100000000000000",
            ),
            DiscountType::FreeShipping | DiscountType::None => {
                (value.is_zero(), "without an amount: 0 for this discount_type")
            }
        };
        check(fine && value.scale() <= 4, "discount_value", allowed)?;
        check(
            self.end_day.is_none_or(|end| end >= self.start_day),
            "end_day",
            "the last day is not before start_day; null for an open end",
        )?;
        check(
            self.budget >= Decimal::ZERO && self.budget < money_limit() && self.budget.scale() <= 4,
            "budget",
            "a budget is 0 or more, with at most 4 decimals",
        )?;
        for (field, list, most, chars) in [
            ("utm_campaigns", &mut self.utm_campaigns, 50, 255),
            ("promo_codes", &mut self.promo_codes, 500, 100),
        ] {
            list.iter_mut().for_each(|value| *value = value.trim().to_lowercase());
            list.sort();
            list.dedup();
            let fine = list.len() <= most && list.iter().all(|value| !value.is_empty() && plain(value, chars));
            check(
                fine,
                field,
                &format!("at most {most} values of 1 to {chars} characters"),
            )?;
        }
        let known = !self.utm_campaigns.is_empty() || !self.promo_codes.is_empty();
        check(
            known || self.status == Status::Draft,
            "utm_campaigns",
            "a campaign that runs needs a utm_campaign value or a promo code to know its orders by",
        )?;
        Ok(self)
    }
}

/// A campaign and what it brought in all.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the migration says what each column means; the sums are over campaign_performance"
)]
pub struct Campaign {
    pub campaign_id: i64,
    pub name: String,
    pub description: String,
    pub discount_type: String,
    pub discount_value: Decimal,
    pub status: String,
    pub start_day: NaiveDate,
    pub end_day: Option<NaiveDate>,
    pub audience: Option<String>,
    pub budget: Decimal,
    pub utm_campaigns: Vec<String>,
    pub promo_codes: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub customers_reached: i64,
    pub orders: i64,
    pub purchases: i64,
    pub revenue: Decimal,
    pub discount_cost: Decimal,
    pub unvalued_orders: i64,
}

/// Campaigns of a site, the latest first; those of a status, or one.
///
/// # Errors
/// The database's.
pub async fn list(
    db: impl PgExecutor<'_>,
    site_id: i32,
    status: Option<Status>,
    one: Option<i64>,
    (limit, offset): (i64, i64),
) -> sqlx::Result<Vec<Campaign>> {
    sqlx::query_as!(
        Campaign,
        r#"select c.campaign_id, c.name, c.description, c.discount_type, c.discount_value, c.status, c.start_day, c.end_day, c.audience,
            c.budget, c.utm_campaigns, c.promo_codes, c.created_at, c.updated_at, c.customers_reached,
            coalesce(p.orders, 0) as "orders!", coalesce(p.purchases, 0) as "purchases!", coalesce(p.revenue, 0) as "revenue!",
            coalesce(p.discount_cost, 0) as "discount_cost!", coalesce(p.unvalued_orders, 0) as "unvalued_orders!"
        from campaigns c left join lateral (
            select sum(orders) as orders, sum(purchases) as purchases, sum(revenue) as revenue, sum(discount_cost) as discount_cost,
                sum(unvalued_orders) as unvalued_orders
            from campaign_performance p where p.site_id = c.site_id and p.campaign_id = c.campaign_id) p on true
        where c.site_id = $1 and ($2::text is null or c.status = $2) and ($3::bigint is null or c.campaign_id = $3)
        order by c.start_day desc, c.campaign_id desc limit $4 offset $5"#,
        site_id,
        status.map(Status::name),
        one,
        limit,
        offset
    )
    .fetch_all(db)
    .await
}

/// Locks a campaign until the transaction ends and answers what is said about it.
///
/// # Errors
/// The database's.
pub async fn lock(conn: &mut PgConnection, site_id: i32, campaign_id: i64) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select 1 as "one!" from campaigns where site_id = $1 and campaign_id = $2 for update"#,
        site_id,
        campaign_id
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

/// Makes a campaign and answers its number.
///
/// # Errors
/// The database's.
pub async fn insert(db: impl PgExecutor<'_>, site_id: i32, plan: &Plan, now: DateTime<Utc>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "insert into campaigns (site_id, name, description, discount_type, discount_value, status, start_day, end_day, audience, budget,
            utm_campaigns, promo_codes, created_at, updated_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13) returning campaign_id",
        site_id,
        plan.name,
        plan.description,
        plan.discount_type.name(),
        plan.discount_value,
        plan.status.name(),
        plan.start_day,
        plan.end_day,
        plan.audience.map(Segment::key),
        plan.budget,
        &plan.utm_campaigns,
        &plan.promo_codes,
        now
    )
    .fetch_one(db)
    .await
}

/// Changes a campaign; its performance follows within seconds.
///
/// # Errors
/// The database's.
pub async fn update(
    db: impl PgExecutor<'_>,
    site_id: i32,
    campaign_id: i64,
    plan: &Plan,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update campaigns set name = $3, description = $4, discount_type = $5, discount_value = $6, status = $7, start_day = $8,
            end_day = $9, audience = $10, budget = $11, utm_campaigns = $12, promo_codes = $13, updated_at = $14, stale = true
        where site_id = $1 and campaign_id = $2",
        site_id,
        campaign_id,
        plan.name,
        plan.description,
        plan.discount_type.name(),
        plan.discount_value,
        plan.status.name(),
        plan.start_day,
        plan.end_day,
        plan.audience.map(Segment::key),
        plan.budget,
        &plan.utm_campaigns,
        &plan.promo_codes,
        now
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes a campaign that is a draft; false when it is none.
///
/// # Errors
/// The database's.
pub async fn delete_draft(db: impl PgExecutor<'_>, site_id: i32, campaign_id: i64) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "delete from campaigns where site_id = $1 and campaign_id = $2 and status = 'draft'",
        site_id,
        campaign_id
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What orders of a campaign add up to.
#[derive(Debug, Clone, Default, PartialEq, sqlx::FromRow)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct Sums {
    pub orders: i64,
    pub purchases: i64,
    pub revenue: Decimal,
    pub discount_cost: Decimal,
    /// Different ones with a purchase.
    pub customers: i64,
    /// Purchases without an exchange rate.
    pub unvalued_orders: i64,
}

/// A campaign's day.
#[derive(Debug, Clone, sqlx::FromRow)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct PerformanceDay {
    pub campaign_id: i64,
    pub day: NaiveDate,
    pub orders: i64,
    pub purchases: i64,
    pub revenue: Decimal,
    pub discount_cost: Decimal,
    pub customers: i64,
}

/// What the orders with the filters' values add up to for each of these campaigns; they are not kept.
///
/// # Errors
/// The database's.
pub async fn filtered_sums(pool: &PgPool, among: Whom<'_>, ids: &[i64]) -> sqlx::Result<BTreeMap<i64, Sums>> {
    let found = influenced::sums(pool, among.site.id, among.filters, ids).await?;
    Ok(found.into_iter().map(|row| (row.campaign_id, row.sums)).collect())
}

/// Days on which a campaign brought orders, by those with the filters' values.
///
/// # Errors
/// The database's.
pub async fn performance(pool: &PgPool, among: Whom<'_>, campaign_id: i64) -> sqlx::Result<Vec<PerformanceDay>> {
    if among.is_filtered() {
        return influenced::performance(pool, among.site.id, among.filters, campaign_id).await;
    }
    sqlx::query_as!(
        PerformanceDay,
        r#"select campaign_id, day, orders::bigint as "orders!", purchases::bigint as "purchases!", revenue, discount_cost, customers::bigint as "customers!"
        from campaign_performance where site_id = $1 and campaign_id = $2 order by day"#,
        among.site.id,
        campaign_id
    )
    .fetch_all(pool)
    .await
}

/// Days of a window on which campaigns brought orders, campaign by campaign.
///
/// # Errors
/// The database's.
pub async fn performances(pool: &PgPool, window: &Window) -> sqlx::Result<Vec<PerformanceDay>> {
    if window.is_filtered() {
        return influenced::performances(pool, window).await;
    }
    sqlx::query_as!(
        PerformanceDay,
        r#"select campaign_id, day, orders::bigint as "orders!", purchases::bigint as "purchases!", revenue, discount_cost,
            customers::bigint as "customers!"
        from campaign_performance where site_id = $1 and ($2::date is null or day >= $2) and day <= $3 order by campaign_id, day"#,
        window.site_id,
        window.first,
        window.last
    )
    .fetch_all(pool)
    .await
}

/// Customers that a campaign reached, by their segment on a day (a code) and how many of them are new by it.
///
/// # Errors
/// The database's.
pub async fn segments_reached(
    pool: &PgPool,
    among: Whom<'_>,
    campaign_id: i64,
    day: NaiveDate,
) -> sqlx::Result<Vec<(Option<i16>, i64)>> {
    let site_id = among.site.id;
    if among.is_filtered() {
        return influenced::segments_reached(pool, site_id, among.filters, campaign_id, day).await;
    }
    let rows = sqlx::query!(
        r#"select m.segments[width_bucket($3::date, m.move_days)] as segment, count(*) as "customers!" from (
            select distinct f.customer_no from campaign_orders f where f.site_id = $1 and f.campaign_id = $2 and f.purchase
        ) r join customer_metrics m on m.site_id = $1 and m.customer_no = r.customer_no group by 1"#,
        site_id,
        campaign_id,
        day
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.segment, row.customers)).collect())
}

/// The latest orders that a campaign influenced.
///
/// # Errors
/// The database's.
pub async fn orders(
    pool: &PgPool,
    among: Whom<'_>,
    campaign_id: i64,
    limit: i64,
) -> sqlx::Result<Vec<super::figures::RecentOrder>> {
    let site_id = among.site.id;
    if among.is_filtered() {
        return influenced::orders(pool, site_id, among.filters, campaign_id, limit).await;
    }
    sqlx::query_as!(
        super::figures::RecentOrder,
        "select o.order_id, o.order_number, o.created_at, o.payment_status, o.payment_method, o.total, o.currency, o.revenue,
            o.utm_source, o.utm_campaign
        from (
            select f.site_id, f.order_id from campaign_orders f
            where f.site_id = $1 and f.campaign_id = $2 order by f.created_at desc, f.order_id limit $3
        ) f join orders o on o.site_id = f.site_id and o.order_id = f.order_id order by o.created_at desc, o.order_id",
        site_id,
        campaign_id,
        limit
    )
    .fetch_all(pool)
    .await
}
