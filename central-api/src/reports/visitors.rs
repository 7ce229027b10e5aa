//! Distinct visitors without counting them one by one: sessions less returns. Fragments with the placeholders of [`super::sql`].

use super::sql::Question;
use crate::rollup::quarter;
use crate::rollup::statements::{EARLIER, same_value};

/// From when on an earlier session makes a visitor known in a row of the answer: the period's start or its bucket's. None: always.
fn known_since(question: &Question<'_>) -> Option<String> {
    let mut starts: Vec<&str> = (question.dimensions.iter())
        .filter_map(|dimension| dimension.bucket_start())
        .collect();
    starts.extend(question.scope.period.from.map(|_| "$from"));
    (!starts.is_empty()).then(|| format!("greatest({})", starts.join(", ")))
}

/// Visitors of rows `r`: sessions less those whose previous session lies in the same row of the answer.
pub(super) fn rolled_visitors(question: &Question<'_>) -> String {
    let buckets = question.dimensions.iter().any(|d| d.is_time());
    let first_quarter = match (known_since(question), question.scope.period.from.and_then(quarter)) {
        (None, _) => return "coalesce(sum(r.sessions - r.returns), 0)".to_owned(),
        (Some(_), Some(quarter)) if !buckets => quarter.to_string(),
        (Some(since), _) => format!("floor(extract(epoch from {since}) / 900)::integer"),
    };
    // The array is sorted: all but those before the first quarter.
    format!(
        "coalesce(sum(r.sessions - case when r.returns = 0 then 0 else r.returns - width_bucket({first_quarter} - 1, r.previous) end), 0)"
    )
}

/// Visitors of sessions `s`, each counted with the first of theirs.
pub(super) fn visitors_by_first(question: &Question<'_>) -> String {
    let mut conditions = vec![EARLIER.to_owned()];
    conditions.extend(known_since(question).map(|since| format!("p.first_seen >= {since}")));
    let split = question.dimensions.iter().filter(|d| !d.is_time());
    let fixed = question.scope.filters.iter().map(|(dimension, _)| dimension);
    conditions.extend(split.copied().chain(fixed).map(same_value));
    format!(
        "count(*) filter (where not exists (select 1 from sessions p where {}))",
        conditions.join(" and ")
    )
}
