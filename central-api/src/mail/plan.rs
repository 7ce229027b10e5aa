//! What a schedule says, read and checked in one place for the API, the command line and the wizard.

use std::collections::BTreeMap;

use chrono::Weekday;
use serde::{Deserialize, Serialize};

use super::address;
use super::timing::{Frequency, Timing};
use crate::error::ApiError;
use crate::reports::filter::Filters;
use crate::site::Site;
use crate::site_rules;

/// How a mail looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// HTML with a chart, and the same as text beside it.
    Html,
    /// Text alone.
    Text,
}

impl Format {
    /// As stored and as asked for.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Text => "text",
        }
    }

    /// Reads [`Format::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Html, Self::Text]
            .into_iter()
            .find(|format| format.name() == name)
    }
}

/// A schedule's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// For people.
    pub name: String,
    /// When it is due.
    pub timing: Timing,
    /// Checked addresses.
    pub recipients: Vec<String>,
    /// How the mails look.
    pub format: Format,
    /// With utm_sources.csv and utm_campaigns.csv.
    pub attach_csv: bool,
    /// `uk` or `en`.
    pub language: String,
    /// Which sessions count.
    pub filters: Filters,
    /// Whether it is sent at all.
    pub enabled: bool,
}

/// What is asked for; absent fields stay as they are, or get their default in a new schedule.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanFields {
    /// 1 to 100 characters; the frequency in the schedule's language unless given.
    pub name: Option<String>,
    /// `daily` (covers the day before), `weekly` (the seven days before) or `monthly` (the calendar month before). A new schedule needs it.
    pub frequency: Option<String>,
    /// Weekly: 1 is Monday, 7 Sunday; 1 unless given.
    pub weekday: Option<i64>,
    /// Monthly: 1 to 31, the last day of a month that is shorter; 1 unless given.
    pub month_day: Option<i64>,
    /// Full hour, 0 to 23; 9 unless given.
    pub hour: Option<i64>,
    /// IANA name, the hour's zone; the site's unless given.
    pub time_zone: Option<String>,
    /// 1 to 500 e-mail addresses. A new schedule needs them.
    pub recipients: Option<Vec<String>>,
    /// `html` or `text`; html unless given.
    pub format: Option<String>,
    /// Attach utm_sources.csv and utm_campaigns.csv; false unless given.
    pub attach_csv: Option<bool>,
    /// `uk` or `en`; the site's unless given.
    pub language: Option<String>,
    /// Dimension → values, as the parameters of `/api/utm/…`; none unless given.
    pub filters: Option<BTreeMap<String, Vec<String>>>,
    /// Whether it is sent; true unless given.
    pub enabled: Option<bool>,
}

impl Plan {
    /// A new schedule of a site.
    ///
    /// # Errors
    /// 400 naming the field and what is allowed.
    pub fn new(site: &Site, fields: &PlanFields) -> Result<Self, ApiError> {
        let language = fields.language.clone().unwrap_or_else(|| site.language.clone());
        let timing = timing(site, fields, None)?;
        let plan = Self {
            name: match (timing.frequency, language.as_str()) {
                (Frequency::Daily, "en") => "Daily report",
                (Frequency::Weekly(_), "en") => "Weekly report",
                (Frequency::Monthly(_), "en") => "Monthly report",
                (Frequency::Daily, _) => "Щоденний звіт",
                (Frequency::Weekly(_), _) => "Щотижневий звіт",
                (Frequency::Monthly(_), _) => "Щомісячний звіт",
            }
            .to_owned(),
            timing,
            recipients: Vec::new(),
            format: Format::Html,
            attach_csv: false,
            language,
            filters: Filters::default(),
            enabled: true,
        };
        let plan = plan.with(site, fields)?;
        if plan.recipients.is_empty() {
            return Err(ApiError::invalid("recipients", "give at least one e-mail address"));
        }
        Ok(plan)
    }

    /// This schedule with fields changed.
    ///
    /// # Errors
    /// 400 naming the field and what is allowed.
    pub fn changed(&self, site: &Site, fields: &PlanFields) -> Result<Self, ApiError> {
        Self {
            timing: timing(site, fields, Some(self.timing))?,
            ..self.clone()
        }
        .with(site, fields)
    }

