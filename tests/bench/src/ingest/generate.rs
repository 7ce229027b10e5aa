//! Visits as a shop sees them: three to five events a session, a fifth of the sessions seen before, landings with touch and context,
//! the browser script's confirmation, twelve user agents.

use std::sync::Arc;

use central_api::devices::Devices;
use central_api::ingest::record::{EventRecord, Record};
use central_api::ingest::validate::{self, Rules};
use central_api::site::Site;
use chrono::Utc;
use serde_json::{Value, json};
use shared::attribution::Aliases;
use shared::event::{Batch, Event};
use shared::ids::uuid_v7;
use shared::signature;
use uuid::Uuid;

use super::http;
use super::server::Server;

/// Events in a batch.
pub const BATCH: usize = 500;

const USER_AGENTS: [&str; 12] = [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 361.0.0.35.82 (iPhone14,5; iOS 17_6; uk_UA; uk; scale=3.00; 1170x2532)",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 14; SM-S918B Build/UP1A.231005.007; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/131.0.6778.39 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/490.0.0.63.82;]",
    "Mozilla/5.0 (Linux; Android 13; SAMSUNG SM-A546B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "Mozilla/5.0 (iPad; CPU OS 16_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 12; M2101K6G) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 musical_ly_37.0.0 BytedanceWebview/d8a21c6",
];
const SOURCES: [(&str, &str); 6] = [
    ("facebook", "cpc"),
    ("google", "cpc"),
    ("Instagram", "paid_social"),
    ("tiktok", "cpc"),
    ("newsletter", "email"),
    ("google", "organic"),
];
const ACTIONS: [&str; 5] = ["page_view", "product_view", "add_to_cart", "initiate_checkout", "click"];
const CITIES: [&str; 6] = ["Kyiv", "Lviv", "Odesa", "Dnipro", "Kharkiv", "Warsaw"];

#[derive(Clone, Copy)]
struct Visit {
    visitor: Uuid,
    session: Uuid,
    started: i64,
}

/// Makes visits from a seed, never the same twice.
pub struct Generator {
    state: u64,
    ours: Arc<Site>,
    bare: Arc<Site>,
    devices: Devices,
    seen: Vec<Visit>,
}

impl Generator {
    /// For two sites: ours over HTTP, and the reference's.
    pub fn new(ours: Arc<Site>, bare: Arc<Site>) -> Self {
        Self {
            state: 0x9e37_79b9_7f4a_7c15,
            ours,
            bare,
            devices: Devices::default(),
            seen: Vec::new(),
        }
    }

    /// Signed requests of [`BATCH`] events each.
    pub fn requests(&mut self, batches: usize, server: &Server) -> Vec<Vec<u8>> {
        (0..batches)
            .map(|_| {
                let batch = Batch {
                    schema: shared::event::SCHEMA,
                    batch_id: self.id(Utc::now().timestamp_millis()),
                    sent_at: Utc::now().timestamp_millis(),
                    site: self.ours.key.clone(),
                    events: self.events(),
                };
                let body = serde_json::to_vec(&batch).unwrap_or_default();
                let header = signature::sign(&server.key_id, server.key.as_bytes(), Utc::now().timestamp(), &body);
                http::post("/ingest/v1/events", &[(signature::HEADER, &header)], &body)
            })
            .collect()
    }

    /// Records of [`BATCH`] events each, as the product would store them.
    pub fn records(&mut self, batches: usize) -> Vec<Vec<EventRecord>> {
        (0..batches)
            .map(|_| {
                let events = self.events();
                let aliases = Aliases::default();
                let rules = Rules {
                    site: &self.bare,
                    aliases: &aliases,
                    devices: &self.devices,
                    now_ms: Utc::now().timestamp_millis(),
                    max_age_ms: None,
                };
                let mut records: Vec<EventRecord> = events
                    .into_iter()
                    .filter_map(|event| match validate::record(event, &rules) {
                        Ok(Record::Event(event)) => Some(*event),
                        _ => None,
                    })
                    .collect();
                records.sort_by_key(|event| (event.site_id, event.visitor_id, event.event_id));
                records
            })
            .collect()
    }

