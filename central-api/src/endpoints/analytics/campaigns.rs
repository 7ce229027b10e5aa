//! Promotional campaigns: the list, and one with its performance.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::Path;
use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use super::asked::Asked;
use super::customers::OfSite;
use super::dashboard::RecentOrder;
use super::{SegmentName, Words};
use crate::business::campaigns::{self, Campaign, DiscountType, Plan, Status};
use crate::business::segments::Segment;
use crate::catalogue::{Dimension, Metric};
use crate::error::{ApiError, ErrorBody};
use crate::extract::Json;
use crate::reports::figure::Figure;
use crate::reports::filter::Filters;
use crate::reports::period::Period;
use crate::reports::scope::{AttributionDate, Bots, Scope};
use crate::reports::sql::Question;
use crate::reports::table;
use crate::site::Site;

/// Answered for a number that no campaign of the site has.
pub(super) const UNKNOWN: ApiError = ApiError::NotFound("there is no such campaign");
/// Orders shown of one campaign.
const ORDERS: i64 = 20;

/// A campaign and what it brought in all.
#[derive(Debug, Serialize, ToSchema)]
pub struct CampaignView {
    /// Its number.
    id: i64,
    /// For people.
    name: String,
    /// For people.
    description: String,
    /// `percent`, `fixed`, `free_shipping` or `none`.
    discount_type: String,
    /// Percent, or an amount in the site's currency.
    discount_value: Figure,
    /// `draft`, `active`, `paused` or `completed`.
    status: String,
    /// For people.
    status_label: Words,
    /// What the status may become.
    allowed_statuses: Vec<Status>,
    /// First local day.
    start_day: NaiveDate,
    /// Last local day, included; null: open.
    end_day: Option<NaiveDate>,
    /// The segment that it is for; null: everybody.
    audience: Option<SegmentName>,
    /// What it costs beside its discounts.
    budget: Figure,
    /// Orders of sessions with one of these are the campaign's.
    utm_campaigns: Vec<String>,
    /// Orders with one of these are the campaign's.
    promo_codes: Vec<String>,
    /// When it was made, UTC.
    created_at: DateTime<Utc>,
    /// When it was changed last, UTC.
    updated_at: DateTime<Utc>,
    /// Orders of any payment status that it influenced, placed on its days.
    orders: i64,
    /// Paid or partially refunded ones.
    purchases: i64,
    /// Their revenue, net of refunds.
    revenue: Figure,
    /// Revenue per purchase.
    avg_order_value: Figure,
    /// Different customers with a purchase.
    customers_reached: i64,
    /// Discounts on its purchases.
    discount_cost: Figure,
    /// (revenue − discounts − budget) / (discounts + budget), in percent; null without cost.
    roi: Figure,
}

/// A list of campaigns.
#[derive(Debug, Serialize, ToSchema)]
pub struct CampaignList {
    /// The site's key.
    site: String,
    /// ISO 4217 code of all money.
    currency: String,
    /// The latest first.
    campaigns: Vec<ListedCampaign>,
}

/// A campaign in the list.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListedCampaign {
    #[serde(flatten)]
    campaign: CampaignView,
    #[serde(flatten)]
    sessions: CampaignSessions,
}

/// Sessions that a campaign's links brought.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(super) struct CampaignSessions {
    /// Sessions with one of its utm_campaign values on its days.
    sessions: Figure,
    /// Those with a lead or purchase.
    converted_sessions: Figure,
    /// In percent of the sessions; null without one.
    pub(super) conversion_rate: Figure,
}

impl CampaignSessions {
    fn sum<'a>(days: impl Iterator<Item = &'a (Figure, Figure)>) -> Self {
        let (mut sessions, mut converted) = (Decimal::ZERO, Decimal::ZERO);
        for (all, of_them) in days {
            sessions += all.0.unwrap_or_default();
            converted += of_them.0.unwrap_or_default();
        }
        Self {
            sessions: sessions.into(),
            converted_sessions: converted.into(),
            conversion_rate: Figure::ratio(100, converted.into(), sessions.into()),
        }
    }
}

