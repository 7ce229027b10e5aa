//! Promotional campaigns: list, one with its performance, and changes by admins.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::asked::Asked;
use super::customers::OfSite;
use super::dashboard::RecentOrder;
use super::{SegmentName, Words};
use crate::auth::Admin;
use crate::business::campaigns::{self, Campaign, DiscountType, Plan, Status};
use crate::business::segments::Segment;
use crate::catalogue::{Dimension, Metric};
use crate::db::audit_log::{self, Actor, Entry};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Query};
use crate::record::exact;
use crate::reports::figure::Figure;
use crate::reports::filter::Filters;
use crate::reports::period::Period;
use crate::reports::scope::{AttributionDate, Bots, Scope};
use crate::reports::sql::Question;
use crate::reports::table;
use crate::site::Site;
use crate::state::AppState;

const UNKNOWN: ApiError = ApiError::NotFound("there is no such campaign");
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
    campaigns: Vec<CampaignView>,
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
    /// Sessions with one of its utm_campaign values on its days.
    sessions: Figure,
    /// Those with a lead or purchase.
    converted_sessions: Figure,
    /// In percent of the sessions; null without one.
    conversion_rate: Figure,
    /// Days with an order or session.
    days: Vec<CampaignDay>,
    /// Whom it reached.
    segments_reached: Vec<SegmentReached>,
    /// Its latest orders.
    recent_orders: Vec<RecentOrder>,
}

/// A campaign to be made; it begins as a draft.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCampaign {
    /// Key of the site; need not be given when there is only one.
    site: Option<String>,
    /// 1 to 100 characters.
    name: String,
    /// At most 2,000 characters.
    #[serde(default)]
    description: String,
    /// What is taken off.
    discount_type: DiscountType,
    /// Percent, or an amount; 0 for the other types. A number or text.
    #[serde(default, deserialize_with = "amount")]
    #[schema(value_type = String)]
    discount_value: Decimal,
    /// First local day.
    start_day: NaiveDate,
    /// Last local day; null: open.
    #[serde(default)]
    end_day: Option<NaiveDate>,
    /// A segment; null: everybody.
    #[serde(default)]
    audience: Option<Segment>,
    /// What it costs beside its discounts. A number or text.
    #[serde(default, deserialize_with = "amount")]
    #[schema(value_type = String)]
    budget: Decimal,
    /// At most 50; compared in lower case.
    #[serde(default)]
    utm_campaigns: Vec<String>,
    /// At most 500; compared in lower case.
    #[serde(default)]
    promo_codes: Vec<String>,
}

/// What to change; absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CampaignChange {
    /// 1 to 100 characters.
    name: Option<String>,
    /// At most 2,000 characters.
    description: Option<String>,
    /// One of the campaign's `allowed_statuses`.
    status: Option<Status>,
    /// What is taken off.
    discount_type: Option<DiscountType>,
    /// Percent, or an amount.
    #[serde(default, deserialize_with = "some_amount")]
    #[schema(value_type = Option<String>)]
    discount_value: Option<Decimal>,
    /// First local day.
    start_day: Option<NaiveDate>,
    /// Last local day; null: open.
    #[serde(default, deserialize_with = "stated")]
    #[schema(value_type = Option<NaiveDate>)]
    end_day: Option<Option<NaiveDate>>,
    /// A segment; null: everybody.
    #[serde(default, deserialize_with = "stated")]
    #[schema(value_type = Option<Segment>)]
    audience: Option<Option<Segment>>,
    /// What it costs beside its discounts.
    #[serde(default, deserialize_with = "some_amount")]
    #[schema(value_type = Option<String>)]
    budget: Option<Decimal>,
    /// At most 50.
    utm_campaigns: Option<Vec<String>>,
    /// At most 500.
    promo_codes: Option<Vec<String>>,
}

/// A number or text, read exactly.
fn amount<'de, D: Deserializer<'de>>(from: D) -> Result<Decimal, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    let text = match &value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    exact(&text).ok_or_else(|| serde::de::Error::custom("must be a decimal number"))
}

fn some_amount<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Decimal>, D::Error> {
    amount(from).map(Some)
}

/// Tells null from absent.
fn stated<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(from).map(Some)
}

