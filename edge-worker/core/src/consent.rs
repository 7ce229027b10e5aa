//! What the visitor allowed.

use shared::event::Consent;
use shared::text::decode_path;

use crate::cookie::Cookies;
use crate::hit::Hit;
use crate::settings::{ConsentMode, Dnt, Gpc, Settings, Unsaid};

/// Reads the site's consent cookie and the browser's signals. Where they differ the stricter one holds.
pub(crate) fn read(hit: &Hit, cookies: &Cookies, settings: &Settings) -> Consent {
    let rules = &settings.consent;
    match rules.mode {
        ConsentMode::Off => return Consent::Off,
        ConsentMode::Granted => return Consent::Granted,
        ConsentMode::Respect => {}
    }
    let said = match &rules.cookie {
        None => Consent::Granted,
        Some(_) => {
            let value = cookies.consent.map(decode_path);
            let is = |list: &[crate::glob::Glob]| {
                value
                    .as_ref()
                    .is_some_and(|value| list.iter().any(|glob| glob.matches(value)))
            };
            if is(&rules.refused) {
                Consent::Refused
            } else if is(&rules.limited) {
                Consent::Limited
            } else if is(&rules.accepted) {
                Consent::Granted
            } else {
                match rules.without_cookie {
                    Unsaid::Granted => Consent::Granted,
                    Unsaid::Limited => Consent::Limited,
                    Unsaid::Refused => Consent::Refused,
                }
            }
        }
    };
    if !said.allows_id() {
        return said;
    }
    if rules.dnt == Dnt::Refuse && hit.dnt.map(str::trim) == Some("1") {
        return Consent::Dnt;
    }
    match (hit.sec_gpc.map(str::trim) == Some("1"), rules.gpc) {
        (true, Gpc::Refuse) => Consent::Gpc,
        (true, Gpc::Limit) => Consent::Limited,
        (false, _) => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings;

    #[test]
    fn cookie_and_signals_decide_and_the_stricter_one_holds() {
        let banner =
            r#"{"cookie":"cc","accepted":["yes","*marketing:true*"],"limited":["*statistics:true*"],"refused":["no"]}"#;
        let open = r#"{"cookie":"cc","accepted":["yes"],"without_cookie":"granted","gpc":"limit","dnt":"refuse"}"#;
        for (rules, cookie, gpc, dnt, consent) in [
            ("{}", "", "", "", Consent::Granted),
            ("{}", "", "1", "", Consent::Gpc),
            ("{}", "", "0", "1", Consent::Granted),
            (r#"{"mode":"off"}"#, "cc=yes", "", "", Consent::Off),
            (r#"{"mode":"granted"}"#, "", "1", "1", Consent::Granted),
            (banner, "", "", "", Consent::Refused),
            (banner, "cc=yes", "", "", Consent::Granted),
            (banner, "cc=yes", "1", "", Consent::Gpc),
            (banner, "cc=no", "1", "", Consent::Refused),
            (banner, "cc=maybe", "", "", Consent::Refused),
            (
                banner,
                "cc=%7Bstatistics%3Atrue%2Cmarketing%3Afalse%7D",
                "",
                "",
                Consent::Limited,
            ),
            (
                banner,
                "cc=%7Bstatistics%3Afalse%2Cmarketing%3Atrue%7D",
                "",
                "",
                Consent::Granted,
            ),
            (banner, "cc=%ff%00", "", "", Consent::Refused),
            (banner, "xcc=yes", "", "", Consent::Refused),
            (open, "", "", "", Consent::Granted),
            (open, "", "1", "", Consent::Limited),
            (open, "", "1", "1", Consent::Dnt),
        ] {
            let settings = settings(&format!(r#""consent":{rules}"#));
            let hit = Hit {
                sec_gpc: Some(gpc),
                dnt: Some(dnt),
                ..Hit::default()
            };
            assert_eq!(
                read(&hit, &Cookies::read(Some(cookie), &settings), &settings),
                consent,
                "{rules} {cookie} {gpc} {dnt}"
            );
        }
    }
}
