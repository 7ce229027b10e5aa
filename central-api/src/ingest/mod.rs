//! From a request's bytes to durable rows, in the order that a batch passes through:
//!
//! 1. [`admission`]: how much may be in flight, so that memory stays bounded and the caller is told to wait before it grows;
//! 2. [`envelope`]: bytes to JSON events, each with its own verdict;
//! 3. [`validate`]: an event to an [`record::EventRecord`], or the reason why not (pure);
//! 4. [`writer`]: gathers records across requests;
//! 5. [`transaction`]: one transaction for all of them, retried as a whole, bisected when a record is refused by the database;
//! 6. [`fold`]: the newly stored events as one change per session (pure).
//!
//! A 200 is given after the commit and covers events, sessions, rollup marks and dead letters alike.

pub mod admission;
pub mod envelope;
pub mod fold;
pub mod known_sessions;
pub mod record;
pub mod replay;
pub mod server_event;
pub mod transaction;
pub mod validate;
pub mod writer;

/// Says what each metric of ingest means.
pub fn describe_metrics() {
    metrics::describe_counter!(
        "ud_ingest_deliveries_total",
        "Requests with events that were answered 200"
    );
    metrics::describe_counter!("ud_ingest_accepted_total", "Events stored");
    metrics::describe_counter!("ud_ingest_duplicates_total", "Events that were stored before");
    metrics::describe_counter!("ud_ingest_rejected_total", "Events kept as dead letters, by code");
    metrics::describe_counter!(
        "ud_ingest_unavailable_total",
        "Requests answered 503 because the database was away"
    );
    metrics::describe_counter!(
        "ud_ingest_turned_away_total",
        "Requests answered 429 because too much was in flight"
    );
    metrics::describe_counter!(
        "ud_ingest_transaction_retries_total",
        "Transactions that failed and were tried again"
    );
    metrics::describe_histogram!(
        "ud_ingest_transaction_seconds",
        "Time of a transaction, commit included"
    );
    metrics::describe_histogram!("ud_ingest_transaction_events", "Events gathered in a transaction");
    metrics::describe_gauge!("ud_ingest_queue_deliveries", "Requests waiting for a writer");
    metrics::describe_gauge!("ud_ingest_in_flight_kib", "Body bytes in flight, in KiB");
    metrics::describe_counter!("ud_dead_letters_replayed_total", "Dead letters replayed, by outcome");
}
