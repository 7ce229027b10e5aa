//! Promotional campaigns: the list, and one with its performance.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use super::asked::{Asked, FilterParams};
use super::customers::OfSite;
use super::dashboard::RecentOrder;
use super::{SegmentName, Words, average_order};
use crate::business::campaigns::{self, Campaign, DiscountType, PerformanceDay, Plan, Status};
use crate::business::figures::Window;
use crate::business::segments::Segment;
use crate::catalogue::{Dimension, Metric};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Path};
use crate::reports::figure::Figure;
use crate::reports::filter::Filters;
use crate::reports::period::{Period, PeriodAnswer};
use crate::reports::scope::{AttributionDate, Bots, Scope};
use crate::reports::sql::Question;
use crate::reports::table;

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
    /// Revenue per purchase of known value; null without one.
    avg_order_value: Figure,
    /// Different customers with a purchase.
    customers_reached: i64,
    /// Discounts on its purchases.
    discount_cost: Figure,
    /// (revenue − discounts − budget) / (discounts + budget), in percent; null where `undefined` says why.
    roi: Figure,
    /// Why a figure is null, by its name.
    undefined: BTreeMap<&'static str, NoFigure>,
}

/// Why there is no figure.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum NoFigure {
    /// Neither discounts nor a budget: nothing was spent.
    NoCost,
    /// Filters count some of the orders, and nobody can tell which part of the budget brought these.
    BudgetIsOfAllOrders,
}

