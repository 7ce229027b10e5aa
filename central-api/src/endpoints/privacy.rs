//! What is kept of one visitor or customer. Bodies, never addresses, name the person: addresses are logged on the way.

use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::auth::Admin;
use crate::db::audit_log::{self, Actor, Entry};
use crate::error::{ApiError, ErrorBody};
use crate::extract::Json;
use crate::privacy::{self, Erased, Found, Who};
use crate::state::AppState;

/// How much is kept of somebody, before it is handed out or erased.
#[utoipa::path(post, path = "/api/v1/privacy/find", operation_id = "find_person", tag = "privacy", request_body = Who, responses(
    (status = 200, body = Found, description = "how many rows of each kind; zeros when nothing is known"),
    (status = 400, description = "nobody is named, or a field cannot be read", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
    (status = 409, description = "the contact stands for many people: it is on the site's block list, or on orders of too many", body = ErrorBody),
))]
pub async fn find(State(state): State<AppState>, admin: Admin, Json(who): Json<Who>) -> Result<Json<Found>, ApiError> {
    let site = admin.site(&state.sites, who.site.as_deref())?;
    let found = privacy::find(&state.pool, &state.config.secret, &site, &who).await?;
    Ok(Json(found))
}

/// Everything that is kept of somebody, as a JSON file: the rows as they are stored.
#[utoipa::path(post, path = "/api/v1/privacy/export", operation_id = "export_person", tag = "privacy", request_body = Who, responses(
    (status = 200, description = "a file", content_type = "application/json", body = Object),
    (status = 400, description = "nobody is named, or a field cannot be read", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
    (status = 409, description = "the contact stands for many people: it is on the site's block list, or on orders of too many", body = ErrorBody),
))]
pub async fn export(State(state): State<AppState>, admin: Admin, Json(who): Json<Who>) -> Result<Response, ApiError> {
    let site = admin.site(&state.sites, who.site.as_deref())?;
    let now = state.clock.now();
    let data = privacy::export(&state.pool, &state.config.secret, &site, &who, now).await?;
    let entry = Entry {
        site_id: Some(site.id),
        actor: Actor::User(&admin.0),
        action: "privacy.export",
        subject: if who.visitor_id.is_some() {
            "visitor"
        } else {
            "customer"
        },
        detail: json!({}),
    };
    audit_log::insert(&state.pool, &entry, now).await?;
    let text = serde_json::to_string_pretty(&data).map_err(|error| ApiError::Internal(error.into()))?;
    Ok((
        [
            (CONTENT_TYPE, "application/json"),
            (CONTENT_DISPOSITION, "attachment; filename=\"personal-data.json\""),
        ],
        text,
    )
        .into_response())
}

/// Erases somebody for good. Orders stay as numbers, without anything that names the person.
#[utoipa::path(post, path = "/api/v1/privacy/erase", operation_id = "erase_person", tag = "privacy", request_body = Who, responses(
    (status = 200, body = Erased, description = "what was erased; reports follow within seconds"),
    (status = 400, description = "nobody is named, or a field cannot be read", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
    (status = 409, description = "the contact stands for many people: it is on the site's block list, or on orders of too many", body = ErrorBody),
    (status = 503, description = "the database cannot take it now; nothing was erased", body = ErrorBody),
))]
pub async fn erase(
    State(state): State<AppState>,
    admin: Admin,
    Json(who): Json<Who>,
) -> Result<Json<Erased>, ApiError> {
    let site = admin.site(&state.sites, who.site.as_deref())?;
    let actor = Actor::User(&admin.0);
    let now = state.clock.now();
    let erased = privacy::erase(&state.pool, &state.config.secret, &site, &who, actor, now).await?;
    Ok(Json(erased))
}
