//! A site's own rules for the channel, over the built-in table of `shared::channel`.

use edge_core::glob::Glob;
use serde::{Deserialize, Serialize};
use shared::attribution::Attribution;
use shared::channel::Channel;

/// A session whose source, medium and campaign all fit came by `channel`. A pattern that is absent fits everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelRule {
    /// Name of the channel.
    #[schema(value_type = String)]
    pub channel: Channel,
    /// Pattern of the normalised source; `*` stands for any text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Pattern of the normalised medium.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medium: Option<String>,
    /// Pattern of the normalised campaign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
}

impl ChannelRule {
    /// Its patterns; a rule without one would swallow everything.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        [&self.source, &self.medium, &self.campaign]
            .into_iter()
            .filter_map(|pattern| pattern.as_deref())
    }

    fn fits(&self, found: &Attribution) -> bool {
        let fits = |pattern: &Option<String>, value: &Option<String>| {
            pattern
                .as_deref()
                .is_none_or(|pattern| Glob::new(pattern).matches(value.as_deref().unwrap_or_default()))
        };
        fits(&self.source, &found.utm_source)
            && fits(&self.medium, &found.utm_medium)
            && fits(&self.campaign, &found.utm_campaign)
    }
}

/// The channel of the first rule that fits.
pub fn channel(rules: &[ChannelRule], found: &Attribution) -> Option<Channel> {
    rules.iter().find(|rule| rule.fits(found)).map(|rule| rule.channel)
}

#[cfg(test)]
mod tests {
    use shared::attribution::{Aliases, resolve};
    use shared::event::Touch;

    use super::*;

    #[test]
    fn the_first_rule_whose_patterns_all_fit_decides() {
        let rules: Vec<ChannelRule> = serde_json::from_str(
            r#"[{"channel":"affiliate","source":"partner-*"},{"channel":"email","medium":"crm","campaign":"*spring*"},{"channel":"sms","medium":"crm"}]"#,
        )
        .unwrap();
        let channel = |source: &str, medium: &str, campaign: &str| {
            let touch = Touch {
                utm_source: Some(source.into()),
                utm_medium: Some(medium.into()),
                utm_campaign: Some(campaign.into()),
                ..Touch::default()
            };
            channel(&rules, &resolve(&touch, &[] as &[String], &Aliases::default()))
        };
        assert_eq!(channel("Partner-7", "cpc", ""), Some(Channel::Affiliate));
        assert_eq!(channel("base", "crm", "big spring sale"), Some(Channel::Email));
        assert_eq!(channel("base", "crm", "autumn"), Some(Channel::Sms));
        assert_eq!(channel("base", "cpc", "autumn"), None);
    }
}
