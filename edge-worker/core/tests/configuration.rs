//! The settings that the repository ships can be used as they stand.

use edge_core::settings::{Secrets, Settings};

#[test]
fn every_example_of_settings_in_wrangler_toml_is_complete() {
    let texts: Vec<&str> = include_str!("../../../wrangler.toml")
        .split("UD_SETTINGS = '")
        .skip(1)
        .filter_map(|rest| rest.split('\'').next())
        .collect();
    assert_eq!(texts.len(), 2, "the local and the production example");
    for text in texts {
        let secrets = Secrets::parse(&format!("k1:{}", "a".repeat(32)), &"h".repeat(32)).unwrap();
        if let Err(error) = Settings::new(text, secrets) {
            panic!("{text}: {error}");
        }
    }
}
