//! Exchange rates by day, for orders and ad spend in other currencies: stored and deleted by the shop's program or by an admin, and listed
//! with what waits for one.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequestParts, State};
use axum::http::header;
use axum::http::request::Parts;
use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use sqlx::{Postgres, Transaction};

use crate::auth::{Admin, ApiKey, Scope, Viewer};
use crate::currency;
use crate::db::audit_log::{self, Actor, Entry};
use crate::db::{data_versions, exchange_rates, orders, sites};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Query, bounded, days};
use crate::orders::rates::{day_of, reach_together};
use crate::orders::store::refresh_due;
use crate::record::{FieldError, NumberOrText, Record};
use crate::site::{Site, Sites};
use crate::state::AppState;

/// Bytes of a list of rates: ten currencies of ten years, and more.
pub const MAX_LIST: usize = 2 * 1024 * 1024;

/// Which rates are asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// Key of the site; need not be given when there is only one.
    site: Option<String>,
    /// Only of this currency, ISO 4217.
    currency: Option<String>,
    /// Rates at most, 1 to 1,000; 100 when absent.
    limit: Option<i64>,
    /// Rates to skip, up to 1,000,000; 0 when absent.
    offset: Option<i64>,
}

/// A stored rate.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RateView {
    /// ISO 4217.
    currency: String,
    /// The site's local day.
    day: NaiveDate,
    /// Units of the site's currency for one unit of `currency`.
    #[schema(value_type = String)]
    rate: Decimal,
}

/// Orders of one currency that have no rate, and so no value.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct WaitingOrders {
    /// ISO 4217.
    currency: String,
    /// Orders of every payment status.
    orders: i64,
    /// Local day of the first.
    first_day: NaiveDate,
    /// Local day of the last.
    last_day: NaiveDate,
}

/// A page of stored rates.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RatesPage {
    /// The site's own currency, which the rates are in units of; ISO 4217.
    currency: String,
    /// The newest day first.
    rates: Vec<RateView>,
    /// Rates without limit and offset; 0 on a page beyond the last.
    total_rates: i64,
    /// What waits for a rate, by currency.
    waiting: Vec<WaitingOrders>,
}

/// The stored rates, and which orders have none.
#[utoipa::path(get, path = "/api/v1/exchange-rates", operation_id = "list_exchange_rates", tag = "orders", security(("bearer" = []), ("session" = [])), params(Page), responses(
    (status = 200, description = "the rates", body = RatesPage),
    (status = 400, description = "a parameter is not allowed", body = ErrorBody),
    (status = 401, description = "nobody is logged in, or the token is not valid", body = ErrorBody),
    (status = 403, description = "the token lacks the scope read", body = ErrorBody),
))]
pub async fn list(
    State(state): State<AppState>,
    viewer: Viewer,
    Query(page): Query<Page>,
) -> Result<Json<RatesPage>, ApiError> {
    let site = viewer.site(&state.sites, page.site.as_deref())?;
    let currency = page.currency.as_deref().map(read_currency).transpose()?;
    let limit = bounded("limit", page.limit, 1..=1_000, 100)?;
    let offset = bounded("offset", page.offset, 0..=1_000_000, 0)?;
    let found = exchange_rates::list(&state.read_pool, site.id, currency.as_deref(), (limit, offset)).await?;
    let waiting = orders::without_rate(&state.read_pool, site.id).await?;
    let local = |time: DateTime<Utc>| day_of(time, site.time_zone);
    Ok(Json(RatesPage {
        currency: site.currency.clone(),
        total_rates: found.first().map_or(0, |row| row.total_rows),
        rates: found
            .into_iter()
            .map(|row| RateView {
                currency: row.currency,
                day: row.day,
                rate: row.rate.normalize(),
            })
            .collect(),
        waiting: waiting
            .into_iter()
            .map(|row| WaitingOrders {
                currency: row.currency,
                orders: row.orders,
                first_day: local(row.first),
                last_day: local(row.last),
            })
            .collect(),
    }))
}

fn read_currency(text: &str) -> Result<String, ApiError> {
    currency::read(text).ok_or_else(|| ApiError::invalid("currency", currency::ALLOWED))
}

/// Who may store rates, and delete them.
#[derive(Debug)]
pub enum Sender {
    /// A program of the shop, with a token of the scope `orders`.
    Key(ApiKey),
    /// An admin, in the panel.
    Admin(Admin),
}

