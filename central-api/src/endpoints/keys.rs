//! Keys of a site: tokens for the shop's programs, and what its worker signs with.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::auth::{Admin, Scope, token};
use crate::db::audit_log::{self, Actor, Entry};
use crate::db::{api_keys, ingest_keys};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Path, Query};
use crate::site_rules;
use crate::state::AppState;

/// Whose keys.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// Key of the site; need not be given when there is only one.
    site: Option<String>,
}

/// A token of a program, without the token.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ApiKeyView {
    /// Names the key.
    id: String,
    /// For people.
    name: String,
    /// What it may do: `read`, `orders`, `events`.
    scopes: Vec<String>,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// Last use, to the minute.
    last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    revoked_at: Option<DateTime<Utc>>,
}

/// A worker's signing key, without its secret.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct IngestKeyView {
    /// Names the key.
    id: String,
    /// For people.
    name: String,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it was revoked.
    revoked_at: Option<DateTime<Utc>>,
}

/// A token to be made.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiKey {
    /// Key of the site; need not be given when there is only one.
    site: Option<String>,
    /// For people, such as where it is used: 1 to 100 characters.
    name: String,
    /// What it may do; at least one.
    scopes: Vec<Scope>,
}

/// A token that was just made.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct MadeApiKey {
    /// Names the key.
    id: String,
    /// `Authorization: Bearer …`; shown only now.
    token: String,
}

/// A signing key to be made.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewIngestKey {
    /// Key of the site; need not be given when there is only one.
    site: Option<String>,
    /// For people: 1 to 100 characters.
    name: String,
}

/// A signing key that was just made.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct MadeIngestKey {
    /// Names the key.
    id: String,
    /// `key_id:secret`, the worker's UD_INGEST_KEY; shown only now.
    value: String,
}

const UNKNOWN: ApiError = ApiError::NotFound("there is no such live key");

async fn log(
    conn: &mut sqlx::PgConnection,
    admin: &Admin,
    site_id: i32,
    action: &str,
    subject: &str,
    detail: serde_json::Value,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let entry = Entry {
        site_id: Some(site_id),
        actor: Actor::User(&admin.0),
        action,
        subject,
        detail,
    };
    audit_log::insert(conn, &entry, now).await
}

/// Tokens of a site's programs, revoked ones too.
#[utoipa::path(get, path = "/api/v1/api-keys", operation_id = "list_api_keys", tag = "keys", params(Asked), responses(
    (status = 200, body = Vec<ApiKeyView>, description = "oldest first"),
    (status = 400, description = "there is no such site", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
))]
pub async fn list_api(
    State(state): State<AppState>,
    admin: Admin,
    Query(asked): Query<Asked>,
) -> Result<Json<Vec<ApiKeyView>>, ApiError> {
    let site = admin.site(&state.sites, asked.site.as_deref())?;
    let rows = api_keys::all(&state.pool).await?;
    Ok(Json(
        rows.into_iter()
            .filter(|row| row.site_id == site.id)
            .map(|row| ApiKeyView {
                id: row.key_id,
                name: row.name,
                scopes: row.scopes,
                created_at: row.created_at,
                last_used_at: row.last_used_at,
                revoked_at: row.revoked_at,
            })
            .collect(),
    ))
}

/// Makes a token for a program.
#[utoipa::path(post, path = "/api/v1/api-keys", operation_id = "create_api_key", tag = "keys", request_body = NewApiKey, responses(
    (status = 201, body = MadeApiKey, description = "made; the token is shown only now and works at once"),
    (status = 400, description = "a field has a value that is not allowed", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
))]
pub async fn create_api(
    State(state): State<AppState>,
    admin: Admin,
    Json(mut new): Json<NewApiKey>,
) -> Result<(StatusCode, Json<MadeApiKey>), ApiError> {
    let site = admin.site(&state.sites, new.site.as_deref())?;
    site_rules::name(&new.name)?;
    if new.scopes.is_empty() {
        return Err(ApiError::invalid("scopes", "at least one of read, orders, events"));
    }
    new.scopes.sort_by_key(|scope| scope.name());
    new.scopes.dedup();
    let now = state.clock.now();
    let (id, token) = (token::key_id(rand::random()), token::api_token(rand::random()));
    let digest = token::digest(token.expose());
    let mut transaction = state.pool.begin().await?;
    api_keys::insert(&mut *transaction, &id, site.id, &digest, &new.name, &new.scopes, now).await?;
    let detail = json!({"name": new.name, "scopes": new.scopes});
    log(&mut transaction, &admin, site.id, "api_key.create", &id, detail, now).await?;
    transaction.commit().await?;
    state.keys.forget();
    let token = token.expose().to_owned();
    Ok((StatusCode::CREATED, Json(MadeApiKey { id, token })))
}