/// A day of a campaign.
#[derive(Debug, Serialize, ToSchema)]
struct CampaignDay {
    /// Local day.
    day: NaiveDate,
    /// Orders placed on it.
    orders: i64,
    /// Paid or partially refunded ones.
    purchases: i64,
    /// Their revenue.
    revenue: Figure,
    /// Discounts on its purchases.
    discount_cost: Figure,
    /// Different customers with a purchase on it.
    customers: i64,
    /// Sessions with one of its utm_campaign values that began on it.
    sessions: Figure,
    /// Those with a lead or purchase.
    converted_sessions: Figure,
    /// In percent of the sessions; null without one.
    conversion_rate: Figure,
}

/// Customers reached in a segment.
#[derive(Debug, Serialize, ToSchema)]
struct SegmentReached {
    /// The segment today.
    segment: Option<SegmentName>,
    /// Customers.
    customers: i64,
}

/// A campaign with its performance.
#[derive(Debug, Serialize, ToSchema)]
pub struct CampaignDetail {
    /// The site's key.
    site: String,
    /// ISO 4217 code of all money.
    currency: String,
    /// The campaign, and what it brought in all.
    campaign: CampaignView,
    #[serde(flatten)]
    sessions: CampaignSessions,
    /// Days with an order or session.
    days: Vec<CampaignDay>,
    /// Whom it reached.
    segments_reached: Vec<SegmentReached>,
    /// Its latest orders.
    recent_orders: Vec<RecentOrder>,
}

/// As it is answered.
pub(super) fn view(row: Campaign) -> CampaignView {
    let status = Status::from_name(&row.status).unwrap_or(Status::Completed);
    let cost = row.discount_cost + row.budget;
    CampaignView {
        id: row.campaign_id,
        status_label: status.label().into(),
        allowed_statuses: status.next().to_vec(),
        audience: row
            .audience
            .as_deref()
            .and_then(Segment::from_key)
            .and_then(|segment| SegmentName::of_code(Some(segment.code()))),
        avg_order_value: Figure::ratio(1, row.revenue.into(), row.purchases.into()),
        roi: Figure::ratio(100, (row.revenue - cost).into(), cost.into()),
        name: row.name,
        description: row.description,
        discount_type: row.discount_type,
        discount_value: row.discount_value.into(),
        status: row.status,
        start_day: row.start_day,
        end_day: row.end_day,
        budget: row.budget.into(),
        utm_campaigns: row.utm_campaigns,
        promo_codes: row.promo_codes,
        created_at: row.created_at,
        updated_at: row.updated_at,
        orders: row.orders,
        purchases: row.purchases,
        revenue: row.revenue.into(),
        customers_reached: row.customers_reached,
        discount_cost: row.discount_cost.into(),
    }
}

/// What people said about it.
pub(super) fn plan(row: &Campaign) -> Plan {
    let types = [DiscountType::Percent, DiscountType::Fixed, DiscountType::FreeShipping];
    Plan {
        name: row.name.clone(),
        description: row.description.clone(),
        discount_type: types
            .into_iter()
            .find(|known| known.name() == row.discount_type)
            .unwrap_or(DiscountType::None),
        discount_value: row.discount_value,
        status: Status::from_name(&row.status).unwrap_or(Status::Completed),
        start_day: row.start_day,
        end_day: row.end_day,
        audience: row.audience.as_deref().and_then(Segment::from_key),
        budget: row.budget,
        utm_campaigns: row.utm_campaigns.clone(),
        promo_codes: row.promo_codes.clone(),
    }
}

/// The campaign with this number.
///
/// # Errors
/// 404; the database's.
pub(super) async fn find(db: impl sqlx::PgExecutor<'_>, site_id: i32, id: i64) -> Result<Campaign, ApiError> {
    let found = campaigns::list(db, site_id, None, Some(id), (1, 0)).await?;
    found.into_iter().next().ok_or(UNKNOWN)
}

/// Reads a number from a path.
///
/// # Errors
/// 404.
pub(super) fn number(id: &str) -> Result<i64, ApiError> {
    id.parse().map_err(|_| UNKNOWN)
}

