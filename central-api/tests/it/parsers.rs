//! Every parser at the boundary, with values that nobody should send in every field: none panics, and what is refused says why.
//! The tables of cases with the exact answer stand beside the endpoints.

use std::collections::HashMap;

use central_api::devices::Devices;
use central_api::import::ids::ImportIds;
use central_api::import::{events, orders, sessions};
use central_api::ingest::envelope;
use central_api::ingest::server_event::{ServerEvent, Unsaid};
use central_api::ingest::validate::{self, Rules};
use central_api::orders::identity::Identifier;
use central_api::orders::state::OrderState;
use central_api::record::{FieldError, Record};
use central_api::secret::Secret;
use central_api::site::{Site, SiteSettings};
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use shared::attribution::Aliases;
use uuid::Uuid;

fn site() -> Site {
    Site {
        id: 1,
        key: "shop".into(),
        name: "Shop".into(),
        domains: vec!["shop.example".into()],
        time_zone: chrono_tz::Tz::Europe__Kyiv,
        currency: "UAH".into(),
        country: "UA".into(),
        language: "uk".into(),
        not_sources: Vec::new(),
        settings: SiteSettings::default(),
    }
}

fn now() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn unsaid() -> Unsaid {
    Unsaid {
        occurred_at: now(),
        random: [7; 10],
        replayed: false,
    }
}

fn secret() -> Secret {
    Secret::new("the secret of these tests has more than thirty-two characters")
}

pub const EVENT: &[(&str, &str)] = &[
    ("id", "\"019aa0f2-b000-7000-8000-000000000001\""),
    ("at", "1763640000000"),
    ("action", "\"purchase\""),
    ("origin", "\"edge\""),
    ("visitor", "\"00000000-0000-0000-0000-000000000001\""),
    (
        "session",
        r#"{"id":"019aa0f2-b000-7000-8000-000000000002","started":1763640000000,"visit":1}"#,
    ),
    ("consent", "\"granted\""),
    ("bot", "null"),
    ("human", "true"),
    ("name", "\"n\""),
    ("path", "\"/p\""),
    ("product", "\"P\""),
    ("quantity", "1"),
    ("value", "\"12.50\""),
    ("currency", "\"UAH\""),
    ("order", "\"A1\""),
    ("amount", "50"),
    ("label", "\"l\""),
    ("props", r#"{"a":1}"#),
    (
        "touch",
        r#"{"utm_source":"fb","click_ids":{"gclid":"x"},"landing_path":"/"}"#,
    ),
    ("context", r#"{"country":"UA","ip":"10.0.0.0","city":"Lviv"}"#),
];

pub const ORDER: &[(&str, &str)] = &[
    ("order_id", "\"A1\""),
    ("order_number", "\"1\""),
    ("session_id", "\"019aa0f2-b000-7000-8000-000000000002\""),
    ("visitor_id", "\"00000000-0000-0000-0000-000000000001\""),
    ("customer_id", "\"7\""),
    ("email", "\"a@b.example\""),
    ("phone", "\"+380671234567\""),
    ("total", "100"),
    ("discount", "1"),
    ("tax", "\"2.5\""),
    ("shipping", "3"),
    ("refunded", "0"),
    ("currency", "\"UAH\""),
    ("rate", "1"),
    ("payment_method", "\"card\""),
    ("payment_status", "\"paid\""),
    ("items", r#"[{"sku":"s","quantity":1,"price":"5"}]"#),
    ("created_at", "\"2026-11-01T00:00:00Z\""),
    ("paid_at", "\"2026-11-01T00:00:00Z\""),
    ("refunded_at", "null"),
    ("updated_at", "\"2026-11-01T00:00:00Z\""),
];

pub const SERVER_EVENT: &[(&str, &str)] = &[
    ("event_id", "\"k1\""),
    ("occurred_at", "\"2026-11-19T00:00:00Z\""),
    ("action", "\"purchase\""),
    ("name", "\"n\""),
    ("session_id", "\"019aa0f2-b000-7000-8000-000000000002\""),
    ("visitor_id", "\"00000000-0000-0000-0000-000000000001\""),
    ("customer_id", "\"7\""),
    ("email", "\"a@b.example\""),
    ("phone", "\"+380671234567\""),
    ("product_id", "\"P\""),
    ("quantity", "1"),
    ("value", "12.5"),
    ("currency", "\"UAH\""),
    ("order_id", "\"A1\""),
    ("amount", "5"),
    ("label", "\"l\""),
    ("path", "\"/p\""),
    ("props", "{}"),
];

/// JSON that some program might send.
fn strange() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec![
            "null",
            "true",
            "-1",
            "0",
            "1e999",
            "-0.0",
            "1.00005",
            "99999999999999999999999999",
            "9223372036854775807",
            "-9223372036854775808",
            "\"\"",
            "\" \"",
            "\"\\u0000\"",
            "\"a\\u0000b\"",
            "\"\\ud800\"",
            "\"-5.00\"",
            "\"NaN\"",
            "\"Infinity\"",
            "\"1e400\"",
            "\"0000-01-01T00:00:00Z\"",
            "\"9999-12-31T23:59:59Z\"",
            "\"2026-11-20T12:10:00Z\"",
            "\"-271821-04-20T00:00:00Z\"",
            "\"00000000-0000-0000-0000-000000000000\"",
            "\"ffffffff-ffff-7fff-bfff-ffffffffffff\"",
            "[]",
            "{}",
            "[[[[[[]]]]]]",
            "{\"id\":null}",
            "{\"\\u0000\":\"\\u0000\"}",
        ])
        .prop_map(str::to_owned),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        any::<f64>().prop_map(|number| number.to_string()),
        (1usize..200_000).prop_map(|length| format!("\"{}\"", "й".repeat(length / 2))),
        (1usize..5_000).prop_map(|depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth))),
    ]
}

