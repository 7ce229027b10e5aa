//! Figures of sessions that no sum answers, added up from the blocks of [`crate::rollup::blocks`].

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::TryStreamExt;
use rust_decimal::Decimal;
use sqlx::{PgConnection, Row as _};

use super::filter::Choice;
use super::rolled::{MOST_LOOKED_UP, Rolled};
use super::scope::Bots;
use super::series;
use super::sql::{Question, aggregates, visitors_of_ranges};
use crate::catalogue::{Dimension, Formula, Metric};
use crate::rollup::blocks::{self, Block, DECIMALS};
use crate::rollup::plan::{Ranges, plan};
use crate::rollup::upkeep;

/// What was counted, and the time of which it holds only the distinct ones: what adds up is read from the sessions there.
#[derive(Debug, Default)]
pub struct Counted {
    /// Of each dimension of the question, its value in each row of the answer.
    pub values: Vec<Vec<Option<String>>>,
    /// The metrics that were counted, and what of each in each row.
    pub figures: Vec<(Metric, Vec<Decimal>)>,
    /// Dirty hours, and what the period's edges cut.
    pub sessions: Ranges,
}

impl Counted {
    /// Rows of the answer.
    pub fn rows(&self) -> usize {
        self.figures.first().map_or(0, |(_, figures)| figures.len())
    }
}

/// Counts what the question asks of sessions and `rolled` does not answer. `None`: nothing is left, or only the sessions can tell, since too many
/// hours are dirty. To be asked in one snapshot with the rest of the question.
///
/// # Errors
/// The database's.
pub async fn count(
    db: &mut PgConnection,
    question: &Question<'_>,
    rolled: Option<&Rolled>,
) -> sqlx::Result<Option<Counted>> {
    let scope = question.scope;
    let wanted = wanted(question, rolled);
    if wanted.is_empty() {
        return Ok(None);
    }
    let from = scope.period.from.unwrap_or_default();
    let mut dirty = upkeep::dirty(&mut *db, scope.site.id, from, scope.period.to).await?;
    dirty.extend(blocks::outdated(&mut *db, scope.site.id, from, scope.period.to).await?);
    let plan = plan(from, scope.period.to, &dirty, false);
    let looked_up = (plan.sessions.iter()).fold(TimeDelta::zero(), |sum, (a, b)| sum + (*b - *a));
    if looked_up > MOST_LOOKED_UP {
        return Ok(None);
    }
    let mut count = Count::new(question, &wanted);
    if count.visitors.is_some() && !plan.sessions.is_empty() {
        let mut statement = visitors_of_ranges(question, &plan.sessions);
        let mut rows = statement.build().persistent(false).fetch(&mut *db);
        while let Some(row) = rows.try_next().await? {
            let values = (0..question.dimensions.len()).map(|i| row.try_get(i));
            let values = values.collect::<sqlx::Result<Vec<Option<String>>>>()?;
            let visitor: uuid::Uuid = row.try_get(question.dimensions.len())?;
            count.known(values, visitor.as_u128());
        }
    }
    let (from, to): (Vec<_>, Vec<_>) = plan.hours.iter().copied().unzip();
    let statement = sqlx::query(blocks::OF_RANGES).bind(scope.site.id).bind(from).bind(to);
    let mut rows = statement.bind(blocks::layout()).persistent(false).fetch(db);
    while let Some(row) = rows.try_next().await? {
        let start = row.try_get(0)?;
        let added = count.add(start, row.try_get(1)?);
        added.ok_or_else(|| sqlx::Error::Decode(format!("the block of {start} cannot be read").into()))?;
    }
    Ok(Some(count.finish(plan.sessions)))
}

fn is_distinct(metric: Metric) -> bool {
    matches!(metric.definition().formula, Formula::Distinct(_))
}

/// The aggregates of the question that are counted here.
fn wanted(question: &Question<'_>, rolled: Option<&Rolled>) -> Vec<Metric> {
    let mut metrics = aggregates(question.metrics);
    metrics.retain(|metric| match metric.definition().formula {
        Formula::Distinct(_) => rolled.is_none_or(|rolled| !rolled.distinct),
        Formula::Sessions(_) => rolled.is_none(),
        Formula::Money { .. } => rolled.is_none() && question.money_is_of_sessions(),
        Formula::Spend(_) | Formula::Ratio { .. } => false,
    });
    metrics
}

/// Values that were met, each with its number.
#[derive(Debug, Default)]
struct Values {
    numbers: HashMap<Option<String>, u32>,
    values: Vec<Option<String>>,
}