fn view(row: Campaign) -> CampaignView {
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

fn plan(row: &Campaign) -> Plan {
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

async fn find(db: impl sqlx::PgExecutor<'_>, site_id: i32, id: i64) -> Result<Campaign, ApiError> {
    let found = campaigns::list(db, site_id, None, Some(id), (1, 0)).await?;
    found.into_iter().next().ok_or(UNKNOWN)
}

fn number(id: &str) -> Result<i64, ApiError> {
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
    asked.params.finish()?;
    let found = campaigns::list(&asked.pool, asked.site.id, status, None, page).await?;
    Ok(Json(CampaignList {
        site: asked.site.key.clone(),
        currency: asked.site.currency.clone(),
        campaigns: found.into_iter().map(view).collect(),
    }))
}

/// Sessions and converted sessions with one of the campaign's values, by local day.
async fn sessions(
    state: &AppState,
    site: &std::sync::Arc<Site>,
    plan: &Plan,
    today: NaiveDate,
) -> Result<BTreeMap<NaiveDate, (Figure, Figure)>, ApiError> {
    let last = plan.end_day.unwrap_or(today).min(today);
    if plan.utm_campaigns.is_empty() || last < plan.start_day || plan.status == Status::Draft {
        return Ok(BTreeMap::new());
    }
    let mut filters = Filters::default();
    for value in &plan.utm_campaigns {
        // A backslash takes the rest literally.
        filters.add(Dimension::UtmCampaign, &format!("\\{value}"))?;
    }
    let scope = Scope {
        site: site.clone(),
        period: Period::of_days(plan.start_day, last, site.time_zone),
        filters,
        bots: Bots::Exclude,
        confirmed: false,
        attribution_date: AttributionDate::Session,
    };
    let metrics = [Metric::Sessions, Metric::Conversions];
    let question = Question {
        scope: &scope,
        dimensions: &[Dimension::Day],
        metrics: &metrics,
        sort: None,
        limit: None,
        offset: 0,
    };
    let found = table::ask(&state.read_pool, &question).await?;
    Ok(found
        .rows
        .iter()
        .filter_map(|row| {
            let day = row.text(Dimension::Day.key())?.parse().ok()?;
            Some((day, (row.figure(metrics[0]), row.figure(metrics[1]))))
        })
        .collect())
}

/// A campaign: performance day by day, whom it reached, its latest orders.
#[utoipa::path(get, path = "/api/v1/analytics/campaigns/{id}", operation_id = "show_campaign", tag = "business",
    params(OfSite, ("id" = i64, Path, description = "number of the campaign")), responses(
    (status = 200, body = CampaignDetail, description = "the campaign"),
    (status = 401, body = ErrorBody, description = "nobody is logged in"),
    (status = 404, body = ErrorBody, description = "there is no such campaign"),
))]
pub async fn show(
    State(state): State<AppState>,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Json<CampaignDetail>, ApiError> {
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
    let sessions = sessions(&state, &site, &plan, today).await?;
    let sum = |of: fn(&(Figure, Figure)) -> Figure| -> Figure {
        sessions.values().filter_map(|day| of(day).0).sum::<Decimal>().into()
    };
    let (all, converted) = (sum(|day| day.0), sum(|day| day.1));
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
        sessions: all,
        converted_sessions: converted,
        conversion_rate: Figure::ratio(100, converted, all),
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

/// Makes a campaign, as a draft.
#[utoipa::path(post, path = "/api/v1/analytics/campaigns", operation_id = "create_campaign", tag = "business", request_body = NewCampaign, responses(
    (status = 201, body = CampaignView, description = "the draft"),
    (status = 400, body = ErrorBody, description = "a field has a value that is not allowed; it is named"),
    (status = 401, body = ErrorBody, description = "nobody is logged in"),
    (status = 403, body = ErrorBody, description = "not an admin"),
))]
pub async fn create(
    State(state): State<AppState>,
    admin: Admin,
    Json(new): Json<NewCampaign>,
) -> Result<(StatusCode, Json<CampaignView>), ApiError> {
    let site = admin.site(&state.sites, new.site.as_deref())?;
    let plan = Plan {
        name: new.name,
        description: new.description,
        discount_type: new.discount_type,
        discount_value: new.discount_value,
        status: Status::Draft,
        start_day: new.start_day,
        end_day: new.end_day,
        audience: new.audience,
        budget: new.budget,
        utm_campaigns: new.utm_campaigns,
        promo_codes: new.promo_codes,
    }
    .checked()?;
    let now = state.clock.now();
    let mut transaction = state.pool.begin().await?;
    let id = campaigns::insert(&mut *transaction, site.id, &plan, now).await?;
    let entry = Entry {
        site_id: Some(site.id),
        actor: Actor::User(&admin.0),
        action: "campaign.create",
        subject: &id.to_string(),
        detail: json!({"after": plan}),
    };
    audit_log::insert(&mut *transaction, &entry, now).await?;
    let made = find(&mut *transaction, site.id, id).await?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(view(made))))
}

