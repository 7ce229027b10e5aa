//! Who may log in to the panel. Only an admin of every site looks after users.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use shared::ids::uuid_v7;
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::auth::password_link::{self, Link};
use crate::auth::{Admin, Role, password};
use crate::db::audit_log::{self, Actor, Entry};
use crate::db::password_links::{self, Purpose};
use crate::db::users::{self, Listed};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Path};
use crate::secret::hex;
use crate::state::AppState;

/// A user.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct UserView {
    /// Names the user.
    id: Uuid,
    /// Address they log in with.
    email: String,
    /// `admin` or `viewer`.
    role: String,
    /// Key of the only site they may see; null: every site.
    site: Option<String>,
    /// When they were added.
    created_at: DateTime<Utc>,
    /// Since when they may not log in.
    disabled_at: Option<DateTime<Utc>>,
    /// Last request of a login that is still remembered.
    last_used_at: Option<DateTime<Utc>>,
    /// Was invited and has not set a password yet.
    invited: bool,
}

/// A link that sets a password once. Shown now and never again.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PasswordLink {
    /// Path of the panel; send it with the panel's address in front.
    path: String,
    /// When it stops working.
    expires_at: DateTime<Utc>,
}

impl From<Link> for PasswordLink {
    fn from(link: Link) -> Self {
        Self {
            path: link.path(),
            expires_at: link.expires_at,
        }
    }
}

/// A user that was just invited.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Invited {
    /// Who.
    user: UserView,
    /// By which they set their password.
    link: PasswordLink,
}

/// Whom to invite.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// Address to log in with.
    email: String,
    /// `admin` or `viewer`.
    role: Role,
    /// Key of the only site they may see; absent or null: every site.
    site: Option<String>,
}

/// What to change; absent fields stay as they are.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// `admin` or `viewer`.
    role: Option<Role>,
    /// Key of the only site they may see; null: every site.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    site: Option<Option<String>>,
    /// May not log in any more; their logins end at once.
    disabled: Option<bool>,
}

/// Tells `null` from absent.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

const UNKNOWN: ApiError = ApiError::NotFound("there is no such user");

fn of_everything(admin: &Admin) -> Result<(), ApiError> {
    match admin.0.site_id {
        None => Ok(()),
        Some(_) => Err(ApiError::Forbidden("only an admin of every site may look after users")),
    }
}

fn view(state: &AppState, row: Listed) -> UserView {
    UserView {
        id: row.user_id,
        email: row.email,
        role: row.role,
        site: row.site_id.and_then(|id| Some(state.sites.by_id(id)?.key.clone())),
        created_at: row.created_at,
        disabled_at: row.disabled_at,
        last_used_at: row.last_used_at,
        invited: row.invited,
    }
}

fn site_id(state: &AppState, key: Option<&str>) -> Result<Option<i32>, ApiError> {
    key.map(|key| state.sites.wanted(Some(key)).map(|site| site.id))
        .transpose()
}

async fn find(db: impl PgExecutor<'_>, id: &str) -> Result<Listed, ApiError> {
    let id: Uuid = id.parse().map_err(|_| UNKNOWN)?;
    let all = users::all(db).await?;
    all.into_iter().find(|user| user.user_id == id).ok_or(UNKNOWN)
}

/// Everybody who may log in.
#[utoipa::path(get, path = "/api/v1/users", operation_id = "list_users", tag = "users", responses(
    (status = 200, body = Vec<UserView>, description = "by address"),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin of every site", body = ErrorBody),
))]
pub async fn list(State(state): State<AppState>, admin: Admin) -> Result<Json<Vec<UserView>>, ApiError> {
    of_everything(&admin)?;
    let rows = users::all(&state.pool).await?;
    Ok(Json(rows.into_iter().map(|row| view(&state, row)).collect()))
}

/// Adds a user, and answers the link by which they set their password.
#[utoipa::path(post, path = "/api/v1/users", operation_id = "invite_user", tag = "users", request_body = Invitation, responses(
    (status = 201, body = Invited, description = "added; the link is shown only now"),
    (status = 400, description = "a field has a value that is not allowed", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin of every site", body = ErrorBody),
    (status = 409, description = "there is a user with this address", body = ErrorBody),
))]
pub async fn invite(
    State(state): State<AppState>,
    admin: Admin,
    Json(invitation): Json<Invitation>,
) -> Result<(StatusCode, Json<Invited>), ApiError> {
    of_everything(&admin)?;
    let now = state.clock.now();
    let email = users::normalised_email(&invitation.email)
        .ok_or_else(|| ApiError::invalid("email", "must be an address such as ann@shop.example"))?;
    let site_id = site_id(&state, invitation.site.as_deref())?;
    // A password that nobody knows: logging in costs the same work as for everybody else.
    let hash = password::hash(hex(&rand::random::<[u8; 32]>()), rand::random()).await?;
    let id = uuid_v7(now.timestamp_millis(), rand::random());
    let mut transaction = state.pool.begin().await?;
    if !users::insert(&mut *transaction, id, &email, &hash, invitation.role, site_id, now).await? {
        return Err(ApiError::Conflict("there is a user with this address already".into()));
    }
    let link = password_link::make(&mut *transaction, id, Purpose::Invite, now).await?;
    let detail = json!({"role": invitation.role.name(), "site": invitation.site});
    log(&mut transaction, &admin, "user.invite", &email, detail, now).await?;
    transaction.commit().await?;
    let user = view(&state, find(&state.pool, &id.to_string()).await?);
    Ok((
        StatusCode::CREATED,
        Json(Invited {
            user,
            link: link.into(),
        }),
    ))
}

