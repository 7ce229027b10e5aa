//! Logging in to the panel, and who is logged in.

use axum::extract::State;
use axum::http::header::{SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared::limits::MAX_USER_AGENT_CHARS;

use crate::auth::session::{IDLE, LIFE, clear_cookie, set_cookie};
use crate::auth::{Role, Session, Viewer, password, token};
use crate::db::{admin_sessions, users};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{ClientAddress, Json, Path};
use crate::secret::hex;
use crate::state::AppState;

/// Who wants in.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// As given to `create-admin`, in any case.
    email: String,
    /// The password.
    password: String,
}

/// Who is logged in, and what they may see.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Me {
    /// Of the user; absent for a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// `admin` may change things; a token is a `viewer`.
    role: Role,
    /// Keys of the sites they may see.
    sites: Vec<String>,
    /// When the session ends at the latest; absent for a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime<Utc>>,
}

fn me(viewer: &Viewer, state: &AppState) -> Me {
    let session = match viewer {
        Viewer::User(session) => Some(session),
        Viewer::Key(_) => None,
    };
    Me {
        email: session.map(|session| session.email.clone()),
        role: session.map_or(Role::Viewer, |session| session.role),
        sites: viewer.sites(&state.sites).iter().map(|site| site.key.clone()).collect(),
        expires_at: session.map(|session| session.expires_at),
    }
}

/// Logs in: sets the session's cookie. An unknown e-mail and a wrong password get the same answer after the same work.
#[utoipa::path(post, path = "/api/v1/session", tag = "account", security(()), request_body = Login, responses(
    (status = 200, description = "logged in; the session's cookie is set", body = Me),
    (status = 401, description = "e-mail or password is wrong", body = ErrorBody),
    (status = 429, description = "too many tries; see Retry-After", body = ErrorBody),
))]
pub async fn log_in(
    State(state): State<AppState>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    Json(login): Json<Login>,
) -> Result<impl IntoResponse, ApiError> {
    const WRONG: ApiError = ApiError::Unauthorized("e-mail or password is wrong");
    let now = state.clock.now();
    // What cannot be an address is nobody's, and counted like any other.
    let email = users::normalised_email(&login.email).unwrap_or_default();
    state.attempts.allow(&address, &email, now)?;
    state.attempts.count(&address, &email, now);
    let known = users::credentials(&state.pool, &email).await?;
    let hash = known.as_ref().map(|user| user.password_hash.clone());
    let right = password::verify(login.password, hash).await?;
    let Some(user) = known.filter(|_| right) else {
        metrics::counter!("ud_logins_total", "outcome" => "refused").increment(1);
        return Err(WRONG);
    };
    state.attempts.succeeded(&address, &email);
    metrics::counter!("ud_logins_total", "outcome" => "accepted").increment(1);

    let token = token::session_token(rand::random());
    let user_agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    let user_agent = user_agent.map(|text| text.chars().take(MAX_USER_AGENT_CHARS).collect::<String>());
    let hash = token::digest(token.expose());
    let mut transaction = state.pool.begin().await?;
    // Checking took a while, in which the password may have been replaced.
    if !users::keep_password(&mut *transaction, user.user_id, &user.password_hash).await? {
        return Err(WRONG);
    }
    let user_agent = user_agent.as_deref();
    admin_sessions::insert(&mut *transaction, &hash, user.user_id, now, now + LIFE, user_agent).await?;
    transaction.commit().await?;
    let (session, _) = admin_sessions::live(&state.pool, &hash, now, now - IDLE)
        .await?
        .ok_or(WRONG)?;
    let cookie = set_cookie(&token, state.config.is_https())?;
    Ok((
        AppendHeaders([(SET_COOKIE, cookie)]),
        Json(me(&Viewer::User(session), &state)),
    ))
}

/// Logs out.
#[utoipa::path(delete, path = "/api/v1/session", tag = "account", responses(
    (status = 204, description = "logged out"),
    (status = 401, description = "nobody was logged in", body = ErrorBody),
))]
pub async fn log_out(State(state): State<AppState>, session: Session) -> Result<impl IntoResponse, ApiError> {
    admin_sessions::revoke(
        &state.pool,
        &id_of(&session.token_hash),
        Some(session.user_id),
        state.clock.now(),
    )
    .await?;
    let cookie = clear_cookie(state.config.is_https())?;
    Ok((StatusCode::NO_CONTENT, AppendHeaders([(SET_COOKIE, cookie)])))
}

/// Who am I.
#[utoipa::path(get, path = "/api/v1/session", tag = "account", security(("bearer" = []), ("session" = [])), responses(
    (status = 200, body = Me, description = "who is logged in"),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
))]
pub async fn who_am_i(State(state): State<AppState>, viewer: Viewer) -> Json<Me> {
    Json(me(&viewer, &state))
}

/// One login that is still alive.
#[derive(Serialize, utoipa::ToSchema)]
pub struct LiveSession {
    /// Names the session.
    id: String,
    /// Whose.
    email: String,
    /// Login.
    created_at: DateTime<Utc>,
    /// Last request, to the minute.
    last_used_at: DateTime<Utc>,
    /// When it ends at the latest.
    expires_at: DateTime<Utc>,
    /// Browser of the login.
    user_agent: Option<String>,
    /// The one that asks.
    current: bool,
}

/// Live sessions: one's own; an admin of every site sees everybody's.
#[utoipa::path(get, path = "/api/v1/sessions", operation_id = "list_logins", tag = "account", responses(
    (status = 200, body = Vec<LiveSession>, description = "newest use first"),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
))]
pub async fn list(State(state): State<AppState>, session: Session) -> Result<Json<Vec<LiveSession>>, ApiError> {
    let now = state.clock.now();
    let rows = admin_sessions::list(&state.pool, reach(&session), now, now - IDLE).await?;
    let own = id_of(&session.token_hash);
    Ok(Json(
        rows.into_iter()
            .map(|row| LiveSession {
                current: row.id == own,
                id: hex(&row.id),
                email: row.email,
                created_at: row.created_at,
                last_used_at: row.last_used_at,
                expires_at: row.expires_at,
                user_agent: row.user_agent,
            })
            .collect(),
    ))
}

/// Ends a session: one's own; an admin of every site may end anybody's.
#[utoipa::path(delete, path = "/api/v1/sessions/{id}", tag = "account", params(("id" = String, Path, description = "as listed")), responses(
    (status = 204, description = "ended"),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 404, description = "no such live session", body = ErrorBody),
))]
pub async fn revoke(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    const UNKNOWN: ApiError = ApiError::NotFound("there is no such live session");
    let id = u128::from_str_radix(&id, 16).map_err(|_| UNKNOWN)?.to_be_bytes();
    match admin_sessions::revoke(&state.pool, &id, reach(&session), state.clock.now()).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(UNKNOWN),
    }
}

/// Whose sessions this one may list and end: `None` is everybody's.
fn reach(session: &Session) -> Option<uuid::Uuid> {
    let all = session.role == Role::Admin && session.site_id.is_none();
    (!all).then_some(session.user_id)
}

fn id_of(token_hash: &[u8; 32]) -> [u8; 16] {
    let mut id = [0; 16];
    id.copy_from_slice(&token_hash[..16]);
    id
}
