//! Which part of a question rollups answer.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::scope::{Bots, Scope};
use super::sql::Question;
use crate::catalogue::Dimension;
use crate::rollup::plan::{Plan, plan};
use crate::rollup::{Split, days_are_whole_hours, midnights_come_once, quarter, split_for};

/// More time than this that only the sessions tell about (dirty hours, the period's edges), and its visitors are counted with all others:
/// looking up each session's predecessors would take longer.
pub(super) const MOST_LOOKED_UP: TimeDelta = TimeDelta::days(7);

/// The part of a question that rollups answer, and what is left to the sessions.
#[derive(Debug, Clone)]
pub struct Rolled {
    /// The split, and where its dimensions stand.
    pub split: Split,
    /// Which time comes from where.
    pub plan: Plan,
    /// Whether distinct visitors are its sessions less the returns; else they are counted over the whole period.
    pub distinct: bool,
}

impl Rolled {
    /// Which sums could answer the question; none when only the sessions can. `first` is when the site's first session began, where the
    /// question has no first instant and needs one; `dirty` are the hours that are left out.
    pub fn of(question: &Question<'_>, first: Option<DateTime<Utc>>, dirty: &BTreeSet<DateTime<Utc>>) -> Option<Self> {
        let split = split(question)?;
        let period = question.scope.period;
        let zone = question.scope.site.time_zone;
        let buckets = question.dimensions.iter().any(|d| d.is_time());
        let from = period.from.or(first).unwrap_or_default();
        if buckets && !days_are_whole_hours(zone, from, period.to) {
            return None;
        }
        let plan = plan(from, period.to, dirty, !buckets);
        let looked_up = plan
            .sessions
            .iter()
            .fold(TimeDelta::zero(), |sum, (a, b)| sum + (*b - *a));
        let distinct = split.distinct
            && looked_up <= MOST_LOOKED_UP
            && period.from.is_none_or(|from| quarter(from).is_some())
            && (!buckets || midnights_come_once(zone, from, period.to));
        Some(Self { split, plan, distinct })
    }

    /// Whether it is worth asking which hours are dirty.
    pub fn may_answer(question: &Question<'_>) -> bool {
        split(question).is_some()
    }

    /// Whether the plan needs to know when the site's first session began.
    pub fn needs_first(question: &Question<'_>) -> bool {
        question.scope.period.from.is_none() && question.dimensions.iter().any(|d| d.is_time())
    }

    /// The column of a dimension.
    pub fn column(&self, dimension: Dimension) -> Option<&'static str> {
        self.split
            .columns
            .iter()
            .find(|(d, _)| *d == dimension)
            .map(|(_, column)| *column)
    }
}

fn split(question: &Question<'_>) -> Option<Split> {
    let scope: &Scope = question.scope;
    if scope.bots != Bots::Exclude || scope.confirmed || scope.site.settings.revenue_from_events {
        return None;
    }
    let single = |choice: &super::filter::Choice| choice.include.len() == 1 && choice.exclude.is_empty();
    let (fixed, filtered): (Vec<_>, Vec<_>) = scope.filters.iter().partition(|(_, choice)| single(choice));
    let dimensions = |chosen: Vec<(Dimension, _)>| chosen.into_iter().map(|(d, _)| d).collect::<Vec<_>>();
    split_for(question.dimensions, &dimensions(fixed), &dimensions(filtered))
}
