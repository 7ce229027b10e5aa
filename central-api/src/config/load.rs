//! Reads the settings from the variables and the file it is given, and says everything that is wrong at once.

use std::collections::BTreeMap;

/// Makes the struct `Config`, the list of its settings and its loader from one table.
macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:literal, $variable:literal;)+) => {
        /// What an operator can set.
        #[derive(Debug, Clone)]
        pub struct Config {
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        impl Config {
            /// Reads environment variables over the text of a TOML file over defaults.
            ///
            /// # Errors
            /// Everything that is wrong: unknown settings with the closest known one, and values that are not allowed.
            pub fn load(
                variables: impl IntoIterator<Item = (String, String)>,
                file: Option<&str>,
            ) -> Result<$crate::config::load::Effective, $crate::config::load::ConfigError> {
                use $crate::config::{load::{Source, Setting}, value::Value};
                const KNOWN: &[(&str, &str, bool)] = &[$((stringify!($field), $variable, <$type as Value>::SECRET),)+];
                let mut source = Source::new(KNOWN, variables, file);
                $(let $field = source.value::<$type>(stringify!($field), $variable, $default);)+
                source.finish()?;
                // A value is missing only when there was an error, so the list is never empty in truth.
                let config = Config {
                    $($field: $field.ok_or($crate::config::load::ConfigError(Vec::new()))?,)+
                };
                let settings = vec![$(Setting {
                    field: stringify!($field),
                    variable: $variable,
                    default: $default,
                    documentation: concat!($($doc, "\n"),+),
                    value: config.$field.show(),
                    secret: <$type as Value>::SECRET,
                },)+];
                Ok($crate::config::load::Effective { config, settings })
            }
        }
    };
}
pub(super) use settings;

use super::Config;
use super::value::Value;

/// Variables that are not settings: where the file is, what the worker has (somebody who sets both up exports all of them), and what
/// tests and the tools around them use.
const OTHER_VARIABLES: [&str; 7] = [
    "UD_CONFIG",
    "UD_CENTRE_URL",
    "UD_SETTINGS",
    "UD_SETTINGS_SECONDS",
    "UD_INGEST_KEY",
    "UD_COOKIE_KEYS",
    "UD_HASH_KEY",
];
const OTHER_PREFIXES: [&str; 2] = ["UD_TEST_", "UD_DEV_"];
/// What the address of a database begins with; the driver would take any other beginning for the same.
const DATABASE_SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
/// The fewest characters of the installation's secret.
const MIN_SECRET_CHARS: usize = 32;

/// Configuration as it holds, and how each setting came to be.
#[derive(Debug, Clone)]
pub struct Effective {
    /// The values.
    pub config: Config,
    /// Every setting with its documentation, in the order of the table.
    pub settings: Vec<Setting>,
}

/// One setting as `central-api config` shows it.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Name in the file.
    pub field: &'static str,
    /// Name in the environment.
    pub variable: &'static str,
    /// Text of the default; empty: none.
    pub default: &'static str,
    /// What it is for.
    pub documentation: &'static str,
    /// The value that holds, secrets hidden.
    pub value: String,
    /// Only the environment may hold it.
    pub secret: bool,
}

/// Everything that is wrong with a configuration, a sentence each. Values are not repeated: they may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

/// Texts by field, and the errors met so far.
pub(super) struct Source {
    texts: BTreeMap<&'static str, (String, String)>,
    errors: Vec<String>,
}

impl Source {
    pub(super) fn new(
        known: &'static [(&'static str, &'static str, bool)],
        variables: impl IntoIterator<Item = (String, String)>,
        file: Option<&str>,
    ) -> Self {
        let mut source = Self {
            texts: BTreeMap::new(),
            errors: Vec::new(),
        };
        if let Some(text) = file {
            source.read_file(known, text);
        }
        for (name, value) in variables {
            if let Some((field, variable, _)) = known.iter().find(|(_, variable, _)| *variable == name) {
                // A variable that is set to nothing is as good as unset: that is how wrappers pass what they do not have.
                if !value.is_empty() {
                    source.texts.insert(field, ((*variable).to_owned(), value));
                }
            } else if name.starts_with("UD_")
                && !OTHER_VARIABLES.contains(&name.as_str())
                && !OTHER_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            {
                let closest = closest(&name, known.iter().map(|(_, variable, _)| *variable));
                source
                    .errors
                    .push(format!("{name}: there is no such variable; did you mean {closest}?"));
            }
        }
        source
    }

