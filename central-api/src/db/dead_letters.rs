//! Table `dead_letters`: what was refused, with its reason.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgBindIterExt;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

/// Something that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDeadLetter {
    /// The site.
    pub site_id: i32,
    /// `ingest`, `orders`, `server_events`.
    pub kind: &'static str,
    /// The batch that it came in.
    pub batch_id: Option<Uuid>,
    /// Machine-readable reason.
    pub code: String,
    /// Sentence that names the field.
    pub message: String,
    /// As it came; bytes, since it may hold what text and jsonb refuse.
    pub payload: Vec<u8>,
}

/// A dead letter as it is shown.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Number, ascending.
    pub id: i64,
    /// The site.
    pub site_id: i32,
    /// See [`NewDeadLetter::kind`].
    pub kind: String,
    /// When it came, UTC.
    pub received_at: DateTime<Utc>,
    /// The batch that it came in.
    pub batch_id: Option<Uuid>,
    /// Machine-readable reason.
    pub code: String,
    /// Sentence that names the field.
    pub message: String,
    /// As it came.
    pub payload: Vec<u8>,
    /// When it was last replayed, UTC.
    pub replayed_at: Option<DateTime<Utc>>,
    /// `accepted`, `duplicate`, or the code it was refused with again.
    pub replay_outcome: Option<String>,
}

impl DeadLetter {
    /// What a replay stored of it, if one did: there is nothing left to replay.
    pub fn settled(&self) -> Option<&str> {
        self.replay_outcome.as_deref().filter(|outcome| settles(outcome))
    }
}

/// Stores dead letters; one that stands there already is not stored again. Sorted by site and payload.
///
/// # Errors
/// The database's.
pub async fn insert(db: &mut PgConnection, letters: &[&NewDeadLetter], now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into dead_letters (site_id, kind, received_at, batch_id, code, message, payload)
         select site_id, kind, $7, batch_id, code, message, payload
         from unnest($1::int[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::bytea[]) as new (site_id, kind, batch_id, code, message, payload)
         on conflict do nothing",
        letters.iter().map(|l| l.site_id).bind_iter() as _,
        letters.iter().map(|l| l.kind).bind_iter() as _,
        letters.iter().map(|l| l.batch_id).bind_iter() as _,
        letters.iter().map(|l| l.code.as_str()).bind_iter() as _,
        letters.iter().map(|l| l.message.as_str()).bind_iter() as _,
        letters.iter().map(|l| l.payload.as_slice()).bind_iter() as _,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Whether a replay with this outcome settled its dead letter; any other outcome is the code that it was refused with again.
pub fn settles(outcome: &str) -> bool {
    matches!(outcome, "accepted" | "duplicate")
}

/// Which dead letters are meant.
#[derive(Debug, Clone, Default)]
pub struct Wanted<'a> {
    /// Of this site only.
    pub site_id: Option<i32>,
    /// With this code only.
    pub code: Option<&'a str>,
    /// Those already replayed with success too.
    pub settled: bool,
    /// Only numbers above this one.
    pub after: i64,
}

/// Dead letters in the order they came, `limit` at most. Open ones are those never accepted by a replay.
///
/// # Errors
/// The database's.
pub async fn list(db: impl PgExecutor<'_>, wanted: &Wanted<'_>, limit: i64) -> sqlx::Result<Vec<DeadLetter>> {
    sqlx::query_as!(
        DeadLetter,
        "select dead_letter_id as id, site_id, kind, received_at, batch_id, code, message, payload, replayed_at, replay_outcome
         from dead_letters
         where dead_letter_id > $1
           and ($2::int is null or site_id = $2)
           and ($3::text is null or code = $3)
           and ($4 or replayed_at is null or replay_outcome not in ('accepted', 'duplicate'))
         order by dead_letter_id limit $5",
        wanted.after,
        wanted.site_id,
        wanted.code,
        wanted.settled,
        limit,
    )
    .fetch_all(db)
    .await
}

/// How many there are.
///
/// # Errors
/// The database's.
pub async fn count(pool: &PgPool, wanted: &Wanted<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from dead_letters
         where dead_letter_id > $1
           and ($2::int is null or site_id = $2)
           and ($3::text is null or code = $3)
           and ($4 or replayed_at is null or replay_outcome not in ('accepted', 'duplicate'))"#,
        wanted.after,
        wanted.site_id,
        wanted.code,
        wanted.settled,
    )
    .fetch_one(pool)
    .await
}

/// One dead letter.
///
/// # Errors
/// The database's.
pub async fn by_id(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<Option<DeadLetter>> {
    sqlx::query_as!(
        DeadLetter,
        "select dead_letter_id as id, site_id, kind, received_at, batch_id, code, message, payload, replayed_at, replay_outcome
         from dead_letters where dead_letter_id = $1",
        id
    )
    .fetch_optional(db)
    .await
}

/// A class of advisory locks that nobody else uses, one for each letter.
const LOCKS: i64 = 0x7564_646c_0000_0000;

/// Waits until nobody else replays the letter, and keeps others from it until the transaction ends. Not a lock of its row: an erasure that
/// deletes the row while it holds sessions would wait for the replay, whose event waits for those sessions.
///
/// # Errors
/// The database's.
pub async fn lock(db: &mut PgConnection, id: i64) -> sqlx::Result<()> {
    sqlx::query!("select pg_advisory_xact_lock($1)", LOCKS + id)
        .execute(db)
        .await?;
    Ok(())
}

/// Notes what a replay came to.
///
/// # Errors
/// The database's.
pub async fn settle(db: &mut PgConnection, id: i64, outcome: &str, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "update dead_letters set replayed_at = $2, replay_outcome = $3 where dead_letter_id = $1",
        id,
        now,
        outcome
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes dead letters of a site; how many.
///
/// # Errors
/// The database's.
pub async fn delete(db: impl PgExecutor<'_>, site_id: i32, ids: &[i64]) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "delete from dead_letters where site_id = $1 and dead_letter_id = any($2)",
        site_id,
        ids,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
