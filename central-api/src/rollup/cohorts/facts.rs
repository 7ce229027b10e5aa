//! The SQL of what is known of a visitor, and of what that adds to the sums. Reports, upkeep and verification all take it from here.

use shared::limits::VISIT_IDLE_MS;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::dimensions;
use crate::catalogue::{CONVERTED, Dimension, Formula, Metric, Side};
use crate::site::Site;
use crate::statistics::cohorts::{Bucket, MAX_PERIODS};

/// No local day is shorter.
const HALF_DAY_MS: i64 = 12 * 60 * 60 * 1000;

/// Instants, in milliseconds since 1970, that together lie on every local day that a visit touches; SQL of type array over the visit's
/// range `visit`: its first and last event, and for one that lasts longer an instant of every day between.
pub fn instants_of_visit() -> String {
    format!(
        "case when upper(visit) - lower(visit) <= {VISIT_IDLE_MS} then array[lower(visit)] \
         else array_append(array(select generate_series(lower(visit), upper(visit) - {VISIT_IDLE_MS}, {HALF_DAY_MS})), \
         upper(visit) - {VISIT_IDLE_MS}) end"
    )
}

/// The columns of `cohort_visitors` after its key, in the order in which the statements here write them.
pub fn columns() -> String {
    let keys: Vec<_> = dimensions().map(|dimension| dimension.key()).collect();
    format!(
        "first_day, converted, active_days, order_days, order_counts, order_revenue, human_seen, {}",
        keys.join(", ")
    )
}

/// Some visitors of a site.
#[derive(Debug, Clone, Copy)]
pub enum Visitors<'a> {
    /// These.
    Listed(&'a [Uuid]),
    /// All from the first id on and before the second, if there is one.
    Between(Uuid, Option<Uuid>),
}

impl Visitors<'_> {
    /// SQL: `relation` is of one of the visitors of the site.
    pub(super) fn condition(self, sql: &mut QueryBuilder<Postgres>, site_id: i32, relation: &str) {
        sql.push(format_args!("{relation}.site_id = ")).push_bind(site_id);
        sql.push(format_args!(" and {relation}.visitor_id "));
        match self {
            Self::Listed(visitors) => {
                sql.push("= any(").push_bind(visitors.to_vec()).push(")");
            }
            Self::Between(first, end) => {
                sql.push(">= ").push_bind(first);
                if let Some(end) = end {
                    sql.push(format_args!(" and {relation}.visitor_id < ")).push_bind(end);
                }
            }
        }
    }

    /// SQL: the visitors' rows of a table as `relation`, and their condition.
    fn rows(self, sql: &mut QueryBuilder<Postgres>, site_id: i32, table: &str, relation: &str) {
        match self {
            // Joined, their number counts in the plan.
            Self::Listed(_) => {
                sql.push(format_args!(
                    " from who join {table} {relation} on {relation}.visitor_id = who.visitor_id and {relation}.site_id = "
                ));
                sql.push_bind(site_id).push(" where true");
            }
            Self::Between(..) => {
                sql.push(format_args!(" from {table} {relation} where "));
                self.condition(sql, site_id, relation);
            }
        }
    }
}

/// Expressions of a relation: `fresh (visitor_id, …)`, what sessions and orders say of these visitors, with [`columns`].
/// Visitors without a session, or with bots' alone, have no row.
pub fn fresh(sql: &mut QueryBuilder<Postgres>, site: &Site, visitors: Visitors<'_>) {
    let local_day = |sql: &mut QueryBuilder<Postgres>, instant: &str| {
        sql.push(format_args!("({instant} at time zone "));
        sql.push_bind(site.time_zone.name()).push(")::date");
    };
    let keys: Vec<_> = dimensions().map(Dimension::key).collect();
    let dimensions: Vec<_> = dimensions()
        .map(|dimension| format!("{} as {}", dimension.sql(Side::Sessions), dimension.key()))
        .collect();
    if let Visitors::Listed(visitors) = visitors {
        sql.push("who as materialized (select distinct unnest(");
        sql.push_bind(visitors.to_vec());
        sql.push("::uuid[]) as visitor_id), ");
    }
    sql.push(
        "seen as materialized (select s.visitor_id, s.active, s.purchase_at, s.purchase_events, s.event_revenue, s.human_seen, bool_or(",
    );
    sql.push(CONVERTED)
        .push(") over (partition by s.visitor_id) as converted, row_number() over sessions as nth, first_value(");
    local_day(sql, "s.first_seen");
    // A midnight that the clock passes twice puts the earlier day after the later: three hours more than any such change.
    sql.push(") over sessions as first_day, ");
    local_day(sql, "(s.last_seen + interval '3 hours')");
    sql.push(" as last_day, ").push(dimensions.join(", "));
    visitors.rows(sql, site.id, "sessions", "s");
    sql.push(format_args!(
        " and s.bot_reason is null window sessions as (partition by s.visitor_id order by s.first_seen, s.session_id)), \
         days as (select visitor_id, array_agg(distinct day order by day) as active_days from (select visitor_id, first_day, "
    ));
    local_day(sql, "to_timestamp(ms / 1000.0)");
    sql.push(format_args!(
        " as day from (select visitor_id, first_day, unnest({}) as ms from (select visitor_id, first_day, unnest(active) as visit \
         from seen where last_day > first_day) v) m) d where day > first_day group by visitor_id), ",
        instants_of_visit()
    ));
    sql.push(
        "money as (select visitor_id, array_agg(day order by day) as order_days, array_agg(orders order by day) as order_counts, \
         array_agg(revenue order by day) as order_revenue from (",
    );
    if site.settings.revenue_from_events {
        sql.push("select s.visitor_id, ");
        local_day(sql, "s.purchase_at");
        sql.push(" as day, sum(s.purchase_events)::int as orders, coalesce(sum(s.event_revenue), 0) as revenue from seen s where s.purchase_at is not null");
    } else {
        sql.push("select o.visitor_id, ");
        local_day(sql, "o.created_at");
        sql.push(format_args!(
            " as day, ({})::int as orders, {} as revenue",
            by_order(Metric::Orders),
            by_order(Metric::Revenue)
        ));
        visitors.rows(sql, site.id, "orders", "o");
        sql.push(" and o.bot_reason is null");
    }
    // Put together by grouping, each value from the one part that has it: how many visitors there are is not known beforehand, and of few
    // the planner would join each with each.
    let none = |count: usize| vec!["null"; count].join(", ");
    let one: Vec<_> = keys.iter().map(|key| format!("max({key}) as {key}")).collect();
    sql.push(format_args!(
        " group by 1, 2) o group by visitor_id), parts as (\
         select visitor_id, first_day, converted, null::date[] as active_days, null::date[] as order_days, null::integer[] as order_counts, \
           null::numeric[] as order_revenue, human_seen, {keys} from seen where nth = 1 \
         union all select visitor_id, null, null, active_days, {nothing_of_days} from days \
         union all select visitor_id, null, null, null, order_days, order_counts, order_revenue, {nothing_of_money} from money), \
         fresh as (select visitor_id, max(first_day) as first_day, bool_or(converted) as converted, max(active_days) as active_days, \
           max(order_days) as order_days, max(order_counts) as order_counts, max(order_revenue) as order_revenue, \
           bool_or(human_seen) as human_seen, {one} from parts group by visitor_id having max(first_day) is not null)",
        keys = keys.join(", "),
        nothing_of_days = none(4 + keys.len()),
        nothing_of_money = none(1 + keys.len()),
        one = one.join(", "),
    ));
}

