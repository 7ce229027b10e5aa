//! What is asked for.

use chrono::{Days, NaiveDate};

/// A request, and how long its answer may take.
pub struct Asked {
    /// For the table.
    pub name: String,
    /// Path and query.
    pub path: String,
    /// Most milliseconds (p95) with a million sessions, and with ten million; none: not budgeted.
    pub budget_ms: (Option<f64>, Option<f64>),
}

/// Endpoint and parameters besides the period.
const ENDPOINTS: [(&str, &str); 26] = [
    ("general-stats", ""),
    ("compare", ""),
    ("funnel", ""),
    ("sources", "&limit=20"),
    ("campaigns", "&limit=20"),
    ("content", "&limit=20"),
    ("mediums", ""),
    ("terms", ""),
    ("channels", ""),
    ("landing-pages", "&limit=20"),
    ("referrers", "&limit=20"),
    ("devices", ""),
    ("browsers", ""),
    ("operating-systems", ""),
    ("geo", ""),
    ("returning-visitors", ""),
    ("sessions", "&limit=30"),
    ("roi", "&ad_spend=100000"),
    ("time-series", "&bucket=day"),
    ("coverage", ""),
    ("freshness", ""),
    (
        "query",
        "&metrics=visitors,sessions,revenue&dimensions=utm_source,utm_medium",
    ),
    ("ltv-comparison", ""),
    ("first-and-last-touch", ""),
    ("repeat-rate", ""),
    ("cohort-analysis", "&cohort_type=week&metric=retention"),
];

/// Of other issues: measured, not held to the budgets of the reports.
const UNBUDGETED: [&str; 4] = [
    "ltv-comparison",
    "first-and-last-touch",
    "repeat-rate",
    "cohort-analysis",
];

/// What the first page asks for at once.
const DASHBOARD: [&str; 17] = [
    "general-stats",
    "compare",
    "funnel",
    "sources",
    "campaigns",
    "content",
    "devices",
    "browsers",
    "operating-systems",
    "geo",
    "returning-visitors",
    "sessions",
    "time-series",
    "coverage",
    "freshness",
    "ltv-comparison",
    "repeat-rate",
];

fn path(endpoint: &str, parameters: &str, period: &str) -> String {
    match endpoint {
        "freshness" => "/api/utm/freshness".to_owned(),
        _ => format!("/api/utm/{endpoint}?{period}{parameters}"),
    }
}

fn last_days(today: NaiveDate, days: u64) -> String {
    format!("start_date={}&end_date={today}", today - Days::new(days - 1))
}

/// Every endpoint for the last 30 days and for all time, and some questions that no rollup answers for 90 days.
pub fn single(today: NaiveDate) -> Vec<Asked> {
    let mut asked = Vec::new();
    for (period, label, one, ten) in [
        ("period=month", "month", Some(30.0), Some(100.0)),
        ("period=all_time", "all time", None, Some(250.0)),
    ] {
        for (endpoint, parameters) in ENDPOINTS {
            let budgeted = !UNBUDGETED.contains(&endpoint);
            // Cohorts take a range of dates that they can lie in.
            let period = match (endpoint, label) {
                ("cohort-analysis", "month") => last_days(today, 90),
                ("cohort-analysis" | "freshness", _) if label == "all time" => continue,
                _ => period.to_owned(),
            };
            asked.push(Asked {
                name: format!("{endpoint}, {label}"),
                path: path(endpoint, parameters, &period),
                budget_ms: if budgeted { (one, ten) } else { (None, None) },
            });
        }
    }
    let days_90 = last_days(today, 90);
    for (name, endpoint, parameters) in [
        (
            "general-stats of a country's phones",
            "general-stats",
            "&country=UA&device_type=mobile",
        ),
        ("sources of two countries", "sources", "&country=UA&country=PL"),
        ("campaigns on Android", "campaigns", "&os_name=Android&limit=20"),
        ("funnel of confirmed people", "funnel", "&confirmed=true"),
        (
            "visitors by language",
            "query",
            "&metrics=visitors,sessions&dimensions=language",
        ),
    ] {
        asked.push(Asked {
            name: format!("{name}, 90 days, no rollup"),
            path: path(endpoint, parameters, &days_90),
            budget_ms: (Some(200.0), Some(2_000.0)),
        });
    }
    asked
}

/// The requests of the first page for the last `days` days.
pub fn dashboard(today: NaiveDate, days: u64) -> Vec<String> {
    let period = last_days(today, days);
    (ENDPOINTS.iter())
        .filter(|(endpoint, _)| DASHBOARD.contains(endpoint))
        .map(|(endpoint, parameters)| path(endpoint, parameters, &period))
        .collect()
}
