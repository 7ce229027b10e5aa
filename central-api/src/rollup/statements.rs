//! The statements of upkeep that are made from the catalogue.

use super::{SPLITS, columns};
use crate::catalogue::{Dimension, Metric, Side, Unit};

/// Columns of the table, in the order in which the statements here write them.
pub(super) fn table_columns() -> String {
    let names: Vec<_> = columns().map(|(metric, _)| metric.key()).collect();
    format!(
        "site_id, hours, split, start, v0, v1, {}, returns, previous",
        names.join(", ")
    )
}

/// SQL: session `p` is of the same visitor as session `s`, a person's, and came before it.
pub const EARLIER: &str = "p.site_id = s.site_id and p.visitor_id = s.visitor_id and p.bot_reason is null \
     and (p.first_seen, p.session_id) < (s.first_seen, s.session_id)";

/// SQL: sessions `p` and `s` have the same value of a dimension.
pub fn same_value(dimension: Dimension) -> String {
    let of_session = dimension.sql(Side::Sessions);
    format!(
        "({}) is not distinct from ({of_session})",
        of_session.replace("s.", "p.")
    )
}

/// What the sessions say of some hours: `$1` site, `$2` starts of hours. Every fragment is the catalogue's.
pub fn hours_from_sessions() -> String {
    let sums: Vec<_> = columns()
        .map(|(metric, sql)| format!("{sql} as {}", metric.key()))
        .collect();
    let names: Vec<_> = columns().map(|(metric, _)| metric.key()).collect();
    let latest: Vec<String> = (SPLITS.iter().enumerate())
        .map(|(number, split)| {
            let same: Vec<_> = split.iter().map(|dimension| same_value(*dimension)).collect();
            let condition = if same.is_empty() { "true" } else { &same.join(" and ") };
            format!("max(p.first_seen) filter (where {condition}) as p{number}")
        })
        .collect();
    let splits: Vec<String> = (SPLITS.iter().enumerate())
        .map(|(number, split)| {
            let value = |i: usize| (split.get(i)).map_or("null::text", |dimension| dimension.sql(Side::Sessions));
            format!(
                "({number}::smallint, {}, {}, floor(extract(epoch from e.p{number}) / 900)::integer)",
                value(0),
                value(1)
            )
        })
        .collect();
    // The array is sorted after the grouping: an ordered aggregate would sort every session before it. `offset 0` keeps the hours' sessions
    // together, found by index: joined freely, every session of the site would be asked for its predecessors first.
    format!(
        "select g.site_id, 1::smallint, g.split, g.start, g.v0, g.v1, {names}, g.returns, \
           case when g.returns > 1 then (select array_agg(x order by x) from unnest(g.previous) as x) else g.previous end \
         from (select s.site_id, v.split, h.start, v.v0, v.v1, {sums}, count(v.previous)::integer as returns, \
             array_agg(v.previous) filter (where v.previous is not null) as previous \
           from unnest($2::timestamptz[]) as h (start) \
           cross join lateral (select * from sessions x where x.site_id = $1 and x.first_seen >= h.start \
             and x.first_seen < h.start + interval '1 hour' and x.bot_reason is null offset 0) s \
           cross join lateral (select {latest} from sessions p where {EARLIER}) e \
           cross join lateral (values {splits}) as v (split, v0, v1, previous) \
           group by s.site_id, v.split, h.start, v.v0, v.v1) g",
        names = names.join(", "),
        sums = sums.join(", "),
        latest = latest.join(", "),
        splits = splits.join(", ")
    )
}

/// The type of a metric's column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "Postgres' types of these names")]
pub enum Kind {
    Integer,
    BigInteger,
    Numeric,
}

impl Kind {
    /// As Postgres calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::BigInteger => "bigint",
            Self::Numeric => "numeric",
        }
    }
}

/// The type of a metric's column.
pub fn kind(metric: Metric) -> Kind {
    match metric.definition().unit {
        Unit::Count => Kind::Integer,
        Unit::Points => Kind::BigInteger,
        Unit::Money | Unit::Seconds | Unit::Percent | Unit::Ratio => Kind::Numeric,
    }
}

