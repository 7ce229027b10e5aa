//! The only place that builds SQL at run time. Fragments come from the catalogue, which is compiled in; every value that a caller
//! can choose is bound.

use sqlx::{Postgres, QueryBuilder};

use super::filter::Choice;
use super::scope::{AttributionDate, Bots, Scope};
use crate::catalogue::{CONVERTED, Dimension, Formula, Metric, Side};

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

/// The aggregate's SQL over one side; none when that side does not hold it.
fn aggregate(metric: Metric, side: Side, scope: &Scope) -> Option<&'static str> {
    let by_order = scope.attribution_date == AttributionDate::Order;
    match (metric.definition().formula, side) {
        (Formula::Sessions(sql), Side::Sessions) => Some(sql),
        (Formula::Money { by_event, .. }, Side::Sessions) if scope.site.settings.revenue_from_events => Some(by_event),
        (Formula::Money { by_session, .. }, Side::Sessions) if !by_order => Some(by_session),
        (Formula::Money { by_order: sql, .. }, Side::Orders) if by_order => Some(sql),
        _ => None,
    }
}

/// Columns `d0`, `d1` … (text), `m0`, `m1` … (numeric, in the order of [`aggregates`]) and `total_rows`.
pub fn statement(question: &Question<'_>) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new("");
    let found = aggregates(question.metrics);
    let needs = |side| found.iter().any(|m| aggregate(*m, side, question.scope).is_some());
    let (sessions, orders) = (needs(Side::Sessions), needs(Side::Orders));

    sql.push("select q.*, count(*) over () as total_rows from (");
    match (sessions, orders) {
        (true, true) => {
            // Each side is grouped by itself; a full join cannot match nulls.
            sql.push("select ");
            for i in 0..question.dimensions.len() {
                sql.push(format_args!("d{i}, "));
            }
            let sums: Vec<_> = (0..found.len())
                .map(|i| format!("coalesce(sum(m{i}), 0) as m{i}"))
                .collect();
            sql.push(sums.join(", ")).push(" from (");
            side(&mut sql, question, &found, Side::Sessions);
            sql.push(" union all ");
            side(&mut sql, question, &found, Side::Orders);
            sql.push(") u");
            group_by(&mut sql, question);
        }
        (_, true) => side(&mut sql, question, &found, Side::Orders),
        _ => side(&mut sql, question, &found, Side::Sessions),
    }
    sql.push(") q");
    order_and_page(&mut sql, question, &found);
    sql
}

