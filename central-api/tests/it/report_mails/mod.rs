//! Reports by e-mail: schedules over the API, slots, recipients' states, unsubscribing and previews. Mails go into files here; the SMTP
//! server, and the comparison of every figure, are in tests/e2e.

mod preview;
mod recipients;
mod schedules;
mod slots;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use central_api::clock::Clock;
use central_api::config::{Config, MailTransport};
use central_api::mail::run;
use central_api::site::Site;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::TestApp;

/// Monday of the shop's data, 10:00 in Kyiv.
const MONDAY: &str = "2026-11-16T08:00:00Z";

struct Office {
    app: TestApp,
    site: Arc<Site>,
    time: Arc<Mutex<DateTime<Utc>>>,
    folder: PathBuf,
}

impl Office {
    async fn open(now: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("ud-mails-{:x}", rand::random::<u64>()));
        let mails = folder.clone();
        Self::with(now, folder, move |config| {
            config.mail_transport = MailTransport::File;
            config.mail_dir = Some(mails);
            config.public_url = Some("https://utm.shop.example".parse().unwrap());
        })
        .await
    }

    async fn with(now: &str, folder: PathBuf, change: impl FnOnce(&mut Config)) -> Self {
        let time = Arc::new(Mutex::new(now.parse::<DateTime<Utc>>().unwrap()));
        let shared = time.clone();
        let app = TestApp::start_configured(Clock::from_fn(move || *shared.lock().unwrap()), change).await;
        let site = app.site("shop").await;
        Self {
            app,
            site,
            time,
            folder,
        }
    }

    fn set(&self, now: &str) {
        *self.time.lock().unwrap() = now.parse().unwrap();
    }

    fn later(&self, by: TimeDelta) {
        *self.time.lock().unwrap() += by;
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        // A login of its own: the tests skip weeks, and logins end.
        let admin = self.app.admin().await;
        let mut request = admin.request(method, self.app.url(path));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    async fn schedule(&self, body: Value) -> i64 {
        let (status, made) = self
            .send(reqwest::Method::POST, "/api/v1/report-schedules", Some(body))
            .await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_i64().unwrap()
    }

    async fn runs(&self) -> Vec<Value> {
        let (status, runs) = self.send(reqwest::Method::GET, "/api/v1/report-runs", None).await;
        assert_eq!(status, 200, "{runs}");
        runs.as_array().unwrap().clone()
    }

    /// What the background loop does once.
    async fn tick(&self) {
        run::claim_due(&self.app.state, self.app.state.clock.now())
            .await
            .unwrap();
        run::deliver_due(&self.app.state).await.unwrap();
    }

    fn mails(&self) -> Vec<String> {
        let Ok(files) = std::fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        files
            .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
            .collect()
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn weekly() -> Value {
    json!({"frequency": "weekly", "recipients": ["ann@shop.example", "bob@shop.example"], "format": "text"})
}
