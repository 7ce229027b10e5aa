//! For operators: is it alive, can it serve, how is it doing.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;

use crate::auth::token;
use crate::database;
use crate::error::ApiError;
use crate::extract::Json;
use crate::state::AppState;
use crate::telemetry;

/// Longest wait for the database to say that it lives.
const PATIENCE: Duration = Duration::from_secs(2);

/// The process is alive.
#[utoipa::path(get, path = "/healthz", tag = "operations", responses((status = 200, description = "alive")))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether requests can be answered, and if not, why.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Readiness {
    /// Every check passed.
    ready: bool,
    /// What stands in the way, a sentence each.
    problems: Vec<&'static str>,
    /// What somebody should know and does not stand in the way.
    notices: Vec<&'static str>,
}

/// Requests can be answered: the database answers, takes writes and is up to date, and this process is not going down.
#[utoipa::path(get, path = "/readyz", tag = "operations", responses(
    (status = 200, description = "ready", body = Readiness),
    (status = 503, description = "not ready; problems says why", body = Readiness),
))]
pub async fn readyz(State(state): State<AppState>) -> (StatusCode, Json<Readiness>) {
    let (mut problems, mut notices) = (Vec::new(), Vec::new());
    if state.shutting_down.load(Ordering::Relaxed) {
        problems.push("this process is shutting down");
    }
    if let Some(cluster) = &state.cluster
        && !cluster.is_alive().await
    {
        problems.push("the embedded Postgres does not run; it is being started again");
    }
    let looked = async {
        Ok::<_, sqlx::Error>((
            database::schema_gap(&state.pool).await?,
            database::refuses_writes(&state.pool).await?,
        ))
    };
    match tokio::time::timeout(PATIENCE, looked).await {
        Ok(Ok((gap, refuses_writes))) => {
            if refuses_writes {
                problems.push("the database takes no writes: it is a standby, or set to be read only");
            }
            if !gap.missing.is_empty() {
                problems.push("the database lacks migrations; run `central-api migrate`");
            }
            // Not a problem: while processes are replaced one by one, the old ones must go on.
            if !gap.unknown.is_empty() {
                notices.push("the database's schema is newer than this program; update this program");
            }
        }
        Ok(Err(_)) | Err(_) => problems.push("the database does not answer"),
    }
    let ready = problems.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(Readiness {
            ready,
            problems,
            notices,
        }),
    )
}

/// Metrics in Prometheus' text format. With `UD_METRICS_TOKEN` for whoever sends it; else for callers on this machine.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses(
    (status = 200, description = "Prometheus text format", content_type = "text/plain"),
    (status = 403, description = "not from here", body = crate::error::ErrorBody),
))]
pub async fn metrics(
    State(state): State<AppState>,
    peer: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ApiError> {
    match &state.config.metrics_token {
        Some(wanted) => {
            let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            let sent = sent.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
            // Digests are compared, so that the time taken tells nothing about the token.
            if token::digest(sent) != token::digest(wanted.expose()) {
                return Err(ApiError::Forbidden("send Authorization: Bearer with UD_METRICS_TOKEN"));
            }
        }
        None => {
            let local = peer.is_some_and(|peer| is_this_machine(peer.0.0.ip()));
            let proxied = ["forwarded", "x-forwarded-for", "x-real-ip", "cf-connecting-ip", "via"]
                .iter()
                .any(|name| headers.contains_key(*name));
            if !local || proxied {
                return Err(ApiError::Forbidden(
                    "metrics are for callers on this machine; set UD_METRICS_TOKEN to ask from elsewhere",
                ));
            }
        }
    }
    for (name, pool) in [("write", &state.pool), ("read", &state.read_pool)] {
        let idle = pool.num_idle();
        let used = (pool.size() as usize).saturating_sub(idle);
        metrics::gauge!("ud_pool_connections", "pool" => name, "state" => "idle").set(idle as f64);
        metrics::gauge!("ud_pool_connections", "pool" => name, "state" => "used").set(used as f64);
    }
    if let Some(bytes) = telemetry::resident_bytes() {
        metrics::gauge!("process_resident_memory_bytes").set(bytes as f64);
    }
    let text = telemetry::metrics().render();
    Ok((
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    ))
}

/// A server that listens on `[::]` sees callers by IPv4 as IPv6 addresses that hold the IPv4 one.
fn is_this_machine(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_either_protocol_and_by_one_inside_the_other() {
        for (peer, local) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("192.0.2.1", false),
            ("::ffff:192.0.2.1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_this_machine(peer.parse().unwrap()), local, "{peer}");
        }
    }
}
