//! The sessions of each hour as one packed value, for the questions that no sum answers: any filter, any split, any of them together.
//!
//! A session is as wide as a visit is rich, and a question about a quarter of a year reads hundreds of thousands. So what figures are made
//! of stands here once more, column by column and a few bits each ([`format`]): of every session, bots too, the value of each dimension and
//! what each metric counts for it, which is the catalogue's own aggregate over that one session. Reports add that up
//! ([`crate::reports::counted`]); hours that are dirty they read from the sessions, so a figure is exact at any moment.
//!
//! Distinct visitors need one thing more. With each session stands when the same visitor's previous one began, whatever it was: only a
//! visitor who may come again within the period has to be remembered while it is counted.

pub mod format;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use uuid::Uuid;

use self::format::{Ids, Numbers, Reader, Texts, Writer};
use super::columns;
use crate::catalogue::{Dimension, Formula, Metric, Side};

/// What metrics count stands in ten-thousandths, the smallest part of any: money has four decimals, time three.
pub const DECIMALS: u32 = 4;

/// The columns before those of dimensions and metrics, each a number: seconds from the start of the hour; the quarter of an hour in which the
/// visitor's previous session of any kind began, as [`super::quarter`] counts them, 0 for none; 1 for a bot's session; 1 where a person is
/// confirmed.
const LEADING: usize = 4;

/// The dimensions of a block, in the order of its columns.
pub fn dimensions() -> impl Iterator<Item = Dimension> {
    Dimension::filters()
}

/// The metrics of a block, in the order of its columns, with the aggregate over sessions `s` that each adds up. `true`: as a site counts whose
/// purchase events are its revenue.
pub fn metrics() -> impl Iterator<Item = (Metric, bool, &'static str)> {
    let by_event = Metric::all().filter_map(|metric| match metric.definition().formula {
        Formula::Money { by_event, .. } => Some((metric, true, by_event)),
        _ => None,
    });
    columns().map(|(metric, sql)| (metric, false, sql)).chain(by_event)
}

