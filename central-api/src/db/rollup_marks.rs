//! Table `rollup_marks`: hours whose rollups must be recomputed.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::postgres::PgBindIterExt;
use uuid::Uuid;

use crate::ingest::fold::SessionKey;

/// Adds marks: site, visitor, start of the hour in which the visitor's session was first seen (UTC).
///
/// # Errors
/// The database's.
pub async fn insert(db: &mut PgConnection, marks: &[(i32, Uuid, DateTime<Utc>)]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into rollup_marks (site_id, visitor_id, hour) select * from unnest($1::int[], $2::uuid[], $3::timestamptz[])",
        marks.iter().map(|mark| mark.0).bind_iter() as _,
        marks.iter().map(|mark| mark.1).bind_iter() as _,
        marks.iter().map(|mark| mark.2).bind_iter() as _,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Any fixed number, beside the site's id.
const LATER_LOCK: i32 = 0x7564_6c61;

/// Until the transaction ends, no other one changes where a session of this site stands among its visitor's. The last lock that a
/// transaction takes. Of two at once that touch two sessions of one visitor neither would see what the other did, and the hour of the later
/// session might be summed up between their commits.
///
/// # Errors
/// The database's.
pub async fn lock_later(db: &mut PgConnection, site_id: i32) -> sqlx::Result<()> {
    sqlx::query!("select pg_advisory_xact_lock($1, $2)", LATER_LOCK, site_id)
        .execute(db)
        .await?;
    Ok(())
}

/// Adds marks for the hours of every session of these visitors, some of which were deleted. The last statement of its transaction.
///
/// # Errors
/// The database's.
pub async fn insert_all_of(db: &mut PgConnection, site_id: i32, visitors: &[Uuid]) -> sqlx::Result<()> {
    lock_later(db, site_id).await?;
    sqlx::query!(
        "insert into rollup_marks (site_id, visitor_id, hour)
         select distinct site_id, visitor_id, date_trunc('hour', first_seen, 'UTC') from sessions where site_id = $1 and visitor_id = any($2)",
        site_id,
        visitors
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Adds marks for the hours of the same visitors' sessions that began after the given ones (site, visitor, session): what their rollups
/// tell about returns depends on where, and with what values, earlier sessions stand. The last statement of its transaction.
///
/// # Errors
/// The database's.
pub async fn insert_later(db: &mut PgConnection, sessions: &[SessionKey]) -> sqlx::Result<()> {
    let mut sites: Vec<i32> = sessions.iter().map(|session| session.0).collect();
    sites.sort_unstable();
    sites.dedup();
    for site_id in sites {
        lock_later(db, site_id).await?;
    }
    sqlx::query!(
        "insert into rollup_marks (site_id, visitor_id, hour)
         select distinct later.site_id, later.visitor_id, date_trunc('hour', later.first_seen, 'UTC')
         from unnest($1::int[], $2::uuid[], $3::uuid[]) as changed (site_id, visitor_id, session_id)
         join sessions s on s.site_id = changed.site_id and s.visitor_id = changed.visitor_id and s.session_id = changed.session_id
         join sessions later on later.site_id = s.site_id and later.visitor_id = s.visitor_id and later.first_seen > s.first_seen",
        sessions.iter().map(|session| session.0).bind_iter() as _,
        sessions.iter().map(|session| session.1).bind_iter() as _,
        sessions.iter().map(|session| session.2).bind_iter() as _,
    )
    .execute(db)
    .await?;
    Ok(())
}
