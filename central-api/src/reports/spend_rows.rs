//! Where a question finds ad spend: in sums by day, in sums by month, or in the rows themselves.

use chrono::{Datelike as _, Days, NaiveDate};
use sqlx::{Postgres, QueryBuilder};

use super::scope::Scope;
use super::sql::chosen;
use crate::catalogue::Dimension;
use crate::orders::rates::FALLBACK_DAYS;

/// What the sums by day do not tell apart.
const OF_ADS: [Dimension; 2] = [Dimension::UtmCampaign, Dimension::UtmContent];
/// What the sums by month do not tell apart.
const WITHIN_A_MONTH: [Dimension; 2] = [Dimension::Day, Dimension::Week];

/// Appends the spend of the scope's days as rows `a`, in the site's currency (`amount` is null while an exchange rate is unknown), with the
/// condition on them; told apart as far as `dimensions` and the scope's filters need. Filters by what spend does not have are left out.
pub fn spend_rows(sql: &mut QueryBuilder<Postgres>, scope: &Scope, dimensions: &[Dimension]) {
    let filters = || scope.filters.iter().map(|(dimension, _)| dimension);
    let needs = |any: &[Dimension]| filters().chain(dimensions.iter().copied()).any(|d| any.contains(&d));
    sql.push("(");
    match (needs(&OF_ADS), needs(&WITHIN_A_MONTH)) {
        (false, _) => of_days(sql, scope),
        (true, false) => of_months(sql, scope),
        (true, true) => of_ads(sql, scope, days(scope)),
    }
    sql.push(" union all ");
    converted(sql, scope);
    of_filters(sql, scope);
}

/// The scope's spend in other currencies as rows `a` like those of [`spend_rows`], with the `currency`, the `amount` in it, and `in_site_currency` what that is.
pub fn spend_in_other_currencies(sql: &mut QueryBuilder<Postgres>, scope: &Scope) {
    sql.push("(select y.*, x.amount as in_site_currency from ");
    rows_in_other_currencies(sql, scope);
    of_filters(sql, scope);
}

/// Ends the rows `a` and adds the condition on them.
fn of_filters(sql: &mut QueryBuilder<Postgres>, scope: &Scope) {
    sql.push(") a where true");
    for (dimension, choice) in scope.filters.iter() {
        if let Some(expression) = dimension.spend_sql() {
            chosen(sql, expression, choice);
        }
    }
}

fn days(scope: &Scope) -> (Option<NaiveDate>, NaiveDate) {
    (scope.period.first_day, scope.period.last_day)
}

fn between(sql: &mut QueryBuilder<Postgres>, column: &str, (first, last): (Option<NaiveDate>, NaiveDate)) {
    sql.push(format_args!(" and {column} <= ")).push_bind(last);
    if let Some(first) = first {
        sql.push(format_args!(" and {column} >= ")).push_bind(first);
    }
}

fn of_days(sql: &mut QueryBuilder<Postgres>, scope: &Scope) {
    sql.push(
        "select d.day, d.utm_source, d.utm_medium, null::text as utm_campaign, null::text as utm_content, d.channel, d.amount, d.clicks, d.impressions \
         from ad_spend_days d where d.site_id = ",
    )
    .push_bind(scope.site.id);
    sql.push(" and d.currency = ").push_bind(scope.site.currency.clone());
    between(sql, "d.day", days(scope));
}

fn of_ads(sql: &mut QueryBuilder<Postgres>, scope: &Scope, days: (Option<NaiveDate>, NaiveDate)) {
    sql.push(
        "select r.day, r.utm_source, r.utm_medium, r.utm_campaign, r.utm_content, r.channel, r.amount, r.clicks, r.impressions \
         from ad_spend r where r.site_id = ",
    )
    .push_bind(scope.site.id);
    sql.push(" and r.currency = ").push_bind(scope.site.currency.clone());
    between(sql, "r.day", days);
}

/// Whole months from their sums, the days before and after them from the rows. A month is whole when the period has every day of it that
/// there is spend of: the one that goes on has no more.
fn of_months(sql: &mut QueryBuilder<Postgres>, scope: &Scope) {
    let (first, last) = days(scope);
    let this_month = first_of_month(last);
    // The first month that may be whole; before it the days of one that is not.
    let whole_from = first.map(|day| {
        if day.day() == 1 {
            day
        } else {
            first_of_month(first_of_month(day) + Days::new(31))
        }
    });
    sql.push(
        "select m.month as day, m.utm_source, m.utm_medium, m.utm_campaign, m.utm_content, m.channel, m.amount, m.clicks, m.impressions \
         from ad_spend_months m where m.site_id = ",
    )
    .push_bind(scope.site.id);
    sql.push(" and m.currency = ").push_bind(scope.site.currency.clone());
    between(sql, "m.month", (whole_from, this_month));
    sql.push(" and m.last_day <= ").push_bind(last);
    if let (Some(first), Some(whole_from)) = (first, whole_from)
        && first < whole_from
    {
        sql.push(" union all ");
        of_ads(sql, scope, (Some(first), last.min(whole_from - Days::new(1))));
    }
    if whole_from.is_none_or(|from| from <= this_month) {
        sql.push(" union all ");
        of_ads(sql, scope, (Some(this_month), last));
        sql.push(" and not exists (select 1 from ad_spend_months m where m.site_id = ")
            .push_bind(scope.site.id);
        sql.push(" and m.month = ").push_bind(this_month);
        sql.push(" and m.last_day <= ").push_bind(last).push(")");
    }
}

/// Every row in another currency, at its own day's rate: sums would round otherwise.
fn converted(sql: &mut QueryBuilder<Postgres>, scope: &Scope) {
    sql.push(
        "select y.day, y.utm_source, y.utm_medium, y.utm_campaign, y.utm_content, y.channel, x.amount, y.clicks, y.impressions from ",
    );
    rows_in_other_currencies(sql, scope);
}

fn rows_in_other_currencies(sql: &mut QueryBuilder<Postgres>, scope: &Scope) {
    // The days that have any are asked first, and fenced: most sites have none, and then no row is read.
    sql.push("(select distinct d.day, d.currency from ad_spend_days d where d.site_id = ")
        .push_bind(scope.site.id);
    sql.push(" and d.currency <> ").push_bind(scope.site.currency.clone());
    between(sql, "d.day", days(scope));
    sql.push(" offset 0) k cross join lateral (select * from ad_spend r where r.site_id = ")
        .push_bind(scope.site.id);
    sql.push(format_args!(
        " and r.day = k.day and r.currency = k.currency offset 0) y \
         left join lateral (select round(y.amount * e.rate, 4) as amount from exchange_rates e where e.site_id = y.site_id \
         and e.currency = y.currency and e.day between y.day - {FALLBACK_DAYS} and y.day order by e.day desc limit 1) x on true"
    ));
}

fn first_of_month(day: NaiveDate) -> NaiveDate {
    day - Days::new(u64::from(day.day0()))
}
