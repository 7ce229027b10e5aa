//! Which column is what: our own layout, and the exports of Meta Ads Manager, Google Ads and TikTok Ads Manager (English headers).

use super::file::Defaults;

/// Whose report it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// That of docs/import.md; an unknown column is an error.
    Own,
    /// Meta Ads Manager; columns that are not needed are ignored, as in the next two.
    Meta,
    /// Google Ads.
    Google,
    /// TikTok Ads Manager.
    TikTok,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// The day, or the first of several.
    Day,
    /// The last day.
    LastDay,
    /// `utm_source`.
    Source,
    /// `utm_medium`.
    Medium,
    /// `utm_campaign`.
    Campaign,
    /// `utm_content`.
    Content,
    /// Money.
    Amount,
    /// ISO 4217.
    Currency,
    /// Clicks.
    Clicks,
    /// Impressions.
    Impressions,
}

/// Of several columns that hold a field, the one that stands first here is read.
type Columns = &'static [(&'static str, Field)];

const OWN: Columns = &[
    ("date", Field::Day),
    ("day", Field::Day),
    ("source", Field::Source),
    ("utm_source", Field::Source),
    ("medium", Field::Medium),
    ("utm_medium", Field::Medium),
    ("campaign", Field::Campaign),
    ("utm_campaign", Field::Campaign),
    ("content", Field::Content),
    ("utm_content", Field::Content),
    ("amount", Field::Amount),
    ("spend", Field::Amount),
    ("cost", Field::Amount),
    ("currency", Field::Currency),
    ("clicks", Field::Clicks),
    ("impressions", Field::Impressions),
];

const META: Columns = &[
    ("day", Field::Day),
    ("reporting starts", Field::Day),
    ("reporting ends", Field::LastDay),
    ("campaign name", Field::Campaign),
    ("ad name", Field::Content),
    ("currency", Field::Currency),
    ("link clicks", Field::Clicks),
    ("clicks (all)", Field::Clicks),
    ("impressions", Field::Impressions),
];
/// Followed by the currency and `)`.
const META_AMOUNT: &str = "amount spent (";

const GOOGLE: Columns = &[
    ("day", Field::Day),
    ("campaign", Field::Campaign),
    ("cost", Field::Amount),
    ("currency code", Field::Currency),
    ("currency", Field::Currency),
    ("clicks", Field::Clicks),
    ("impr.", Field::Impressions),
    ("impressions", Field::Impressions),
];

const TIKTOK: Columns = &[
    ("by day", Field::Day),
    ("date", Field::Day),
    ("day", Field::Day),
    ("campaign name", Field::Campaign),
    ("ad name", Field::Content),
    ("cost", Field::Amount),
    ("currency", Field::Currency),
    ("clicks (destination)", Field::Clicks),
    ("clicks", Field::Clicks),
    ("click", Field::Clicks),
    ("impressions", Field::Impressions),
    ("impression", Field::Impressions),
];

/// The names of our own layout, for messages.
pub const OWN_COLUMNS: [&str; 9] = [
    "date",
    "source",
    "medium",
    "campaign",
    "content",
    "amount",
    "currency",
    "clicks",
    "impressions",
];

/// A header that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Whose report.
    pub layout: Layout,
    /// Position of each field's column.
    pub positions: Vec<(Field, usize)>,
    /// Position of the first column that is not known.
    pub unknown: Option<usize>,
    /// Currency of all amounts, where the header names it.
    pub currency: Option<String>,
}

impl Layout {
    const fn columns(self) -> Columns {
        match self {
            Self::Own => OWN,
            Self::Meta => META,
            Self::Google => GOOGLE,
            Self::TikTok => TIKTOK,
        }
    }

    /// The platform, as a spelling of `utm_source` from which source and medium of its ads follow.
    pub const fn ads(self) -> Option<&'static str> {
        match self {
            Self::Own => None,
            Self::Meta => Some("meta_ads"),
            Self::Google => Some("google_ads"),
            Self::TikTok => Some("tiktok_ads"),
        }
    }

    /// Name for answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Meta => "meta",
            Self::Google => "google",
            Self::TikTok => "tiktok",
        }
    }
}

