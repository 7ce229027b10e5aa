//! What was refused, for the panel: to be looked at and replayed.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::auth::Admin;
use crate::db::dead_letters::{self, DeadLetter, Wanted};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Path, Query};
use crate::ingest::replay;
use crate::state::AppState;

/// Which dead letters are asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// Key of the site; need not be given when there is only one.
    site: Option<String>,
    /// Only with this code.
    code: Option<String>,
    /// Only numbers above this one: the last of the page before.
    after: Option<i64>,
    /// At most 1,000; 100 when absent.
    limit: Option<i64>,
    /// Those that a replay settled too.
    #[serde(default)]
    settled: bool,
}

/// A dead letter.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DeadLetterBody {
    /// Number, ascending.
    id: i64,
    /// `ingest`, `orders`, `server_events`.
    kind: String,
    /// When it came.
    received_at: DateTime<Utc>,
    /// The batch that it came in.
    batch_id: Option<Uuid>,
    /// Machine-readable reason.
    code: String,
    /// Sentence that names the field.
    message: String,
    /// As it came; what is not UTF-8 is replaced.
    payload: String,
    /// When it was last replayed.
    replayed_at: Option<DateTime<Utc>>,
    /// `accepted`, `duplicate`, or the code it was refused with again.
    replay_outcome: Option<String>,
}

/// A page of dead letters.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DeadLettersPage {
    /// How many there are in all, from `after` on.
    total: i64,
    /// In the order they came.
    dead_letters: Vec<DeadLetterBody>,
}

/// What a replay came to.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Replayed {
    /// `accepted`, `duplicate`, or the code it was refused with again.
    outcome: String,
}

impl From<DeadLetter> for DeadLetterBody {
    fn from(letter: DeadLetter) -> Self {
        Self {
            id: letter.id,
            kind: letter.kind,
            received_at: letter.received_at,
            batch_id: letter.batch_id,
            code: letter.code,
            message: letter.message,
            payload: String::from_utf8_lossy(&letter.payload).into_owned(),
            replayed_at: letter.replayed_at,
            replay_outcome: letter.replay_outcome,
        }
    }
}

/// Dead letters in the order they came. What no replay settled, unless `settled` is asked for.
#[utoipa::path(get, path = "/api/v1/dead-letters", operation_id = "list_dead_letters", tag = "dead letters", params(Asked), responses(
    (status = 200, description = "a page of them, the oldest first", body = DeadLettersPage),
    (status = 400, description = "a parameter is not allowed; it is named", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "only an admin may see what may be personal", body = ErrorBody),
))]
pub async fn list(
    State(state): State<AppState>,
    admin: Admin,
    Query(asked): Query<Asked>,
) -> Result<Json<DeadLettersPage>, ApiError> {
    let site = admin.site(&state.sites, asked.site.as_deref())?;
    let limit = asked.limit.unwrap_or(100);
    if !(1..=1_000).contains(&limit) {
        return Err(ApiError::invalid("limit", "must be from 1 to 1000"));
    }
    let wanted = Wanted {
        site_id: Some(site.id),
        code: asked.code.as_deref(),
        settled: asked.settled,
        after: asked.after.unwrap_or(0),
    };
    let total = dead_letters::count(&state.pool, &wanted).await?;
    let letters = dead_letters::list(&state.pool, &wanted, limit).await?;
    Ok(Json(DeadLettersPage {
        total,
        dead_letters: letters.into_iter().map(DeadLetterBody::from).collect(),
    }))
}

/// Sends a dead letter through the same door again. Replaying one that was accepted changes nothing.
#[utoipa::path(post, path = "/api/v1/dead-letters/{id}/replay", operation_id = "replay_dead_letter", tag = "dead letters", params(("id" = i64, Path, description = "its number")), responses(
    (status = 200, description = "what became of it", body = Replayed),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "only an admin may do this", body = ErrorBody),
    (status = 404, description = "there is none with this number", body = ErrorBody),
    (status = 503, description = "the database cannot take it now", body = ErrorBody),
))]
pub async fn replay(
    State(state): State<AppState>,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<Json<Replayed>, ApiError> {
    const GONE: ApiError = ApiError::NotFound("there is no dead letter with this number");
    let id: i64 = id.parse().map_err(|_| GONE)?;
    let letter = dead_letters::by_id(&state.pool, id).await?.ok_or(GONE)?;
    // Another site's is as good as none.
    let site = state.sites.by_id(letter.site_id).ok_or(GONE)?;
    admin.site(&state.sites, Some(&site.key)).map_err(|_| GONE)?;
    let outcome = replay::replay(&state, letter.id).await?;
    Ok(Json(Replayed { outcome }))
}