/// Revokes a program's token.
#[utoipa::path(delete, path = "/api/v1/api-keys/{id}", operation_id = "revoke_api_key", tag = "keys",
    params(("id" = String, Path, description = "of the key")), responses(
    (status = 204, description = "revoked; every process knows within seconds"),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
    (status = 404, description = "there is no such live key", body = ErrorBody),
))]
pub async fn revoke_api(
    State(state): State<AppState>,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let keys = api_keys::all(&state.pool).await?;
    let key = keys.iter().find(|key| key.key_id == id).ok_or(UNKNOWN)?;
    reachable(&state, &admin, key.site_id)?;
    let now = state.clock.now();
    let mut transaction = state.pool.begin().await?;
    if !api_keys::revoke(&mut *transaction, &id, now).await? {
        return Err(UNKNOWN);
    }
    let detail = json!({"name": key.name});
    log(
        &mut transaction,
        &admin,
        key.site_id,
        "api_key.revoke",
        &id,
        detail,
        now,
    )
    .await?;
    transaction.commit().await?;
    state.keys.forget();
    Ok(StatusCode::NO_CONTENT)
}

/// A key of another site is as good as none.
fn reachable(state: &AppState, admin: &Admin, site_id: i32) -> Result<(), ApiError> {
    let site = state.sites.by_id(site_id).ok_or(UNKNOWN)?;
    admin.site(&state.sites, Some(&site.key)).map_err(|_| UNKNOWN)?;
    Ok(())
}

/// A worker's signing keys, revoked ones too.
#[utoipa::path(get, path = "/api/v1/ingest-keys", operation_id = "list_ingest_keys", tag = "keys", params(Asked), responses(
    (status = 200, body = Vec<IngestKeyView>, description = "oldest first"),
    (status = 400, description = "there is no such site", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
))]
pub async fn list_ingest(
    State(state): State<AppState>,
    admin: Admin,
    Query(asked): Query<Asked>,
) -> Result<Json<Vec<IngestKeyView>>, ApiError> {
    let site = admin.site(&state.sites, asked.site.as_deref())?;
    let rows = ingest_keys::all(&state.pool).await?;
    Ok(Json(
        rows.into_iter()
            .filter(|row| row.site_id == site.id)
            .map(|row| IngestKeyView {
                id: row.key_id,
                name: row.name,
                created_at: row.created_at,
                revoked_at: row.revoked_at,
            })
            .collect(),
    ))
}

/// Makes a signing key for the worker. Two live at a time, so that they rotate without a gap: make one, give it to the worker, revoke
/// the old one.
#[utoipa::path(post, path = "/api/v1/ingest-keys", operation_id = "create_ingest_key", tag = "keys", request_body = NewIngestKey, responses(
    (status = 201, body = MadeIngestKey, description = "made; its value is shown only now"),
    (status = 400, description = "a field has a value that is not allowed", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
    (status = 409, description = "two live keys are there already", body = ErrorBody),
))]
pub async fn create_ingest(
    State(state): State<AppState>,
    admin: Admin,
    Json(new): Json<NewIngestKey>,
) -> Result<(StatusCode, Json<MadeIngestKey>), ApiError> {
    let site = admin.site(&state.sites, new.site.as_deref())?;
    site_rules::name(&new.name)?;
    let now = state.clock.now();
    let id = token::key_id(rand::random());
    let mut transaction = state.pool.begin().await?;
    if !ingest_keys::insert(&mut *transaction, &id, site.id, &new.name, now).await? {
        return Err(ApiError::Conflict(
            "the site has two live signing keys, enough to rotate; revoke one first".into(),
        ));
    }
    let detail = json!({"name": new.name});
    log(&mut transaction, &admin, site.id, "ingest_key.create", &id, detail, now).await?;
    transaction.commit().await?;
    state.keys.forget();
    let value = format!("{id}:{}", state.config.secret.ingest_key(&id));
    Ok((StatusCode::CREATED, Json(MadeIngestKey { id, value })))
}

/// Revokes a signing key. A worker that still signs with it is refused from then on; its queue keeps the events.
#[utoipa::path(delete, path = "/api/v1/ingest-keys/{id}", operation_id = "revoke_ingest_key", tag = "keys",
    params(("id" = String, Path, description = "of the key")), responses(
    (status = 204, description = "revoked; every process knows within seconds"),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
    (status = 404, description = "there is no such live key", body = ErrorBody),
))]
pub async fn revoke_ingest(
    State(state): State<AppState>,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let keys = ingest_keys::all(&state.pool).await?;
    let key = keys.iter().find(|key| key.key_id == id).ok_or(UNKNOWN)?;
    reachable(&state, &admin, key.site_id)?;
    let now = state.clock.now();
    let mut transaction = state.pool.begin().await?;
    if !ingest_keys::revoke(&mut *transaction, &id, now).await? {
        return Err(UNKNOWN);
    }
    let detail = json!({"name": key.name});
    log(
        &mut transaction,
        &admin,
        key.site_id,
        "ingest_key.revoke",
        &id,
        detail,
        now,
    )
    .await?;
    transaction.commit().await?;
    state.keys.forget();
    Ok(StatusCode::NO_CONTENT)
}
