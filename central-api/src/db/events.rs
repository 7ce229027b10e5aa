//! Table `events`: what visitors did.

use chrono::{DateTime, Utc};
use shared::action::Action;
use shared::event::Origin;
use sqlx::postgres::PgBindIterExt;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::ingest::record::EventRecord;

/// The key of an event without its time, which the id holds.
pub type EventKey = (i32, Uuid, Uuid);

/// Stores events that are not there yet and answers which those are. `events` is sorted by key: writers that insert in
/// different orders wait for each other in a circle. A key that stands twice in `events` is stored once.
///
/// # Errors
/// The database's.
pub async fn insert(db: &mut PgConnection, events: &[&EventRecord]) -> sqlx::Result<Vec<EventKey>> {
    let rows = sqlx::query!(
        "insert into events (site_id, visitor_id, event_id, minted_at, session_id, occurred_at, action, origin, visit_no, bot_reason,
                             human, points, quantity, amount, value, currency, name, path, product_id, order_id, label, props)
         select * from unnest($1::int[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::uuid[], $6::timestamptz[], $7::smallint[],
                              $8::smallint[], $9::smallint[], $10::smallint[], $11::bool[], $12::int[], $13::int[], $14::int[],
                              $15::numeric[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::jsonb[])
         on conflict do nothing
         returning site_id, visitor_id, event_id",
        events.iter().map(|e| e.site_id).bind_iter() as _,
        events.iter().map(|e| e.visitor_id).bind_iter() as _,
        events.iter().map(|e| e.event_id).bind_iter() as _,
        events.iter().map(|e| e.minted_at).bind_iter() as _,
        events.iter().map(|e| e.session_id).bind_iter() as _,
        events.iter().map(|e| e.occurred_at).bind_iter() as _,
        events.iter().map(|e| e.action.code()).bind_iter() as _,
        events.iter().map(|e| e.origin).bind_iter() as _,
        events.iter().map(|e| e.visit_no).bind_iter() as _,
        events.iter().map(|e| e.bot_reason).bind_iter() as _,
        events.iter().map(|e| e.human).bind_iter() as _,
        events.iter().map(|e| e.points).bind_iter() as _,
        events.iter().map(|e| e.quantity).bind_iter() as _,
        events.iter().map(|e| e.amount).bind_iter() as _,
        events.iter().map(|e| e.value).bind_iter() as _,
        events.iter().map(|e| e.currency.as_deref()).bind_iter() as _,
        events.iter().map(|e| e.name.as_deref()).bind_iter() as _,
        events.iter().map(|e| e.path.as_deref()).bind_iter() as _,
        events.iter().map(|e| e.product_id.as_deref()).bind_iter() as _,
        events.iter().map(|e| e.order_id.as_deref()).bind_iter() as _,
        events.iter().map(|e| e.label.as_deref()).bind_iter() as _,
        events.iter().map(|e| e.props.as_ref()).bind_iter() as _,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.site_id, row.visitor_id, row.event_id))
        .collect())
}

/// Where an event is stored.
#[derive(Debug, Clone, Copy)]
pub struct Stored {
    /// The event.
    pub event_id: Uuid,
    /// Whose.
    pub visitor_id: Uuid,
    /// In which session.
    pub session_id: Uuid,
    /// When it happened, UTC.
    pub occurred_at: DateTime<Utc>,
    /// In which visit.
    pub visit_no: i16,
}

/// Those of these events (visitor, event, the time in its id) that are stored.
///
/// # Errors
/// The database's.
pub async fn stored(
    db: impl PgExecutor<'_>,
    site_id: i32,
    keys: &[(Uuid, Uuid, DateTime<Utc>)],
) -> sqlx::Result<Vec<Stored>> {
    sqlx::query_as!(
        Stored,
        "select e.event_id, e.visitor_id, e.session_id, e.occurred_at, e.visit_no
         from unnest($2::uuid[], $3::uuid[], $4::timestamptz[]) as k (visitor_id, event_id, minted_at)
         join events e on e.site_id = $1 and e.visitor_id = k.visitor_id and e.event_id = k.event_id and e.minted_at = k.minted_at",
        site_id,
        keys.iter().map(|key| key.0).bind_iter() as _,
        keys.iter().map(|key| key.1).bind_iter() as _,
        keys.iter().map(|key| key.2).bind_iter() as _,
    )
    .fetch_all(db)
    .await
}

/// An imported page view or registration.
#[derive(Debug)]
pub struct KnownEvent {
    /// Its session.
    pub session_id: Uuid,
    /// Its id.
    pub id: Uuid,
    /// When it happened, UTC.
    pub at: DateTime<Utc>,
    /// The page.
    pub path: Option<String>,
}

/// Page views and registrations that imports brought for these sessions of these visitors.
///
/// # Errors
/// The database's.
pub async fn imported_page_views(
    db: impl PgExecutor<'_>,
    site_id: i32,
    visitors: &[Uuid],
    sessions: &[Uuid],
) -> sqlx::Result<Vec<KnownEvent>> {
    sqlx::query_as!(
        KnownEvent,
        "select session_id, event_id as id, occurred_at as at, path from events
         where site_id = $1 and visitor_id = any($2) and session_id = any($3) and origin = $4 and action in ($5, $6)",
        site_id,
        visitors,
        sessions,
        Origin::Import.code(),
        Action::PageView.code(),
        Action::SignUp.code(),
    )
    .fetch_all(db)
    .await
}