/// Parameters of the list, for the description.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
pub struct ListParams {
    /// Key of the site; need not be given when there is only one.
    site: Option<String>,
    /// `draft`, `active`, `paused` or `completed`; all when absent.
    status: Option<Status>,
    /// At most 1,000; 100 when absent.
    limit: Option<i64>,
    /// To skip.
    offset: Option<i64>,
}

/// Campaigns with what each brought.
#[utoipa::path(get, path = "/api/v1/analytics/campaigns", operation_id = "list_campaigns", tag = "business", params(ListParams), responses(
    (status = 200, body = CampaignList, description = "the latest first"),
    (status = 400, body = ErrorBody, description = "a parameter has a value that is not allowed; it is named"),
    (status = 401, body = ErrorBody, description = "nobody is logged in"),
))]
pub async fn list(mut asked: Asked) -> Result<Json<CampaignList>, ApiError> {
    let allowed = Status::ALL.map(|status| (status.name(), Some(status)));
    let status = asked.params.choice("status", &allowed, None)?;
    let page = (
        asked.params.number("limit", 1..=1_000, 100)?,
        asked.params.number("offset", 0..=1_000_000, 0)?,
    );
    let today = asked.today();
    asked.params.finish()?;
    let found = campaigns::list(&asked.pool, asked.site.id, status, None, page).await?;
    let plans: Vec<Plan> = found.iter().map(plan).collect();
    let days = sessions(&asked.pool, &asked.site, &plans, today).await?;
    Ok(Json(CampaignList {
        site: asked.site.key.clone(),
        currency: asked.site.currency.clone(),
        campaigns: found
            .into_iter()
            .zip(days)
            .map(|(row, days)| ListedCampaign {
                campaign: view(row),
                sessions: CampaignSessions::sum(days.values()),
            })
            .collect(),
    }))
}

/// Sessions and converted sessions of a local day.
type Days = BTreeMap<NaiveDate, (Figure, Figure)>;

/// The local days on which sessions count for a campaign; none for a draft, one without values, or one that is still to come.
fn days_of(plan: &Plan, today: NaiveDate) -> Option<(NaiveDate, NaiveDate)> {
    let last = plan.end_day.unwrap_or(today).min(today);
    let counts = !plan.utm_campaigns.is_empty() && last >= plan.start_day && plan.status != Status::Draft;
    counts.then_some((plan.start_day, last))
}

/// Sessions of each of these campaigns by local day, in their order.
async fn sessions(pool: &PgPool, site: &Arc<Site>, plans: &[Plan], today: NaiveDate) -> Result<Vec<Days>, ApiError> {
    let mut found = vec![Days::new(); plans.len()];
    let ranges: Vec<_> = plans.iter().map(|plan| days_of(plan, today)).collect();
    let first = ranges.iter().flatten().map(|(first, _)| *first).min();
    let last = ranges.iter().flatten().map(|(_, last)| *last).max();
    let Some((first, last)) = first.zip(last) else {
        return Ok(found);
    };
    let counted = plans.iter().zip(&ranges).filter(|(_, range)| range.is_some());
    let values: BTreeSet<&String> = counted.flat_map(|(plan, _)| &plan.utm_campaigns).collect();
    let values: Vec<&String> = values.into_iter().collect();
    // As many values as a request may filter by.
    for values in values.chunks(100) {
        let mut filters = Filters::default();
        for value in values {
            // A backslash takes the rest literally.
            filters.add(Dimension::UtmCampaign, &format!("\\{value}"))?;
        }
        let scope = Scope {
            site: site.clone(),
            period: Period::of_days(first, last, site.time_zone),
            filters,
            bots: Bots::Exclude,
            confirmed: false,
            attribution_date: AttributionDate::Session,
        };
        let metrics = [Metric::Sessions, Metric::Conversions];
        let question = Question {
            scope: &scope,
            dimensions: &[Dimension::UtmCampaign, Dimension::Day],
            metrics: &metrics,
            sort: None,
            limit: None,
            offset: 0,
        };
        for row in table::ask(pool, &question).await?.rows {
            let day: Option<NaiveDate> = row.text(Dimension::Day.key()).and_then(|day| day.parse().ok());
            let (Some(value), Some(day)) = (row.text(Dimension::UtmCampaign.key()), day) else {
                continue;
            };
            for ((plan, range), days) in plans.iter().zip(&ranges).zip(&mut found) {
                let within = range.is_some_and(|(first, last)| day >= first && day <= last);
                if within && plan.utm_campaigns.iter().any(|own| own == value) {
                    let sum = days.entry(day).or_insert((Figure::ZERO, Figure::ZERO));
                    sum.0 = sum.0.plus(row.figure(metrics[0]));
                    sum.1 = sum.1.plus(row.figure(metrics[1]));
                }
            }
        }
    }
    Ok(found)
}

