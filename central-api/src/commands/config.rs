//! `central-api config`

use super::output::say;
use crate::config::Effective;

/// Prints every setting with its documentation, as a file that could be used once the secrets are taken out.
///
/// # Errors
/// None.
pub fn run(effective: &Effective) -> anyhow::Result<()> {
    for setting in &effective.settings {
        for line in setting.documentation.lines() {
            say!("# {}", line.trim());
        }
        let default = match setting.default {
            "" => "none",
            default => default,
        };
        say!("# environment: {}; default: {default}", setting.variable);
        match (setting.secret, setting.value.as_str()) {
            (true, "") => say!("# {} is not set (environment only)\n", setting.field),
            (true, _) => say!("# {} is set and hidden (environment only)\n", setting.field),
            (false, "") => say!("# {} = \"\"\n", setting.field),
            (false, value) => say!("{} = {}\n", setting.field, toml::Value::from(value)),
        }
    }
    Ok(())
}
