//! Every cap that the edge and the centre both enforce. Lengths of text are counted in characters unless said otherwise.

/// Events in one signed batch.
pub const MAX_BATCH_EVENTS: usize = 1_000;
/// Bytes of a batch body, after decompression.
pub const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of one event as JSON on the wire; one event must also fit a queue message (128,000 bytes) with room to spare.
pub const MAX_EVENT_BYTES: usize = 32 * 1024;
/// A UTM value, a referrer host, a name: cut here, on a character boundary.
pub const MAX_UTM_CHARS: usize = 255;
/// A click id longer than this is dropped, never cut: a cut id is useless to the platform that issued it.
pub const MAX_CLICK_ID_CHARS: usize = 1_024;
/// Click ids on one touch.
pub const MAX_CLICK_IDS: usize = 32;
/// A path (landing, page, referrer) is cut here.
pub const MAX_PATH_CHARS: usize = 1_024;
/// A raw user agent is cut here.
pub const MAX_USER_AGENT_CHARS: usize = 512;
/// Free properties of an event: number of keys, and bytes of the object as JSON.
pub const MAX_PROPS: usize = 32;
/// See [`MAX_PROPS`].
pub const MAX_PROPS_BYTES: usize = 4 * 1024;
/// A signature older or newer than this, in seconds, is refused.
pub const SIGNATURE_TOLERANCE_SECONDS: i64 = 300;
/// An event's time may lie this far ahead of the centre's clock, in milliseconds; beyond it the event is rejected.
pub const MAX_CLOCK_AHEAD_MS: i64 = 10 * 60 * 1000;
/// An event's time may lie this far back when it arrives over the ingest endpoint, in milliseconds (35 days: longer than
/// any queue keeps a message). Older history comes in by `central-api import`.
pub const MAX_EVENT_AGE_MS: i64 = 35 * 24 * 60 * 60 * 1000;
/// Idle time after which the next event of a session is a new visit, in milliseconds.
pub const VISIT_IDLE_MS: i64 = 30 * 60 * 1000;
/// Life of a session, in milliseconds; a site setting may change it.
pub const DEFAULT_SESSION_LIFE_MS: i64 = 14 * 24 * 60 * 60 * 1000;
/// Life of the visitor cookie, in seconds: what browsers allow at most (400 days, draft-ietf-httpbis-rfc6265bis §5.5).
pub const VISITOR_COOKIE_SECONDS: i64 = 34_560_000;
