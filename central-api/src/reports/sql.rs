//! The only place that builds SQL at run time. Fragments come from the catalogue, which is compiled in; every value that a caller
//! can choose is bound.

use std::borrow::Cow;

use sqlx::{Postgres, QueryBuilder};

use super::counted::Counted;
use super::filter::Choice;
use super::rolled::Rolled;
use super::scope::{AttributionDate, Bots, Scope};
use super::search::Search;
use super::spend_rows::spend_rows;
use super::visitors::{rolled_visitors, visitors_by_first};
use crate::catalogue::{Dimension, Formula, Metric, Side};
use crate::rollup::plan::{Plan, Ranges};

/// What to count.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// Over what.
    pub scope: &'a Scope,
    /// Split by these; none: one row.
    pub dimensions: &'a [Dimension],
    /// These figures.
    pub metrics: &'a [Metric],
    /// Order of rows; ties go by the dimensions' values.
    pub sort: Option<Sort>,
    /// At most this many rows.
    pub limit: Option<i64>,
    /// After skipping these.
    pub offset: i64,
}

impl Question<'_> {
    /// Whether money counts with the session that it came from.
    pub fn money_is_of_sessions(&self) -> bool {
        self.scope.attribution_date == AttributionDate::Session
    }

    /// Whether spend has every dimension that the question splits and filters by.
    pub fn spend_is_known(&self) -> bool {
        let filtered = self.scope.filters.iter().map(|(dimension, _)| dimension);
        filtered
            .chain(self.dimensions.iter().copied())
            .all(|d| d.spend_sql().is_some())
    }
}

/// What rows are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// The column.
    pub by: Column,
    /// Largest first.
    pub descending: bool,
}

/// A column of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// A dimension's value.
    Dimension(Dimension),
    /// A figure.
    Metric(Metric),
}

/// The aggregates that the metrics need: themselves, or the two parts of a ratio.
pub fn aggregates(metrics: &[Metric]) -> Vec<Metric> {
    let mut found = Vec::new();
    let mut add = |metric| {
        if !found.contains(&metric) {
            found.push(metric);
        }
    };
    for metric in metrics {
        match metric.definition().formula {
            Formula::Ratio { of, per, .. } => {
                add(of);
                add(per);
            }
            _ => add(*metric),
        }
    }
    found
}

/// Where rows of a statement come from.
#[derive(Debug, Clone, Copy)]
enum Part<'a> {
    /// Sessions `s` of the period; those of `ranges` alone where given, for the metrics of `measures`.
    Sessions {
        ranges: Option<&'a Ranges>,
        measures: Measures,
    },
    /// Sums `r` of the period's hours or days.
    Rolled {
        hours: i16,
        rolled: &'a Rolled,
        ranges: &'a Ranges,
    },
    /// What was counted before.
    Counted(&'a Counted),
    /// Orders `o` of the period.
    Orders,
    /// Ad spend `a` of the period's days.
    Spend,
}

/// Which metrics of the sessions a part counts, and how; the rest are counted in another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measures {
    /// All, distinct ones as such.
    All,
    /// All; visitors by the sessions that have no earlier one of the same visitor in the same row of the answer.
    AllByFirst,
    Additive,
    Distinct,
}

/// The aggregate's SQL over one part; none when that part does not hold it. May hold the placeholders of [`filled`].
fn aggregate(metric: Metric, part: Part<'_>, question: &Question<'_>) -> Option<Cow<'static, str>> {
    let scope = question.scope;
    let by_order = !question.money_is_of_sessions();
    let sql = match (metric.definition().formula, part) {
        (_, Part::Counted(counted)) => {
            let column = counted.figures.iter().position(|(of, _)| *of == metric)?;
            return Some(format!("c.m{column}").into());
        }
        (Formula::Distinct(_), Part::Rolled { rolled, .. }) if rolled.distinct => {
            return Some(rolled_visitors(question).into());
        }
        (Formula::Distinct(sql), Part::Sessions { measures, .. }) => match measures {
            Measures::All | Measures::Distinct => sql,
            Measures::AllByFirst => return Some(visitors_by_first(question).into()),
            Measures::Additive => return None,
        },
        (
            _,
            Part::Sessions {
                measures: Measures::Distinct,
                ..
            },
        ) => return None,
        (Formula::Sessions(_), Part::Rolled { .. }) => return Some(rolled_sum(metric)),
        (Formula::Money { .. }, Part::Rolled { .. }) if !by_order => return Some(rolled_sum(metric)),
        (Formula::Sessions(sql), Part::Sessions { .. }) => sql,
        (Formula::Money { by_event, .. }, Part::Sessions { .. }) if scope.site.settings.revenue_from_events => by_event,
        (Formula::Money { by_session, .. }, Part::Sessions { .. }) if !by_order => by_session,
        (Formula::Money { by_order: sql, .. }, Part::Orders) if by_order => sql,
        (Formula::Spend(sql), Part::Spend) => sql,
        _ => return None,
    };
    Some(sql.into())
}

