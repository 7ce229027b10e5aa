//! Every metric by every dimension, against a plain count over the raw rows that shares no code with the catalogue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use central_api::catalogue::{Dimension, Metric};
use central_api::reports::filter::Filters;
use central_api::reports::period::Period;
use central_api::reports::scope::{AttributionDate, Bots, Scope};
use central_api::reports::sql::Question;
use central_api::reports::table::{self, Cell};
use central_api::rollup::upkeep::{self, Take};
use central_api::site::Site;
use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use rust_decimal::{Decimal, RoundingStrategy};

use crate::support::TestApp;
use crate::utm_data::{Data, Order, Session, Spend, values};

const ZONES: [Tz; 4] = [Tz::Europe__Kyiv, Tz::UTC, Tz::America__New_York, Tz::Asia__Kathmandu];

fn now() -> DateTime<Utc> {
    "2026-11-20T23:10:00Z".parse().unwrap()
}

/// A bucket's key, by walking the local clock.
fn bucket(key: &str, at: DateTime<Utc>, zone: Tz) -> String {
    let local = at.with_timezone(&zone);
    match key {
        "hour" => {
            let into = TimeDelta::seconds(i64::from(local.minute() * 60 + local.second()))
                + TimeDelta::nanoseconds(i64::from(local.nanosecond()));
            (at - into).format("%Y-%m-%dT%H:%M:%SZ").to_string()
        }
        "day" => local.format("%Y-%m-%d").to_string(),
        "week" => {
            let mut day = local.date_naive();
            while day.weekday() != chrono::Weekday::Mon {
                day = day.pred_opt().unwrap();
            }
            day.to_string()
        }
        _ => local.format("%Y-%m-01").to_string(),
    }
}

/// Sessions, orders and spend by their values of the dimensions.
type Groups<'a> = BTreeMap<Vec<Option<String>>, (Vec<&'a Session>, Vec<&'a Order>, Vec<&'a Spend>)>;

/// What ad spend can be split and filtered by.
const OF_SPEND: [&str; 8] = [
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_content",
    "channel",
    "day",
    "week",
    "month",
];

struct Truth<'a> {
    data: &'a Data,
    scope: &'a Scope,
}

