//! How a figure changed.

use serde::Serialize;
use utoipa::ToSchema;

use super::figure::Figure;

/// Change from the previous period to the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Change {
    /// Current less previous, in the figure's unit (percentage points for a percentage).
    pub absolute: Figure,
    /// In percent of the previous figure; null where that is 0 or unknown.
    pub percent: Figure,
}

/// The change between two figures.
pub fn change(current: Figure, previous: Figure) -> Change {
    let absolute = current.minus(previous);
    let magnitude = Figure(previous.0.map(|p| p.abs()));
    Change {
        absolute,
        percent: Figure::ratio(100, absolute, magnitude),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_given_in_units_and_in_percent_and_from_nothing_only_in_units() {
        let of = |current: i64, previous: i64| {
            let change = change(current.into(), previous.into());
            (change.absolute.to_string(), change.percent.to_string())
        };
        assert_eq!(of(150, 100), ("50".into(), "50".into()));
        assert_eq!(of(0, 3), ("-3".into(), "-100".into()));
        assert_eq!(of(5, 0), ("5".into(), String::new()));
        // From a loss to a gain is an improvement.
        assert_eq!(of(50, -50), ("100".into(), "200".into()));
        assert_eq!(change(Figure(None), 1.into()).percent, Figure(None));
    }
}