fn rolled_sum(metric: Metric) -> Cow<'static, str> {
    format!("coalesce(sum(r.{}), 0)", metric.key()).into()
}

/// Columns `d0`, `d1` … (text), `m0`, `m1` … (numeric, in the order of [`aggregates`]) and `total_rows`. `rolled` and `counted` are what was
/// found for this question in the same snapshot; without them everything is read from the sessions.
pub fn statement(
    question: &Question<'_>,
    rolled: Option<&Rolled>,
    counted: Option<&Counted>,
) -> QueryBuilder<Postgres> {
    searched(question, rolled, counted, None)
}

/// [`statement`] with those rows alone that a search finds.
pub fn searched(
    question: &Question<'_>,
    rolled: Option<&Rolled>,
    counted: Option<&Counted>,
    search: Option<&Search>,
) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new("");
    let found = aggregates(question.metrics);
    let mut parts = Vec::new();
    parts.extend(counted.map(Part::Counted));
    match (rolled, counted) {
        (Some(rolled), _) => {
            let Plan { days, hours, sessions } = &rolled.plan;
            parts.push(Part::Sessions {
                ranges: Some(sessions),
                measures: if rolled.distinct {
                    Measures::AllByFirst
                } else {
                    Measures::Additive
                },
            });
            parts.extend([(24, days), (1, hours)].map(|(hours, ranges)| Part::Rolled { hours, rolled, ranges }));
            if !rolled.distinct && counted.is_none() {
                parts.push(Part::Sessions {
                    ranges: None,
                    measures: Measures::Distinct,
                });
            }
        }
        (None, Some(counted)) => parts.push(Part::Sessions {
            ranges: Some(&counted.sessions),
            measures: Measures::Additive,
        }),
        (None, None) => parts.push(Part::Sessions {
            ranges: None,
            measures: Measures::All,
        }),
    }
    parts.push(Part::Orders);
    if question.spend_is_known() {
        parts.push(Part::Spend);
    }
    parts.retain(|part| found.iter().any(|m| aggregate(*m, *part, question).is_some()));
    if parts.is_empty() {
        // Spend alone, by what spend does not have: the groups of the sessions, whose figures are null.
        parts.push(Part::Sessions {
            ranges: None,
            measures: Measures::All,
        });
    } else if parts.iter().any(|part| !part.is_empty()) {
        parts.retain(|part| !part.is_empty());
    } else {
        parts.truncate(1);
    }

    sql.push("select q.*, count(*) over () as total_rows from (");
    if let [part] = parts[..] {
        select(&mut sql, question, &found, part);
    } else {
        // Each part is grouped by itself; a join could not match nulls.
        sql.push("select ");
        for i in 0..question.dimensions.len() {
            sql.push(format_args!("d{i}, "));
        }
        let sums: Vec<_> = (0..found.len())
            .map(|i| format!("coalesce(sum(m{i}), 0) as m{i}"))
            .collect();
        sql.push(sums.join(", ")).push(" from (");
        for (i, part) in parts.into_iter().enumerate() {
            sql.push(if i > 0 { " union all " } else { "" });
            select(&mut sql, question, &found, part);
        }
        sql.push(") u");
        group_by(&mut sql, question);
    }
    sql.push(") q");
    if let Some(search) = search.filter(|_| !question.dimensions.is_empty()) {
        sql.push(" where ");
        search.condition(&mut sql, question.dimensions);
    }
    order_and_page(&mut sql, question, &found);
    sql
}