impl Truth<'_> {
    fn of_session(&self, s: &Session, key: &str) -> Option<String> {
        match key {
            "hour" | "day" | "week" | "month" => Some(bucket(key, s.first_seen, self.scope.site.time_zone)),
            "visitor_type" => {
                let earlier = self
                    .data
                    .sessions
                    .iter()
                    .any(|p| p.visitor == s.visitor && p.first_seen < s.first_seen);
                Some(
                    if earlier || s.visits.len() > 1 {
                        "returning"
                    } else {
                        "new"
                    }
                    .to_owned(),
                )
            }
            "bot_reason" => s.bot_reason.map(|code| {
                let reason = shared::event::BotReason::ALL
                    .into_iter()
                    .find(|r| r.code() == code)
                    .unwrap();
                serde_json::to_value(reason).unwrap().as_str().unwrap().to_owned()
            }),
            _ => s.texts.iter().find(|(k, _)| *k == key).unwrap().1.clone(),
        }
    }

    fn of_order(&self, o: &Order, key: &str) -> Option<String> {
        match key {
            "hour" | "day" | "week" | "month" => Some(bucket(key, o.created_at, self.scope.site.time_zone)),
            _ => o.session.and_then(|i| self.of_session(&self.data.sessions[i], key)),
        }
    }

    fn kept(&self, at: DateTime<Utc>, bot: bool, human: bool, value: impl Fn(&str) -> Option<String>) -> bool {
        let period = &self.scope.period;
        let in_period = at < period.to && period.from.is_none_or(|from| at >= from);
        let wanted = match self.scope.bots {
            Bots::Include => true,
            Bots::Exclude => !bot,
            Bots::Only => bot,
        };
        in_period && wanted && (human || !self.scope.confirmed) && self.chosen(value)
    }

    fn chosen(&self, value: impl Fn(&str) -> Option<String>) -> bool {
        self.scope.filters.iter().all(|(dimension, choice)| {
            let value = value(dimension.key());
            (choice.include.is_empty() || choice.include.contains(&value)) && !choice.exclude.contains(&value)
        })
    }

    fn count(&self, dimensions: &[&str]) -> BTreeMap<Vec<Option<String>>, BTreeMap<&'static str, Option<Decimal>>> {
        let by_order = self.scope.attribution_date == AttributionDate::Order;
        let mut groups = Groups::new();
        for (i, s) in self.data.sessions.iter().enumerate() {
            if self.kept(s.first_seen, s.bot_reason.is_some(), s.human_seen, |key| {
                self.of_session(s, key)
            }) {
                let group = groups
                    .entry(dimensions.iter().map(|key| self.of_session(s, key)).collect())
                    .or_default();
                group.0.push(s);
                if !by_order {
                    group.1.extend(self.data.orders.iter().filter(|o| o.session == Some(i)));
                }
            }
        }
        if by_order {
            for o in &self.data.orders {
                let s = o.session.map(|i| &self.data.sessions[i]);
                let bot = s.is_some_and(|s| s.bot_reason.is_some());
                if self.kept(o.created_at, bot, s.is_some_and(|s| s.human_seen), |key| {
                    self.of_order(o, key)
                }) {
                    let group = groups
                        .entry(dimensions.iter().map(|key| self.of_order(o, key)).collect())
                        .or_default();
                    group.1.push(o);
                }
            }
        }
        let filtered = self.scope.filters.iter().map(|(dimension, _)| dimension.key());
        let spend_known = filtered
            .chain(dimensions.iter().copied())
            .all(|key| OF_SPEND.contains(&key));
        for s in &self.data.spend {
            let period = &self.scope.period;
            let in_period = s.day <= period.last_day && period.first_day.is_none_or(|first| s.day >= first);
            let value = |key: &str| match s.texts.iter().find(|(k, _)| *k == key) {
                Some((_, text)) => text.clone(),
                None => Some(bucket(key, s.day.and_hms_opt(12, 0, 0).unwrap().and_utc(), Tz::UTC)),
            };
            if spend_known && in_period && self.chosen(value) {
                let group = groups
                    .entry(dimensions.iter().map(|key| value(key)).collect())
                    .or_default();
                group.2.push(s);
            }
        }
        if dimensions.is_empty() {
            groups.entry(Vec::new()).or_default();
        }
        let events = self.scope.site.settings.revenue_from_events;
        groups
            .into_iter()
            .map(|(key, (sessions, orders, spend))| {
                let spend = spend_known.then_some(&spend[..]);
                (key, figures(&sessions, &orders, spend, events))
            })
            .collect()
    }
}