/// A list of campaigns.
#[derive(Debug, Serialize, ToSchema)]
pub struct CampaignList {
    /// The site's key.
    site: String,
    /// ISO 4217 code of all money.
    currency: String,
    /// Which orders and sessions count: dimension → values as they would be asked for again; empty: all.
    #[schema(value_type = BTreeMap<String, Vec<String>>)]
    filters: Filters,
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
pub(super) struct CampaignDay {
    /// Local day.
    pub(super) day: NaiveDate,
    /// Orders placed on it.
    pub(super) orders: i64,
    /// Paid or partially refunded ones.
    pub(super) purchases: i64,
    /// Their revenue.
    pub(super) revenue: Figure,
    /// Discounts on its purchases.
    pub(super) discount_cost: Figure,
    /// Different customers with a purchase on it.
    pub(super) customers: i64,
    /// Sessions with one of its utm_campaign values that began on it.
    pub(super) sessions: Figure,
    /// Those with a lead or purchase.
    pub(super) converted_sessions: Figure,
    /// In percent of the sessions; null without one.
    pub(super) conversion_rate: Figure,
    /// ROI at the end of the day: of all that the campaign had brought by then, on its discounts by then and its whole budget; null where
    /// the campaign's is.
    pub(super) roi_to_date: Figure,
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
    /// Which orders and sessions count: dimension → values as they would be asked for again; empty: all.
    #[schema(value_type = BTreeMap<String, Vec<String>>)]
    filters: Filters,
    /// Its days so far; its first alone where that is still to come.
    period: PeriodAnswer,
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

/// The return on what was spent for so much revenue, and why there is none. A budget is spent on all orders: on some of them alone,
/// discounts are the only cost that is known.
fn roi(revenue: Decimal, discounts: Decimal, budget: Decimal, filtered: bool) -> Result<Figure, NoFigure> {
    let cost = discounts + budget;
    if filtered && !budget.is_zero() {
        Err(NoFigure::BudgetIsOfAllOrders)
    } else if cost.is_zero() {
        Err(NoFigure::NoCost)
    } else {
        Ok(Figure::ratio(100, (revenue - cost).into(), cost.into()))
    }
}

/// As it is answered; `filtered`: its sums are over some of its orders.
pub(super) fn view(row: Campaign, filtered: bool) -> CampaignView {
    let status = Status::from_name(&row.status).unwrap_or(Status::Completed);
    let roi = roi(row.revenue, row.discount_cost, row.budget, filtered);
    CampaignView {
        id: row.campaign_id,
        status_label: status.label().into(),
        allowed_statuses: status.next().to_vec(),
        audience: row
            .audience
            .as_deref()
            .and_then(Segment::from_key)
            .and_then(|segment| SegmentName::of_code(Some(segment.code()))),
        avg_order_value: average_order(row.revenue, row.purchases, row.unvalued_orders),
        roi: roi.unwrap_or(Figure(None)),
        undefined: roi.err().map(|why| ("roi", why)).into_iter().collect(),
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

/// Campaigns with what each brought. Filters choose its orders, and its sessions for the conversion rate.
#[utoipa::path(get, path = "/api/v1/analytics/campaigns", operation_id = "list_campaigns", tag = "business", params(ListParams, FilterParams), responses(
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
    asked.filters()?;
    asked.params.clone().finish()?;
    let filtered = asked.whom().is_filtered();
    let (found, days) = with_sessions(&asked, status, page).await?;
    Ok(Json(CampaignList {
        site: asked.site.key.clone(),
        currency: asked.site.currency.clone(),
        campaigns: found
            .into_iter()
            .zip(days)
            .map(|(row, days)| ListedCampaign {
                campaign: view(row, filtered),
                sessions: CampaignSessions::sum(days.values()),
            })
            .collect(),
        filters: asked.filters,
    }))
}

/// Campaigns of a status, each with what its orders with the filters' values add up to and its sessions.
async fn with_sessions(
    asked: &Asked,
    status: Option<Status>,
    page: (i64, i64),
) -> Result<(Vec<Campaign>, Vec<Days>), ApiError> {
    let mut found = campaigns::list(&asked.pool, asked.site.id, status, None, page).await?;
    let plans: Vec<Plan> = found.iter().map(plan).collect();
    let ((), days) = tokio::try_join!(only_filtered(asked, &mut found), sessions(asked, &plans))?;
    Ok((found, days))
}

/// Puts the sums over the orders with the filters' values in the place of those over all.
async fn only_filtered(asked: &Asked, found: &mut [Campaign]) -> Result<(), ApiError> {
    let among = asked.whom();
    if !among.is_filtered() {
        return Ok(());
    }
    let ids: Vec<i64> = found.iter().map(|row| row.campaign_id).collect();
    let mut sums = campaigns::filtered_sums(&asked.pool, among, &ids).await?;
    for row in found {
        let own = sums.remove(&row.campaign_id).unwrap_or_default();
        row.orders = own.orders;
        row.purchases = own.purchases;
        row.revenue = own.revenue;
        row.discount_cost = own.discount_cost;
        row.unvalued_orders = own.unvalued_orders;
        row.customers_reached = own.customers;
    }
    Ok(())
}

/// Sessions and converted sessions of a local day.
type Days = BTreeMap<NaiveDate, (Figure, Figure)>;

/// The local days on which sessions count for a campaign; none for a draft, one without values, or one that is still to come.
fn days_of(plan: &Plan, today: NaiveDate) -> Option<(NaiveDate, NaiveDate)> {
    let last = plan.end_day.unwrap_or(today).min(today);
    let counts = !plan.utm_campaigns.is_empty() && last >= plan.start_day && plan.status != Status::Draft;
    counts.then_some((plan.start_day, last))
}

/// Sessions of each of these campaigns by local day, in their order; those with the filters' values.
async fn sessions(asked: &Asked, plans: &[Plan]) -> Result<Vec<Days>, ApiError> {
    let (site, today) = (&asked.site, asked.today());
    let wanted = asked.filters.of(Dimension::UtmCampaign);
    let mut found = vec![Days::new(); plans.len()];
    let ranges: Vec<_> = plans.iter().map(|plan| days_of(plan, today)).collect();
    let first = ranges.iter().flatten().map(|(first, _)| *first).min();
    let last = ranges.iter().flatten().map(|(_, last)| *last).max();
    let Some((first, last)) = first.zip(last) else {
        return Ok(found);
    };
    let counted = plans.iter().zip(&ranges).filter(|(_, range)| range.is_some());
    let values: BTreeSet<&String> = counted.flat_map(|(plan, _)| &plan.utm_campaigns).collect();
    let values: Vec<&String> = values
        .into_iter()
        .filter(|value| wanted.is_none_or(|wanted| wanted.admits(Some(value))))
        .collect();
    for values in values.chunks(100) {
        let filters = asked.filters.clone();
        let filters = filters.with(Dimension::UtmCampaign, values.iter().copied().cloned());
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
        for row in table::ask(&asked.pool, &question).await?.rows {
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

/// A campaign's days with an order or session, in order.
fn in_days(found: Vec<PerformanceDay>, sessions: &Days, budget: Decimal, filtered: bool) -> Vec<CampaignDay> {
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
        roi_to_date: Figure(None),
    };
    let (mut by_day, mut money) = (BTreeMap::new(), BTreeMap::new());
    for day in found {
        let entry = by_day.entry(day.day).or_insert_with(|| empty(day.day));
        entry.orders = day.orders;
        entry.purchases = day.purchases;
        entry.revenue = day.revenue.into();
        entry.discount_cost = day.discount_cost.into();
        entry.customers = day.customers;
        money.insert(day.day, (day.revenue, day.discount_cost));
    }
    for (day, (count, converted)) in sessions {
        let entry = by_day.entry(*day).or_insert_with(|| empty(*day));
        entry.sessions = *count;
        entry.converted_sessions = *converted;
        entry.conversion_rate = Figure::ratio(100, *converted, *count);
    }
    let (mut revenue, mut discounts) = (Decimal::ZERO, Decimal::ZERO);
    for entry in by_day.values_mut() {
        if let Some((brought, taken_off)) = money.get(&entry.day) {
            revenue += *brought;
            discounts += *taken_off;
        }
        entry.roi_to_date = roi(revenue, discounts, budget, filtered).unwrap_or(Figure(None));
    }
    by_day.into_values().collect()
}

/// Days within a window, each with its campaign's name, for their file: every campaign's, or one's alone.
///
/// # Errors
/// 404 when there is no such one; the database's.
pub(super) async fn days_by_name(
    asked: &Asked,
    window: &Window,
    one: Option<i64>,
) -> Result<Vec<(String, CampaignDay)>, ApiError> {
    let found = campaigns::list(&asked.pool, asked.site.id, None, one, (i64::MAX, 0)).await?;
    if one.is_some() && found.is_empty() {
        return Err(UNKNOWN);
    }
    let plans: Vec<Plan> = found.iter().map(plan).collect();
    // What was brought before the window is in its days' returns.
    let until = Window {
        first: None,
        ..window.clone()
    };
    let (performance, sessions) = tokio::try_join!(
        async {
            Ok(match one {
                Some(id) => campaigns::performance(&asked.pool, asked.whom(), id).await?,
                None => campaigns::performances(&asked.pool, &until).await?,
            })
        },
        sessions(asked, &plans),
    )?;
    let mut by_campaign: BTreeMap<i64, Vec<PerformanceDay>> = BTreeMap::new();
    for day in performance {
        by_campaign.entry(day.campaign_id).or_default().push(day);
    }
    let mut rows = Vec::new();
    for (row, sessions) in found.into_iter().zip(sessions) {
        let own = by_campaign.remove(&row.campaign_id).unwrap_or_default();
        let days = in_days(own, &sessions, row.budget, window.is_filtered()).into_iter();
        let within = |day: &CampaignDay| window.first.is_none_or(|first| day.day >= first) && day.day <= window.last;
        rows.extend(days.filter(within).map(|day| (row.name.clone(), day)));
    }
    Ok(rows)
}

/// Every campaign with its conversion rate and return, for their file.
///
/// # Errors
/// The database's.
pub(super) async fn all(asked: &Asked) -> Result<Vec<(Campaign, Figure, Figure)>, ApiError> {
    let filtered = asked.whom().is_filtered();
    let (found, days) = with_sessions(asked, None, (i64::MAX, 0)).await?;
    let rate = |days: &Days| CampaignSessions::sum(days.values()).conversion_rate;
    let roi = |row: &Campaign| roi(row.revenue, row.discount_cost, row.budget, filtered).unwrap_or(Figure(None));
    Ok(found
        .into_iter()
        .zip(&days)
        .map(|(row, days)| {
            let roi = roi(&row);
            (row, rate(days), roi)
        })
        .collect())
}

/// A campaign: performance day by day, whom it reached, its latest orders. Filters choose its orders, and its sessions for the conversion
/// rate.
#[utoipa::path(get, path = "/api/v1/analytics/campaigns/{id}", operation_id = "show_campaign", tag = "business",
    params(OfSite, FilterParams, ("id" = i64, Path, description = "number of the campaign")), responses(
    (status = 200, body = CampaignDetail, description = "the campaign"),
    (status = 400, body = ErrorBody, description = "a parameter has a value that is not allowed; it is named"),
    (status = 401, body = ErrorBody, description = "nobody is logged in"),
    (status = 404, body = ErrorBody, description = "there is no such campaign"),
))]
pub async fn show(Path(id): Path<String>, mut asked: Asked) -> Result<Json<CampaignDetail>, ApiError> {
    let id = number(&id)?;
    asked.filters()?;
    asked.params.clone().finish()?;
    let (site, pool, among, today) = (&asked.site, &asked.pool, asked.whom(), asked.today());
    let mut row = [find(pool, site.id, id).await?];
    let plans = [plan(&row[0])];
    let ((), days, reached, orders, sessions) = tokio::try_join!(
        only_filtered(&asked, &mut row),
        async { Ok(campaigns::performance(pool, among, id).await?) },
        async { Ok(campaigns::segments_reached(pool, among, id, today).await?) },
        async { Ok(campaigns::orders(pool, among, id, ORDERS).await?) },
        sessions(&asked, &plans),
    )?;
    let ([row], sessions) = (row, sessions.into_iter().next().unwrap_or_default());
    let days = in_days(days, &sessions, row.budget, among.is_filtered());
    let last = row.end_day.map_or(today, |end| end.min(today)).max(row.start_day);
    let period = Period::of_days(row.start_day, last, site.time_zone).until(asked.now);
    Ok(Json(CampaignDetail {
        site: site.key.clone(),
        currency: site.currency.clone(),
        filters: asked.filters.clone(),
        period: period.describe(),
        campaign: view(row, among.is_filtered()),
        sessions: CampaignSessions::sum(sessions.values()),
        days,
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