impl Sender {
    /// The site whose rates are sent, named as by those who look.
    fn site(&self, sites: &Sites, wanted: Option<&str>) -> Result<Arc<Site>, ApiError> {
        match self {
            Self::Key(key) => Viewer::Key(key.clone()).site(sites, wanted),
            Self::Admin(admin) => admin.site(sites, wanted),
        }
    }
}

impl FromRequestParts<AppState> for Sender {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        // The header first, as for those who only look.
        if parts.headers.contains_key(header::AUTHORIZATION) {
            let key = ApiKey::from_request_parts(parts, state).await?;
            key.site(&state.sites, Scope::Orders)?;
            Ok(Self::Key(key))
        } else {
            Admin::from_request_parts(parts, state).await.map(Self::Admin)
        }
    }
}

/// Whose the rates are.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Of {
    /// Key of the site; need not be given when there is only one, as for every token.
    site: Option<String>,
}

/// A rate of one local day.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes what `rate_of` reads")]
pub struct RateBody {
    /// ISO 4217, not the site's own.
    currency: String,
    /// The site's local day.
    day: NaiveDate,
    /// Units of the site's currency for one unit of `currency`, at most eight decimal places.
    #[schema(value_type = NumberOrText)]
    rate: String,
}

/// What the rates did.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RatesAnswer {
    /// Rates that are new, differ from what was stored, or are gone.
    changed: usize,
    /// Orders without a rate of their own whose day they reach; they are valued anew.
    orders: u64,
}

/// Stores exchange rates by day. An order in another currency that brings no rate takes its day's, else the latest of the seven days
/// before; orders that a new rate reaches are valued anew.
#[utoipa::path(put, path = "/api/v1/exchange-rates", operation_id = "put_rates", tag = "orders", security(("bearer" = []), ("session" = [])), params(Of), request_body(content = Vec<RateBody>, example = json!([
    {"currency": "EUR", "day": "2026-11-20", "rate": "48.95"}
])), responses(
    (status = 200, description = "all of them are stored", body = RatesAnswer),
    (status = 400, description = "one cannot be read, none is stored; the field is named", body = ErrorBody),
    (status = 401, description = "no valid API key, and nobody is logged in", body = ErrorBody),
    (status = 403, description = "the key lacks the scope orders, or the user is not an admin", body = ErrorBody),
    (status = 413, description = "more than 2 MiB", body = ErrorBody),
    (status = 409, description = "the site's currency was just changed; none is stored", body = ErrorBody),
))]
pub async fn put(
    State(state): State<AppState>,
    sender: Sender,
    Query(of): Query<Of>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<RatesAnswer>, ApiError> {
    let site = sender.site(&state.sites, of.site.as_deref())?;
    let body = body.map_err(|_| ApiError::TooLarge("a body has at most 2 MiB".into()))?;
    let list: Vec<&RawValue> = serde_json::from_slice(&body)
        .map_err(|error| ApiError::unreadable(&format!("it must be a list of {{currency, day, rate}}: {error}")))?;
    let mut rates = Vec::with_capacity(list.len());
    for (index, raw) in list.iter().enumerate() {
        let rate = Record::from_json(raw.get())
            .and_then(|record| rate_of(&record, &site))
            .map_err(|error| error.inside(&format!("[{index}]")))?;
        rates.push(rate);
    }
    rates.sort();
    if let Some(pair) = rates
        .windows(2)
        .find(|pair| (&pair[0].0, pair[0].1) == (&pair[1].0, pair[1].1))
    {
        return Err(ApiError::invalid(
            "day",
            format!("{} of {} stands there twice", pair[0].0, pair[0].1),
        ));
    }
    let now = state.clock.now();
    let mut tx = state.pool.begin().await?;
    // No order is valued meanwhile: one that is stored without its rate would not be seen here, and never be woken.
    let stored = sites::lock(&mut *tx, site.id).await?.site()?;
    // Rates are in units of the site's currency. Which one their sender meant, when another process has just changed it, nobody knows.
    if stored.currency != site.currency {
        return Err(ApiError::Conflict(format!(
            "the site's currency was just changed to {}; send rates in units of it in some seconds",
            stored.currency
        )));
    }
    let changed = exchange_rates::upsert(&mut tx, site.id, &rates).await?;
    revalue_and_commit(&state, tx, &sender, "exchange_rates.put", &stored, &changed, now).await
}

/// Which rates are meant.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Range {
    /// Key of the site; need not be given when there is only one, as for every token.
    site: Option<String>,
    /// Of this currency, ISO 4217.
    currency: String,
    /// First local day, YYYY-MM-DD.
    start_date: NaiveDate,
    /// Last local day, included, YYYY-MM-DD.
    end_date: NaiveDate,
}