/// Every figure of one group, straight from the definitions.
fn figures(
    sessions: &[&Session],
    orders: &[&Order],
    spend: Option<&[&Spend]>,
    from_events: bool,
) -> BTreeMap<&'static str, Option<Decimal>> {
    let n = |count: usize| Decimal::from(count as i64);
    let ratio = |times: i64, of: Decimal, per: Decimal| {
        (!per.is_zero()).then(|| {
            (Decimal::from(times) * of / per).round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
        })
    };
    let sessions_with = |condition: &dyn Fn(&Session) -> bool| n(sessions.iter().filter(|s| condition(s)).count());
    let mut visitors: Vec<_> = sessions.iter().map(|s| s.visitor).collect();
    visitors.sort();
    visitors.dedup();
    let total = n(sessions.len());
    let (revenue, all, leads, purchases, valued) = if from_events {
        let sum = |of: fn(&Session) -> i32| Decimal::from(sessions.iter().map(|s| of(s)).sum::<i32>());
        let bought = sum(|s| s.purchase_events);
        (
            sessions.iter().map(|s| s.event_revenue).sum(),
            bought,
            sum(|s| s.lead_events),
            bought,
            sum(|s| s.valued_purchase_events),
        )
    } else {
        let paid = |o: &&&Order| o.status == "paid" || o.status == "partially_refunded";
        (
            orders.iter().filter_map(|o| o.revenue).sum(),
            n(orders.len()),
            n(orders.iter().filter(|o| o.status == "prepaid").count()),
            n(orders.iter().filter(paid).count()),
            n(orders.iter().filter(paid).filter(|o| o.revenue.is_some()).count()),
        )
    };
    let visits: usize = sessions.iter().map(|s| s.visits.len()).sum();
    let pages: i64 = sessions.iter().map(|s| i64::from(s.page_views)).sum();
    let points: i64 = sessions.iter().map(|s| i64::from(s.points)).sum();
    let millis: i64 = sessions.iter().flat_map(|s| &s.visits).map(|(a, b)| b - a).sum();
    let seconds = Decimal::new(millis, 3);
    let lead = |s: &Session| s.lead_at.is_some() || s.own_orders.contains(&"prepaid");
    let bought = |s: &Session| {
        s.purchase_at.is_some()
            || s.own_orders
                .iter()
                .any(|status| *status == "paid" || *status == "partially_refunded")
    };
    let converted = sessions_with(&|s| lead(s) || bought(s));
    let bounces = sessions_with(&|s| {
        s.visits.len() == 1
            && s.page_views <= 1
            && [s.add_to_cart_at, s.checkout_at, s.registered_at]
                .iter()
                .all(Option::is_none)
            && !lead(s)
            && !bought(s)
    });
    let spent = spend.map(|rows| rows.iter().filter_map(|s| s.converted).sum::<Decimal>());
    let clicks = spend.map(|rows| Decimal::from(rows.iter().filter_map(|s| s.clicks).sum::<i64>()));
    let viewed = sessions_with(&|s| s.product_view_at.is_some());
    let cart = sessions_with(&|s| s.add_to_cart_at.is_some());
    let checkout = sessions_with(&|s| s.checkout_at.is_some());
    let (led, buying) = (sessions_with(&lead), sessions_with(&bought));
    let in_cart = |s: &Session| matches!((s.product_view_at, s.add_to_cart_at), (Some(a), Some(b)) if a <= b);
    let in_checkout = |s: &Session| in_cart(s) && s.checkout_at.is_some_and(|at| at >= s.add_to_cart_at.unwrap());
    let after_checkout = |s: &Session, at: Option<DateTime<Utc>>, known: bool| {
        in_checkout(s) && at.map_or(known, |at| at >= s.checkout_at.unwrap())
    };
    let mut found = BTreeMap::new();
    for metric in Metric::all() {
        let value = match metric.key() {
            "sessions" => Some(total),
            "visitors" => Some(n(visitors.len())),
            "visits" => Some(n(visits)),
            "conversions" => Some(converted),
            "conversion_rate" => ratio(100, converted, total),
            "revenue" => Some(revenue),
            "orders" => Some(all),
            "leads" => Some(leads),
            "purchases" => Some(purchases),
            "valued_purchases" => Some(valued),
            "avg_order_value" => ratio(1, revenue, valued),
            "revenue_per_session" => ratio(1, revenue, total),
            "orders_per_session" => ratio(1, all, total),
            "total_score" => Some(points.into()),
            "avg_score_per_session" => ratio(1, points.into(), total),
            "bounces" => Some(bounces),
            "bounce_rate" => ratio(100, bounces, total),
            "page_views" => Some(pages.into()),
            "pages_per_session" => ratio(1, pages.into(), total),
            "duration" => Some(seconds),
            "avg_session_duration" => ratio(1, seconds, total),
            "registrations" => Some(sessions_with(&|s| s.registered_at.is_some())),
            "product_views" => Some(viewed),
            "add_to_cart" => Some(cart),
            "initiate_checkout" => Some(checkout),
            "lead_sessions" => Some(led),
            "purchase_sessions" => Some(buying),
            "product_view_rate" => ratio(100, viewed, total),
            "add_to_cart_rate" => ratio(100, cart, total),
            "initiate_checkout_rate" => ratio(100, checkout, total),
            "lead_rate" => ratio(100, led, total),
            "purchase_rate" => ratio(100, buying, total),
            "strict_add_to_cart" => Some(sessions_with(&in_cart)),
            "strict_initiate_checkout" => Some(sessions_with(&in_checkout)),
            "strict_lead_sessions" => Some(sessions_with(&|s| after_checkout(s, s.lead_at, lead(s)))),
            "strict_purchase_sessions" => Some(sessions_with(&|s| after_checkout(s, s.purchase_at, bought(s)))),
            "ad_spend" => spent,
            "ad_clicks" => clicks,
            "ad_impressions" => spend.map(|_| Decimal::ZERO),
            "roas" => spent.and_then(|spent| ratio(1, revenue, spent)),
            "cpa" => spent.and_then(|spent| ratio(1, spent, converted)),
            "cost_per_session" => spent.and_then(|spent| ratio(1, spent, total)),
            "cost_per_click" => spent.zip(clicks).and_then(|(spent, clicks)| ratio(1, spent, clicks)),
            new => panic!("count {new} by hand too"),
        };
        found.insert(metric.key(), value);
    }
    found
}

