//! The hops of a test visit, in sentences.

use serde::Serialize;

use super::follow::{Arrival, Missing};
use super::visit::Health;

/// Every hop, in order.
pub const NAMES: [&str; 4] = ["worker", "page", "delivery", "report"];

/// One hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Hop {
    /// `worker`, `page`, `delivery`, `report`.
    pub hop: &'static str,
    /// It worked.
    pub ok: bool,
    /// Milliseconds that it took.
    pub took_ms: u64,
    /// Ukrainian sentence: what happened, and what helps.
    pub uk: String,
    /// English sentence.
    pub en: String,
}

/// Why the visit went wrong on its way to the shop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Nothing answered.
    NotReached,
    /// Its address is none of the public internet's, and was not connected to.
    Private,
    /// Something answered that is not our worker.
    NotOurs(u16),
    /// The worker cannot use its settings.
    Misconfigured(String),
    /// The worker works for another site.
    OtherSite(String),
}

/// What the shop's page answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// A page, and whether the worker set its cookies.
    Shown {
        /// The visitor was given an id.
        remembered: bool,
    },
    /// A status that is no page.
    Status(u16),
    /// Nothing.
    NotReached,
}

impl Page {
    /// Goes on only with a page.
    pub fn ok(self) -> Option<()> {
        matches!(self, Self::Shown { .. }).then_some(())
    }
}

fn hop(place: usize, ok: bool, took_ms: u64, uk: impl Into<String>, en: impl Into<String>) -> Hop {
    Hop {
        hop: NAMES[place],
        ok,
        took_ms,
        uk: uk.into(),
        en: en.into(),
    }
}

impl Hop {
    /// The worker says that it is there.
    pub fn worker(took_ms: u64, worker: Result<Health, Problem>) -> Self {
        match worker {
            Ok(health) => {
                let way = if health.delivery == "queue" {
                    ("чергу", "a queue")
                } else {
                    ("прямі запити", "direct requests")
                };
                hop(
                    0,
                    true,
                    took_ms,
                    format!(
                        "Воркер версії {} відповідає і надсилає події через {}.",
                        health.version, way.0
                    ),
                    format!(
                        "The worker, version {}, answers and sends events by {}.",
                        health.version, way.1
                    ),
                )
            }
            Err(Problem::NotReached) => hop(
                0,
                false,
                took_ms,
                "Адреса не відповідає. Перевірте адресу магазину та DNS.",
                "The address does not answer. Check the shop's address and its DNS.",
            ),
            Err(Problem::Private) => hop(
                0,
                false,
                took_ms,
                "Адреса магазину не публічна (цей комп’ютер або приватна мережа), тому перевірка до неї не звертається. Якщо магазин справді там, задайте UD_PRIVATE_SHOPS=true.",
                "The shop's address is not a public one (this machine or a private network), so the check does not connect to it. If the shop is really there, set UD_PRIVATE_SHOPS=true.",
            ),
            Err(Problem::NotOurs(status)) => hop(
                0,
                false,
                took_ms,
                format!("Адреса відповіла {status}, але не воркер: маршрут воркера в Cloudflare не охоплює її."),
                format!(
                    "The address answered {status}, but not the worker: the worker's route in Cloudflare does not cover it."
                ),
            ),
            Err(Problem::Misconfigured(reason)) => hop(
                0,
                false,
                took_ms,
                format!("Воркер працює, але не може прочитати налаштування розгортання: {reason}"),
                format!("The worker runs but cannot use the settings it was deployed with: {reason}"),
            ),
            Err(Problem::OtherSite(site)) => hop(
                0,
                false,
                took_ms,
                format!("Воркер працює для іншого сайту: {site}. Виправте site в UD_SETTINGS."),
                format!("The worker works for another site: {site}. Correct site in UD_SETTINGS."),
            ),
        }
    }

