//! What was measured, as a table for people and as JSON for comparison.

use std::path::Path;

use serde::Serialize;

/// One figure beside its budget.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// Of `ours` and `reference`.
    pub unit: &'static str,
    /// Ours.
    pub ours: f64,
    /// Of answers: what half of them do not exceed.
    pub p50: Option<f64>,
    /// The reference of the same run, where there is one.
    pub reference: Option<f64>,
    /// Ours to the reference.
    pub ratio: Option<f64>,
    /// The least or the most that is allowed: of the ratio where there is one, else of ours. None where the figure only explains others.
    pub budget: Option<f64>,
    /// Whether it is kept.
    pub met: Option<bool>,
}

impl Row {
    /// Ours must be at least `least` of the reference.
    pub fn ratio(name: &str, unit: &'static str, ours: f64, reference: f64, least: f64) -> Self {
        let ratio = ours / reference;
        Self {
            name: name.into(),
            unit,
            ours,
            p50: None,
            reference: Some(reference),
            ratio: Some(ratio),
            budget: Some(least),
            met: Some(ratio >= least),
        }
    }

    /// A figure without a budget.
    pub fn told(name: &str, unit: &'static str, ours: f64) -> Self {
        Self {
            name: name.into(),
            unit,
            ours,
            p50: None,
            reference: None,
            ratio: None,
            budget: None,
            met: None,
        }
    }

    /// Ours must be at most `most`.
    pub fn at_most(name: &str, unit: &'static str, ours: f64, most: f64) -> Self {
        Self {
            budget: Some(most),
            met: Some(ours <= most),
            ..Self::told(name, unit, ours)
        }
    }

    /// Milliseconds that half and 95 of 100 answers do not exceed; the latter at most `most` where that is given.
    pub fn latency(name: &str, p50: f64, p95: f64, most: Option<f64>) -> Self {
        Self {
            p50: Some(p50),
            budget: most,
            met: most.map(|most| p95 <= most),
            ..Self::told(name, "ms p95", p95)
        }
    }

    /// Ours must be at least `least`.
    pub fn at_least(name: &str, unit: &'static str, ours: f64, least: f64) -> Self {
        Self {
            budget: Some(least),
            met: Some(ours >= least),
            ..Self::told(name, unit, ours)
        }
    }
}

/// Prints the table and writes the JSON.
///
/// # Errors
/// The file cannot be written.
pub fn publish(rows: &[Row], out: &Path) -> anyhow::Result<()> {
    println!(
        "{:<72} {:>10} {:>8} {:>10} {:<10} {:>6} {:>8}  met",
        "name", "ours", "p50", "reference", "unit", "ratio", "budget"
    );
    let number = |value: Option<f64>| {
        value.map_or("-".to_owned(), |value| {
            let digits = if value < 10.0 { 2 } else { 0 };
            format!("{value:.digits$}")
        })
    };
    for row in rows {
        println!(
            "{:<72} {:>10} {:>8} {:>10} {:<10} {:>6} {:>8}  {}",
            row.name,
            number(Some(row.ours)),
            number(row.p50),
            number(row.reference),
            row.unit,
            number(row.ratio),
            number(row.budget),
            match row.met {
                Some(true) => "yes",
                Some(false) => "NO",
                None => "-",
            }
        );
    }
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(out, serde_json::to_vec_pretty(&serde_json::json!({ "results": rows }))?)?;
    Ok(())
}

/// The middle value.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value that this share (0 to 1) of all values does not exceed.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = ((values.len() as f64 * share).ceil() as usize).saturating_sub(1);
    values.get(at).copied().unwrap_or(f64::NAN)
}
