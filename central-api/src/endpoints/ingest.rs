//! `POST /ingest/v1/events`: signed batches from the edge.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use shared::attribution::Aliases;
use shared::event::{BatchAnswer, Rejection};
use shared::limits::{MAX_BATCH_BYTES, MAX_EVENT_AGE_MS};
use std::time::Duration;

use crate::auth::signed;
use crate::devices::Devices;
use crate::error::ApiError;
use crate::ingest::envelope;
use crate::ingest::validate::Rules;
use crate::ingest::writer::{Delivery, Verdict};
use crate::site::Site;
use crate::state::AppState;

/// A body that takes longer to arrive holds memory that others wait for.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How many bytes gzip may make of one, as long as nobody knows better.
const GZIP_GUESS: usize = 8;

/// Takes in a batch of events. The answer comes after the commit: what was accepted survives a crash of anything.
///
/// 1. a share of memory, by the length that the caller gives; 2. the body, capped; 3. the signature over it as it came;
/// 4. gzip off, capped; 5. the envelope; 6. every event on its own; 7. all of it to the writers.
#[utoipa::path(
    post, path = "/ingest/v1/events", operation_id = "ingest_batch", tag = "ingest",
    request_body(content = String, content_type = "application/json", description = "A batch of the wire schema 1, at most 1,000 events and 4 MiB, optionally gzip"),
    params(("x-ud-signature" = String, Header, description = "v1;k=<key id>;t=<unix seconds>;s=<hex HMAC-SHA256 of t.body>")),
    responses(
        (status = 200, description = "Stored, with a verdict on what was not", body = BatchAnswerBody),
        (status = 400, description = "The envelope cannot be read", body = crate::error::ErrorBody),
        (status = 401, description = "The signature is missing, expired or does not match", body = crate::error::ErrorBody),
        (status = 413, description = "Too large", body = crate::error::ErrorBody),
        (status = 429, description = "Too much in flight", body = crate::error::ErrorBody),
        (status = 503, description = "The database cannot take it now; nothing is lost by sending it again", body = crate::error::ErrorBody),
    )
)]
pub async fn batch(State(state): State<AppState>, request: Request) -> Result<Json<BatchAnswer>, ApiError> {
    let (parts, body) = request.into_parts();
    let zipped = is_gzip(&parts.headers)?;
    let given = parts
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if given.is_some_and(|length| length > MAX_BATCH_BYTES) {
        return Err(envelope::too_large());
    }
    let expected = given.map_or(MAX_BATCH_BYTES, |length| {
        if zipped {
            (length * GZIP_GUESS).min(MAX_BATCH_BYTES)
        } else {
            length
        }
    });
    let admission = &state.ingest.admission;
    let share = if signed::claims_a_live_key(&state, &parts.headers).await {
        admission.share(expected).await?
    } else {
        admission.strangers_share(expected).await?
    };
    let body = read_body(body).await?;

    let signer = signed::verify(&state, &parts.headers, &body).await?;
    let site = state
        .sites
        .by_id(signer)
        .ok_or(ApiError::Unauthorized("this key's site does not exist any more"))?;
    let body = if zipped { envelope::unzip(&body)? } else { body };
    let envelope = envelope::read(&body)?;
    if envelope.site != site.key {
        return Err(ApiError::Unauthorized(
            "the batch's site is not the one that its key signs for",
        ));
    }
    Devices::warm().await;
    let aliases = aliases(&site);
    let items = envelope::judge(
        &body,
        &envelope.events,
        &Rules {
            site: &site,
            aliases: &aliases,
            devices: &state.ingest.devices,
            now_ms: state.clock.now().timestamp_millis(),
            max_age_ms: Some(MAX_EVENT_AGE_MS),
        },
    );
    let batch_id = Some(envelope.batch_id);
    let delivery = Delivery {
        site_id: site.id,
        kind: "ingest",
        batch_id,
        items,
        keep_refused: true,
        share: Some(share),
        body: body.clone(),
    };
    let verdicts = state.ingest.store(delivery).await?;
    Ok(Json(answer(verdicts)))
}

/// The site's aliases as attribution reads them.
pub fn aliases(site: &Site) -> Aliases {
    Aliases {
        source: site.settings.source_aliases.clone(),
        medium: site.settings.medium_aliases.clone(),
    }
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, ApiError> {
    match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"identity") => Ok(false),
        Some(b"gzip") => Ok(true),
        Some(_) => Err(ApiError::UnsupportedMediaType(
            "content-encoding must be gzip or absent",
        )),
    }
}

async fn read_body(body: axum::body::Body) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, MAX_BATCH_BYTES)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error))
            if std::error::Error::source(&error)
                .is_some_and(|cause| cause.is::<http_body_util::LengthLimitError>()) =>
        {
            Err(envelope::too_large())
        }
        Ok(Err(_)) | Err(_) => Err(ApiError::invalid("body", "did not arrive in full")),
    }
}

fn answer(verdicts: Vec<Verdict>) -> BatchAnswer {
    let mut answer = BatchAnswer {
        accepted: 0,
        duplicates: 0,
        rejected: Vec::new(),
    };
    for (index, verdict) in verdicts.into_iter().enumerate() {
        match verdict {
            Verdict::Accepted => answer.accepted += 1,
            Verdict::Duplicate => answer.duplicates += 1,
            Verdict::Rejected(refusal) => answer.rejected.push(Rejection {
                index,
                code: refusal.code.to_owned(),
                message: refusal.message,
            }),
        }
    }
    answer
}

/// See [`BatchAnswer`]: the shape of the answer for the API's description.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes shared::event::BatchAnswer, which knows no OpenAPI")]
pub struct BatchAnswerBody {
    /// Events stored now.
    accepted: usize,
    /// Events that were stored before.
    duplicates: usize,
    /// Events that were not stored.
    rejected: Vec<BatchRejection>,
}

/// See [`Rejection`].
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes shared::event::Rejection, which knows no OpenAPI")]
pub struct BatchRejection {
    /// Position in the batch, from 0.
    index: usize,
    /// Machine-readable reason.
    code: String,
    /// Sentence that names the field.
    message: String,
}
