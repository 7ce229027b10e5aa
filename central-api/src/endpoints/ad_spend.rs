//! What was paid for ads: reports of the platforms come in, are listed, and taken back.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::auth::{Admin, Viewer};
use crate::db::ad_spend::{self, Changed};
use crate::db::audit_log::{self, Actor, Entry};
use crate::db::data_versions;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Query, bounded, days};
use crate::site_rules;
use crate::spend::file::{Defaults, Report, read};
use crate::state::AppState;

/// Bytes of one report; larger ones go through `central-api import --spend`.
pub const MAX_REPORT: usize = 16 * 1024 * 1024;
/// Refused rows that an answer tells of.
const MAX_TOLD: usize = 1_000;

/// How a report is to be read.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Upload {
    /// Key of the site; need not be given when there is only one.
    site: Option<String>,
    /// Read and compare, but store nothing.
    #[serde(default)]
    dry_run: bool,
    /// utm_source of rows that name none; that of the platform, where it is a platform's export.
    source: Option<String>,
    /// utm_medium of rows that name none; that of the platform's ads, where it is a platform's export.
    medium: Option<String>,
    /// ISO 4217 of amounts whose row and header name none; the site's.
    currency: Option<String>,
}

/// A row that was not taken.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RefusedRow {
    /// Line of the file that it begins on, from 1.
    line: u64,
    /// Machine-readable reason.
    code: &'static str,
    /// The column at fault, as the file names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Sentence that says what is allowed.
    message: String,
}

/// A sum of amounts in one currency.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CurrencySum {
    /// ISO 4217.
    currency: String,
    /// Sum of the amounts that were read.
    #[schema(value_type = String)]
    amount: Decimal,
}

/// What became of a report.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct UploadAnswer {
    /// The site's key.
    site: String,
    /// Whether nothing was stored because that was asked for.
    dry_run: bool,
    /// `own`, `meta`, `google` or `tiktok`.
    layout: &'static str,
    /// Rows below the header, without totals.
    rows: u64,
    /// Rows of totals, left out.
    totals: u64,
    /// Sums by day and tags that were not there before.
    new: u64,
    /// Sums that were there with other figures, and are replaced.
    changed: u64,
    /// Sums that were there just so.
    unchanged: u64,
    /// First and last day of what was read.
    #[schema(value_type = Option<Vec<NaiveDate>>)]
    days: Option<(NaiveDate, NaiveDate)>,
    /// What was read, by currency.
    amounts: Vec<CurrencySum>,
    /// How many rows were refused.
    refused_rows: usize,
    /// The refused rows, the first 1,000 of them.
    refused: Vec<RefusedRow>,
}