    /// The shop's page comes through the worker.
    pub fn page(took_ms: u64, page: Page) -> Self {
        match page {
            Page::Shown { remembered: true } => hop(
                1,
                true,
                took_ms,
                "Сторінка магазину прийшла через воркер, відвідувача запам’ятано.",
                "The shop's page came through the worker, and the visitor is remembered.",
            ),
            Page::Shown { remembered: false } => hop(
                1,
                true,
                took_ms,
                "Сторінка магазину прийшла через воркер без наших cookie: так буває без згоди або коли візит прийнято за машину.",
                "The shop's page came through the worker without cookies of ours: so it is without consent, or when the visit is taken for a machine's.",
            ),
            Page::Status(status) => hop(
                1,
                false,
                took_ms,
                format!(
                    "Магазин відповів {status} замість сторінки. Перевірте адресу або захист від ботів перед магазином."
                ),
                format!(
                    "The shop answered {status} instead of a page. Check the address, or the bot protection in front of the shop."
                ),
            ),
            Page::NotReached => hop(
                1,
                false,
                took_ms,
                "Магазин не відповів за 10 секунд.",
                "The shop did not answer within 10 seconds.",
            ),
        }
    }

    /// The event reaches the centre.
    pub fn delivery(took_ms: u64, arrived: &Result<Arrival, Missing>, before: &Health, after: Option<&Health>) -> Self {
        let counted = |name: &str| after.map_or(0, |after| after.counter(name)) > before.counter(name);
        match arrived {
            Ok(Arrival::Session | Arrival::Anonymous { .. }) => hop(
                2,
                true,
                took_ms,
                "Подія візиту прийшла й збережена.",
                "The visit's event arrived and is stored.",
            ),
            Err(Missing::Refused { code, message }) => hop(
                2,
                false,
                took_ms,
                format!("Подія прийшла, але її відхилено ({code}): {message}. Вона лежить серед відхилених."),
                format!("The event arrived but was refused ({code}): {message}. It lies among the dead letters."),
            ),
            Err(Missing::Database) => hop(
                2,
                false,
                took_ms,
                "База даних не відповідає.",
                "The database does not answer.",
            ),
            Err(Missing::Nothing) if counted("capture_failed") => hop(
                2,
                false,
                took_ms,
                "Воркер не зміг обробити візит; причина в його журналі.",
                "The worker failed to capture the visit; its log says why.",
            ),
            Err(Missing::Nothing) if counted("events_lost") || before.delivery != "queue" => hop(
                2,
                false,
                took_ms,
                "Подія не прийшла за 20 секунд: воркер не може надіслати її сюди. Перевірте UD_CENTRE_URL і UD_INGEST_KEY воркера.",
                "The event did not arrive within 20 seconds: the worker cannot send it here. Check the worker's UD_CENTRE_URL and UD_INGEST_KEY.",
            ),
            Err(Missing::Nothing) => hop(
                2,
                false,
                took_ms,
                "Подія не прийшла за 20 секунд: вона чекає в черзі або не створена. Перевірте споживача черги, UD_CENTRE_URL і UD_INGEST_KEY, виключені шляхи та налаштування ботів.",
                "The event did not arrive within 20 seconds: it waits in the queue, or was never made. Check the queue's consumer, UD_CENTRE_URL and UD_INGEST_KEY, excluded paths and the bots setting.",
            ),
        }
    }

    /// The visit can be seen by those who ask for reports.
    pub fn visible(took_ms: u64, visible: bool, arrived: &Arrival, followed: bool) -> Self {
        let (uk, en) = match arrived {
            _ if !visible => (
                "База для звітів іще не має цієї події: репліка відстає або не відповідає.",
                "The database for reports does not have the event yet: the replica lags or does not answer.",
            ),
            Arrival::Session => (
                "Сесія видна у звітах (з ботами: причина test) і не входить до жодного показника.",
                "The session can be seen in reports (with bots: reason test) and is in no figure.",
            ),
            Arrival::Anonymous { machine: true } => (
                "Візит пораховано як машинний: сервер стоїть у дата-центрі. Візити людей запам’ятовуються.",
                "The visit is counted as a machine's: this server stands in a data centre. People's visits are remembered.",
            ),
            Arrival::Anonymous { machine: false } => (
                "Візит пораховано без сесії: без згоди нікого не запам’ятовують, як і задано.",
                "The visit is counted without a session: without consent nobody is remembered, as is set.",
            ),
        };
        let late = (
            " Воркер ще не взяв останні налаштування панелі; він робить це щохвилини.",
            " The worker has not taken the panel's latest settings over yet; it does so every minute.",
        );
        let (uk_late, en_late) = if followed { ("", "") } else { late };
        hop(3, visible, took_ms, format!("{uk}{uk_late}"), format!("{en}{en_late}"))
    }
}