/// The dimensions of all splits, each once.
pub(super) fn dimensions() -> Vec<Dimension> {
    let mut all: Vec<_> = SPLITS.iter().copied().flatten().copied().collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// People's sessions of some hours one by one: `$1` site, `$2` starts of hours. Visitor, session, its begin, its values of the
/// [`dimensions`], and what it alone adds to each metric: first to those that are whole numbers, then to the others.
pub(super) fn sessions_of_hours() -> String {
    let of_kind = |numeric: bool| columns().filter(move |(metric, _)| (kind(*metric) == Kind::Numeric) == numeric);
    let shares: Vec<_> = (of_kind(false).map(|(_, sql)| format!("({sql})::bigint")))
        .chain(of_kind(true).map(|(_, sql)| format!("({sql})::numeric")))
        .enumerate()
        .map(|(i, sql)| format!("{sql} as m{i}"))
        .collect();
    // The metrics' aggregates over a relation that is the session alone.
    format!(
        "select s.visitor_id, s.session_id, s.first_seen, {values}, m.* from unnest($2::timestamptz[]) as h (start) \
         cross join lateral (select * from sessions x where x.site_id = $1 and x.first_seen >= h.start \
           and x.first_seen < h.start + interval '1 hour' and x.bot_reason is null offset 0) s \
         cross join lateral (select {shares} from (select s.*) as s) m",
        values = values("s"),
        shares = shares.join(", ")
    )
}

/// Sessions of some visitors that began before an instant: `$1` site, `$2` visitors, each once, `$3` the instant. Visitor, session, its begin, its
/// values of the [`dimensions`].
pub(super) fn sessions_before() -> String {
    format!(
        "select p.visitor_id, p.session_id, p.first_seen, {values} from unnest($2::uuid[]) as v (visitor_id) \
         cross join lateral (select * from sessions x where x.site_id = $1 and x.visitor_id = v.visitor_id \
           and x.bot_reason is null and x.first_seen < $3 offset 0) p",
        values = values("p"),
    )
}

fn values(of: &str) -> String {
    let values: Vec<_> = (dimensions().into_iter())
        .map(|dimension| dimension.sql(Side::Sessions).replace("s.", &format!("{of}.")))
        .collect();
    values.join(", ")
}

/// What the hours say of some days: `$1` site, `$2` starts of days (UTC), `$3` the numbers of all splits.
pub fn days_from_hours() -> String {
    let list = |each: &dyn Fn(&str) -> String| {
        let texts: Vec<_> = columns().map(|(metric, _)| each(metric.key())).collect();
        texts.join(", ")
    };
    format!(
        "select g.site_id, 24::smallint, g.split, g.day, g.v0, g.v1, {}, g.returns, \
           case when g.returns > 1 then (select array_agg(x order by x) from unnest(g.previous) as x) else g.previous end \
         from (select site_id, split, day, v0, v1, {}, sum(returns)::integer as returns, \
             array_agg(quarter) filter (where quarter is not null) as previous \
           from (select r.site_id, r.split, d.day, r.v0, r.v1, {}, r.returns, null::integer as quarter from {OF_DAYS} \
             union all \
             select r.site_id, r.split, d.day, r.v0, r.v1, {}, null, x from {OF_DAYS}, unnest(r.previous) as x) u \
           group by site_id, split, day, v0, v1) g",
        list(&|key| format!("g.{key}")),
        list(&|key| format!("sum({key}) as {key}")),
        list(&|key| format!("r.{key}")),
        list(&|_| "null".to_owned()),
    )
}

pub(super) fn insert_days() -> String {
    format!("insert into rollups ({}) {}", table_columns(), days_from_hours())
}

// Day by day and split by split, so that the index finds the rows of each. Left to the planner, a table that was just filled, and of
// which it knows nothing, has every row of the site held against every day.
const OF_DAYS: &str = "unnest($2::timestamptz[]) as d (day) cross join unnest($3::smallint[]) as k (number) \
     cross join lateral (select * from rollups x where x.site_id = $1 and x.hours = 1 and x.split = k.number \
       and x.start >= d.day and x.start < d.day + interval '24 hours' offset 0) r";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_filled_with_the_catalogue_s_own_aggregate() {
        let (sums, shares) = (hours_from_sessions(), sessions_of_hours());
        for (metric, sql) in columns() {
            assert!(sums.contains(metric.key()) && sums.contains(sql) && shares.contains(sql));
        }
    }

    #[test]
    fn a_dimension_of_the_earlier_session_is_the_same_expression_over_it() {
        assert_eq!(
            same_value(Dimension::Country),
            "(p.country) is not distinct from (s.country)"
        );
        for dimension in SPLITS.iter().copied().flatten() {
            let of_session = dimension.sql(Side::Sessions);
            // Both aliases are told apart by their dots alone.
            assert!(
                !of_session.contains("p.") && !of_session.contains("sessions."),
                "{of_session}"
            );
        }
    }
}
