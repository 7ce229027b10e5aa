//! The shop's sessions, events and orders as rows of the tables, in the order of the columns named here.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate};
use chrono_tz::Tz;
use shared::action::Action;
use shared::event::{Consent, Origin};
use shared::limits::VISIT_IDLE_MS;

use super::EventStream;
use super::basket::Basket;
use super::shop::{CAMPAIGNS, CONTENT, DEVICES, PLACES, SOURCES};
use super::story::{Chapter, DAY_MS, DemoOrder, DemoSession, Happening, Status};
use crate::db::copy::Rows;

pub(super) const EVENTS: &str = "site_id, visitor_id, event_id, minted_at, session_id, occurred_at, action, origin, visit_no, \
     bot_reason, human, points, value, path, product_id, order_id";
const EVENT_COLUMNS: i16 = 16;

pub(super) const COPY_SESSIONS: &str = "copy sessions (site_id, visitor_id, session_id, first_seen, last_seen, visit_count, active, event_count, \
     page_views, points, product_view_at, add_to_cart_at, checkout_at, lead_at, purchase_at, registered_at, bot_reason, human_seen, consent, \
     orders, lead_orders, paid_orders, revenue, touch_at, touch_event, utm_source, utm_medium, utm_campaign, utm_content, channel, inferred, \
     click_platform, referrer_host, landing_host, landing_path, context_detail, context_at, context_event, device_type, device_brand, \
     device_model, os_name, os_version, browser_name, browser_version, in_app, language, country, region, city, time_zone, continent, \
     event_revenue, lead_events, purchase_events, valued_purchase_events) \
     from stdin (format binary)";
const SESSION_COLUMNS: i16 = 56;

pub(super) const COPY_ORDERS: &str = "copy orders (site_id, order_id, order_number, visitor_id, session_id, link_method, unlinked_cause, \
     customer_hash, email_hash, phone_hash, currency, rate, total, discount, refunded, revenue, items, extra, payment_method, payment_status, sales_channel, created_at, paid_at, refunded_at, \
     updated_at, session_first_seen, utm_source, utm_medium, utm_campaign, utm_content, channel, country, city, device_type, browser_name, \
     os_name, landing_path) from stdin (format binary)";
const ORDER_COLUMNS: i16 = 37;

pub(super) const COPY_SPEND: &str = "copy ad_spend (site_id, day, utm_source, utm_medium, utm_campaign, utm_content, currency, channel, amount, \
     clicks, impressions) from stdin (format binary)";
const SPEND_COLUMNS: i16 = 11;

const HOST: &str = "demo-shop.example";

fn path(landing: Option<usize>) -> String {
    landing.map_or_else(|| "/".to_owned(), |product| format!("/product/{product}"))
}

/// What stands for a keyed hash of a customer's id (0), e-mail (1) or phone (2): the same for the same customer, nobody's real one.
pub(super) fn contact(kind: u8, customer: u64) -> [u8; 16] {
    let mut hash = [kind; 16];
    hash[..8].copy_from_slice(
        &(customer ^ u64::from(kind))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .to_be_bytes(),
    );
    hash[8..15].copy_from_slice(&customer.to_be_bytes()[1..]);
    hash
}

/// Sessions that a click of an ad brought, by local day, source, campaign and content.
pub(super) type PaidSessions = BTreeMap<(NaiveDate, usize, usize, usize), i64>;

/// Appends the day's cost of each ad. Platforms count some more clicks than arrive, and some campaigns are dearer than others.
pub(super) fn write_spend(site_id: i32, paid: &PaidSessions, rows: &mut Rows) {
    for ((day, source, campaign, content), sessions) in paid {
        let source = &SOURCES[*source];
        let Some(cents) = source.click_cents() else { continue };
        let clicks = sessions + (sessions + 5) / 12;
        let dearer = 75 + (campaign * 37 % 60) as i64;
        rows.row(SPEND_COLUMNS)
            .i32(site_id)
            .date(*day)
            .text(source.source.unwrap_or_default())
            .text(source.medium.unwrap_or_default())
            .text(CAMPAIGNS[*campaign])
            .text(CONTENT[*content])
            .text("UAH")
            .text(source.channel.name())
            .cents(clicks * cents * dearer / 100)
            .i64(clicks)
            .i64(clicks * (60 + (content * 13) as i64));
    }
}