/// Changes a campaign, or moves it on: draft → active ⇄ paused → completed. Its performance follows within seconds.
#[utoipa::path(patch, path = "/api/v1/analytics/campaigns/{id}", operation_id = "change_campaign", tag = "business", request_body = CampaignChange,
    params(OfSite, ("id" = i64, Path, description = "number of the campaign")), responses(
    (status = 200, body = CampaignView, description = "as it is now"),
    (status = 400, body = ErrorBody, description = "a field has a value that is not allowed; it is named"),
    (status = 401, body = ErrorBody, description = "nobody is logged in"),
    (status = 403, body = ErrorBody, description = "not an admin"),
    (status = 404, body = ErrorBody, description = "there is no such campaign"),
    (status = 409, body = ErrorBody, description = "a completed campaign never changes"),
))]
pub async fn change(
    State(state): State<AppState>,
    admin: Admin,
    Path(id): Path<String>,
    Query(of): Query<OfSite>,
    Json(change): Json<CampaignChange>,
) -> Result<Json<CampaignView>, ApiError> {
    let site = admin.site(&state.sites, of.site.as_deref())?;
    let id = number(&id)?;
    let now = state.clock.now();
    let mut transaction = state.pool.begin().await?;
    if !campaigns::lock(&mut transaction, site.id, id).await? {
        return Err(UNKNOWN);
    }
    let before = plan(&find(&mut *transaction, site.id, id).await?);
    if before.status == Status::Completed {
        return Err(ApiError::Conflict("a completed campaign never changes".into()));
    }
    let mut after = before.clone();
    if let Some(status) = change.status.filter(|status| *status != before.status) {
        if !before.status.next().contains(&status) {
            let allowed: Vec<&str> = before.status.next().iter().map(|next| next.name()).collect();
            let message = format!("from {} it may become {}", before.status.name(), allowed.join(", "));
            return Err(ApiError::invalid("status", message));
        }
        after.status = status;
    }
    after.name = change.name.unwrap_or(after.name);
    after.description = change.description.unwrap_or(after.description);
    after.discount_type = change.discount_type.unwrap_or(after.discount_type);
    after.discount_value = change.discount_value.unwrap_or(after.discount_value);
    after.start_day = change.start_day.unwrap_or(after.start_day);
    after.end_day = change.end_day.unwrap_or(after.end_day);
    after.audience = change.audience.unwrap_or(after.audience);
    after.budget = change.budget.unwrap_or(after.budget);
    after.utm_campaigns = change.utm_campaigns.unwrap_or(after.utm_campaigns);
    after.promo_codes = change.promo_codes.unwrap_or(after.promo_codes);
    if after.status == Status::Completed {
        // Over is over: no later order counts.
        let today = now.with_timezone(&site.time_zone).date_naive().max(after.start_day);
        after.end_day = Some(after.end_day.map_or(today, |end| end.min(today)));
    }
    let after = after.checked()?;
    campaigns::update(&mut *transaction, site.id, id, &after, now).await?;
    let entry = Entry {
        site_id: Some(site.id),
        actor: Actor::User(&admin.0),
        action: "campaign.change",
        subject: &id.to_string(),
        detail: json!({"before": before, "after": after}),
    };
    audit_log::insert(&mut *transaction, &entry, now).await?;
    let changed = find(&mut *transaction, site.id, id).await?;
    transaction.commit().await?;
    Ok(Json(view(changed)))
}

/// Deletes a draft. A campaign that ran is completed instead, so that its figures stay.
#[utoipa::path(delete, path = "/api/v1/analytics/campaigns/{id}", operation_id = "delete_campaign", tag = "business",
    params(OfSite, ("id" = i64, Path, description = "number of the campaign")), responses(
    (status = 204, description = "deleted"),
    (status = 401, body = ErrorBody, description = "nobody is logged in"),
    (status = 403, body = ErrorBody, description = "not an admin"),
    (status = 404, body = ErrorBody, description = "there is no such campaign"),
    (status = 409, body = ErrorBody, description = "it is no draft"),
))]
pub async fn remove(
    State(state): State<AppState>,
    admin: Admin,
    Path(id): Path<String>,
    Query(of): Query<OfSite>,
) -> Result<StatusCode, ApiError> {
    let site = admin.site(&state.sites, of.site.as_deref())?;
    let id = number(&id)?;
    let now = state.clock.now();
    let mut transaction = state.pool.begin().await?;
    let before = plan(&find(&mut *transaction, site.id, id).await?);
    if !campaigns::delete_draft(&mut *transaction, site.id, id).await? {
        return Err(ApiError::Conflict(
            "only a draft can be deleted; complete the campaign instead".into(),
        ));
    }
    let entry = Entry {
        site_id: Some(site.id),
        actor: Actor::User(&admin.0),
        action: "campaign.delete",
        subject: &id.to_string(),
        detail: json!({"before": before}),
    };
    audit_log::insert(&mut *transaction, &entry, now).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
