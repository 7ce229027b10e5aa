//! A dead letter once more, through the same door that it came to first.

use axum::body::Bytes;

use crate::db::dead_letters::{self, DeadLetter};
use crate::devices::Devices;
use crate::endpoints::{ingest, orders, server_events};
use crate::error::ApiError;
use crate::ingest::envelope::{self, Item};
use crate::ingest::validate::{self, Rules};
use crate::ingest::writer::{Delivery, Verdict};
use crate::site::Site;
use crate::state::AppState;

/// Replays one dead letter and notes the outcome on it: `accepted`, `duplicate`, or the code it was refused with again.
/// How old it is by now does not count against it, and what it does not say of its time is when it came. One that was accepted is left
/// alone: the outcome is the one that was noted.
///
/// # Errors
/// There is no such letter any more, or the database's; then nothing is noted.
pub async fn replay(state: &AppState, id: i64) -> Result<String, ApiError> {
    // One after another: each holds a connection, and the letter's door needs more of them.
    let _turn = state.replays.lock().await;
    let mut turn = state.pool.begin().await?;
    dead_letters::lock(&mut turn, id).await?;
    let letter = dead_letters::by_id(&mut *turn, id)
        .await?
        .ok_or(ApiError::NotFound("there is no dead letter with this number"))?;
    if let Some(outcome) = letter.settled() {
        return Ok(outcome.to_owned());
    }
    let outcome = through_its_door(state, &letter).await?;
    dead_letters::settle(&mut turn, id, &outcome, state.clock.now()).await?;
    turn.commit().await?;
    metrics::counter!("ud_dead_letters_replayed_total", "outcome" => outcome.clone()).increment(1);
    Ok(outcome)
}

async fn through_its_door(state: &AppState, letter: &DeadLetter) -> Result<String, ApiError> {
    let Some(site) = state.sites.by_id(letter.site_id) else {
        return Err(ApiError::Conflict(format!(
            "the site of dead letter {} is gone",
            letter.id
        )));
    };
    match letter.kind.as_str() {
        "ingest" => ingested(state, &site, letter).await,
        "server_events" => server_event(state, &site, letter).await,
        "orders" => match std::str::from_utf8(&letter.payload) {
            Ok(text) => {
                let answer = orders::receive(state, &site, &[text], Some(letter)).await?;
                Ok(answer.outcome().to_owned())
            }
            Err(_) => Ok("invalid_json".to_owned()),
        },
        other => Err(ApiError::Conflict(format!(
            "dead letters of kind {other} cannot be replayed"
        ))),
    }
}

async fn ingested(state: &AppState, site: &Site, letter: &DeadLetter) -> Result<String, ApiError> {
    Devices::warm().await;
    let aliases = ingest::aliases(site);
    let rules = Rules {
        site,
        aliases: &aliases,
        devices: &state.ingest.devices,
        now_ms: state.clock.now().timestamp_millis(),
        max_age_ms: None,
    };
    let record = match std::str::from_utf8(&letter.payload) {
        Ok(text) => envelope::event(text).and_then(|event| validate::record(event, &rules)),
        Err(_) => return Ok("invalid_json".to_owned()),
    };
    let delivery = Delivery {
        site_id: site.id,
        kind: "ingest",
        batch_id: letter.batch_id,
        items: vec![Item {
            at: 0..letter.payload.len(),
            record,
        }],
        body: Bytes::from(letter.payload.clone()),
        keep_refused: false,
        share: None,
    };
    Ok(match state.ingest.store(delivery).await?.pop() {
        Some(Verdict::Accepted) => "accepted".to_owned(),
        Some(Verdict::Rejected(refusal)) => refusal.code.to_owned(),
        Some(Verdict::Duplicate) | None => "duplicate".to_owned(),
    })
}

async fn server_event(state: &AppState, site: &Site, letter: &DeadLetter) -> Result<String, ApiError> {
    let body = Bytes::from(letter.payload.clone());
    match std::str::from_utf8(&body) {
        Ok(text) => Ok(server_events::receive(state, site, &body, &[text], Some(letter))
            .await?
            .outcome()
            .to_owned()),
        Err(_) => Ok("invalid_json".to_owned()),
    }
}