fn side(sql: &mut QueryBuilder<Postgres>, question: &Question<'_>, found: &[Metric], side: Side) {
    sql.push("select ");
    for (i, dimension) in question.dimensions.iter().enumerate() {
        expression(sql, *dimension, side, question.scope);
        sql.push(format_args!(" as d{i}, "));
    }
    for (i, metric) in found.iter().enumerate() {
        if i > 0 {
            sql.push(", ");
        }
        let aggregate = aggregate(*metric, side, question.scope).unwrap_or("0");
        sql.push(format_args!("({aggregate})::numeric as m{i}"));
    }
    match side {
        Side::Sessions => {
            sql.push(" from sessions s where ");
            sessions_where(sql, question.scope);
        }
        Side::Orders => {
            let joined = question.scope.confirmed
                || question.dimensions.iter().any(|d| d.needs_session_of_order())
                || question.scope.filters.iter().any(|(d, _)| d.needs_session_of_order());
            sql.push(" from orders o");
            if joined {
                sql.push(
                    " left join sessions s on s.site_id = o.site_id and s.visitor_id = o.visitor_id and s.session_id = o.session_id",
                );
            }
            sql.push(" where ");
            orders_where(sql, question.scope);
        }
    }
    group_by(sql, question);
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

/// A dimension's expression, with its time column and zone filled in.
fn expression(sql: &mut QueryBuilder<Postgres>, dimension: Dimension, side: Side, scope: &Scope) {
    let time = match side {
        Side::Sessions => "s.first_seen",
        Side::Orders => "o.created_at",
    };
    let text = dimension.sql(side).replace("$time", time);
    let mut parts = text.split("$zone");
    sql.push(parts.next().unwrap_or_default());
    for part in parts {
        sql.push_bind(scope.site.time_zone.name()).push(part);
    }
}

/// The condition on sessions `s`.
pub fn sessions_where(sql: &mut QueryBuilder<Postgres>, scope: &Scope) {
    sql.push("s.site_id = ").push_bind(scope.site.id);
    sql.push(" and s.first_seen < ").push_bind(scope.period.to);
    if let Some(from) = scope.period.from {
        sql.push(" and s.first_seen >= ").push_bind(from);
    }
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

fn bots(sql: &mut QueryBuilder<Postgres>, column: &str, bots: Bots) {
    match bots {
        Bots::Exclude => sql.push(format_args!(" and {column} is null")),
        Bots::Only => sql.push(format_args!(" and {column} is not null")),
        Bots::Include => sql,
    };
}

fn chosen(sql: &mut QueryBuilder<Postgres>, expression: &str, choice: &Choice) {
    let split = |values: &[Option<String>]| {
        let texts: Vec<String> = values.iter().flatten().cloned().collect();
        (texts, values.contains(&None))
    };
    if !choice.include.is_empty() {
        let (texts, absent) = split(&choice.include);
        sql.push(format_args!(" and (({expression}) = any("))
            .push_bind(texts)
            .push(")");
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

/// Where a page of sessions begins: after this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// Its first event, UTC.
    pub first_seen: chrono::DateTime<chrono::Utc>,
    /// Its visitor.
    pub visitor_id: uuid::Uuid,
    /// Itself.
    pub session_id: uuid::Uuid,
}

/// The columns of a session in a list; those of [`super::session::SessionRow`].
const SESSION_COLUMNS: &str = concat!(
    "s.session_id, s.visitor_id, s.first_seen, s.last_seen, s.visit_count::int4 as visit_count, s.event_count, s.page_views, s.points, ",
    "s.orders, s.revenue, s.event_revenue, s.utm_source, s.utm_medium, s.utm_campaign, s.utm_content, s.utm_term, s.channel, ",
    "s.click_platform, s.referrer_host, s.landing_path, s.device_type, s.device_brand, s.device_model, s.os_name, s.browser_name, ",
    "s.in_app, s.language, s.country, s.region, s.city, s.bot_reason, s.human_seen"
);

/// Sessions of a scope, newest first; all of them, or a page after one of them.
pub fn sessions(scope: &Scope, after: Option<After>, limit: Option<i64>) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new("select ");
    sql.push(format_args!(
        "{CONVERTED} as is_converted, {SESSION_COLUMNS} from sessions s where "
    ));
    sessions_where(&mut sql, scope);
    if let Some(After {
        first_seen,
        visitor_id,
        session_id,
    }) = after
    {
        sql.push(" and (s.first_seen, s.visitor_id, s.session_id) < (")
            .push_bind(first_seen);
        sql.push(", ").push_bind(visitor_id);
        sql.push(", ").push_bind(session_id).push(")");
    }
    sql.push(" order by s.first_seen desc, s.visitor_id desc, s.session_id desc");
    if let Some(limit) = limit {
        sql.push(" limit ").push_bind(limit);
    }
    sql
}

/// One session by its full key.
pub fn session(site_id: i32, visitor_id: uuid::Uuid, session_id: uuid::Uuid) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new("select ");
    sql.push(format_args!(
        "{CONVERTED} as is_converted, {SESSION_COLUMNS} from sessions s where "
    ));
    sql.push("s.site_id = ").push_bind(site_id);
    sql.push(" and s.visitor_id = ").push_bind(visitor_id);
    sql.push(" and s.session_id = ").push_bind(session_id);
    sql
}
