//! Table `anonymous_hits`: landings of visitors who did not allow an id.

use sqlx::PgConnection;
use sqlx::postgres::PgBindIterExt;
use uuid::Uuid;

use crate::ingest::record::AnonymousRecord;

/// Stores hits that are not there yet and answers which those are. `hits` is sorted by key.
///
/// # Errors
/// The database's.
pub async fn insert(db: &mut PgConnection, hits: &[&AnonymousRecord]) -> sqlx::Result<Vec<(i32, Uuid)>> {
    let rows = sqlx::query!(
        "insert into anonymous_hits (site_id, event_id, minted_at, consent, action, bot_reason, channel, utm_source, utm_medium,
                                     utm_campaign, device_type, country)
         select * from unnest($1::int[], $2::uuid[], $3::timestamptz[], $4::smallint[], $5::smallint[], $6::smallint[], $7::text[],
                              $8::text[], $9::text[], $10::text[], $11::text[], $12::text[])
         on conflict do nothing
         returning site_id, event_id",
        hits.iter().map(|h| h.site_id).bind_iter() as _,
        hits.iter().map(|h| h.event_id).bind_iter() as _,
        hits.iter().map(|h| h.minted_at).bind_iter() as _,
        hits.iter().map(|h| h.consent).bind_iter() as _,
        hits.iter().map(|h| h.action.code()).bind_iter() as _,
        hits.iter().map(|h| h.bot_reason).bind_iter() as _,
        hits.iter().map(|h| h.channel).bind_iter() as _,
        hits.iter().map(|h| h.utm_source.as_deref()).bind_iter() as _,
        hits.iter().map(|h| h.utm_medium.as_deref()).bind_iter() as _,
        hits.iter().map(|h| h.utm_campaign.as_deref()).bind_iter() as _,
        hits.iter().map(|h| h.device_type).bind_iter() as _,
        hits.iter().map(|h| h.country.as_deref()).bind_iter() as _,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.site_id, row.event_id)).collect())
}