impl Chapter {
    /// Counts the session, if an ad brought it.
    pub(super) fn count_paid(&self, zone: Tz, paid: &mut PaidSessions) {
        let session = &self.session;
        let Some((campaign, content)) = session.campaign else {
            return;
        };
        if SOURCES[session.source].click_cents().is_none() {
            return;
        }
        if let Some(at) = DateTime::from_timestamp_millis(session.first_seen()) {
            let day = at.with_timezone(&zone).date_naive();
            *paid.entry((day, session.source, campaign, content)).or_default() += 1;
        }
    }

    /// Appends its rows to those of events (each to the stream of its time), sessions and orders.
    pub(super) fn write(&self, events: &mut [EventStream], sessions: &mut Rows, orders: &mut Rows) {
        let session = &self.session;
        for event in &session.events {
            // Those of the first month are the first, whatever the time.
            let place = events.partition_point(|stream| stream.from <= event.at).max(1) - 1;
            session.write_event(self.site_id, event, &mut events[place].stream.rows);
        }
        let (own, strange): (Vec<_>, Vec<_>) = self
            .orders
            .iter()
            .partition(|order| order.customer == session.visitor.customer);
        session.write(self.site_id, &own, sessions);
        for order in own {
            order.write(self.site_id, Some(session), orders);
        }
        for order in strange {
            order.write(self.site_id, None, orders);
        }
    }
}

impl DemoSession {
    fn write_event(&self, site_id: i32, event: &Happening, rows: &mut Rows) {
        rows.row(EVENT_COLUMNS)
            .i32(site_id)
            .uuid(self.visitor.id)
            .uuid(event.id)
            .time(event.at)
            .uuid(self.id)
            .time(event.at);
        rows.i16(event.action.code()).i16(
            if event.action == Action::PageView {
                Origin::Edge
            } else {
                Origin::Script
            }
            .code(),
        );
        rows.i16(event.visit)
            .optional(self.bot.then_some(1), Rows::i16)
            .bool(!self.bot && event.action != Action::PageView);
        rows.i32(event.points).optional(event.value, Rows::cents);
        rows.text(
            &event
                .product
                .map_or_else(|| path(self.landing), |product| format!("/product/{product}")),
        );
        rows.optional(event.product, |rows, product| rows.text(&format!("p{product}")));
        rows.optional(event.order, |rows, order| rows.text(&format!("demo-{order}")));
    }

    fn first(&self, action: Action) -> Option<i64> {
        self.events.iter().filter(|e| e.action == action).map(|e| e.at).min()
    }

    fn first_seen(&self) -> i64 {
        self.events.first().map_or(0, |e| e.at)
    }

    fn write(&self, site_id: i32, orders: &[&DemoOrder], rows: &mut Rows) {
        let Some(first) = self.events.first() else { return };
        let source = &SOURCES[self.source];
        let device = &DEVICES[self.visitor.device];
        let place = &PLACES[self.visitor.place];
        let mut active: Vec<(i64, i64)> = Vec::new();
        for event in &self.events {
            match active.last_mut() {
                Some(last) if event.at <= last.1 => last.1 = event.at + VISIT_IDLE_MS,
                _ => active.push((event.at, event.at + VISIT_IDLE_MS)),
            }
        }
        let count = |status: &[Status]| orders.iter().filter(|o| status.contains(&o.status)).count() as i32;
        rows.row(SESSION_COLUMNS)
            .i32(site_id)
            .uuid(self.visitor.id)
            .uuid(self.id)
            .time(first.at);
        rows.time(self.events.iter().map(|e| e.at).max().unwrap_or(first.at));
        rows.i16(self.events.iter().map(|e| e.visit).max().unwrap_or(1))
            .multirange(&active)
            .i32(self.events.len() as i32);
        rows.i32(self.events.iter().filter(|e| e.action == Action::PageView).count() as i32)
            .i32(self.events.iter().map(|e| e.points).sum());
        for action in [
            Action::ProductView,
            Action::AddToCart,
            Action::InitiateCheckout,
            Action::Lead,
            Action::Purchase,
            Action::SignUp,
        ] {
            rows.optional(self.first(action), Rows::time);
        }
        rows.optional(self.bot.then_some(1), Rows::i16)
            .bool(self.events.len() > 1)
            .i16(Consent::Granted.code());
        rows.i32(orders.len() as i32)
            .i32(count(&[Status::Prepaid]))
            .i32(count(&[Status::Paid, Status::PartiallyRefunded]));
        rows.cents(orders.iter().map(|o| o.revenue()).sum())
            .time(first.at)
            .uuid(first.id);
        rows.optional(source.source, Rows::text)
            .optional(source.medium, Rows::text);
        rows.optional(self.campaign, |rows, (campaign, _)| rows.text(CAMPAIGNS[campaign]));
        rows.optional(self.campaign, |rows, (_, content)| rows.text(CONTENT[content]));
        rows.text(source.channel.name())
            .bool(source.source.is_some() && !source.campaigns);
        rows.optional(source.click_platform, Rows::text)
            .optional(source.referrer, Rows::text)
            .text(HOST)
            .text(&path(self.landing));
        rows.i16(0)
            .time(first.at)
            .uuid(first.id)
            .text(device.kind)
            .optional(device.brand, Rows::text)
            .optional(device.model, Rows::text);
        rows.text(device.os)
            .text(device.os_version)
            .text(device.browser)
            .text(device.browser_version)
            .optional(device.in_app, Rows::text);
        rows.text(place.language)
            .text(place.country)
            .text(place.region)
            .text(place.city)
            .text(place.time_zone)
            .text(place.continent);
        let of = |action| self.events.iter().filter(move |e| e.action == action);
        let values = || of(Action::Purchase).filter_map(|e| e.value);
        rows.cents(values().sum())
            .i32(of(Action::Lead).count() as i32)
            .i32(of(Action::Purchase).count() as i32)
            .i32(values().count() as i32);
    }
}