/// Tells blocks apart whose columns are other ones: a number made of all their names and definitions.
pub fn layout() -> i32 {
    let dimensions = dimensions().map(|dimension| format!("{} {}", dimension.key(), dimension.sql(Side::Sessions)));
    let metrics = metrics().map(|(metric, by_event, sql)| format!("{} {by_event} {sql}", metric.key()));
    // FNV-1a (Fowler, Noll, Vo).
    let hash = (dimensions.chain(metrics)).fold(0x811c_9dc5_u32, |hash, text| {
        (text.bytes().chain([0])).fold(hash, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    });
    hash.cast_signed()
}

/// One session as it is packed.
#[derive(Debug)]
struct Session {
    visitor: Uuid,
    leading: [i64; LEADING],
    texts: Vec<Option<String>>,
    numbers: Vec<i64>,
}

impl Session {
    fn read(row: &PgRow) -> sqlx::Result<Self> {
        let mut columns = 2..;
        let mut next = || columns.next().unwrap_or_default();
        let mut leading = [0; LEADING];
        for value in &mut leading {
            *value = row.try_get(next())?;
        }
        Ok(Self {
            visitor: row.try_get(1)?,
            leading,
            texts: dimensions().map(|_| row.try_get(next())).collect::<sqlx::Result<_>>()?,
            numbers: metrics().map(|_| row.try_get(next())).collect::<sqlx::Result<_>>()?,
        })
    }
}

fn pack(sessions: &[Session]) -> Vec<u8> {
    let mut writer = Writer::new(sessions.len());
    let mut numbers = |of: &dyn Fn(&Session) -> i64| writer.numbers(&sessions.iter().map(of).collect::<Vec<_>>());
    (0..LEADING).for_each(|i| numbers(&|session| session.leading[i]));
    writer.ids(sessions.iter().map(|session| session.visitor.as_u128()));
    for i in 0..dimensions().count() {
        let texts: Vec<_> = sessions.iter().map(|session| session.texts[i].as_deref()).collect();
        writer.texts(&texts);
    }
    for i in 0..metrics().count() {
        writer.numbers(&sessions.iter().map(|session| session.numbers[i]).collect::<Vec<_>>());
    }
    writer.finish()
}

/// What the sessions say of some hours, a row each, in the order of a block: `$1` site, `$2` starts of hours. Every fragment is the catalogue's.
fn sessions_of_hours() -> String {
    let texts: Vec<_> = dimensions().map(|dimension| dimension.sql(Side::Sessions)).collect();
    let (mut names, mut sums) = (Vec::new(), Vec::new());
    for (i, (_, _, sql)) in metrics().enumerate() {
        names.push(format!("m.m{i}"));
        sums.push(format!("(({sql}) * {})::bigint as m{i}", 10_i64.pow(DECIMALS)));
    }
    format!(
        "select h.start, s.visitor_id, floor(extract(epoch from s.first_seen - h.start))::bigint, \
           coalesce(floor(extract(epoch from e.previous) / 900)::bigint, 0), (s.bot_reason is not null)::int::bigint, \
           s.human_seen::int::bigint, {texts}, {names} \
         from unnest($2::timestamptz[]) as h (start) \
         cross join lateral (select * from sessions x where x.site_id = $1 and x.first_seen >= h.start \
           and x.first_seen < h.start + interval '1 hour' offset 0) s \
         cross join lateral (select max(p.first_seen) as previous from sessions p where p.site_id = s.site_id and p.visitor_id = s.visitor_id \
           and (p.first_seen, p.session_id) < (s.first_seen, s.session_id)) e \
         cross join lateral (select {sums} from (select s.*) s) m \
         order by h.start, s.first_seen, s.session_id",
        texts = texts.join(", "),
        names = names.join(", "),
        sums = sums.join(", ")
    )
}

/// What the blocks of some hours must be; hours without sessions have none.
async fn made(
    db: &mut PgConnection,
    site_id: i32,
    hours: &[DateTime<Utc>],
) -> sqlx::Result<BTreeMap<DateTime<Utc>, Vec<u8>>> {
    // Compiling so many aggregates takes many times as long as reading an hour's sessions.
    sqlx::query("set local jit = off").execute(&mut *db).await?;
    let mut blocks = BTreeMap::new();
    let mut hour: Option<(DateTime<Utc>, Vec<Session>)> = None;
    let mut rows = sqlx::query(AssertSqlSafe(sessions_of_hours()))
        .bind(site_id)
        .bind(hours)
        .fetch(db);
    while let Some(row) = rows.try_next().await? {
        let (start, session) = (row.try_get(0)?, Session::read(&row)?);
        match &mut hour {
            Some((of, sessions)) if *of == start => sessions.push(session),
            _ => blocks.extend(
                hour.replace((start, vec![session]))
                    .map(|(start, sessions)| (start, pack(&sessions))),
            ),
        }
    }
    blocks.extend(hour.map(|(start, sessions)| (start, pack(&sessions))));
    Ok(blocks)
}

/// Replaces the blocks of these hours by what the sessions say now.
///
/// # Errors
/// The database's.
pub async fn recompute(db: &mut PgConnection, site_id: i32, hours: &[DateTime<Utc>]) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from session_blocks where site_id = $1 and start = any($2)",
        site_id,
        hours
    )
    .execute(&mut *db)
    .await?;
    let (starts, data): (Vec<_>, Vec<_>) = made(db, site_id, hours).await?.into_iter().unzip();
    sqlx::query!(
        "insert into session_blocks (site_id, start, layout, data) select $1, b.start, $2, b.data from unnest($3::timestamptz[], $4::bytea[]) as b (start, data)",
        site_id,
        layout(),
        &starts,
        &data
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Makes some blocks of another layout anew, the latest first: after an upgrade, hour by hour. Answers how many.
///
/// # Errors
/// The database's.
pub async fn renew(db: &mut PgConnection, at_most: i64) -> sqlx::Result<usize> {
    // Two ranges and not an inequality: the index finds them.
    let found = sqlx::query!(
        "select site_id, start from session_blocks where layout < $1 or layout > $1 order by start desc limit $2",
        layout(),
        at_most
    )
    .fetch_all(&mut *db)
    .await?;
    let mut by_site: BTreeMap<i32, Vec<DateTime<Utc>>> = BTreeMap::new();
    for row in &found {
        by_site.entry(row.site_id).or_default().push(row.start);
    }
    for (site_id, hours) in by_site {
        recompute(&mut *db, site_id, &hours).await?;
    }
    Ok(found.len())
}

/// Hours of a period whose blocks have another layout: they cannot be read.
///
/// # Errors
/// The database's.
pub async fn outdated(
    db: &mut PgConnection,
    site_id: i32,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> sqlx::Result<Vec<DateTime<Utc>>> {
    sqlx::query_scalar!(
        "select start from session_blocks where site_id = $1 and start >= $2 and start < $3 and (layout < $4 or layout > $4)",
        site_id,
        from,
        to,
        layout()
    )
    .fetch_all(db)
    .await
}

/// Those of these hours whose blocks are not what the sessions say; blocks of another layout, which nothing reads, aside.
pub(super) async fn differing(
    db: &mut PgConnection,
    site_id: i32,
    hours: &[DateTime<Utc>],
) -> sqlx::Result<Vec<DateTime<Utc>>> {
    let kept = sqlx::query!(
        "select start, layout, data from session_blocks where site_id = $1 and start = any($2)",
        site_id,
        hours
    )
    .fetch_all(&mut *db)
    .await?;
    let outdated: BTreeSet<_> = (kept.iter())
        .filter(|row| row.layout != layout())
        .map(|row| row.start)
        .collect();
    let kept: BTreeMap<_, _> = kept.into_iter().map(|row| (row.start, row.data)).collect();
    let made = made(db, site_id, hours).await?;
    let mut hours = hours.to_vec();
    hours.retain(|hour| !outdated.contains(hour) && kept.get(hour) != made.get(hour));
    Ok(hours)
}

/// A site's blocks of some ranges of whole hours, the latest first: `$1` site, `$2` starts and `$3` ends of ranges, `$4` [`layout`].
pub const OF_RANGES: &str = "select b.start, b.data from unnest($2::timestamptz[], $3::timestamptz[]) as w (a, b) \
     join session_blocks b on b.site_id = $1 and b.start >= w.a and b.start < w.b and b.layout = $4 order by b.start desc";

/// The columns of a block that a question is about.
#[derive(Debug)]
pub struct Block<'a> {
    /// Seconds from the start of the hour.
    pub second: Numbers<'a>,
    /// The quarter of an hour in which the visitor's previous session of any kind began; 0: none.
    pub previous: Numbers<'a>,
    /// 1 for a bot's session.
    pub bot: Numbers<'a>,
    /// 1 where a person is confirmed.
    pub human: Numbers<'a>,
    /// Visitors.
    pub visitors: Ids<'a>,
    /// Of each dimension that was asked for, in the order of the request.
    pub texts: Vec<Texts<'a>>,
    /// Of each metric that was asked for, in the order of the request.
    pub sums: Vec<Numbers<'a>>,
    /// Sessions.
    pub rows: usize,
}

impl<'a> Block<'a> {
    /// Reads these dimensions and metrics (each with whether it is counted by events); `None`: these are not the bytes of a block, or it has no such column.
    pub fn read(bytes: &'a [u8], wanted: &[Dimension], sums: &[(Metric, bool)]) -> Option<Self> {
        let mut reader = Reader::new(bytes)?;
        let mut block = Self {
            rows: reader.rows(),
            second: reader.numbers()?,
            previous: reader.numbers()?,
            bot: reader.numbers()?,
            human: reader.numbers()?,
            visitors: reader.ids()?,
            texts: Vec::with_capacity(wanted.len()),
            sums: Vec::with_capacity(sums.len()),
        };
        let mut texts: Vec<Option<Texts<'a>>> = wanted.iter().map(|_| None).collect();
        for dimension in dimensions() {
            match wanted.iter().position(|d| *d == dimension) {
                Some(i) => texts[i] = Some(reader.texts()?),
                None => reader.skip_texts()?,
            }
        }
        let mut numbers: Vec<Option<Numbers<'a>>> = vec![None; sums.len()];
        for (metric, by_event, _) in metrics() {
            let column = reader.numbers()?;
            if let Some(i) = sums.iter().position(|sum| *sum == (metric, by_event)) {
                numbers[i] = Some(column);
            }
        }
        block.texts = texts.into_iter().collect::<Option<_>>()?;
        block.sums = numbers.into_iter().collect::<Option<_>>()?;
        Some(block)
    }
}