/// Takes a report of ad spend: CSV with a row a day and campaign, in the layout of docs/import.md or as Meta Ads Manager, Google Ads and
/// TikTok Ads Manager export it by day.
///
/// Rows of the same day, tags and currency add up; the sum replaces what is stored for them, so the same report twice changes nothing.
/// Rows that cannot be read are told and stop no other.
#[utoipa::path(post, path = "/api/v1/ad-spend", operation_id = "upload_ad_spend", tag = "ad spend", params(Upload),
    request_body(content = String, content_type = "text/csv", description = "the report, at most 16 MiB",
        example = "date,source,medium,campaign,amount,currency,clicks,impressions\n2026-11-20,facebook,paid_social,black-friday,1234.50,UAH,310,18200\n"), responses(
    (status = 200, description = "what became of it", body = UploadAnswer),
    (status = 400, description = "a parameter is not allowed, or the file has no header that can be read", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
    (status = 413, description = "more than 16 MiB", body = ErrorBody),
    (status = 503, description = "the database cannot take it now; nothing was stored", body = ErrorBody),
))]
pub async fn upload(
    State(state): State<AppState>,
    admin: Admin,
    Query(upload): Query<Upload>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<UploadAnswer>, ApiError> {
    let site = admin.site(&state.sites, upload.site.as_deref())?;
    let body = body.map_err(|_| {
        ApiError::TooLarge("a report has at most 16 MiB; use central-api import --spend for more".into())
    })?;
    let defaults = defaults(upload.source, upload.medium, upload.currency)?;
    let now = state.clock.now();
    let of = site.clone();
    // Seconds of work at the largest size: not on a thread that answers others.
    let report = tokio::task::spawn_blocking(move || read(&body, &of, &defaults, now))
        .await
        .map_err(anyhow::Error::from)??;
    let rows: Vec<_> = report.spend.iter().collect();
    let mut tx = state.pool.begin().await?;
    let changed = ad_spend::upsert(&mut tx, site.id, &rows, |_| {}).await?;
    let answer = answer(site.key.clone(), upload.dry_run, report, changed);
    if upload.dry_run {
        tx.rollback().await?;
        return Ok(Json(answer));
    }
    let entry = Entry {
        site_id: Some(site.id),
        actor: Actor::User(&admin.0),
        action: "ad_spend.upload",
        subject: answer.layout,
        detail: json!({"rows": answer.rows, "new": answer.new, "changed": answer.changed, "refused": answer.refused_rows, "days": answer.days}),
    };
    audit_log::insert(&mut *tx, &entry, now).await?;
    data_versions::bump_all(&mut *tx, site.id).await?;
    tx.commit().await?;
    Ok(Json(answer))
}

/// Checks what rows take that do not say.
///
/// # Errors
/// 400 naming the parameter.
pub fn defaults(
    source: Option<String>,
    medium: Option<String>,
    currency: Option<String>,
) -> Result<Defaults, ApiError> {
    for (name, value) in [("source", &source), ("medium", &medium)] {
        if let Some(value) = value
            && (value.trim().is_empty() || value.chars().count() > 255 || value.chars().any(char::is_control))
        {
            return Err(ApiError::invalid(
                name,
                "must be text of 1 to 255 characters without control characters",
            ));
        }
    }
    currency.as_deref().map(site_rules::currency).transpose()?;
    Ok(Defaults {
        source,
        medium,
        currency,
    })
}

fn answer(site: String, dry_run: bool, report: Report, Changed { new, changed }: Changed) -> UploadAnswer {
    let mut amounts: BTreeMap<&str, Decimal> = BTreeMap::new();
    for (key, spend) in &report.spend {
        *amounts.entry(&key.currency).or_default() += spend.amount;
    }
    let days = report.spend.keys().next().zip(report.spend.keys().next_back());
    UploadAnswer {
        site,
        dry_run,
        layout: report.layout.name(),
        rows: report.rows,
        totals: report.totals,
        new,
        changed,
        unchanged: report.spend.len() as u64 - new - changed,
        days: days.map(|(first, last)| (first.day, last.day)),
        amounts: amounts
            .into_iter()
            .map(|(currency, amount)| CurrencySum {
                currency: currency.to_owned(),
                amount: amount.normalize(),
            })
            .collect(),
        refused_rows: report.refused.len(),
        refused: report
            .refused
            .into_iter()
            .take(MAX_TOLD)
            .map(|(row, error)| RefusedRow {
                line: row.line,
                code: error.code,
                field: error.field,
                message: error.message,
            })
            .collect(),
    }
}

/// Which rows are meant.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Range {
    /// Key of the site; need not be given when there is only one.
    site: Option<String>,
    /// First local day, YYYY-MM-DD.
    start_date: NaiveDate,
    /// Last local day, included, YYYY-MM-DD.
    end_date: NaiveDate,
    /// Only of this utm_source, as it is stored; an empty one is rows without a source.
    source: Option<String>,
}

/// Which rows are asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// Key of the site; need not be given when there is only one.
    site: Option<String>,
    /// First local day, YYYY-MM-DD.
    start_date: NaiveDate,
    /// Last local day, included, YYYY-MM-DD.
    end_date: NaiveDate,
    /// Only of this utm_source, as it is stored; an empty one is rows without a source.
    source: Option<String>,
    /// Rows at most, 1 to 1,000; 100 when absent.
    limit: Option<i64>,
    /// Rows to skip, up to 1,000,000; 0 when absent.
    offset: Option<i64>,
}