impl Part<'_> {
    /// The column of its rows' time.
    const fn time(&self) -> &'static str {
        match self {
            Part::Sessions { .. } => "s.first_seen",
            Part::Rolled { .. } => "r.start",
            Part::Orders => "o.created_at",
            Part::Spend => "a.day",
            // Their time is a value already.
            Part::Counted(_) => "null",
        }
    }

    /// Whether it covers no time at all.
    fn is_empty(&self) -> bool {
        match self {
            Part::Sessions {
                ranges: Some(ranges), ..
            }
            | Part::Rolled { ranges, .. } => ranges.is_empty(),
            Part::Counted(counted) => counted.rows() == 0,
            Part::Sessions { ranges: None, .. } | Part::Orders | Part::Spend => false,
        }
    }
}

fn select(sql: &mut QueryBuilder<Postgres>, question: &Question<'_>, found: &[Metric], part: Part<'_>) {
    let scope = question.scope;
    sql.push("select ");
    // Compared byte by byte: several times faster than by the database's own collation, and for equality the same.
    for (i, dimension) in question.dimensions.iter().enumerate() {
        sql.push("(");
        match part {
            Part::Sessions { .. } => filled(sql, dimension.sql(Side::Sessions), part.time(), scope),
            Part::Orders => filled(sql, dimension.sql(Side::Orders), part.time(), scope),
            Part::Counted(_) => {
                sql.push(format_args!("c.d{i}"));
            }
            Part::Spend => {
                sql.push(dimension.spend_sql().unwrap_or("null::text"));
            }
            Part::Rolled { rolled, .. } => match rolled.column(*dimension) {
                Some(column) => {
                    sql.push(column);
                }
                None => filled(sql, dimension.sql(Side::Sessions), part.time(), scope),
            },
        }
        sql.push(format_args!(") collate \"C\" as d{i}, "));
    }
    let mut aggregates = 0;
    for (i, metric) in found.iter().enumerate() {
        if i > 0 {
            sql.push(", ");
        }
        let aggregate = aggregate(*metric, part, question);
        aggregates += usize::from(aggregate.is_some());
        let aggregate = aggregate.unwrap_or("0".into());
        sql.push("(");
        filled(sql, &aggregate, part.time(), scope);
        sql.push(format_args!(")::numeric as m{i}"));
    }
    match part {
        Part::Sessions { ranges: None, .. } => {
            sql.push(" from sessions s where ");
            sessions_where(sql, scope);
        }
        Part::Sessions {
            ranges: Some(ranges), ..
        } => {
            from_sessions_of(sql, scope, ranges);
        }
        Part::Counted(counted) => {
            sql.push(" from unnest(");
            for (i, values) in counted.values.iter().enumerate() {
                sql.push(if i > 0 { ", " } else { "" });
                sql.push_bind(values.clone()).push("::text[]");
            }
            for (i, (_, figures)) in counted.figures.iter().enumerate() {
                let first = i == 0 && counted.values.is_empty();
                sql.push(if first { "" } else { ", " });
                sql.push_bind(figures.clone()).push("::numeric[]");
            }
            let values = (0..counted.values.len()).map(|i| format!("d{i}"));
            let figures = (0..counted.figures.len()).map(|i| format!("m{i}"));
            let names: Vec<_> = values.chain(figures).collect();
            sql.push(format_args!(") as c ({})", names.join(", ")));
            // A row for each of its rows: grouped as they are.
            return;
        }
        Part::Rolled { hours, rolled, ranges } => {
            sql.push(" from ");
            windows(sql, ranges);
            // Fenced likewise, with the filters inside, which an index may hold.
            sql.push(
                " cross join lateral (select * from rollups r where r.start >= w.a and r.start < w.b and r.site_id = ",
            )
            .push_bind(scope.site.id);
            sql.push(format_args!(
                " and r.hours = {hours} and r.split = {}",
                rolled.split.number
            ));
            for (dimension, choice) in scope.filters.iter() {
                if let Some(column) = rolled.column(dimension) {
                    chosen(sql, column, choice);
                }
            }
            sql.push(" offset 0) r where true");
        }
        Part::Orders => {
            let joined = scope.confirmed
                || question.dimensions.iter().any(|d| d.needs_session_of_order())
                || scope.filters.iter().any(|(d, _)| d.needs_session_of_order());
            sql.push(" from orders o");
            if joined {
                sql.push(
                    " left join sessions s on s.site_id = o.site_id and s.visitor_id = o.visitor_id and s.session_id = o.session_id",
                );
            }
            sql.push(" where ");
            orders_where(sql, scope);
        }
        Part::Spend => {
            sql.push(" from ");
            spend_rows(sql, scope, question.dimensions);
        }
    }
    group_by(sql, question);
    if aggregates == 0 && question.dimensions.is_empty() {
        // Constants alone would be a row for each session.
        sql.push(" having true");
    }
}