    /// All but the timing.
    fn with(mut self, site: &Site, fields: &PlanFields) -> Result<Self, ApiError> {
        if let Some(name) = &fields.name {
            site_rules::name(name)?;
            self.name = name.trim().to_owned();
        }
        if let Some(recipients) = &fields.recipients {
            self.recipients = address::recipients(recipients)?;
        }
        if let Some(format) = &fields.format {
            self.format =
                Format::from_name(format).ok_or_else(|| ApiError::invalid("format", "allowed are html, text"))?;
        }
        if let Some(language) = &fields.language {
            site_rules::language(language)?;
            self.language.clone_from(language);
        }
        if let Some(filters) = &fields.filters {
            self.filters = Filters::from_values(filters, &site.settings)?;
        }
        self.attach_csv = fields.attach_csv.unwrap_or(self.attach_csv);
        self.enabled = fields.enabled.unwrap_or(self.enabled);
        Ok(self)
    }
}

fn timing(site: &Site, fields: &PlanFields, before: Option<Timing>) -> Result<Timing, ApiError> {
    let number =
        |field: &'static str, given: Option<i64>, bounds: std::ops::RangeInclusive<i64>, default: u32| match given {
            None => Ok(default),
            Some(number) if bounds.contains(&number) => Ok(u32::try_from(number).unwrap_or(default)),
            Some(_) => {
                let (least, most) = (bounds.start(), bounds.end());
                Err(ApiError::invalid(
                    field,
                    format!("must be a whole number from {least} to {most}"),
                ))
            }
        };
    let before_frequency = before.map(|timing| timing.frequency);
    let name = match (&fields.frequency, before_frequency) {
        (Some(name), _) => name.as_str(),
        (None, Some(before)) => before.name(),
        (None, None) => return Err(ApiError::invalid("frequency", "give one of daily, weekly, monthly")),
    };
    let (old_weekday, old_day) = match before_frequency {
        Some(Frequency::Weekly(weekday)) => (weekday.number_from_monday(), 1),
        Some(Frequency::Monthly(day)) => (1, day),
        _ => (1, 1),
    };
    let frequency = match name {
        "daily" => Frequency::Daily,
        "weekly" => {
            let number = number("weekday", fields.weekday, 1..=7, old_weekday)?;
            Frequency::Weekly(weekday(number))
        }
        "monthly" => Frequency::Monthly(number("month_day", fields.month_day, 1..=31, old_day)?),
        _ => {
            let allowed = format!("allowed are {}", Frequency::NAMES.join(", "));
            return Err(ApiError::invalid("frequency", allowed));
        }
    };
    if fields.weekday.is_some() && name != "weekly" {
        return Err(ApiError::invalid("weekday", "only a weekly schedule has a weekday"));
    }
    if fields.month_day.is_some() && name != "monthly" {
        return Err(ApiError::invalid(
            "month_day",
            "only a monthly schedule has a day of the month",
        ));
    }
    Ok(Timing {
        frequency,
        hour: number("hour", fields.hour, 0..=23, before.map_or(9, |timing| timing.hour))?,
        zone: match &fields.time_zone {
            Some(zone) => site_rules::time_zone(zone)?,
            None => before.map_or(site.time_zone, |timing| timing.zone),
        },
    })
}