/// A stored row.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SpendRow {
    /// Local day.
    date: NaiveDate,
    /// utm_source, normalised; empty: not set, as in the next three.
    source: String,
    /// utm_medium.
    medium: String,
    /// utm_campaign.
    campaign: String,
    /// utm_content.
    content: String,
    /// By the rules for sessions.
    channel: String,
    /// Money in `currency`.
    #[schema(value_type = String)]
    amount: Decimal,
    /// ISO 4217.
    currency: String,
    /// By the platform's count; null where its report did not say.
    clicks: Option<i64>,
    /// By the platform's count; null where its report did not say.
    impressions: Option<i64>,
}

/// A page of stored rows.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SpendPage {
    /// The newest day first.
    rows: Vec<SpendRow>,
    /// Rows without limit and offset; 0 on a page beyond the last.
    total_rows: i64,
}

/// What was deleted.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Deleted {
    /// Rows.
    deleted: u64,
}

fn no_nul(source: Option<&str>) -> Result<(), ApiError> {
    match source {
        Some(source) if source.contains('\0') => Err(ApiError::invalid("source", "must not contain NUL")),
        _ => Ok(()),
    }
}

/// Stored ad spend of some days.
#[utoipa::path(get, path = "/api/v1/ad-spend", operation_id = "list_ad_spend", tag = "ad spend", security(("bearer" = []), ("session" = [])), params(Page), responses(
    (status = 200, description = "the rows", body = SpendPage),
    (status = 400, description = "a parameter is not allowed", body = ErrorBody),
    (status = 401, description = "nobody is logged in, or the token is not valid", body = ErrorBody),
    (status = 403, description = "the token lacks the scope read", body = ErrorBody),
))]
pub async fn list(
    State(state): State<AppState>,
    viewer: Viewer,
    Query(page): Query<Page>,
) -> Result<Json<SpendPage>, ApiError> {
    let site = viewer.site(&state.sites, page.site.as_deref())?;
    let range = days(page.start_date, page.end_date)?;
    no_nul(page.source.as_deref())?;
    let limit = bounded("limit", page.limit, 1..=1_000, 100)?;
    let offset = bounded("offset", page.offset, 0..=1_000_000, 0)?;
    let found = ad_spend::list(
        &state.read_pool,
        site.id,
        range,
        page.source.as_deref(),
        (limit, offset),
    )
    .await?;
    Ok(Json(SpendPage {
        total_rows: found.first().map_or(0, |row| row.total_rows),
        rows: found
            .into_iter()
            .map(|row| SpendRow {
                date: row.day,
                source: row.utm_source,
                medium: row.utm_medium,
                campaign: row.utm_campaign,
                content: row.utm_content,
                channel: row.channel,
                amount: row.amount.normalize(),
                currency: row.currency,
                clicks: row.clicks,
                impressions: row.impressions,
            })
            .collect(),
    }))
}

/// Deletes stored ad spend of some days, for example before a corrected report whose campaigns have other names.
#[utoipa::path(delete, path = "/api/v1/ad-spend", operation_id = "delete_ad_spend", tag = "ad spend", params(Range), responses(
    (status = 200, description = "how many rows went", body = Deleted),
    (status = 400, description = "a parameter is not allowed", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
))]
pub async fn delete(
    State(state): State<AppState>,
    admin: Admin,
    Query(range): Query<Range>,
) -> Result<Json<Deleted>, ApiError> {
    let site = admin.site(&state.sites, range.site.as_deref())?;
    let days = days(range.start_date, range.end_date)?;
    no_nul(range.source.as_deref())?;
    let mut tx = state.pool.begin().await?;
    let deleted = ad_spend::delete(&mut tx, site.id, days, range.source.as_deref()).await?;
    let entry = Entry {
        site_id: Some(site.id),
        actor: Actor::User(&admin.0),
        action: "ad_spend.delete",
        subject: range.source.as_deref().unwrap_or_default(),
        detail: json!({"deleted": deleted, "days": days}),
    };
    audit_log::insert(&mut *tx, &entry, state.clock.now()).await?;
    data_versions::bump_all(&mut *tx, site.id).await?;
    tx.commit().await?;
    Ok(Json(Deleted { deleted }))
}