/// Sessions `s` of some ranges of the period, and the condition on them.
fn from_sessions_of(sql: &mut QueryBuilder<Postgres>, scope: &Scope, ranges: &Ranges) {
    sql.push(" from ");
    windows(sql, ranges);
    // Fenced by the offset: a few hours are found by index, whatever the statistics make of a join on ranges.
    sql.push(" cross join lateral (select * from sessions x where x.first_seen >= w.a and x.first_seen < w.b and x.site_id = ")
        .push_bind(scope.site.id);
    sql.push(" offset 0) s where true");
    sessions_chosen(sql, scope);
}

/// Columns `d0`, `d1` … (text) and `visitor_id`: who came in some ranges of the period, once for each row of the answer.
pub(super) fn visitors_of_ranges(question: &Question<'_>, ranges: &Ranges) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new("select distinct ");
    for (i, dimension) in question.dimensions.iter().enumerate() {
        sql.push("(");
        filled(&mut sql, dimension.sql(Side::Sessions), "s.first_seen", question.scope);
        sql.push(format_args!(") collate \"C\" as d{i}, "));
    }
    sql.push("s.visitor_id");
    from_sessions_of(&mut sql, question.scope, ranges);
    sql
}

/// Ranges of time as rows `w (a, b)`.
pub fn windows(sql: &mut QueryBuilder<Postgres>, ranges: &Ranges) {
    let (from, to): (Vec<_>, Vec<_>) = ranges.iter().copied().unzip();
    sql.push("unnest(")
        .push_bind(from)
        .push("::timestamptz[], ")
        .push_bind(to)
        .push("::timestamptz[]) as w (a, b)");
}

fn group_by(sql: &mut QueryBuilder<Postgres>, question: &Question<'_>) {
    if !question.dimensions.is_empty() {
        let positions: Vec<_> = (1..=question.dimensions.len()).map(|n| n.to_string()).collect();
        sql.push(" group by ").push(positions.join(", "));
    }
}

fn order_and_page(sql: &mut QueryBuilder<Postgres>, question: &Question<'_>, found: &[Metric]) {
    let position = |metric: Metric| found.iter().position(|m| *m == metric);
    let mut order = Vec::new();
    if let Some(Sort { by, descending }) = question.sort {
        let by = match by {
            Column::Dimension(dimension) => {
                let i = question.dimensions.iter().position(|d| *d == dimension);
                i.map(|i| format!("q.d{i} collate \"C\""))
            }
            Column::Metric(metric) => match metric.definition().formula {
                Formula::Ratio { of, per, .. } => position(of)
                    .zip(position(per))
                    .map(|(of, per)| format!("q.m{of} / nullif(q.m{per}, 0)")),
                _ => position(metric).map(|i| format!("q.m{i}")),
            },
        };
        let direction = if descending { "desc" } else { "asc" };
        order.extend(by.map(|by| format!("{by} {direction} nulls last")));
    }
    order.extend((0..question.dimensions.len()).map(|i| format!("q.d{i} collate \"C\" nulls last")));
    if !order.is_empty() {
        sql.push(" order by ").push(order.join(", "));
    }
    if let Some(limit) = question.limit {
        sql.push(" limit ").push_bind(limit);
    }
    if question.offset > 0 {
        sql.push(" offset ").push_bind(question.offset);
    }
}

/// Pushes an expression of the catalogue with its placeholders filled in: `$time` by the column `time`, `$zone` and `$from` by bound values.
fn filled(sql: &mut QueryBuilder<Postgres>, expression: &str, time: &str, scope: &Scope) {
    let text = expression.replace("$time", time);
    let mut rest = text.as_str();
    while let Some(at) = rest.find('$') {
        sql.push(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$zone") {
            sql.push_bind(scope.site.time_zone.name());
            rest = after;
        } else if let (Some(after), Some(from)) = (rest.strip_prefix("$from"), scope.period.from) {
            sql.push_bind(from);
            rest = after;
        } else {
            sql.push("$");
            rest = &rest[1..];
        }
    }
    sql.push(rest);
}

