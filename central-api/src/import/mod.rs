//! `central-api import`: history from files, so that an installation does not begin empty.
//!
//! Reading order: [`source`] (a file as rows, `csv_rows` where a row of CSV ends), [`ids`] (identifiers that a second run makes again),
//! [`sessions`], [`events`] and [`orders`] (a row of each kind as what the live paths take in), [`run`] (batches, progress, refused
//! rows), [`spend`] (reports of ad spend). Rows are stored by the
//! code that stores live events and orders, so an import cannot mean something else than they do.
//!
//! Two layouts are understood, told apart row by row: the one of `docs/import.md`, and the three tables of the Django module that
//! this product succeeds (`storefront_utmsession`, `storefront_useraction`, `orders_order`).

pub(crate) mod csv_rows;
pub mod events;
pub mod ids;
pub mod orders;
pub mod run;
pub mod sessions;
pub mod source;
pub mod spend;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A session a row.
    Sessions,
    /// An action a row.
    Events,
    /// A state of an order a row.
    Orders,
}

impl Kind {
    /// The name in the database and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Events => "events",
            Self::Orders => "orders",
        }
    }

    /// The columns of `docs/import.md`.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Sessions => &sessions::COLUMNS,
            Self::Events => &events::COLUMNS,
            Self::Orders => &crate::orders::state::FIELDS,
        }
    }

    /// A column that only the Django table of this kind has, and that is never empty there.
    pub const fn django_column(self) -> &'static str {
        match self {
            Self::Sessions => "session_key",
            Self::Events => "action_type",
            Self::Orders => "total_sum",
        }
    }
}