/// The record with some of its fields replaced, as JSON text; and the names of those fields.
pub fn spoiled(fields: &'static [(&'static str, &'static str)]) -> impl Strategy<Value = (String, Vec<&'static str>)> {
    proptest::collection::btree_map(0..fields.len(), strange(), 1..4).prop_map(move |replaced| {
        let members: Vec<String> = fields
            .iter()
            .enumerate()
            .map(|(n, (name, value))| format!("\"{name}\":{}", replaced.get(&n).map_or(*value, String::as_str)))
            .collect();
        (
            format!("{{{}}}", members.join(",")),
            replaced.keys().map(|n| fields[*n].0).collect(),
        )
    })
}

/// The sentence of a refusal, which must name a field unless the text is no JSON or too large.
fn named(error: &FieldError) -> Result<(), TestCaseError> {
    prop_assert!(!error.message.is_empty());
    prop_assert!(
        error.field.is_some() || matches!(error.code, "invalid_json" | "too_large"),
        "{error:?}"
    );
    Ok(())
}

fn judged(event: shared::event::Event) -> Result<(), TestCaseError> {
    let (site, devices) = (site(), Devices::default());
    let rules = Rules {
        site: &site,
        aliases: &Aliases::default(),
        devices: &devices,
        now_ms: now().timestamp_millis(),
        max_age_ms: None,
    };
    if let Err(refusal) = validate::record(event, &rules) {
        let field = refusal.field.as_deref().unwrap_or_default();
        prop_assert!(refusal.message.starts_with(field) && !field.is_empty(), "{refusal:?}");
    }
    Ok(())
}