/// Conversion rate of each of these campaigns, in their order; for their file.
///
/// # Errors
/// The database's.
pub(super) async fn conversion_rates(asked: &Asked, rows: &[Campaign]) -> Result<Vec<Figure>, ApiError> {
    let plans: Vec<Plan> = rows.iter().map(plan).collect();
    let days = sessions(&asked.pool, &asked.site, &plans, asked.today()).await?;
    let rate = |days: &Days| CampaignSessions::sum(days.values()).conversion_rate;
    Ok(days.iter().map(rate).collect())
}

/// A campaign: performance day by day, whom it reached, its latest orders.
#[utoipa::path(get, path = "/api/v1/analytics/campaigns/{id}", operation_id = "show_campaign", tag = "business",
    params(OfSite, ("id" = i64, Path, description = "number of the campaign")), responses(
    (status = 200, body = CampaignDetail, description = "the campaign"),
    (status = 401, body = ErrorBody, description = "nobody is logged in"),
    (status = 404, body = ErrorBody, description = "there is no such campaign"),
))]
pub async fn show(Path(id): Path<String>, asked: Asked) -> Result<Json<CampaignDetail>, ApiError> {
    let id = number(&id)?;
    let (site, today) = (asked.site.clone(), asked.today());
    asked.params.finish()?;
    let row = find(&asked.pool, site.id, id).await?;
    let plan = plan(&row);
    let (days, reached, orders) = tokio::try_join!(
        campaigns::performance(&asked.pool, site.id, id),
        campaigns::segments_reached(&asked.pool, site.id, id, today),
        campaigns::orders(&asked.pool, site.id, id, ORDERS),
    )?;
    let sessions = sessions(&asked.pool, &site, &[plan], today)
        .await?
        .pop()
        .unwrap_or_default();
    let mut by_day: BTreeMap<NaiveDate, CampaignDay> = BTreeMap::new();
    let empty = |day| CampaignDay {
        day,
        orders: 0,
        purchases: 0,
        revenue: Figure::ZERO,
        discount_cost: Figure::ZERO,
        customers: 0,
        sessions: Figure::ZERO,
        converted_sessions: Figure::ZERO,
        conversion_rate: Figure(None),
    };
    for day in days {
        let entry = by_day.entry(day.day).or_insert_with(|| empty(day.day));
        entry.orders = day.orders.into();
        entry.purchases = day.purchases.into();
        entry.revenue = day.revenue.into();
        entry.discount_cost = day.discount_cost.into();
        entry.customers = day.customers.into();
    }
    for (day, (count, converted)) in &sessions {
        let entry = by_day.entry(*day).or_insert_with(|| empty(*day));
        entry.sessions = *count;
        entry.converted_sessions = *converted;
        entry.conversion_rate = Figure::ratio(100, *converted, *count);
    }
    Ok(Json(CampaignDetail {
        site: site.key.clone(),
        currency: site.currency.clone(),
        campaign: view(row),
        sessions: CampaignSessions::sum(sessions.values()),
        days: by_day.into_values().collect(),
        segments_reached: reached
            .into_iter()
            .map(|(segment, customers)| SegmentReached {
                segment: SegmentName::of_code(segment),
                customers,
            })
            .collect(),
        recent_orders: orders.into_iter().map(RecentOrder::from).collect(),
    }))
}
