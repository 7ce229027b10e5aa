//! Who changed what in the settings.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::auth::Admin;
use crate::db::audit_log;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Query};
use crate::state::AppState;

/// Which entries are asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// Key of the site; need not be given when there is only one.
    site: Option<String>,
    /// Only entries before this number: the last of the page before.
    before: Option<i64>,
    /// At most 1,000; 100 when absent.
    limit: Option<i64>,
}

/// An entry.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AuditEntry {
    /// Number, ascending.
    id: i64,
    /// When.
    at: DateTime<Utc>,
    /// Key of the site; null: the installation as a whole.
    site: Option<String>,
    /// E-mail of the user at that time, or `command line`.
    actor: String,
    /// What was done, as `site.change`.
    action: String,
    /// To what: a site's key, a user's e-mail, a key's id.
    subject: String,
    /// What changed, by field.
    #[schema(value_type = Object)]
    detail: Value,
}

/// Changes of a site's settings, newest first; an admin of every site sees those of the installation too.
#[utoipa::path(get, path = "/api/v1/audit-log", operation_id = "list_audit_log", tag = "audit log", params(Asked), responses(
    (status = 200, body = Vec<AuditEntry>, description = "newest first"),
    (status = 400, description = "a parameter is not allowed; it is named", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
))]
pub async fn list(
    State(state): State<AppState>,
    admin: Admin,
    Query(asked): Query<Asked>,
) -> Result<Json<Vec<AuditEntry>>, ApiError> {
    let site = admin.site(&state.sites, asked.site.as_deref())?;
    let limit = asked.limit.unwrap_or(100);
    if !(1..=1_000).contains(&limit) {
        return Err(ApiError::invalid("limit", "must be from 1 to 1000"));
    }
    let before = asked.before.unwrap_or(i64::MAX);
    let rows = audit_log::list(&state.pool, site.id, admin.0.site_id.is_none(), before, limit).await?;
    Ok(Json(
        rows.into_iter()
            .map(|row| AuditEntry {
                id: row.id,
                at: row.at,
                site: row.site_id.and_then(|id| Some(state.sites.by_id(id)?.key.clone())),
                actor: row.actor,
                action: row.action,
                subject: row.subject,
                detail: row.detail,
            })
            .collect(),
    ))
}
