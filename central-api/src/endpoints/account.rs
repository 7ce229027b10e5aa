//! One's own account.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::auth::{Session, password};
use crate::db::audit_log::{self, Actor, Entry};
use crate::db::{admin_sessions, password_links, users};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{ClientAddress, Json};
use crate::state::AppState;

/// A change of password.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The one that holds now.
    current_password: String,
    /// At least 10 characters, at most 256 bytes.
    new_password: String,
}

/// Changes one's password, ends one's other sessions and takes back a link that would set another one.
#[utoipa::path(post, path = "/api/v1/account/password", tag = "account", request_body = PasswordChange, responses(
    (status = 204, description = "changed"),
    (status = 400, description = "the new password is too short or long, or the current one is wrong", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 429, description = "too many tries; see Retry-After", body = ErrorBody),
))]
pub async fn change_password(
    State(state): State<AppState>,
    session: Session,
    ClientAddress(address): ClientAddress,
    Json(change): Json<PasswordChange>,
) -> Result<StatusCode, ApiError> {
    let now = state.clock.now();
    password::check("new_password", &change.new_password)?;
    // A stolen session must not become a place to guess the password at.
    state.attempts.allow(&address, &session.email, now)?;
    state.attempts.count(&address, &session.email, now);
    let wrong = || ApiError::invalid("current_password", "this is not the current password");
    let stored = users::password_hash(&state.pool, session.user_id).await?;
    if !password::verify(change.current_password, stored.clone()).await? {
        return Err(wrong());
    }
    let before = stored.ok_or_else(wrong)?;
    state.attempts.succeeded(&address, &session.email);
    let hash = password::hash(change.new_password, rand::random()).await?;
    let mut transaction = state.pool.begin().await?;
    // Whoever had to set another one meanwhile, because this one is known to others, keeps theirs.
    if !users::change_password_hash(&mut *transaction, session.user_id, &before, &hash).await? {
        return Err(wrong());
    }
    admin_sessions::revoke_others(&mut *transaction, session.user_id, &session.token_hash, now).await?;
    password_links::revoke(&mut *transaction, session.user_id).await?;
    let entry = Entry {
        site_id: None,
        actor: Actor::User(&session),
        action: "user.set_password",
        subject: &session.email,
        detail: json!({}),
    };
    audit_log::insert(&mut *transaction, &entry, now).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
