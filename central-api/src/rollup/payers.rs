//! The paying sessions of each day (UTC) as one packed value, for A/B tests: they ask what each session brought and not for a sum, of a
//! campaign that may run for a year.
//!
//! A day's block is made of its hours' [`super::blocks`], in the transaction that makes those, and says the same of people's sessions with a
//! utm_content and revenue. It is read where no hour of the day is dirty.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use futures_util::TryStreamExt;
use sqlx::PgConnection;

use super::blocks::format::{Numbers, Reader, Texts, Writer};
use super::blocks::{self, Block};
use super::plan::Ranges;
use crate::catalogue::{Dimension, Metric};
use crate::reports::filter::Filters;

/// Counted up when the columns change.
const VERSION: i32 = 1;

/// What a row of a block says of its session.
const TEXTS: [Dimension; 2] = [Dimension::UtmCampaign, Dimension::UtmContent];
/// As the site counts whose orders are its revenue, and the one whose purchase events are.
const REVENUES: [(Metric, bool); 2] = [(Metric::Revenue, false), (Metric::Revenue, true)];

/// Tells blocks apart whose columns are other ones, or made of other ones.
fn layout() -> i32 {
    blocks::layout().wrapping_add(VERSION)
}

/// Paying sessions, column by column.
#[derive(Debug, Default)]
struct Payers {
    texts: [Vec<Option<String>>; TEXTS.len()],
    revenues: [Vec<i64>; REVENUES.len()],
}

impl Payers {
    /// Those of an hour; `None` if these are not the bytes of its block.
    fn add(&mut self, hour: &[u8]) -> Option<()> {
        let block = Block::read(hour, &TEXTS, &REVENUES)?;
        for row in 0..block.rows {
            let texts: [_; TEXTS.len()] =
                std::array::from_fn(|i| block.texts[i].values[block.texts[i].codes.get(row) as usize]);
            let revenues: [_; REVENUES.len()] = std::array::from_fn(|i| block.sums[i].get(row));
            if block.bot.get(row) != 0 || texts[1].is_none() || revenues == [0; REVENUES.len()] {
                continue;
            }
            (self.texts.iter_mut().zip(texts)).for_each(|(column, text)| column.push(text.map(str::to_owned)));
            (self.revenues.iter_mut().zip(revenues)).for_each(|(column, revenue)| column.push(revenue));
        }
        Some(())
    }

    fn pack(&self) -> Option<Vec<u8>> {
        let rows = self.revenues[0].len();
        let mut writer = Writer::new(rows);
        for column in &self.texts {
            writer.texts(&column.iter().map(Option::as_deref).collect::<Vec<_>>());
        }
        self.revenues.iter().for_each(|column| writer.numbers(column));
        (rows > 0).then(|| writer.finish())
    }
}

/// What the blocks of some days must be; none of a day whose hours cannot be read yet.
async fn made(
    db: &mut PgConnection,
    site_id: i32,
    days: &[DateTime<Utc>],
) -> sqlx::Result<BTreeMap<DateTime<Utc>, Option<Payers>>> {
    let mut made: BTreeMap<_, _> = days.iter().map(|day| (*day, Some(Payers::default()))).collect();
    let mut hours = sqlx::query!(
        "select b.start, b.layout, b.data from unnest($2::timestamptz[]) as d (day)
         join session_blocks b on b.site_id = $1 and b.start >= d.day and b.start < d.day + interval '24 hours'
         order by b.start",
        site_id,
        days
    )
    .fetch(db);
    while let Some(hour) = hours.try_next().await? {
        let day = hour.start.duration_trunc(TimeDelta::days(1)).unwrap_or(hour.start);
        let Some(payers) = made.get_mut(&day) else { continue };
        let readable = hour.layout == blocks::layout();
        if !payers
            .as_mut()
            .is_some_and(|payers| readable && payers.add(&hour.data).is_some())
        {
            *payers = None;
        }
    }
    Ok(made)
}

/// Replaces the blocks of these days by what the blocks of their hours say now. Answers for how many days that could be told.
///
/// # Errors
/// The database's.
pub(super) async fn recompute(db: &mut PgConnection, site_id: i32, days: &[DateTime<Utc>]) -> sqlx::Result<usize> {
    sqlx::query!(
        "delete from payer_blocks where site_id = $1 and start = any($2)",
        site_id,
        days
    )
    .execute(&mut *db)
    .await?;
    let (mut starts, mut layouts, mut data) = (Vec::new(), Vec::new(), Vec::new());
    let mut told = 0;
    for (day, payers) in made(db, site_id, days).await? {
        told += usize::from(payers.is_some());
        let (layout, block) = match payers.as_ref().map(Payers::pack) {
            Some(Some(block)) => (layout(), block),
            Some(None) => continue,
            None => (0, Vec::new()),
        };
        starts.push(day);
        layouts.push(layout);
        data.push(block);
    }
    sqlx::query!(
        "insert into payer_blocks (site_id, start, layout, data)
         select $1, b.start, b.layout, b.data from unnest($2::timestamptz[], $3::integer[], $4::bytea[]) as b (start, layout, data)",
        site_id,
        &starts,
        &layouts,
        &data
    )
    .execute(db)
    .await?;
    Ok(told)
}