impl DemoOrder {
    fn write(&self, site_id: i32, session: Option<&DemoSession>, rows: &mut Rows) {
        let number = format!("demo-{}", self.number);
        let basket = Basket::of(self);
        rows.row(ORDER_COLUMNS).i32(site_id).text(&number).text(&number);
        rows.optional(session.map(|s| s.visitor.id), Rows::uuid)
            .optional(session.map(|s| s.id), Rows::uuid);
        rows.optional(session.map(|_| "session"), Rows::text)
            .optional(session.is_none().then_some("unknown_contact"), Rows::text);
        // Two in five have an account; most leave an e-mail, everybody a phone.
        let of = |kind, share| (self.customer % 20 < share).then(|| contact(kind, self.customer));
        rows.optional(of(0, 8), |rows, hash| rows.bytes(&hash))
            .optional(of(1, 17), |rows, hash| rows.bytes(&hash))
            .optional(of(2, 20), |rows, hash| rows.bytes(&hash))
            .text("UAH")
            .cents(100)
            .cents(self.cents)
            .cents(basket.discount)
            .cents(self.refunded)
            .cents(self.revenue())
            .json(&basket.items)
            .json(&basket.extra);
        rows.text(self.payment)
            .text(self.status.name())
            .text(if session.is_some() { "direct_order" } else { "phone" })
            .time(self.at);
        rows.optional(
            (!matches!(self.status, Status::Unpaid | Status::Prepaid | Status::Cancelled)).then_some(self.at + 60_000),
            Rows::time,
        );
        rows.optional((self.refunded > 0).then_some(self.at + 3 * DAY_MS), Rows::time)
            .time(self.at + 60_000);
        let touch = session.map(|s| &SOURCES[s.source]);
        rows.optional(session.map(DemoSession::first_seen), Rows::time);
        rows.optional(touch.and_then(|t| t.source), Rows::text)
            .optional(touch.and_then(|t| t.medium), Rows::text);
        let campaign = session.and_then(|s| s.campaign);
        rows.optional(campaign.map(|(campaign, _)| CAMPAIGNS[campaign]), Rows::text);
        rows.optional(campaign.map(|(_, content)| CONTENT[content]), Rows::text)
            .optional(touch.map(|t| t.channel.name()), Rows::text);
        let (place, device) = (
            session.map(|s| &PLACES[s.visitor.place]),
            session.map(|s| &DEVICES[s.visitor.device]),
        );
        rows.optional(place.map(|p| p.country), Rows::text)
            .optional(place.map(|p| p.city), Rows::text);
        rows.optional(device.map(|d| d.kind), Rows::text)
            .optional(device.map(|d| d.browser), Rows::text);
        rows.optional(device.map(|d| d.os), Rows::text)
            .optional(session.map(|s| path(s.landing)), |rows, path| rows.text(&path));
    }
}
