//! Changes of campaigns, by admins alone; every one is in the audit log.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use utoipa::ToSchema;

use super::campaigns::{CampaignView, UNKNOWN, find, number, plan, view};
use super::customers::OfSite;
use crate::auth::Admin;
use crate::business::campaigns::{self, DiscountType, Plan, Status};
use crate::business::segments::Segment;
use crate::db::audit_log::{self, Actor, Entry};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Path, Query};
use crate::number::exact;
use crate::record::NumberOrText;
use crate::state::AppState;

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
    #[schema(value_type = NumberOrText)]
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
    #[schema(value_type = NumberOrText)]
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
    #[schema(value_type = Option<NumberOrText>)]
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
    #[schema(value_type = Option<NumberOrText>)]
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

/// Makes a campaign, as a draft.
#[utoipa::path(post, path = "/api/v1/analytics/campaigns", operation_id = "create_campaign", tag = "business", security(("session" = [])), request_body(content = NewCampaign, example = json!({
    "name": "Black Friday", "discount_type": "percent", "discount_value": 20, "start_day": "2026-11-23", "end_day": "2026-11-30",
    "budget": "5000", "utm_campaigns": ["black-friday"], "promo_codes": ["BF20"]
})), responses(
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
    Ok((StatusCode::CREATED, Json(view(made, false))))
}

/// Changes a campaign, or moves it on: draft → active ⇄ paused → completed. Its performance follows within seconds.
#[utoipa::path(patch, path = "/api/v1/analytics/campaigns/{id}", operation_id = "change_campaign", tag = "business", security(("session" = [])), request_body = CampaignChange,
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
    Ok(Json(view(changed, false)))
}

/// Deletes a draft. A campaign that ran is completed instead, so that its figures stay.
#[utoipa::path(delete, path = "/api/v1/analytics/campaigns/{id}", operation_id = "delete_campaign", tag = "business",
    security(("session" = [])),
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