/// A record is read as it stands; else a property that nothing panics would show nothing.
#[test]
fn the_records_that_are_spoiled_here_are_good_before() {
    let whole = |fields: &[(&str, &str)]| {
        let members: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        format!("{{{}}}", members.join(","))
    };
    let (site, secret) = (site(), secret());
    let identifier = Identifier::new(&secret, &site);
    envelope::event(&whole(EVENT)).unwrap();
    let order = whole(ORDER);
    OrderState::read(&Record::from_json(&order).unwrap(), &site, &identifier, now()).unwrap();
    let event = whole(SERVER_EVENT);
    ServerEvent::read(&Record::from_json(&event).unwrap(), &identifier, now(), unsaid()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_event_of_a_batch_with_strange_values_is_read_or_refused_by_field((text, fields) in spoiled(EVENT)) {
        match envelope::event(&text) {
            Ok(event) => judged(event)?,
            Err(refusal) => prop_assert!(
                fields.iter().any(|field| refusal.message.starts_with(field)) || refusal.message.starts_with("the event"),
                "{fields:?}: {}", refusal.message
            ),
        }
    }

    #[test]
    fn an_order_with_strange_values_is_read_or_refused_by_field((text, _) in spoiled(ORDER)) {
        let (site, secret) = (site(), secret());
        let identifier = Identifier::new(&secret, &site);
        let read = Record::from_json(&text).and_then(|record| OrderState::read(&record, &site, &identifier, now()));
        if let Err(error) = &read {
            named(error)?;
        }
    }

    #[test]
    fn a_server_event_with_strange_values_is_read_or_refused_by_field((text, _) in spoiled(SERVER_EVENT)) {
        let (site, secret) = (site(), secret());
        let identifier = Identifier::new(&secret, &site);
        let read = Record::from_json(&text).and_then(|record| ServerEvent::read(&record, &identifier, now(), unsaid()).map(drop));
        if let Err(error) = &read {
            named(error)?;
        }
    }

    #[test]
    fn a_row_of_an_import_with_strange_cells_is_read_or_refused_by_field(
        kind in 0usize..3, cells in proptest::collection::vec("\\PC{0,12}|[0-9.:TZ-]{0,24}|\u{0}", 40),
    ) {
        let (site, secret) = (site(), secret());
        let (identifier, ids) = (Identifier::new(&secret, &site), ImportIds::new(&secret, 1));
        let columns: Vec<String> = match kind {
            0 => sessions::COLUMNS.iter().map(|name| (*name).to_owned()).collect(),
            1 => events::COLUMNS.iter().map(|name| (*name).to_owned()).collect(),
            _ => ORDER.iter().map(|(name, _)| (*name).to_owned()).collect(),
        };
        let record = Record::from_row(&columns, cells.iter().map(String::as_str));
        let read = match kind {
            0 => sessions::read(&record, &ids, now()).map(|events| events.into_iter().try_for_each(judged)),
            1 => {
                let known = HashMap::<Uuid, events::Known>::new();
                events::session(&record, &ids)
                    .and_then(|_| events::read(&record, &ids, &known, now()))
                    .map(judged)
            }
            _ => orders::read(&record, &site, &identifier, &ids, now()).map(|_| Ok(())),
        };
        match read {
            Ok(judged) => judged?,
            Err(error) => named(&error)?,
        }
    }

    #[test]
    fn an_envelope_of_any_bytes_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400), cut in 0usize..200, at in 0usize..200) {
        let whole = br#"{"schema":1,"batch_id":"019aa0f2-b000-7000-8000-000000000009","sent_at":1763640000000,"site":"shop","events":[{},1,"x"]}"#;
        let mut torn = whole[..whole.len() - cut.min(whole.len())].to_vec();
        let middle = at.min(torn.len());
        torn.splice(middle..middle, bytes.iter().copied().take(3));
        for body in [&bytes, &torn] {
            if let Ok(read) = envelope::read(body) {
                for raw in read.events {
                    let _ = envelope::event(raw.get());
                }
            }
            let _ = envelope::unzip(body);
        }
    }

    #[test]
    fn a_torn_or_changed_gzip_body_is_what_it_was_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..300), kept in 0usize..400, at in 0usize..400, bit in 0u8..8,
    ) {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, &bytes).unwrap();
        let mut zipped = encoder.finish().unwrap();
        prop_assert_eq!(envelope::unzip(&zipped).unwrap(), bytes.clone());
        zipped.truncate(kept.max(1));
        let at = at % zipped.len();
        zipped[at] ^= 1 << bit;
        match envelope::unzip(&zipped) {
            Ok(plain) => prop_assert_eq!(plain, bytes),
            Err(error) => prop_assert_eq!(error.status().0, 400),
        }
    }
}