fn filters(pairs: &[(Dimension, &str)]) -> Filters {
    let mut filters = Filters::default();
    for (dimension, value) in pairs {
        filters.add(*dimension, value).unwrap();
    }
    filters
}

/// Filters that combine, exclude, ask for the absent and for values that look like syntax; and one by each dimension that there is.
fn filter_cases() -> Vec<Filters> {
    use Dimension::{Channel, City, Country, DeviceType, Referrer, UtmCampaign, UtmSource, VisitorType};
    let mut cases = vec![
        filters(&[]),
        filters(&[(UtmSource, "facebook")]),
        filters(&[(UtmSource, "facebook"), (UtmSource, "e,mail"), (UtmSource, "(not set)")]),
        filters(&[(UtmCampaign, "a|b,c&%")]),
        filters(&[
            (UtmCampaign, "\\!x"),
            (UtmCampaign, "\\(not set)"),
            (UtmCampaign, "\\\\y"),
        ]),
        filters(&[(UtmCampaign, "!\\!x"), (UtmCampaign, "!sale")]),
        filters(&[(Country, "!(not set)"), (City, "!Kyiv")]),
        filters(&[(Country, "UA"), (DeviceType, "mobile"), (Channel, "!one")]),
        filters(&[(Referrer, "one"), (Referrer, "(not set)")]),
        filters(&[(VisitorType, "returning"), (UtmSource, "!google")]),
        filters(&[(UtmSource, "nobody")]),
    ];
    cases.extend(Dimension::filters().map(|dimension| {
        let value = match dimension {
            VisitorType => "new",
            Dimension::BotReason => "headless",
            _ => values(dimension.key())[0],
        };
        filters(&[(dimension, &format!("\\{value}"))])
    }));
    cases
}

fn periods(zone: Tz) -> Vec<Period> {
    let parse = |period, start, end| Period::parse(period, start, end, zone, now()).unwrap();
    vec![
        parse(Some("all_time"), None, None),
        parse(Some("today"), None, None),
        parse(Some("week"), None, None),
        parse(Some("month"), None, None),
        parse(None, Some("2026-03-08"), Some("2026-03-29")),
        parse(None, Some("2026-10-25"), Some("2026-11-01")),
        parse(None, Some("2026-10-01"), Some("2026-10-31")),
    ]
}

async fn check(app: &TestApp, data: &Data, scope: &Scope, dimensions: &[Dimension]) {
    let metrics: Vec<Metric> = Metric::all().collect();
    let question = Question {
        scope,
        dimensions,
        metrics: &metrics,
        sort: None,
        limit: None,
        offset: 0,
    };
    let keys: Vec<_> = dimensions.iter().map(|d| d.key()).collect();
    let told = format!(
        "{keys:?} {:?} {} {:?} {:?}",
        scope.period.name, scope.site.time_zone, scope.attribution_date, scope.filters
    );
    let answer = table::ask(&app.db.pool, &question)
        .await
        .unwrap_or_else(|e| panic!("{told}: {e}"));
    assert_eq!(answer.total_rows, answer.rows.len() as i64);
    let mut found = BTreeMap::new();
    for row in &answer.rows {
        let (texts, numbers) = row.0.split_at(dimensions.len());
        let key: Vec<_> = texts
            .iter()
            .map(|(_, cell)| match cell {
                Cell::Text(text) => text.clone(),
                Cell::Number(_) => panic!(),
            })
            .collect();
        let numbers: BTreeMap<_, _> = numbers
            .iter()
            .map(|(key, cell)| match cell {
                Cell::Number(figure) => (*key, figure.0),
                Cell::Text(_) => panic!(),
            })
            .collect();
        assert!(found.insert(key, numbers).is_none(), "{told}: a group twice");
    }
    let truth = Truth { data, scope }.count(&keys);
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        truth.keys().collect::<Vec<_>>(),
        "{told}"
    );
    for (key, figures) in truth {
        assert_eq!(found[&key], figures, "{told} {key:?}");
    }
}