/// First day of the bucket that holds a day; SQL of type date over one.
pub fn bucket_of(bucket: Bucket, day: &str) -> String {
    match bucket {
        Bucket::Day => day.to_owned(),
        // A timestamp without zone: of a plain date Postgres would make one with the connection's.
        Bucket::Week | Bucket::Month => format!("date_trunc('{}', {day}::timestamp)::date", bucket.name()),
    }
}

/// The aggregate over orders `o`.
pub fn by_order(metric: Metric) -> &'static str {
    match metric.definition().formula {
        Formula::Money { by_order, .. } => by_order,
        _ => "0",
    }
}

/// What of a visitor decides who is counted when in these sums. Many visitors have it in common, the more the less of it is asked.
pub fn people(parts: &[Part]) -> &'static str {
    if parts.iter().any(|part| matches!(part, Part::Active(_))) {
        "first_day, converted, active_days"
    } else {
        "first_day, converted"
    }
}

/// What of a visitor decides the money.
pub const ORDERS: &str = "first_day, order_days, order_counts, order_revenue";

/// Which sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The cohorts' visitors.
    Visitors,
    /// Those of them with a lead or purchase.
    Converted,
    /// Those active in a later bucket.
    Active(Bucket),
    /// Orders and revenue.
    Money,
}

impl Part {
    /// All.
    pub const ALL: [Self; 6] = [
        Self::Visitors,
        Self::Converted,
        Self::Active(Bucket::Day),
        Self::Active(Bucket::Week),
        Self::Active(Bucket::Month),
        Self::Money,
    ];

    /// Name in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Visitors => "visitors",
            Self::Converted => "converted",
            Self::Active(bucket) => bucket.name(),
            Self::Money => "money",
        }
    }

    /// Columns `part, first_day, at, visitors, orders, revenue`: what rows of `people` and of `orders` add to the sums.
    fn select(self, people: &str, orders: &str) -> String {
        let name = self.name();
        let counted = |condition: &str| {
            format!(
                "select '{name}' as part, first_day, first_day as at, sum(visitors)::bigint as visitors, 0::bigint as orders, \
                 0::numeric as revenue from {people} where {condition} group by first_day"
            )
        };
        match self {
            Self::Visitors => counted("true"),
            Self::Converted => counted("converted"),
            // Each day beside the one before it, so that a bucket counts at its first day. Later ones than any matrix shows are left out.
            Self::Active(bucket) => format!(
                "select '{name}', first_day, at, sum(visitors)::bigint, 0::bigint, 0::numeric from (\
                 select first_day, visitors, {at} as at, {before} as before from (\
                 select first_day, visitors, unnest(active_days) as day, unnest(first_day || active_days) as before \
                 from {people} where active_days is not null) d \
                 where day is not null and day < {cohort} + {MAX_PERIODS} * interval '1 {name}') d \
                 where at <> before group by first_day, at",
                at = bucket_of(bucket, "day"),
                before = bucket_of(bucket, "before"),
                cohort = bucket_of(bucket, "first_day"),
            ),
            Self::Money => format!(
                "select '{name}', first_day, at, 0::bigint, sum(orders)::bigint, sum(revenue) from (\
                 select first_day, unnest(order_days) as at, unnest(order_counts) as orders, unnest(order_revenue) as revenue \
                 from {orders} where order_days is not null) m group by first_day, at"
            ),
        }
    }
}

/// What visitors add to some sums, with columns `part, first_day, at, visitors, orders, revenue`. Rows of `people` tell of so many `visitors` who
/// have the same of [`people`]; rows of `orders` have [`ORDERS`] of one.
pub fn sums(parts: &[Part], people: &str, orders: &str) -> String {
    let parts: Vec<_> = parts.iter().map(|part| part.select(people, orders)).collect();
    parts.join(" union all ")
}
