//! Table `sessions`: what one touch brought.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgBindIterExt;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::ingest::fold::SessionChange;

/// Where a merge left a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged {
    /// The site.
    pub site_id: i32,
    /// The visitor.
    pub visitor_id: Uuid,
    /// The session's first sight now, UTC.
    pub first_seen: DateTime<Utc>,
    /// Where `first_seen` stood before, if this merge moved it.
    pub moved_from: Option<DateTime<Utc>>,
}

/// The merge of changes into their sessions. Every change has a say in the columns that stand here; the texts that are handed in add
/// columns, their parameters and what becomes of them in a session that is there.
macro_rules! merge {
    ($db:ident, $changes:ident, $columns:literal, $parameters:literal, $updates:literal, { $($values:tt)* }) => {
        sqlx::query_as!(
            Merged,
            r#"insert into sessions as s (
             site_id, visitor_id, session_id, first_seen, last_seen, visit_count, active, event_count, page_views,
             points, product_view_at, add_to_cart_at, checkout_at, lead_at, purchase_at, registered_at,
             event_revenue, lead_events, purchase_events, valued_purchase_events, bot_reason, human_seen, consent"# + $columns + r#")
           select * from unnest(
             $1::int[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[], $6::smallint[], $7::text[]::int8multirange[],
             $8::int[], $9::int[], $10::int[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[],
             $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::numeric[], $18::int[], $19::int[],
             $20::int[], $21::smallint[], $22::bool[], $23::smallint[]"# + $parameters + r#")
           on conflict (site_id, visitor_id, session_id) do update set
             moved_from = case when excluded.first_seen < s.first_seen then s.first_seen end,
             first_seen = least(s.first_seen, excluded.first_seen),
             last_seen = greatest(s.last_seen, excluded.last_seen),
             visit_count = greatest(s.visit_count, excluded.visit_count),
             active = s.active + excluded.active,
             event_count = s.event_count + excluded.event_count,
             page_views = s.page_views + excluded.page_views,
             points = greatest(-2147483648, least(2147483647, s.points::bigint + excluded.points))::int,
             product_view_at = least(s.product_view_at, excluded.product_view_at),
             add_to_cart_at = least(s.add_to_cart_at, excluded.add_to_cart_at),
             checkout_at = least(s.checkout_at, excluded.checkout_at),
             lead_at = least(s.lead_at, excluded.lead_at),
             purchase_at = least(s.purchase_at, excluded.purchase_at),
             registered_at = least(s.registered_at, excluded.registered_at),
             event_revenue = least(99999999999999.9999, s.event_revenue + excluded.event_revenue),
             lead_events = s.lead_events + excluded.lead_events,
             purchase_events = s.purchase_events + excluded.purchase_events,
             valued_purchase_events = s.valued_purchase_events + excluded.valued_purchase_events,
             bot_reason = least(s.bot_reason, excluded.bot_reason),
             human_seen = s.human_seen or excluded.human_seen,
             consent = greatest(s.consent, excluded.consent)"# + $updates + r#"
           returning site_id, visitor_id, first_seen, moved_from"#,
            $changes.iter().map(|c| c.key.0).bind_iter() as _,
            $changes.iter().map(|c| c.key.1).bind_iter() as _,
            $changes.iter().map(|c| c.key.2).bind_iter() as _,
            $changes.iter().map(|c| c.first_seen).bind_iter() as _,
            $changes.iter().map(|c| c.last_seen).bind_iter() as _,
            $changes.iter().map(|c| c.visit_count).bind_iter() as _,
            $changes.iter().map(|c| c.active_text()).bind_iter() as _,
            $changes.iter().map(|c| c.event_count).bind_iter() as _,
            $changes.iter().map(|c| c.page_views).bind_iter() as _,
            $changes.iter().map(|c| c.points).bind_iter() as _,
            $changes.iter().map(|c| c.product_view_at).bind_iter() as _,
            $changes.iter().map(|c| c.add_to_cart_at).bind_iter() as _,
            $changes.iter().map(|c| c.checkout_at).bind_iter() as _,
            $changes.iter().map(|c| c.lead_at).bind_iter() as _,
            $changes.iter().map(|c| c.purchase_at).bind_iter() as _,
            $changes.iter().map(|c| c.registered_at).bind_iter() as _,
            $changes.iter().map(|c| c.event_revenue).bind_iter() as _,
            $changes.iter().map(|c| c.lead_events).bind_iter() as _,
            $changes.iter().map(|c| c.purchase_events).bind_iter() as _,
            $changes.iter().map(|c| c.valued_purchase_events).bind_iter() as _,
            $changes.iter().map(|c| c.bot_reason).bind_iter() as _,
            $changes.iter().map(|c| c.human_seen).bind_iter() as _,
            $changes.iter().map(|c| c.consent).bind_iter() as _,
            $($values)*
        )
        .fetch_all($db)
        .await
    };
}

/// Merges changes into their sessions. `changes` is sorted by key, each key once: writers that upsert in different orders
/// wait for each other in a circle.
/// The merge is [`SessionChange::merge`] in SQL.
///
/// # Errors
/// The database's.
pub async fn merge(db: &mut PgConnection, changes: &[SessionChange<'_>]) -> sqlx::Result<Vec<Merged>> {
    // As when a shop's backend sends its events one by one: a third of the columns, and a tenth less of the database's time.
    if changes
        .iter()
        .all(|change| change.touch.is_none() && change.context.is_none())
    {
        return merge!(db, changes, "", "", "", {});
    }
    merge!(
        db,
        changes,
        r#", touch_at, touch_event, utm_source, utm_medium,
             utm_campaign, utm_content, utm_term, utm_id, utm_source_platform, utm_creative_format, raw, channel,
             inferred, click_ids, click_platform, referral, referrer_host, referrer_path, landing_host, landing_path,
             landing_query, context_detail, context_at, context_event, device_type, device_brand, device_model,
             os_name, os_version, browser_name, browser_version, in_app, ua_hash, language, country, region, city,
             time_zone, continent, asn, as_organization, ip, ip_hash"#,
        r#", $24::timestamptz[], $25::uuid[], $26::text[], $27::text[], $28::text[], $29::text[], $30::text[],
             $31::text[], $32::text[], $33::text[], $34::jsonb[], $35::text[], $36::bool[], $37::jsonb[],
             $38::text[], $39::text[], $40::text[], $41::text[], $42::text[], $43::text[], $44::text[],
             $45::smallint[], $46::timestamptz[], $47::uuid[], $48::text[], $49::text[], $50::text[], $51::text[],
             $52::text[], $53::text[], $54::text[], $55::text[], $56::bigint[], $57::text[], $58::text[],
             $59::text[], $60::text[], $61::text[], $62::text[], $63::int[], $64::text[], $65::text[]::inet[], $66::text[]"#,
        r#",
             touch_at = case when excluded.touch_at is not null and (s.touch_at is null or (excluded.touch_at, excluded.touch_event) < (s.touch_at, s.touch_event)) then excluded.touch_at else s.touch_at end,
             touch_event = case when excluded.touch_at is not null and (s.touch_at is null or (excluded.touch_at, excluded.touch_event) < (s.touch_at, s.touch_event)) then excluded.touch_event else s.touch_event end,
             utm_source = case when excluded.touch_at is not null and (s.touch_at is null or (excluded.touch_at, excluded.touch_event) < (s.touch_at, s.touch_event)) then excluded.utm_source else s.utm_source end,
             utm_medium = case when excluded.touch_at is not null and (s.touch_at is null or (excluded.touch_at, excluded.touch_event) < (s.touch_at, s.touch_event)) then excluded.utm_medium else s.utm_medium end,
             utm_campaign = case when excluded.touch_at is not null and (s.touch_at is null or (excluded.touch_at, excluded.touch_event) < (s.touch_at, s.touch_event)) then excluded.utm_campaign else s.utm_campaign end,
             utm_content = case when excluded.touch_at is not null and (s.touch_at is null or (excluded.touch_at, excluded.touch_event) < (s.touch_at, s.touch_event)) then excluded.utm_content else s.utm_content end,
             utm_term = case when excluded.touch_at is not null and (s.touch_at is null or (excluded.touch_at, excluded.touch_event) < (s.touch_at, s.touch_event)) then excluded.utm_term else s.utm_term end,
             utm_id = case when excluded.touch_at is not null and (s.touch_at is null or (excluded.touch_at, excluded.touch_event) < (s.touch_at, s.touch_event)) then excluded.utm_id else s.utm_id end,
             utm_source_platform = case when excluded.touch_at is not null and (s.touch_at is null or (excluded.touch_at, excluded.touch_event) < (s.touch_at, s.touch_event)) then excluded.utm_source_platform else s.utm_source_platform end,
             utm_creative_format = case when excluded.touch_at is not null and (s.touch_at is null or (excluded.touch_at, excluded.touch_event) < (s.touch_at, s.touch_event)) then excluded.utm_creative_format else s.utm_creative_format end,
             raw = case when excluded.touch_at is not null and (s.touch_at is null or (excluded.touch_at, excluded.touch_event) < (s.touch_at, s.touch_event)) then excluded.raw else s.raw end,
             channel = case when excluded.touch_at is not null and (s.touch_at is null or (excluded.touch_at, excluded.touch_event) < (s.touch_at, s.touch_event)) then excluded.channel else s.channel end,
             inferred = case when excluded.touch_at is not null and (s.touch_at is null or (excluded.touch_at, excluded.touch_event) < (s.touch_at, s.touch_event)) then excluded.inferred else s.inferred end,
             click_ids = case when excluded.touch_at is not null and (s.touch_at is null or (excluded.touch_at, excluded.touch_event) < (s.touch_at, s.touch_event)) then excluded.click_ids else s.click_ids end,
             click_platform = case when excluded.touch_at is not null and (s.touch_at is null or (excluded.touch_at, excluded.touch_event) < (s.touch_at, s.touch_event)) then excluded.click_platform else s.click_platform end,
             referral = case when excluded.touch_at is not null and (s.touch_at is null or (excluded.touch_at, excluded.touch_event) < (s.touch_at, s.touch_event)) then excluded.referral else s.referral end,
             referrer_host = case when excluded.touch_at is not null and (s.touch_at is null or (excluded.touch_at, excluded.touch_event) < (s.touch_at, s.touch_event)) then excluded.referrer_host else s.referrer_host end,
             referrer_path = case when excluded.touch_at is not null and (s.touch_at is null or (excluded.touch_at, excluded.touch_event) < (s.touch_at, s.touch_event)) then excluded.referrer_path else s.referrer_path end,
             landing_host = case when excluded.touch_at is not null and (s.touch_at is null or (excluded.touch_at, excluded.touch_event) < (s.touch_at, s.touch_event)) then excluded.landing_host else s.landing_host end,
             landing_path = case when excluded.touch_at is not null and (s.touch_at is null or (excluded.touch_at, excluded.touch_event) < (s.touch_at, s.touch_event)) then excluded.landing_path else s.landing_path end,
             landing_query = case when excluded.touch_at is not null and (s.touch_at is null or (excluded.touch_at, excluded.touch_event) < (s.touch_at, s.touch_event)) then excluded.landing_query else s.landing_query end,
             context_detail = case when excluded.context_at is not null and (s.context_at is null or (s.context_detail, excluded.context_at, excluded.context_event) < (excluded.context_detail, s.context_at, s.context_event)) then excluded.context_detail else s.context_detail end,
             context_at = case when excluded.context_at is not null and (s.context_at is null or (s.context_detail, excluded.context_at, excluded.context_event) < (excluded.context_detail, s.context_at, s.context_event)) then excluded.context_at else s.context_at end,
             context_event = case when excluded.context_at is not null and (s.context_at is null or (s.context_detail, excluded.context_at, excluded.context_event) < (excluded.context_detail, s.context_at, s.context_event)) then excluded.context_event else s.context_event end,
             device_type = case when excluded.context_at is not null and (s.context_at is null or (s.context_detail, excluded.context_at, excluded.context_event) < (excluded.context_detail, s.context_at, s.context_event)) then excluded.device_type else s.device_type end,
             device_brand = case when excluded.context_at is not null and (s.context_at is null or (s.context_detail, excluded.context_at, excluded.context_event) < (excluded.context_detail, s.context_at, s.context_event)) then excluded.device_brand else s.device_brand end,
             device_model = case when excluded.context_at is not null and (s.context_at is null or (s.context_detail, excluded.context_at, excluded.context_event) < (excluded.context_detail, s.context_at, s.context_event)) then excluded.device_model else s.device_model end,
             os_name = case when excluded.context_at is not null and (s.context_at is null or (s.context_detail, excluded.context_at, excluded.context_event) < (excluded.context_detail, s.context_at, s.context_event)) then excluded.os_name else s.os_name end,
             os_version = case when excluded.context_at is not null and (s.context_at is null or (s.context_detail, excluded.context_at, excluded.context_event) < (excluded.context_detail, s.context_at, s.context_event)) then excluded.os_version else s.os_version end,
             browser_name = case when excluded.context_at is not null and (s.context_at is null or (s.context_detail, excluded.context_at, excluded.context_event) < (excluded.context_detail, s.context_at, s.context_event)) then excluded.browser_name else s.browser_name end,
             browser_version = case when excluded.context_at is not null and (s.context_at is null or (s.context_detail, excluded.context_at, excluded.context_event) < (excluded.context_detail, s.context_at, s.context_event)) then excluded.browser_version else s.browser_version end,
             in_app = case when excluded.context_at is not null and (s.context_at is null or (s.context_detail, excluded.context_at, excluded.context_event) < (excluded.context_detail, s.context_at, s.context_event)) then excluded.in_app else s.in_app end,
             ua_hash = case when excluded.context_at is not null and (s.context_at is null or (s.context_detail, excluded.context_at, excluded.context_event) < (excluded.context_detail, s.context_at, s.context_event)) then excluded.ua_hash else s.ua_hash end,
             language = case when excluded.context_at is not null and (s.context_at is null or (s.context_detail, excluded.context_at, excluded.context_event) < (excluded.context_detail, s.context_at, s.context_event)) then excluded.language else s.language end,
             country = case when excluded.context_at is not null and (s.context_at is null or (s.context_detail, excluded.context_at, excluded.context_event) < (excluded.context_detail, s.context_at, s.context_event)) then excluded.country else s.country end,
             region = case when excluded.context_at is not null and (s.context_at is null or (s.context_detail, excluded.context_at, excluded.context_event) < (excluded.context_detail, s.context_at, s.context_event)) then excluded.region else s.region end,
             city = case when excluded.context_at is not null and (s.context_at is null or (s.context_detail, excluded.context_at, excluded.context_event) < (excluded.context_detail, s.context_at, s.context_event)) then excluded.city else s.city end,
             time_zone = case when excluded.context_at is not null and (s.context_at is null or (s.context_detail, excluded.context_at, excluded.context_event) < (excluded.context_detail, s.context_at, s.context_event)) then excluded.time_zone else s.time_zone end,
             continent = case when excluded.context_at is not null and (s.context_at is null or (s.context_detail, excluded.context_at, excluded.context_event) < (excluded.context_detail, s.context_at, s.context_event)) then excluded.continent else s.continent end,
             asn = case when excluded.context_at is not null and (s.context_at is null or (s.context_detail, excluded.context_at, excluded.context_event) < (excluded.context_detail, s.context_at, s.context_event)) then excluded.asn else s.asn end,
             as_organization = case when excluded.context_at is not null and (s.context_at is null or (s.context_detail, excluded.context_at, excluded.context_event) < (excluded.context_detail, s.context_at, s.context_event)) then excluded.as_organization else s.as_organization end,
             ip = case when excluded.context_at is not null and (s.context_at is null or (s.context_detail, excluded.context_at, excluded.context_event) < (excluded.context_detail, s.context_at, s.context_event)) then excluded.ip else s.ip end,
             ip_hash = case when excluded.context_at is not null and (s.context_at is null or (s.context_detail, excluded.context_at, excluded.context_event) < (excluded.context_detail, s.context_at, s.context_event)) then excluded.ip_hash else s.ip_hash end"#,
        {
            changes.iter().map(|c| c.touch.map(|t| t.0)).bind_iter() as _,
            changes.iter().map(|c| c.touch.map(|t| t.1)).bind_iter() as _,
            changes.iter().map(|c| c.touch.and_then(|t| t.2.utm_source.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.touch.and_then(|t| t.2.utm_medium.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.touch.and_then(|t| t.2.utm_campaign.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.touch.and_then(|t| t.2.utm_content.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.touch.and_then(|t| t.2.utm_term.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.touch.and_then(|t| t.2.utm_id.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.touch.and_then(|t| t.2.utm_source_platform.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.touch.and_then(|t| t.2.utm_creative_format.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.touch.and_then(|t| t.2.raw.as_ref())).bind_iter() as _,
            changes.iter().map(|c| c.touch.and_then(|t| t.2.channel)).bind_iter() as _,
            changes.iter().map(|c| c.touch.is_some_and(|t| t.2.inferred)).bind_iter() as _,
            changes.iter().map(|c| c.touch.and_then(|t| t.2.click_ids.as_ref())).bind_iter() as _,
            changes.iter().map(|c| c.touch.and_then(|t| t.2.click_platform)).bind_iter() as _,
            changes.iter().map(|c| c.touch.and_then(|t| t.2.referral.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.touch.and_then(|t| t.2.referrer_host.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.touch.and_then(|t| t.2.referrer_path.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.touch.and_then(|t| t.2.landing_host.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.touch.and_then(|t| t.2.landing_path.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.touch.and_then(|t| t.2.landing_query.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.context.map(|x| x.2.detail)).bind_iter() as _,
            changes.iter().map(|c| c.context.map(|x| x.0)).bind_iter() as _,
            changes.iter().map(|c| c.context.map(|x| x.1)).bind_iter() as _,
            changes.iter().map(|c| c.context.and_then(|x| x.2.device_type)).bind_iter() as _,
            changes.iter().map(|c| c.context.and_then(|x| x.2.device_brand.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.context.and_then(|x| x.2.device_model.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.context.and_then(|x| x.2.os_name.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.context.and_then(|x| x.2.os_version.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.context.and_then(|x| x.2.browser_name.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.context.and_then(|x| x.2.browser_version.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.context.and_then(|x| x.2.in_app.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.context.and_then(|x| x.2.user_agent.as_ref().map(|ua| ua.0))).bind_iter() as _,
            changes.iter().map(|c| c.context.and_then(|x| x.2.language.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.context.and_then(|x| x.2.country.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.context.and_then(|x| x.2.region.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.context.and_then(|x| x.2.city.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.context.and_then(|x| x.2.time_zone.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.context.and_then(|x| x.2.continent.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.context.and_then(|x| x.2.asn)).bind_iter() as _,
            changes.iter().map(|c| c.context.and_then(|x| x.2.as_organization.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.context.and_then(|x| x.2.ip.as_deref())).bind_iter() as _,
            changes.iter().map(|c| c.context.and_then(|x| x.2.ip_hash.as_deref())).bind_iter() as _,
        }
    )
}

/// Where a server-side event may belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The visitor.
    pub visitor_id: Uuid,
    /// The session.
    pub session_id: Uuid,
    /// When it was first seen, UTC.
    pub first_seen: DateTime<Utc>,
    /// Its visits so far.
    pub visit_count: i16,
}

/// Sessions with these ids, earliest first; of two visitors' sessions with one id both.
///
/// # Errors
/// The database's.
pub async fn by_ids(db: impl PgExecutor<'_>, site_id: i32, session_ids: &[Uuid]) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        "select visitor_id, session_id, first_seen, visit_count from sessions
         where site_id = $1 and session_id = any($2) order by first_seen, visitor_id",
        site_id,
        session_ids
    )
    .fetch_all(db)
    .await
}

/// A visitor's session, and until when it was alive. Not part of [`Found`]: that is remembered, and this moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfVisitor {
    /// The visitor.
    pub visitor_id: Uuid,
    /// The session.
    pub session_id: Uuid,
    /// When it was first seen, UTC.
    pub first_seen: DateTime<Utc>,
    /// When it was last seen, UTC.
    pub last_seen: DateTime<Utc>,
    /// Its visits so far.
    pub visit_count: i16,
}

impl From<OfVisitor> for Found {
    fn from(session: OfVisitor) -> Self {
        Self {
            visitor_id: session.visitor_id,
            session_id: session.session_id,
            first_seen: session.first_seen,
            visit_count: session.visit_count,
        }
    }
}

/// These visitors' sessions that were alive between two times, earliest first.
///
/// # Errors
/// The database's.
pub async fn of_visitors(
    db: impl PgExecutor<'_>,
    site_id: i32,
    visitor_ids: &[Uuid],
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> sqlx::Result<Vec<OfVisitor>> {
    sqlx::query_as!(
        OfVisitor,
        "select visitor_id, session_id, first_seen, last_seen, visit_count from sessions
         where site_id = $1 and visitor_id = any($2) and last_seen >= $3 and first_seen <= $4 order by first_seen, session_id",
        site_id,
        visitor_ids,
        from,
        to
    )
    .fetch_all(db)
    .await
}

/// A session that is a person's as of now.
#[derive(Debug)]
pub struct Confirmed {
    /// The visitor.
    pub visitor_id: Uuid,
    /// The session.
    pub session_id: Uuid,
    /// When it was first seen, UTC.
    pub first_seen: DateTime<Utc>,
}

/// Notes that a person is behind these sessions (visitor, session), and answers for which that is new. Their hours, and those of their
/// visitors' later sessions, are the caller's to mark.
///
/// # Errors
/// The database's.
pub async fn confirm_people(
    db: impl PgExecutor<'_>,
    site_id: i32,
    sessions: &BTreeSet<(Uuid, Uuid)>,
) -> sqlx::Result<Vec<Confirmed>> {
    sqlx::query_as!(
        Confirmed,
        "update sessions s set human_seen = true from unnest($2::uuid[], $3::uuid[]) as k(visitor_id, session_id)
         where s.site_id = $1 and s.visitor_id = k.visitor_id and s.session_id = k.session_id and not s.human_seen
         returning s.visitor_id, s.session_id, s.first_seen",
        site_id,
        sessions.iter().map(|key| key.0).bind_iter() as _,
        sessions.iter().map(|key| key.1).bind_iter() as _,
    )
    .fetch_all(db)
    .await
}