#[tokio::test]
async fn every_metric_by_every_dimension_equals_the_slow_count_to_the_cent() {
    let app = TestApp::start().await;
    let site = app.site("exact").await;
    let other = app.site("other").await;
    let data = Data::generate(1, 900);
    data.store(&app.db.pool, site.id).await;
    // Another site's rows must never be seen; the same ids are even allowed there.
    Data::generate(1, 60).store(&app.db.pool, other.id).await;

    // From half of the hours' sums and half of the sessions; from all the sums there can be later on.
    for _ in 0..6 {
        upkeep::round(&app.db.pool, now(), Take::Closed).await.unwrap();
    }
    let filters = filter_cases();
    // One after another, so that each meets each dimension and period; or, where there is time, all of them with each combination.
    let filters_each = match std::env::var_os("UD_TEST_EVERY_COMBINATION") {
        Some(_) => filters.len(),
        None => 1,
    };
    let mut turn = 0;
    let (mut of_dimensions, mut of_periods) = (BTreeSet::new(), BTreeSet::new());
    for (nth, zone) in ZONES.into_iter().enumerate() {
        if nth == 2 {
            upkeep::catch_up(&app.db.pool, now(), |_| {}).await.unwrap();
        }
        let site = Arc::new(Site {
            time_zone: zone,
            ..(*site).clone()
        });
        for (p, period) in periods(zone).into_iter().enumerate() {
            for attribution_date in [AttributionDate::Session, AttributionDate::Order] {
                for dimension in std::iter::once(None).chain(Dimension::all().map(Some)) {
                    for _ in 0..filters_each {
                        turn += 1;
                        of_dimensions.insert((dimension, turn % filters.len()));
                        of_periods.insert((p, turn % filters.len()));
                        let scope = Scope {
                            site: site.clone(),
                            period,
                            filters: filters[turn % filters.len()].clone(),
                            bots: [Bots::Exclude, Bots::Exclude, Bots::Include, Bots::Only][turn / 7 % 4],
                            confirmed: turn % 5 == 0,
                            attribution_date,
                        };
                        check(&app, &data, &scope, dimension.as_slice()).await;
                    }
                }
            }
        }
    }
    // Every dimension in every zone and period with either date; and with every filter, which every period had too.
    assert_eq!(of_dimensions.len(), (Dimension::all().count() + 1) * filters.len());
    assert_eq!(of_periods.len(), periods(Tz::UTC).len() * filters.len());
}

#[tokio::test]
async fn pairs_of_dimensions_and_sites_without_a_backend_are_exact_too() {
    let app = TestApp::start().await;
    let site = app.site("exact").await;
    let data = Data::generate(2, 400);
    data.store(&app.db.pool, site.id).await;
    let mut settings = site.settings.clone();
    settings.revenue_from_events = true;
    let without_backend = Arc::new(Site {
        settings,
        ..(*site).clone()
    });
    let all: Vec<_> = Dimension::all().collect();
    for (i, filters) in filter_cases().into_iter().enumerate() {
        for (site, attribution_date) in [
            (&site, AttributionDate::Session),
            (&site, AttributionDate::Order),
            (&without_backend, AttributionDate::Session),
        ] {
            let scope = Scope {
                site: site.clone(),
                period: periods(site.time_zone)[i % 7],
                filters: filters.clone(),
                bots: Bots::Exclude,
                confirmed: false,
                attribution_date,
            };
            check(&app, &data, &scope, &[all[i % all.len()], all[(i * 5 + 7) % all.len()]]).await;
            check(&app, &data, &scope, &[all[(i + 11) % all.len()], Dimension::Day]).await;
        }
    }
}