/// The condition on sessions `s`.
pub fn sessions_where(sql: &mut QueryBuilder<Postgres>, scope: &Scope) {
    sql.push("s.site_id = ").push_bind(scope.site.id);
    sql.push(" and s.first_seen < ").push_bind(scope.period.to);
    if let Some(from) = scope.period.from {
        sql.push(" and s.first_seen >= ").push_bind(from);
    }
    sessions_chosen(sql, scope);
}

/// What of it is not about time.
fn sessions_chosen(sql: &mut QueryBuilder<Postgres>, scope: &Scope) {
    bots(sql, "s.bot_reason", scope.bots);
    if scope.confirmed {
        sql.push(" and s.human_seen");
    }
    for (dimension, choice) in scope.filters.iter() {
        chosen(sql, dimension.sql(Side::Sessions), choice);
    }
}

/// The condition on orders `o` (and their sessions `s` where something needs them).
pub fn orders_where(sql: &mut QueryBuilder<Postgres>, scope: &Scope) {
    sql.push("o.site_id = ").push_bind(scope.site.id);
    sql.push(" and o.created_at < ").push_bind(scope.period.to);
    if let Some(from) = scope.period.from {
        sql.push(" and o.created_at >= ").push_bind(from);
    }
    bots(sql, "o.bot_reason", scope.bots);
    if scope.confirmed {
        sql.push(" and coalesce(s.human_seen, false)");
    }
    for (dimension, choice) in scope.filters.iter() {
        chosen(sql, dimension.sql(Side::Orders), choice);
    }
}

/// Purchases of a scope: from order facts `o`, joined with the session where a filter needs more of it than an order takes over, and the
/// condition on them.
pub fn from_purchases(sql: &mut QueryBuilder<Postgres>, scope: &Scope) {
    sql.push(" from order_facts o");
    if scope.confirmed || scope.filters.iter().any(|(d, _)| d.needs_session_of_order()) {
        sql.push(
            " join orders k on k.site_id = o.site_id and k.order_id = o.order_id \
             left join sessions s on s.site_id = k.site_id and s.visitor_id = k.visitor_id and s.session_id = k.session_id",
        );
    }
    let time = match scope.attribution_date {
        AttributionDate::Session => "o.session_first_seen",
        AttributionDate::Order => "o.created_at",
    };
    sql.push(" where o.purchase and o.site_id = ").push_bind(scope.site.id);
    sql.push(format_args!(" and {time} < ")).push_bind(scope.period.to);
    if let Some(from) = scope.period.from {
        sql.push(format_args!(" and {time} >= ")).push_bind(from);
    }
    bots(sql, "o.bot_reason", scope.bots);
    if scope.confirmed {
        sql.push(" and coalesce(s.human_seen, false)");
    }
    for (dimension, choice) in scope.filters.iter() {
        chosen(sql, dimension.sql(Side::Orders), choice);
    }
}

/// The condition on a column that holds the reason why a row is a bot's.
pub fn bots(sql: &mut QueryBuilder<Postgres>, column: &str, bots: Bots) {
    match bots {
        Bots::Exclude => sql.push(format_args!(" and {column} is null")),
        Bots::Only => sql.push(format_args!(" and {column} is not null")),
        Bots::Include => sql,
    };
}

/// The condition that an expression of type text has one of the values asked for.
pub fn chosen(sql: &mut QueryBuilder<Postgres>, expression: &str, choice: &Choice) {
    let split = |values: &[Option<String>]| {
        let texts: Vec<String> = values.iter().flatten().cloned().collect();
        (texts, values.contains(&None))
    };
    if !choice.include.is_empty() {
        let (mut texts, absent) = split(&choice.include);
        sql.push(" and (");
        match (texts.pop(), texts.is_empty()) {
            // Only the absent value, which an index finds by itself.
            (None, _) => drop(sql.push("false")),
            // Equal to one value: then an index on it also tells the order of what follows.
            (Some(only), true) => drop(sql.push(format_args!("({expression}) = ")).push_bind(only)),
            (Some(last), false) => {
                texts.push(last);
                sql.push(format_args!("({expression}) = any("))
                    .push_bind(texts)
                    .push(")");
            }
        }
        if absent {
            sql.push(format_args!(" or ({expression}) is null"));
        }
        sql.push(")");
    }
    if !choice.exclude.is_empty() {
        let (texts, absent) = split(&choice.exclude);
        if absent {
            sql.push(format_args!(" and ({expression}) is not null"));
        }
        sql.push(format_args!(" and (({expression}) is null or ({expression}) <> all("))
            .push_bind(texts)
            .push("))");
    }
}