impl Header {
    /// Understands a row of cells as a header; none when it does not say at least the day and the amount.
    pub fn of(cells: &[&str]) -> Option<Self> {
        let names: Vec<String> = cells.iter().map(|cell| cell.trim().to_lowercase()).collect();
        let has = |name: &str| names.iter().any(|n| n == name);
        let meta_amount = names.iter().position(|name| name.starts_with(META_AMOUNT));
        let layout = if meta_amount.is_some() {
            Layout::Meta
        } else if has("cost") && has("campaign name") {
            Layout::TikTok
        } else if has("cost") && has("campaign") && (has("impr.") || has("currency code")) {
            Layout::Google
        } else {
            Layout::Own
        };
        let mut positions: Vec<(Field, usize)> = Vec::new();
        for (name, field) in layout.columns() {
            if !positions.iter().any(|(known, _)| known == field)
                && let Some(at) = names.iter().position(|n| n == name)
            {
                positions.push((*field, at));
            }
        }
        let mut currency = None;
        if let Some(at) = meta_amount {
            positions.push((Field::Amount, at));
            let code = names[at][META_AMOUNT.len()..]
                .trim_end_matches(')')
                .trim()
                .to_uppercase();
            currency = Some(code);
        }
        let has_field = |wanted| positions.iter().any(|(field, _)| *field == wanted);
        if !has_field(Field::Day) || !has_field(Field::Amount) {
            return None;
        }
        let known = |name: &str| layout.columns().iter().any(|(known, _)| *known == name);
        let twice = |at: usize| !positions.iter().any(|(_, p)| *p == at);
        let unknown = (layout == Layout::Own)
            .then(|| (0..names.len()).find(|at| !known(&names[*at]) || twice(*at)))
            .flatten();
        Some(Self {
            layout,
            positions,
            unknown,
            currency,
        })
    }

    /// Position of a field's column.
    pub fn position(&self, wanted: Field) -> Option<usize> {
        self.positions
            .iter()
            .find(|(field, _)| *field == wanted)
            .map(|(_, at)| *at)
    }

    /// The source of rows that name none.
    pub fn source<'a>(&self, defaults: &'a Defaults) -> Option<&'a str> {
        defaults.source.as_deref().or(self.layout.ads())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_tells_whose_report_it_is() {
        for (cells, layout) in [
            (&["date", "source", "amount"][..], Layout::Own),
            (&["utm_source", "Spend", "DAY"], Layout::Own),
            (
                &[
                    "Campaign name",
                    "Ad name",
                    "Day",
                    "Amount spent (USD)",
                    "Reporting starts",
                    "Reporting ends",
                    "Reach",
                ],
                Layout::Meta,
            ),
            (
                &["Campaign", "Day", "Currency code", "Cost", "Impr.", "Clicks"],
                Layout::Google,
            ),
            (
                &["Campaign name", "By Day", "Cost", "Impressions", "CPM"],
                Layout::TikTok,
            ),
        ] {
            assert_eq!(Header::of(cells).map(|header| header.layout), Some(layout), "{cells:?}");
        }
        for none in [
            &["Campaign report"][..],
            &["date"],
            &["amount"],
            &[],
            &["January 1, 2026 - January 31, 2026"],
        ] {
            assert_eq!(Header::of(none), None);
        }
    }

    #[test]
    fn meta_names_its_currency_in_the_header_and_the_day_of_a_breakdown_goes_first() {
        let header = Header::of(&["Reporting starts", "Day", "Amount spent (EUR)"]).unwrap();
        assert_eq!(header.currency.as_deref(), Some("EUR"));
        assert_eq!(header.position(Field::Day), Some(1));
        assert_eq!(header.position(Field::Amount), Some(2));
    }

    #[test]
    fn a_misspelt_or_repeated_column_of_our_own_layout_is_found() {
        let at = |cells: &[&str]| Header::of(cells).unwrap().unknown;
        assert_eq!(at(&["date", "amount", "campain"]), Some(2));
        assert_eq!(at(&["date", "amount", "cost"]), Some(2));
        assert_eq!(at(&["date", "amount", "date"]), Some(2));
        assert_eq!(at(&OWN_COLUMNS), None);
    }

    #[test]
    fn source_and_medium_of_a_platform_follow_from_its_spelling() {
        for layout in [Layout::Meta, Layout::Google, Layout::TikTok] {
            assert!(shared::source::ad_spelling(layout.ads().unwrap()).is_some());
        }
    }
}