/// 1 is Monday.
pub fn weekday(number: u32) -> Weekday {
    const DAYS: [Weekday; 7] = [
        Weekday::Mon,
        Weekday::Tue,
        Weekday::Wed,
        Weekday::Thu,
        Weekday::Fri,
        Weekday::Sat,
        Weekday::Sun,
    ];
    DAYS[(number.clamp(1, 7) - 1) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Site {
        Site {
            id: 1,
            key: "shop".into(),
            name: "Shop".into(),
            domains: Vec::new(),
            time_zone: chrono_tz::Tz::Europe__Kyiv,
            currency: "UAH".into(),
            country: "UA".into(),
            language: "uk".into(),
            not_sources: Vec::new(),
            settings: crate::site::SiteSettings::default(),
        }
    }

    fn fields(json: serde_json::Value) -> PlanFields {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_new_schedule_takes_what_the_site_says_and_a_change_leaves_the_rest() {
        let plan = Plan::new(
            &site(),
            &fields(serde_json::json!({"frequency": "weekly", "recipients": ["B@x.example", "a@x.example"]})),
        )
        .unwrap();
        assert_eq!(
            plan.timing,
            Timing {
                frequency: Frequency::Weekly(Weekday::Mon),
                hour: 9,
                zone: chrono_tz::Tz::Europe__Kyiv
            }
        );
        assert_eq!(
            (plan.language.as_str(), plan.format, plan.name.as_str()),
            ("uk", Format::Html, "Щотижневий звіт")
        );
        assert_eq!(plan.recipients, ["a@x.example", "b@x.example"]);
        let changed = plan
            .changed(
                &site(),
                &fields(serde_json::json!({"weekday": 5, "filters": {"utm_source": ["ig", "!fb"]}})),
            )
            .unwrap();
        assert_eq!(changed.timing.frequency, Frequency::Weekly(Weekday::Fri));
        let monthly = changed
            .changed(
                &site(),
                &fields(serde_json::json!({"frequency": "monthly", "month_day": 31})),
            )
            .unwrap();
        assert_eq!(
            (monthly.timing.frequency, &monthly.filters),
            (Frequency::Monthly(31), &changed.filters)
        );
        assert_eq!(monthly.recipients, plan.recipients);
    }

    #[test]
    fn what_is_not_allowed_is_named() {
        for (json, named) in [
            (serde_json::json!({}), "frequency"),
            (serde_json::json!({"frequency": "hourly"}), "frequency"),
            (serde_json::json!({"frequency": "daily"}), "recipients"),
            (
                serde_json::json!({"frequency": "daily", "recipients": []}),
                "recipients",
            ),
            (
                serde_json::json!({"frequency": "daily", "recipients": ["x"]}),
                "recipients",
            ),
            (
                serde_json::json!({"frequency": "daily", "weekday": 1, "recipients": ["a@x.example"]}),
                "weekday",
            ),
            (
                serde_json::json!({"frequency": "weekly", "weekday": 0, "recipients": ["a@x.example"]}),
                "weekday",
            ),
            (
                serde_json::json!({"frequency": "weekly", "weekday": i64::MAX, "recipients": ["a@x.example"]}),
                "weekday",
            ),
            (
                serde_json::json!({"frequency": "weekly", "month_day": 3, "recipients": ["a@x.example"]}),
                "month_day",
            ),
            (
                serde_json::json!({"frequency": "monthly", "month_day": 32, "recipients": ["a@x.example"]}),
                "month_day",
            ),
            (
                serde_json::json!({"frequency": "daily", "hour": 24, "recipients": ["a@x.example"]}),
                "hour",
            ),
            (
                serde_json::json!({"frequency": "daily", "hour": -1, "recipients": ["a@x.example"]}),
                "hour",
            ),
            (
                serde_json::json!({"frequency": "daily", "time_zone": "Kiev", "recipients": ["a@x.example"]}),
                "time_zone",
            ),
            (
                serde_json::json!({"frequency": "daily", "format": "pdf", "recipients": ["a@x.example"]}),
                "format",
            ),
            (
                serde_json::json!({"frequency": "daily", "language": "ru", "recipients": ["a@x.example"]}),
                "language",
            ),
            (
                serde_json::json!({"frequency": "daily", "name": "a\u{0}", "recipients": ["a@x.example"]}),
                "name",
            ),
            (
                serde_json::json!({"frequency": "daily", "filters": {"day": ["x"]}, "recipients": ["a@x.example"]}),
                "filters.day",
            ),
            (
                serde_json::json!({"frequency": "daily", "filters": {"country": ["\u{0}"]}, "recipients": ["a@x.example"]}),
                "country",
            ),
        ] {
            let error = Plan::new(&site(), &fields(json.clone())).unwrap_err();
            assert!(
                matches!(&error, ApiError::Invalid { field: Some(field), .. } if field == named),
                "{json}: {error:?}"
            );
        }
    }
}
