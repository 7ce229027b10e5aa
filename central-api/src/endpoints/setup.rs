//! What somebody does who cannot log in yet: make the first admin, or set a password by a link.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::ids::uuid_v7;

use crate::auth::{Role, password, password_link, token};
use crate::db::audit_log::{self, Actor, Entry};
use crate::db::{admin_sessions, password_links, users};
use crate::error::{ApiError, ErrorBody};
use crate::extract::Json;
use crate::state::AppState;

/// Whether the installation has an admin.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Setup {
    /// There is no admin yet: the link that `central-api serve` printed makes the first one.
    needed: bool,
}

/// The first admin.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FirstAdmin {
    /// From the link that `central-api serve` printed.
    token: String,
    /// Address to log in with.
    email: String,
    /// At least 10 characters, at most 256 bytes.
    password: String,
}

/// A password for the holder of a link.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    /// From the link.
    token: String,
    /// At least 10 characters, at most 256 bytes.
    new_password: String,
}

/// Who can log in now.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Account {
    /// Address to log in with.
    email: String,
}

/// Whether the first admin is still to be made.
#[utoipa::path(get, path = "/api/v1/setup", operation_id = "setup_state", tag = "account", security(()), responses(
    (status = 200, body = Setup, description = "whether it is needed"),
))]
pub async fn state(State(state): State<AppState>) -> Result<Json<Setup>, ApiError> {
    let needed = !users::any_admin(&state.pool).await?;
    Ok(Json(Setup { needed }))
}

/// Makes the first admin. Works once in the life of an installation.
#[utoipa::path(post, path = "/api/v1/setup", operation_id = "set_up", tag = "account", security(()), request_body = FirstAdmin, responses(
    (status = 201, body = Account, description = "made; log in now"),
    (status = 400, description = "a field has a value that is not allowed", body = ErrorBody),
    (status = 403, description = "the token is not this installation's", body = ErrorBody),
    (status = 409, description = "there is an admin already", body = ErrorBody),
))]
pub async fn first_admin(
    State(state): State<AppState>,
    Json(first): Json<FirstAdmin>,
) -> Result<(StatusCode, Json<Account>), ApiError> {
    if !password_link::is_setup_token(&state.config.secret, &first.token) {
        return Err(ApiError::Forbidden(
            "this is not the setup link of this installation; central-api serve prints it at its start",
        ));
    }
    let email = users::normalised_email(&first.email)
        .ok_or_else(|| ApiError::invalid("email", "must be an address such as ann@shop.example"))?;
    password::check("password", &first.password)?;
    let hash = password::hash(first.password, rand::random()).await?;
    let now = state.clock.now();
    let mut transaction = state.pool.begin().await?;
    users::lock_all(&mut *transaction).await?;
    if users::any_admin(&mut *transaction).await? {
        return Err(ApiError::Conflict(
            "there is an admin already; ask them for a link".into(),
        ));
    }
    let id = uuid_v7(now.timestamp_millis(), rand::random());
    if !users::insert(&mut *transaction, id, &email, &hash, Role::Admin, None, now).await? {
        return Err(ApiError::Conflict("there is a user with this address already".into()));
    }
    let entry = Entry {
        site_id: None,
        actor: Actor::Named(&email),
        action: "user.first_admin",
        subject: &email,
        detail: json!({}),
    };
    audit_log::insert(&mut *transaction, &entry, now).await?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(Account { email })))
}

/// Sets a password by a link, once, and ends the user's logins.
#[utoipa::path(post, path = "/api/v1/account/password-link", operation_id = "use_password_link", tag = "account", security(()), request_body = NewPassword, responses(
    (status = 200, body = Account, description = "set; log in now"),
    (status = 400, description = "the password is too short or long", body = ErrorBody),
    (status = 403, description = "the link was used, is too old, or never was one", body = ErrorBody),
))]
pub async fn use_link(State(state): State<AppState>, Json(new): Json<NewPassword>) -> Result<Json<Account>, ApiError> {
    const DEAD: ApiError = ApiError::Forbidden("this link was used or is too old; ask an admin for another one");
    let now = state.clock.now();
    let digest = token::digest(&new.token);
    // Looked up first: hashing for whoever invents tokens would keep us busy.
    let holder = password_links::holder(&state.pool, &digest, now).await?.ok_or(DEAD)?;
    password::check("new_password", &new.new_password)?;
    let hash = password::hash(new.new_password, rand::random()).await?;
    let mut transaction = state.pool.begin().await?;
    if !password_links::take(&mut *transaction, &digest, now).await? {
        return Err(DEAD);
    }
    users::set_password_hash(&mut *transaction, holder.user_id, &hash).await?;
    admin_sessions::revoke_all(&mut *transaction, holder.user_id, now).await?;
    let entry = Entry {
        site_id: None,
        actor: Actor::Named(&holder.email),
        action: "user.set_password",
        subject: &holder.email,
        detail: json!({}),
    };
    audit_log::insert(&mut *transaction, &entry, now).await?;
    transaction.commit().await?;
    Ok(Json(Account { email: holder.email }))
}