/// Makes some blocks of another layout anew, the latest first, once all hours have theirs. Answers how many.
///
/// # Errors
/// The database's.
pub(super) async fn renew(db: &mut PgConnection, at_most: i64) -> sqlx::Result<usize> {
    let found = sqlx::query!(
        "select site_id, start from payer_blocks where layout < $1 or layout > $1 order by start desc limit $2",
        layout(),
        at_most
    )
    .fetch_all(&mut *db)
    .await?;
    let mut by_site: BTreeMap<i32, Vec<DateTime<Utc>>> = BTreeMap::new();
    for row in &found {
        by_site.entry(row.site_id).or_default().push(row.start);
    }
    let mut renewed = 0;
    for (site_id, days) in by_site {
        renewed += recompute(&mut *db, site_id, &days).await?;
    }
    // Those that still cannot be told do not count: whoever goes on until none is left would never end.
    Ok(renewed)
}

/// Days of a period whose blocks have another layout: they cannot be read.
///
/// # Errors
/// The database's.
pub async fn outdated(
    db: &mut PgConnection,
    site_id: i32,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> sqlx::Result<BTreeSet<DateTime<Utc>>> {
    let days = sqlx::query_scalar!(
        "select start from payer_blocks where site_id = $1 and start >= $2 and start < $3 and (layout < $4 or layout > $4)",
        site_id,
        from,
        to,
        layout()
    )
    .fetch_all(db)
    .await?;
    Ok(days.into_iter().collect())
}

/// Those of these days whose blocks are not what their hours say; blocks of another layout, which nothing reads, aside.
pub(super) async fn differing(
    db: &mut PgConnection,
    site_id: i32,
    days: &[DateTime<Utc>],
) -> sqlx::Result<Vec<DateTime<Utc>>> {
    let kept = sqlx::query!(
        "select start, layout, data from payer_blocks where site_id = $1 and start = any($2)",
        site_id,
        days
    )
    .fetch_all(&mut *db)
    .await?;
    let kept: BTreeMap<_, _> = kept
        .into_iter()
        .map(|row| (row.start, (row.layout, row.data)))
        .collect();
    let differing = made(db, site_id, days).await?.into_iter().filter(|(day, payers)| {
        let made = payers.as_ref().and_then(Payers::pack).map(|block| (layout(), block));
        let kept = kept.get(day);
        kept.is_none_or(|(of, _)| *of == layout()) && kept != made.as_ref()
    });
    Ok(differing.map(|(day, _)| day).collect())
}

/// Whether the blocks can tell which sessions these filters admit.
pub fn know(filters: &Filters) -> bool {
    filters.iter().all(|(dimension, _)| TEXTS.contains(&dimension))
}

/// What each paying session of some ranges of whole days brought, by utm_content, in ten-thousandths of the site's currency, in no order. The days'
/// hours must be clean and none of them [`outdated`]; `by_event`: as a site counts whose purchase events are its revenue.
///
/// # Errors
/// The database's.
pub async fn of_days(
    db: &mut PgConnection,
    site_id: i32,
    days: &Ranges,
    filters: &Filters,
    by_event: bool,
) -> sqlx::Result<BTreeMap<String, Vec<i64>>> {
    let mut paid = BTreeMap::new();
    let (from, to): (Vec<_>, Vec<_>) = days.iter().copied().unzip();
    let mut blocks = sqlx::query!(
        "select b.start, b.data from unnest($2::timestamptz[], $3::timestamptz[]) as w (a, b)
         join payer_blocks b on b.site_id = $1 and b.start >= w.a and b.start < w.b and b.layout = $4",
        site_id,
        &from,
        &to,
        layout()
    )
    .fetch(db);
    while let Some(block) = blocks.try_next().await? {
        let added = add_paid(&block.data, filters, by_event, &mut paid);
        added.ok_or_else(|| sqlx::Error::Decode(format!("the payers of {} cannot be read", block.start).into()))?;
    }
    Ok(paid)
}

/// Adds the payers of a block that the filters admit; `None` if these are not the bytes of one.
fn add_paid(block: &[u8], filters: &Filters, by_event: bool, paid: &mut BTreeMap<String, Vec<i64>>) -> Option<()> {
    let mut reader = Reader::new(block)?;
    let texts: [Texts<'_>; TEXTS.len()] = [reader.texts()?, reader.texts()?];
    let revenues: [Numbers<'_>; REVENUES.len()] = [reader.numbers()?, reader.numbers()?];
    let revenues = revenues[usize::from(by_event)];
    let admitted: [Vec<bool>; TEXTS.len()] = std::array::from_fn(|i| {
        let admits = |value| filters.of(TEXTS[i]).is_none_or(|choice| choice.admits(value));
        texts[i].values.iter().map(|value| admits(*value)).collect()
    });
    let [campaigns, contents] = texts;
    let mut by_content: Vec<Vec<i64>> = vec![Vec::new(); contents.values.len()];
    for row in 0..reader.rows() {
        let (campaign, content) = (campaigns.codes.get(row) as usize, contents.codes.get(row) as usize);
        let revenue = revenues.get(row);
        if admitted[0][campaign] && admitted[1][content] && revenue != 0 {
            by_content[content].push(revenue);
        }
    }
    for (content, revenues) in contents.values.iter().zip(by_content) {
        if let (Some(content), false) = (content, revenues.is_empty()) {
            match paid.get_mut(*content) {
                Some(paid) => paid.extend(revenues),
                None => drop(paid.insert((*content).to_owned(), revenues)),
            }
        }
    }
    Some(())
}
