//! Logs, metrics and request ids. Never in any of them: query strings, bodies, addresses, tokens.

use std::fmt::Write;
use std::sync::OnceLock;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::Response;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::Instrument;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::ChronoUtc;

use crate::config::{Config, LogFormat};

/// A request's id, as it comes in and goes out.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over from a caller.
const MAX_REQUEST_ID: usize = 64;
/// Upper bounds of the latency histogram, in seconds.
const LATENCY_SECONDS: [f64; 8] = [0.001, 0.005, 0.02, 0.1, 0.3, 1.0, 5.0, 30.0];
/// A request slower than this is worth a line whatever the level.
const SLOW_SECONDS: f64 = 5.0;

/// The id of the request at hand; in the extensions of every request.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// What a command logs. It says itself how long it takes; a page of SQL for each slow statement would hide that from whoever waits.
const OF_COMMANDS: &str = "warn,sqlx::query=error";

/// Starts logging to standard error: as configured when serving, else only what went wrong, for people.
///
/// # Errors
/// When the directives cannot be read, or logging was started before.
pub fn start_logging(config: &Config, serving: bool) -> anyhow::Result<()> {
    let filter = filter(if serving { config.log.as_str() } else { OF_COMMANDS })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Whoever read our log may be gone; complaining about that on the same pipe would end the request.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    let started = match config.log_format {
        LogFormat::Json if serving => lines
            .json()
            .with_timer(ChronoUtc::rfc_3339())
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .try_init(),
        _ => lines.with_timer(ChronoUtc::rfc_3339()).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("starting the log: {error}"))
}

/// What is logged, by the directives of `UD_LOG`. tower-http says the paths of requests at the level trace, and a path can hold the token
/// with which somebody unsubscribes, or a session's id.
fn filter(directives: &str) -> anyhow::Result<EnvFilter> {
    let filter = EnvFilter::try_new(directives).map_err(|error| anyhow::anyhow!("UD_LOG: {error}"))?;
    Ok(filter.add_directive("tower_http::csrf=info".parse()?))
}

/// The process's metrics; started by the first call.
pub fn metrics() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        #[expect(clippy::expect_used, reason = "the bounds are a constant that is not empty")]
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &LATENCY_SECONDS)
            .expect("there are bounds")
            .build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::error!("another metrics recorder was there first; /metrics stays empty");
        }
        describe();
        handle
    })
}

fn describe() {
    metrics::describe_histogram!(
        "ud_http_request_seconds",
        "Time until the answer's head, by route, method and status"
    );
    metrics::describe_gauge!("ud_http_requests_in_flight", "Requests being answered");
    for (name, description) in [
        ("ud_logins_total", "Logins by outcome"),
        (
            "ud_orders_accepted_total",
            "Orders stored, or already there in this state or a later one",
        ),
        ("ud_orders_rejected_total", "Orders kept as dead letters"),
        (
            "ud_orders_relinked_total",
            "Orders whose link changed when they were looked at again",
        ),
        (
            "ud_jobs_total",
            "Jobs that ran, by name and whether they did what they should",
        ),
        (
            "ud_background_panics_total",
            "Background work that panicked: a fault of the program; its next run came all the same",
        ),
        ("ud_reports_not_modified_total", "Figures answered with 304"),
        (
            "ud_reports_shared_total",
            "Figures that were being computed for somebody else already",
        ),
    ] {
        metrics::describe_counter!(name, description);
    }
    metrics::describe_gauge!("ud_pool_connections", "Connections to the database by pool and state");
    crate::ingest::describe_metrics();
    crate::mail::run::describe_metrics();
    metrics::describe_gauge!("process_resident_memory_bytes", "Resident memory");
}

/// Resident memory of this process in bytes, where the system tells.
pub fn resident_bytes() -> Option<u64> {
    let pages: u64 = std::fs::read_to_string("/proc/self/statm")
        .ok()?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

/// Gives a request that `answer` answers its id, its span, its line in the log and its place in the metrics.
pub async fn observe<F: Future<Output = Response>>(
    mut request: Request,
    answer: impl FnOnce(Request) -> F,
) -> Response {
    let id = request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| is_request_id(id))
        .map_or_else(new_request_id, str::to_owned);
    let header = HeaderValue::from_str(&id);
    let method = known(request.method());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!("request", request_id = id, method, route);
    request.extensions_mut().insert(RequestId(id));

    let started = Instant::now();
    let in_flight = InFlight::enter();
    let mut response = answer(request).instrument(span.clone()).await;
    drop(in_flight);
    let seconds = started.elapsed().as_secs_f64();
    let status = response.status();
    let _in_span = span.enter();
    let elapsed_ms = (seconds * 1_000.0).round();
    if status.is_server_error() {
        tracing::warn!(status = status.as_u16(), elapsed_ms, "answered with an error");
    } else if seconds > SLOW_SECONDS {
        tracing::warn!(status = status.as_u16(), elapsed_ms, "answered slowly");
    } else {
        tracing::debug!(status = status.as_u16(), elapsed_ms, "answered");
    }
    metrics::histogram!("ud_http_request_seconds", "route" => route, "method" => method, "status" => status.as_str().to_owned())
        .record(seconds);
    if let Ok(header) = header {
        response.headers_mut().insert(REQUEST_ID, header);
    }
    response
}

/// Counts a request while it lives, also one whose caller goes away.
struct InFlight;

impl InFlight {
    fn enter() -> Self {
        metrics::gauge!("ud_http_requests_in_flight").increment(1.0);
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        metrics::gauge!("ud_http_requests_in_flight").decrement(1.0);
    }
}

/// What a caller may name a request: it goes into logs and headers, so nothing that means something there.
fn is_request_id(text: &str) -> bool {
    (1..=MAX_REQUEST_ID).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn new_request_id() -> String {
    let mut id = String::with_capacity(32);
    let _ = write!(id, "{:032x}", rand::random::<u128>());
    id
}

/// Methods as labels: a caller cannot make up new ones.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is logged of some events by these directives.
    fn logged(directives: &str, events: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Log(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
        impl std::io::Write for Log {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let log = Log::default();
        let writer = log.clone();
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter(directives).unwrap())
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(lines.finish(), events);
        let bytes = log.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn no_level_logs_the_paths_of_requests() {
        for directives in ["trace", "tower_http=trace,info"] {
            let log = logged(directives, || {
                tracing::trace!(target: "tower_http::csrf::service", uri = "/unsubscribe/1/token", "request passed");
                tracing::trace!(target: "tower_http::other", "heard");
            });
            assert!(log.contains("heard") && !log.contains("token"), "{directives}: {log}");
        }
    }

    #[test]
    fn a_command_says_what_went_wrong_and_no_slow_statement() {
        let log = logged(OF_COMMANDS, || {
            // As sqlx says it.
            tracing::warn!(target: "sqlx::query", statement = "select everything", "slow statement");
            tracing::warn!(target: "sqlx::pool", "no connection");
            tracing::warn!("heard");
        });
        assert!(
            log.contains("heard") && log.contains("no connection") && !log.contains("select"),
            "{log}"
        );
    }

    #[test]
    fn an_id_that_could_mean_something_elsewhere_is_not_taken_over() {
        for good in ["a", "0198c0de-7a1b-7c3d", "8f3.A_b", &"x".repeat(64)] {
            assert!(is_request_id(good), "{good}");
        }
        for bad in ["", "a b", "a\n", "a\"", "é", "a;b", &"x".repeat(65)] {
            assert!(!is_request_id(bad), "{bad}");
        }
        assert!(is_request_id(&new_request_id()));
        assert_ne!(new_request_id(), new_request_id());
    }
}