impl Values {
    fn number(&mut self, value: Option<&str>) -> u32 {
        // Looked up by an owned text: values are met once a block.
        let value = value.map(str::to_owned);
        let next = self.values.len() as u32;
        *self.numbers.entry(value).or_insert_with_key(|value| {
            self.values.push(value.clone());
            next
        })
    }
}

/// Counting, block by block from the latest to the earliest.
struct Count<'a> {
    question: &'a Question<'a>,
    /// Those that add up, with whether they are counted by events.
    sums: Vec<(Metric, bool)>,
    /// The metric of distinct visitors, if it is asked for.
    visitors: Option<Metric>,
    /// Dimensions whose columns are read: those filtered by, then those split by.
    read: Vec<Dimension>,
    choices: Vec<&'a Choice>,
    values: Vec<Values>,
    /// Rows of the answer by their values' numbers: of the first dimension with the second, of these pairs with the third …
    pairs: Vec<HashMap<(u32, u32), u32>>,
    /// For each of `pairs`, the two numbers of each of its rows.
    parts: Vec<Vec<(u32, u32)>>,
    totals: Vec<i128>,
    distinct: Vec<u64>,
    /// Visitors counted in a row of the answer who may have had an earlier session.
    again: HashSet<(u32, u128)>,
    since: i64,
}

impl<'a> Count<'a> {
    fn new(question: &'a Question<'a>, wanted: &[Metric]) -> Self {
        let scope = question.scope;
        let events = scope.site.settings.revenue_from_events;
        let by_event = |metric: Metric| events && matches!(metric.definition().formula, Formula::Money { .. });
        let split = question.dimensions.iter().copied().filter(|d| !d.is_time());
        let (mut read, choices): (Vec<_>, Vec<_>) = scope.filters.iter().unzip();
        read.extend(split.filter(|d| scope.filters.iter().all(|(filtered, _)| filtered != *d)));
        let joined = question.dimensions.len().saturating_sub(1);
        let mut count = Self {
            question,
            sums: (wanted.iter().copied())
                .filter(|metric| !is_distinct(*metric))
                .map(|metric| (metric, by_event(metric)))
                .collect(),
            visitors: wanted.iter().copied().find(|metric| is_distinct(*metric)),
            read,
            choices,
            values: question.dimensions.iter().map(|_| Values::default()).collect(),
            pairs: vec![HashMap::new(); joined],
            parts: vec![Vec::new(); joined],
            totals: Vec::new(),
            distinct: Vec::new(),
            again: HashSet::new(),
            // The quarter that the period begins in counts as inside: remembering a visitor in vain costs nothing but room.
            since: scope.period.from.map_or(1, |from| from.timestamp().div_euclid(900)),
        };
        if question.dimensions.is_empty() {
            count.make_room(0);
        }
        count
    }

    fn make_room(&mut self, row: u32) {
        let rows = row as usize + 1;
        if self.distinct.len() < rows {
            self.distinct.resize(rows, 0);
            self.totals.resize(rows * self.sums.len(), 0);
        }
    }

    /// The row of the answer with these values' numbers.
    fn row(&mut self, numbers: impl IntoIterator<Item = u32>) -> u32 {
        let mut numbers = numbers.into_iter();
        let mut row = numbers.next().unwrap_or(0);
        for ((pairs, parts), number) in self.pairs.iter_mut().zip(&mut self.parts).zip(numbers) {
            row = *pairs.entry((row, number)).or_insert_with(|| {
                parts.push((row, number));
                parts.len() as u32 - 1
            });
        }
        self.make_room(row);
        row
    }

    /// Counts a visitor who has a session outside the blocks.
    fn known(&mut self, values: Vec<Option<String>>, visitor: u128) {
        let numbers: Vec<u32> = (values.iter().zip(&mut self.values))
            .map(|(value, values)| values.number(value.as_deref()))
            .collect();
        let row = self.row(numbers);
        if self.again.insert((row, visitor)) {
            self.distinct[row as usize] += 1;
        }
    }