    /// Requests with one server-side event each, of sessions that were seen.
    pub fn single_requests(&self, server: &Server) -> Vec<Vec<u8>> {
        self.seen
            .iter()
            .rev()
            .take(20_000)
            .map(|visit| {
                let body = json!({
                    "action": "add_to_cart", "session_id": visit.session, "visitor_id": visit.visitor, "product_id": "sku-1029", "quantity": 1, "value": "1299.50",
                });
                http::post("/api/v1/events", &[("authorization", &format!("Bearer {}", server.token))], body.to_string().as_bytes())
            })
            .collect()
    }

    /// xorshift64*: the same every run.
    fn random(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.random() % n as u64) as usize
    }

    fn id(&mut self, ms: i64) -> Uuid {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.random().to_be_bytes());
        random[8..].copy_from_slice(&self.random().to_be_bytes()[..2]);
        uuid_v7(ms, random)
    }

    fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::with_capacity(BATCH + 5);
        let now = Utc::now().timestamp_millis();
        while events.len() < BATCH {
            let known = !self.seen.is_empty() && self.below(5) == 0;
            let visit = if known {
                let at = self.seen.len() - 1 - self.below(self.seen.len().min(50_000));
                self.seen[at]
            } else {
                let started = now - 60_000 - self.below(600_000) as i64;
                let visit = Visit {
                    visitor: self.id(started),
                    session: self.id(started),
                    started,
                };
                self.seen.push(visit);
                visit
            };
            let count = (3 + self.below(3)).min(BATCH - events.len());
            for n in 0..count {
                let at = if known {
                    now - self.below(30_000) as i64
                } else {
                    visit.started + (n as i64) * 9_000
                };
                events.push(self.event(visit, at, n, known));
            }
        }
        events
    }

    fn event(&mut self, visit: Visit, at: i64, n: usize, known: bool) -> Event {
        let mut event = json!({
            "id": self.id(at), "at": at, "action": ACTIONS[n],
            "origin": if n == 0 { "edge" } else { "script" }, "visitor": visit.visitor,
            "session": {"id": visit.session, "started": visit.started, "visit": if known { 2 } else { 1 }},
            "path": format!("/catalog/category-{}/product-{}", self.below(40), self.below(5_000)),
        });
        if n > 0 {
            event["human"] = json!(true);
        }
        if n == 1 || n == 2 {
            event["product"] = json!(format!("sku-{}", self.below(5_000)));
            event["value"] = json!(format!("{}.50", self.below(3_000)));
        }
        if n == 0 && !known {
            let (source, medium) = SOURCES[self.below(SOURCES.len())];
            event["touch"] = json!({
                "utm_source": source, "utm_medium": medium, "utm_campaign": format!("autumn_sale_{}", self.below(30)),
                "utm_content": format!("creative_{}", self.below(100)), "landing_host": "shop.example", "landing_path": "/catalog/jackets",
                "click_ids": {"gclid": format!("Cj0KCQiA{:016x}{:016x}EALw_wcB", self.random(), self.random())},
            });
            event["context"] = self.context();
        }
        serde_json::from_value(event)
            .unwrap_or_else(|error| unreachable!("the generator writes the wire schema: {error}"))
    }

    fn context(&mut self) -> Value {
        json!({
            "user_agent": USER_AGENTS[self.below(USER_AGENTS.len())], "language": "uk-UA", "country": "UA", "region": "Kyiv City",
            "city": CITIES[self.below(CITIES.len())], "time_zone": "Europe/Kyiv", "continent": "EU", "asn": 15_895,
            "as_organization": "Kyivstar", "ip": format!("93.73.{}.0", self.below(256)), "ip_hash": format!("{:016x}", self.random()),
        })
    }
}