    fn read_file(&mut self, known: &'static [(&'static str, &'static str, bool)], text: &str) {
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => {
                let line = error
                    .span()
                    .map_or(1, |span| text.get(..span.start).unwrap_or("").matches('\n').count() + 1);
                self.errors
                    .push(format!("configuration file, line {line}: {}", error.message()));
                return;
            }
        };
        for (name, value) in table {
            let Some((field, variable, secret)) = known.iter().find(|(field, ..)| *field == name) else {
                let closest = closest(&name, known.iter().map(|(field, ..)| *field));
                self.errors.push(format!(
                    "{name} in the configuration file: there is no such setting; did you mean {closest}?"
                ));
                continue;
            };
            if *secret {
                self.errors.push(format!(
                    "{name} in the configuration file: secrets come from the environment only; set {variable}"
                ));
                continue;
            }
            match file_text(&value) {
                Some(text) => {
                    self.texts
                        .insert(field, (format!("{name} in the configuration file"), text));
                }
                None => self.errors.push(format!(
                    "{name} in the configuration file: must be a text, a number, true or false, or a list of texts"
                )),
            }
        }
    }

    pub(super) fn value<T: Value>(&mut self, field: &'static str, variable: &str, default: &str) -> Option<T> {
        let (place, text) = match self.texts.get(field) {
            Some((place, text)) => (place.as_str(), text.as_str()),
            None => (variable, default),
        };
        match T::read(text) {
            Ok(value) => {
                if field == "secret" && !text.is_empty() && text.chars().count() < MIN_SECRET_CHARS {
                    self.errors
                        .push(format!("{place}: must have at least {MIN_SECRET_CHARS} characters"));
                }
                let is_database = matches!(field, "database_url" | "database_read_url");
                if is_database && !text.is_empty() && !DATABASE_SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
                    self.errors
                        .push(format!("{place}: must be postgres://user:password@host:port/database"));
                }
                Some(value)
            }
            Err(allowed) => {
                self.errors.push(format!("{place}: must be {allowed}"));
                None
            }
        }
    }

    pub(super) fn finish(self) -> Result<(), ConfigError> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(ConfigError(self.errors))
        }
    }
}

fn file_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Array(items) => items
            .iter()
            .map(toml::Value::as_str)
            .collect::<Option<Vec<_>>>()
            .map(|items| items.join(",")),
        _ => None,
    }
}

fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> &'a str {
    known
        .min_by_key(|candidate| strsim::levenshtein(name, candidate))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: (&str, &str) = ("UD_SECRET", "0123456789abcdef0123456789abcdef");

    fn load(variables: &[(&str, &str)], file: Option<&str>) -> Result<Effective, ConfigError> {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load(variables, file)
    }

    #[test]
    fn the_environment_beats_the_file_and_the_file_the_default() {
        let file = "listen = \"0.0.0.0:1\"\nread_timeout_seconds = 7\ncors_origins = [\"https://a.example\", \"https://b.example/\"]\nrun_jobs = false";
        let config = load(&[SECRET, ("UD_LISTEN", "0.0.0.0:2")], Some(file)).unwrap().config;
        assert_eq!(config.listen.port(), 2);
        assert_eq!(config.read_timeout_seconds, 7);
        assert_eq!(config.database_connections, 10);
        assert!(!config.run_jobs);
        let origins: Vec<_> = config.cors_origins.iter().map(super::super::Origin::as_str).collect();
        assert_eq!(origins, ["https://a.example", "https://b.example"]);
    }

    #[test]
    fn every_default_is_allowed_and_every_setting_is_documented() {
        let effective = load(&[], None).unwrap();
        for setting in effective.settings {
            assert!(setting.documentation.trim().len() > 8, "{}", setting.field);
            assert!(
                setting.value.is_empty() || setting.value == setting.default,
                "{}",
                setting.field
            );
        }
    }

    #[test]
    fn a_bad_value_is_named_with_what_is_allowed_and_not_repeated() {
        for (name, value, says) in [
            ("UD_LISTEN", "8080", "UD_LISTEN: must be an address and port"),
            ("UD_LISTEN", "localhost:x", "UD_LISTEN: must be an address and port"),
            (
                "UD_DATABASE_CONNECTIONS",
                "0",
                "UD_DATABASE_CONNECTIONS: must be a whole number from 1",
            ),
            (
                "UD_DATABASE_CONNECTIONS",
                "-1",
                "UD_DATABASE_CONNECTIONS: must be a whole number from 1",
            ),
            (
                "UD_DATABASE_CONNECTIONS",
                "99999999999",
                "UD_DATABASE_CONNECTIONS: must be a whole number from 1",
            ),
            ("UD_RUN_JOBS", "yes", "UD_RUN_JOBS: must be true or false"),
            ("UD_LOG_FORMAT", "xml", "UD_LOG_FORMAT: must be json or text"),
            ("UD_PUBLIC_URL", "shop.example", "UD_PUBLIC_URL: must be an origin"),
            (
                "UD_PUBLIC_URL",
                "https://shop.example/panel",
                "UD_PUBLIC_URL: must be an origin",
            ),
            (
                "UD_PUBLIC_URL",
                "https://user@shop.example",
                "UD_PUBLIC_URL: must be an origin",
            ),
            ("UD_PUBLIC_URL", "https://", "UD_PUBLIC_URL: must be an origin"),
            (
                "UD_CORS_ORIGINS",
                "https://a.example,*",
                "UD_CORS_ORIGINS: must be an origin",
            ),
            ("UD_LOG", "info\0", "UD_LOG: must be a level"),
            ("UD_LOG", "verbose", "UD_LOG: must be a level"),
            ("UD_LOG", "info,central_api::jobs", "UD_LOG: must be a level"),
            ("UD_LOG", "central_api=loud", "UD_LOG: must be a level"),
            (
                "UD_CLIENT_ADDRESS_HEADER",
                "not a header",
                "UD_CLIENT_ADDRESS_HEADER: must be a header's name",
            ),
            (
                "DATABASE_URL",
                "mysql://u:hunter2@h/d",
                "DATABASE_URL: must be postgres://",
            ),
            ("DATABASE_READ_URL", "host=h", "DATABASE_READ_URL: must be postgres://"),
            (
                "UD_POSTGRES_SETTINGS",
                "shared_buffers=2GB,-c",
                "UD_POSTGRES_SETTINGS: must be settings such as shared_buffers=2GB",
            ),
            (
                "UD_SECRET",
                "hunter2hunter2",
                "UD_SECRET: must have at least 32 characters",
            ),
        ] {
            let error = load(&[(name, value)], None).unwrap_err().to_string();
            assert!(error.starts_with(says), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_unknown_setting_is_an_error_that_names_the_closest() {
        for (variables, file, says) in [
            (
                &[("UD_LISTN", "x")][..],
                None,
                "UD_LISTN: there is no such variable; did you mean UD_LISTEN?",
            ),
            (
                &[("UD_DATABASE_URL", "x")],
                None,
                "UD_DATABASE_URL: there is no such variable; did you mean DATABASE_URL?",
            ),
            (
                &[],
                Some("lisen = 1"),
                "lisen in the configuration file: there is no such setting; did you mean listen?",
            ),
            (
                &[],
                Some("secret = \"x\""),
                "secret in the configuration file: secrets come from the environment only; set UD_SECRET",
            ),
            (
                &[],
                Some("database_url = \"x\""),
                "database_url in the configuration file: secrets come from the environment only; set DATABASE_URL",
            ),
            (
                &[],
                Some("listen = { a = 1 }"),
                "listen in the configuration file: must be a text",
            ),
            (&[], Some("\n\nlisten ="), "configuration file, line 3:"),
        ] {
            let error = load(variables, file).unwrap_err().to_string();
            assert!(error.starts_with(says), "{error}");
        }
    }

    #[test]
    fn everything_wrong_is_said_at_once_and_other_variables_are_left_alone() {
        let error = load(
            &[
                ("UD_LISTEN", "x"),
                ("UD_LOG_FORMAT", "x"),
                ("PATH", "x"),
                ("UD_TEST_X", "x"),
                ("UD_INGEST_KEY", "x"),
                ("UD_SETTINGS", "{}"),
            ],
            None,
        )
        .unwrap_err();
        assert_eq!(error.0.len(), 2, "{error}");
    }

    #[test]
    fn a_secret_is_not_shown() {
        let effective = load(&[SECRET, ("DATABASE_URL", "postgres://u:hunter2@h/d")], None).unwrap();
        assert!(!format!("{effective:?}").contains("hunter2"));
        assert!(!format!("{effective:?}").contains(SECRET.1));
    }

    #[test]
    fn a_variable_set_to_nothing_is_unset() {
        assert!(load(&[("DATABASE_URL", "")], None).unwrap().config.is_embedded());
    }

    fn variable() -> impl Strategy<Value = &'static str> {
        let known: Vec<&str> = load(&[], None)
            .unwrap()
            .settings
            .iter()
            .map(|setting| setting.variable)
            .collect();
        prop_oneof![
            proptest::sample::select(known),
            proptest::sample::select(vec!["UD_", "UD_SECRET2", "PATH", "UD_CONFIG"]),
        ]
    }

    /// Values that begin like one that is allowed, and others.
    fn text() -> impl Strategy<Value = String> {
        let beginning = vec![
            "",
            "https://",
            "127.0.0.1:",
            "[::",
            "postgres://u:",
            "-1",
            "1e9",
            "a=",
            ",,",
            "\0",
            "99999999999999999999",
        ];
        (proptest::sample::select(beginning), "\\PC{0,20}|(?s:.{0,20})|x{2000}")
            .prop_map(|(beginning, rest)| format!("{beginning}{rest}"))
    }

    proptest! {
        #[test]
        fn any_variable_and_any_line_of_a_file_is_read_or_refused_by_name_without_its_value(
            (variable, field) in (variable(), variable()), (value, line) in (text(), text()), quoted: bool,
        ) {
            let value = format!("{value}hunter2");
            let refused = |error: &ConfigError, name: &str| error.0.iter().all(|line| line.starts_with(name));
            if let Err(error) = load(&[(variable, &value)], None) {
                prop_assert!(refused(&error, variable), "{error}");
                prop_assert!(!error.to_string().contains("hunter2"), "{error}");
            }
            let field = field.trim_start_matches("UD_").to_lowercase();
            let file = match quoted {
                true => format!("{field} = {}", toml::Value::String(format!("{line}hunter2"))),
                false => format!("{field} = {line}"),
            };
            if let Err(error) = load(&[], Some(&file)) {
                prop_assert!(refused(&error, &field) || refused(&error, "configuration file, line"), "{error}");
                prop_assert!(!error.to_string().contains("hunter2"), "{error}");
            }
        }
    }
}