/// Deletes the stored rates of a currency for some days. Orders that took one of them take the latest of the seven days before, else
/// wait for a rate.
#[utoipa::path(delete, path = "/api/v1/exchange-rates", operation_id = "delete_rates", tag = "orders", security(("bearer" = []), ("session" = [])), params(Range), responses(
    (status = 200, description = "there is none any more", body = RatesAnswer),
    (status = 400, description = "a parameter is not allowed", body = ErrorBody),
    (status = 401, description = "no valid API key, and nobody is logged in", body = ErrorBody),
    (status = 403, description = "the key lacks the scope orders, or the user is not an admin", body = ErrorBody),
))]
pub async fn delete(
    State(state): State<AppState>,
    sender: Sender,
    Query(range): Query<Range>,
) -> Result<Json<RatesAnswer>, ApiError> {
    let site = sender.site(&state.sites, range.site.as_deref())?;
    let currency = read_currency(&range.currency)?;
    let days = days(range.start_date, range.end_date)?;
    let now = state.clock.now();
    let mut tx = state.pool.begin().await?;
    // As when rates are stored: no order is valued meanwhile.
    let stored = sites::lock(&mut *tx, site.id).await?.site()?;
    let deleted = exchange_rates::delete(&mut *tx, site.id, &currency, days).await?;
    revalue_and_commit(&state, tx, &sender, "exchange_rates.delete", &stored, &deleted, now).await
}

/// Ends the transaction that changed the rates of these currencies and days: their orders are due, and are then valued anew.
async fn revalue_and_commit(
    state: &AppState,
    mut tx: Transaction<'_, Postgres>,
    sender: &Sender,
    action: &'static str,
    site: &Site,
    changed: &[(String, NaiveDate)],
    now: DateTime<Utc>,
) -> Result<Json<RatesAnswer>, ApiError> {
    let mut woken = 0;
    for (currency, times) in reach_together(changed, site.time_zone) {
        woken += orders::wake_following_rate(&mut *tx, site.id, &currency, times, now).await?;
    }
    if let Sender::Admin(admin) = sender
        && !changed.is_empty()
    {
        let entry = Entry {
            site_id: Some(site.id),
            actor: Actor::User(&admin.0),
            action,
            subject: &site.key,
            detail: json!({"rates": changed.len(), "orders": woken}),
        };
        audit_log::insert(&mut *tx, &entry, now).await?;
    }
    data_versions::bump_all(&mut *tx, site.id).await?;
    tx.commit().await?;
    // What this does not reach, since another process is at it, that process does.
    refresh_due(&state.pool, site, now).await?;
    Ok(Json(RatesAnswer {
        changed: changed.len(),
        orders: woken,
    }))
}

fn rate_of(record: &Record<'_>, site: &Site) -> Result<(String, NaiveDate, Decimal), FieldError> {
    record.only(&["currency", "day", "rate"])?;
    let currency = Record::required("currency", record.text("currency", 8)?)?;
    let currency = currency::read(&currency).ok_or_else(|| FieldError::invalid("currency", currency::ALLOWED))?;
    if currency == site.currency {
        return Err(FieldError::invalid(
            "currency",
            format_args!("must be another one than {}, the site's own", site.currency),
        ));
    }
    let day = Record::required("day", record.text("day", 10)?)?;
    let day = day
        .parse::<NaiveDate>()
        .ok()
        .filter(|day| (2000..2100).contains(&chrono::Datelike::year(day)))
        .ok_or_else(|| FieldError::invalid("day", "must be a day like 2026-11-20"))?;
    let rate = Record::required("rate", record.decimal("rate", 8, Decimal::from(10_000_000_000u64))?)?;
    if rate.is_zero() {
        return Err(FieldError::invalid("rate", "must be more than 0"));
    }
    Ok((currency, day, rate))
}