async fn log(
    conn: &mut sqlx::PgConnection,
    admin: &Admin,
    action: &str,
    subject: &str,
    detail: serde_json::Value,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let entry = Entry {
        site_id: None,
        actor: Actor::User(&admin.0),
        action,
        subject,
        detail,
    };
    audit_log::insert(conn, &entry, now).await
}

/// Somebody must be left who can undo it.
async fn keep_an_admin(conn: &mut sqlx::PgConnection) -> Result<(), ApiError> {
    if users::count_admins(conn).await? == 0 {
        return Err(ApiError::Conflict(
            "this is the last admin of every site; make another one first".into(),
        ));
    }
    Ok(())
}

/// Changes what a user may do and see, or whether they may log in.
#[utoipa::path(patch, path = "/api/v1/users/{id}", operation_id = "change_user", tag = "users", request_body = UserChange,
    params(("id" = Uuid, Path, description = "of the user")), responses(
    (status = 200, body = UserView, description = "as they are now; it holds from their next request on"),
    (status = 400, description = "a field has a value that is not allowed", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin of every site", body = ErrorBody),
    (status = 404, description = "there is no such user", body = ErrorBody),
    (status = 409, description = "no admin of every site would be left", body = ErrorBody),
))]
pub async fn change(
    State(state): State<AppState>,
    admin: Admin,
    Path(id): Path<String>,
    Json(change): Json<UserChange>,
) -> Result<Json<UserView>, ApiError> {
    of_everything(&admin)?;
    let now = state.clock.now();
    let mut transaction = state.pool.begin().await?;
    users::lock_all(&mut *transaction).await?;
    let user = find(&mut *transaction, &id).await?;
    let role = change.role.or(Role::from_name(&user.role)).unwrap_or(Role::Viewer);
    let site = match &change.site {
        None => user.site_id,
        Some(key) => site_id(&state, key.as_deref())?,
    };
    let disabled_at = match change.disabled {
        None => user.disabled_at,
        Some(true) => user.disabled_at.or(Some(now)),
        Some(false) => None,
    };
    users::update(&mut *transaction, user.user_id, role, site, disabled_at).await?;
    if change.disabled == Some(true) {
        crate::db::admin_sessions::revoke_all(&mut *transaction, user.user_id, now).await?;
        password_links::revoke(&mut *transaction, user.user_id).await?;
    }
    keep_an_admin(&mut transaction).await?;
    let detail = json!({
        "role": change.role.map(Role::name), "site": change.site.clone().flatten(), "disabled": change.disabled,
    });
    log(&mut transaction, &admin, "user.change", &user.email, detail, now).await?;
    transaction.commit().await?;
    Ok(Json(view(&state, find(&state.pool, &id).await?)))
}

/// Removes a user.
#[utoipa::path(delete, path = "/api/v1/users/{id}", operation_id = "remove_user", tag = "users",
    params(("id" = Uuid, Path, description = "of the user")), responses(
    (status = 204, description = "removed; their logins ended"),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin of every site", body = ErrorBody),
    (status = 404, description = "there is no such user", body = ErrorBody),
    (status = 409, description = "no admin of every site would be left", body = ErrorBody),
))]
pub async fn remove(
    State(state): State<AppState>,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    of_everything(&admin)?;
    let mut transaction = state.pool.begin().await?;
    users::lock_all(&mut *transaction).await?;
    let user = find(&mut *transaction, &id).await?;
    users::delete(&mut *transaction, user.user_id).await?;
    keep_an_admin(&mut transaction).await?;
    let now = state.clock.now();
    log(&mut transaction, &admin, "user.remove", &user.email, json!({}), now).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a link by which a user sets a new password. The present one holds until it is used.
#[utoipa::path(post, path = "/api/v1/users/{id}/password-link", operation_id = "reset_password", tag = "users",
    params(("id" = Uuid, Path, description = "of the user")), responses(
    (status = 201, body = PasswordLink, description = "shown only now; the user's earlier link stopped working"),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin of every site", body = ErrorBody),
    (status = 404, description = "there is no such user", body = ErrorBody),
    (status = 409, description = "the user is disabled", body = ErrorBody),
))]
pub async fn reset_password(
    State(state): State<AppState>,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<PasswordLink>), ApiError> {
    of_everything(&admin)?;
    let now = state.clock.now();
    let user = find(&state.pool, &id).await?;
    if user.disabled_at.is_some() {
        return Err(ApiError::Conflict("this user is disabled; enable them first".into()));
    }
    let mut transaction = state.pool.begin().await?;
    let link = password_link::make(&mut *transaction, user.user_id, Purpose::Reset, now).await?;
    log(
        &mut transaction,
        &admin,
        "user.reset_password",
        &user.email,
        json!({}),
        now,
    )
    .await?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(link.into())))
}
