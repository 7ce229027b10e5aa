//! "Is it working": a test visit through the deployed worker, followed hop by hop.

/// The source that marks a test visit. Its event is kept, taken for a bot's, and in no figure.
pub const TEST_SOURCE: &str = "ud-check";
