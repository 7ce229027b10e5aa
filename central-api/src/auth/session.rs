//! Sessions of the admin panel: a cookie with 256 random bits, its digest in the database, revocable at once.

use axum::extract::FromRequestParts;
use axum::http::{HeaderValue, request::Parts};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Role, cookie, token};
use crate::db::admin_sessions;
use crate::error::ApiError;
use crate::secret::Secret;
use crate::state::AppState;

/// Name of the cookie.
pub const COOKIE: &str = "ud_admin";
/// A session ends this long after the login, whatever happens.
pub const LIFE: TimeDelta = TimeDelta::days(30);
/// A session ends after this long without a request.
pub const IDLE: TimeDelta = TimeDelta::days(7);
/// `last_used_at` is written at most this often.
const TOUCH: TimeDelta = TimeDelta::minutes(1);

/// Somebody who is logged in to the panel.
#[derive(Debug, Clone)]
pub struct Session {
    /// Digest of the cookie's token.
    pub token_hash: [u8; 32],
    /// Who.
    pub user_id: Uuid,
    /// Their address.
    pub email: String,
    /// What they may do.
    pub role: Role,
    /// The only site they may see; `None`: every one.
    pub site_id: Option<i32>,
    /// When the session ends.
    pub expires_at: DateTime<Utc>,
}

impl FromRequestParts<AppState> for Session {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let sent = cookie(&parts.headers, COOKIE).ok_or(ApiError::Unauthorized(
            "log in, or send Authorization: Bearer with an API key",
        ))?;
        let now = state.clock.now();
        let found = admin_sessions::live(&state.pool, &token::digest(sent), now, now - IDLE).await?;
        let (session, last_used_at) = found.ok_or(ApiError::Unauthorized("the session has ended; log in again"))?;
        if now - last_used_at > TOUCH {
            admin_sessions::touch(&state.pool, &session.token_hash, now).await?;
        }
        Ok(session)
    }
}

/// The Set-Cookie value that begins a session.
pub fn set_cookie(token: &Secret, secure: bool) -> Result<HeaderValue, ApiError> {
    cookie_value(token.expose(), LIFE.num_seconds(), secure)
}

/// The Set-Cookie value that ends it.
pub fn clear_cookie(secure: bool) -> Result<HeaderValue, ApiError> {
    cookie_value("", 0, secure)
}

/// `Strict` is enough: the panel's page needs no session, only what it then asks for from its own origin does.
fn cookie_value(value: &str, max_age: i64, secure: bool) -> Result<HeaderValue, ApiError> {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{COOKIE}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}");
    let mut value = HeaderValue::from_str(&text).map_err(|error| ApiError::Internal(error.into()))?;
    value.set_sensitive(true);
    Ok(value)
}
