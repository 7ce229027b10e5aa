//! "Is it working", for the panel.

use axum::extract::State;
use serde::Deserialize;

use crate::auth::Admin;
use crate::error::{ApiError, ErrorBody};
use crate::extract::Json;
use crate::site_check::{self, Report};
use crate::site_rules;
use crate::state::AppState;

/// What to visit.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteCheck {
    /// Key of the site; need not be given when there is only one.
    site: Option<String>,
    /// Address of a page of the shop, whose host is one of the site's; absent: the site's public_url, else its first domain.
    url: Option<String>,
}

/// Sends a test visit through the worker and follows it until reports can see it. Takes up to half a minute.
#[utoipa::path(post, path = "/api/v1/site-check", operation_id = "check_site", tag = "sites", request_body = SiteCheck, responses(
    (status = 200, body = Report, description = "what became of the visit, hop by hop"),
    (status = 400, description = "the address is not one of the site's", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
))]
pub async fn check(
    State(state): State<AppState>,
    admin: Admin,
    Json(asked): Json<SiteCheck>,
) -> Result<Json<Report>, ApiError> {
    let site = admin.site(&state.sites, asked.site.as_deref())?;
    let first = site.domains.first().map(|domain| format!("https://{domain}/"));
    let url = asked
        .url
        .or_else(|| site.settings.public_url.clone())
        .or(first)
        .ok_or_else(|| ApiError::invalid("url", "the site has no domain yet; add one in its settings"))?;
    if site_rules::public_url(Some(&url), &site.domains).is_err() {
        return Err(ApiError::invalid(
            "url",
            "must be an http or https address whose host is one of the site's domains",
        ));
    }
    Ok(Json(site_check::run(&state, &site, &url).await))
}
