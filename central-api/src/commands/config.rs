//! `central-api config`

use crate::config::Effective;

/// Prints every setting with its documentation, as a file that could be used once the secrets are taken out.
///
/// # Errors
/// None.
pub fn run(effective: &Effective) -> anyhow::Result<()> {
    for setting in &effective.settings {
        for line in setting.documentation.lines() {
            println!("# {}", line.trim());
        }
        let default = match setting.default {
            "" => "none",
            default => default,
        };
        println!("# environment: {}; default: {default}", setting.variable);
        match (setting.secret, setting.value.as_str()) {
            (true, "") => println!("# {} is not set (environment only)\n", setting.field),
            (true, _) => println!("# {} is set and hidden (environment only)\n", setting.field),
            (false, "") => println!("# {} = \"\"\n", setting.field),
            (false, value) => println!("{} = {}\n", setting.field, toml::Value::from(value)),
        }
    }
    Ok(())
}