    /// Adds the block of the hour from `start`; `None` if it is none.
    fn add(&mut self, start: DateTime<Utc>, bytes: &[u8]) -> Option<()> {
        let block = Block::read(bytes, &self.read, &self.sums)?;
        let chosen = self.chosen(&block);
        let rows = self.rows_of(start, &block, &chosen);
        let width = self.sums.len();
        for (i, sum) in block.sums.iter().enumerate() {
            match sum.constant() {
                Some(0) => {}
                Some(value) => {
                    (rows.iter()).for_each(|row| self.totals[*row as usize * width + i] += i128::from(value))
                }
                None => {
                    for (session, row) in chosen.iter().zip(&rows) {
                        self.totals[*row as usize * width + i] += i128::from(sum.get(*session as usize));
                    }
                }
            }
        }
        if self.visitors.is_some() {
            // The latest first: whoever was counted and may have come before is remembered.
            for (session, row) in chosen.iter().zip(&rows).rev() {
                let visitor = (*row, block.visitors.get(*session as usize));
                if self.again.contains(&visitor) {
                    continue;
                }
                self.distinct[*row as usize] += 1;
                if block.previous.get(*session as usize) >= self.since {
                    self.again.insert(visitor);
                }
            }
        }
        Some(())
    }

    /// The sessions of a block that the scope is about, the earliest first.
    fn chosen(&self, block: &Block<'_>) -> Vec<u32> {
        let scope = self.question.scope;
        let mut chosen: Vec<u32> = (0..block.rows as u32).collect();
        let mut keep = |condition: &dyn Fn(usize) -> bool| chosen.retain(|session| condition(*session as usize));
        match scope.bots {
            Bots::Include => {}
            Bots::Exclude => keep(&|session| block.bot.get(session) == 0),
            Bots::Only => keep(&|session| block.bot.get(session) == 1),
        }
        if scope.confirmed {
            keep(&|session| block.human.get(session) == 1);
        }
        for (texts, choice) in block.texts.iter().zip(&self.choices) {
            let fits: Vec<bool> = texts.values.iter().map(|value| choice.admits(*value)).collect();
            if fits.iter().any(|fits| !fits) {
                keep(&|session| fits[texts.codes.get(session) as usize]);
            }
        }
        chosen
    }

    /// The row of the answer of each of these sessions.
    fn rows_of(&mut self, start: DateTime<Utc>, block: &Block<'_>, chosen: &[u32]) -> Vec<u32> {
        let question = self.question;
        if chosen.is_empty() {
            return Vec::new();
        }
        let zone = question.scope.site.time_zone;
        let mut numbers: Vec<Vec<u32>> = Vec::with_capacity(question.dimensions.len());
        for (dimension, values) in question.dimensions.iter().zip(&mut self.values) {
            numbers.push(if dimension.is_time() {
                let key = |second: i64| series::key(*dimension, start + TimeDelta::seconds(second), zone);
                let (first, last) = (key(0), key(3599));
                if first == last {
                    vec![values.number(Some(&first)); chosen.len()]
                } else {
                    (chosen.iter())
                        .map(|session| values.number(Some(&key(block.second.get(*session as usize)))))
                        .collect()
                }
            } else {
                let column = self.read.iter().position(|read| read == dimension);
                let Some(texts) = column.and_then(|column| block.texts.get(column)) else {
                    continue;
                };
                // Only values that a chosen session has are values of the answer.
                let mut known: Vec<Option<u32>> = vec![None; texts.values.len()];
                (chosen.iter())
                    .map(|session| {
                        let code = texts.codes.get(*session as usize) as usize;
                        *known[code].get_or_insert_with(|| values.number(texts.values[code]))
                    })
                    .collect()
            });
        }
        match &numbers[..] {
            [] => vec![0; chosen.len()],
            _ => (0..chosen.len())
                .map(|i| self.row(numbers.iter().map(|numbers| numbers[i])))
                .collect(),
        }
    }

    fn finish(self, sessions: Ranges) -> Counted {
        let rows = self.distinct.len();
        let mut values: Vec<Vec<Option<String>>> = vec![Vec::with_capacity(rows); self.values.len()];
        for row in 0..rows as u32 {
            // Taken apart from the last dimension on.
            let mut rest = row;
            for (i, parts) in self.parts.iter().enumerate().rev() {
                let (before, number) = parts[rest as usize];
                values[i + 1].push(self.values[i + 1].values[number as usize].clone());
                rest = before;
            }
            if let (Some(first), Some(of)) = (values.first_mut(), self.values.first()) {
                first.push(of.values[rest as usize].clone());
            }
        }
        let mut figures: Vec<(Metric, Vec<Decimal>)> = (self.sums.iter().enumerate())
            .map(|(i, (metric, _))| {
                let column = (0..rows).map(|row| self.totals[row * self.sums.len() + i]);
                let column = column.map(|total| Decimal::from_i128_with_scale(total, DECIMALS).normalize());
                (*metric, column.collect())
            })
            .collect();
        if let Some(visitors) = self.visitors {
            figures.push((visitors, self.distinct.into_iter().map(Decimal::from).collect()));
        }
        Counted {
            values,
            figures,
            sessions,
        }
    }
}
