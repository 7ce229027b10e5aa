//! `central-api setup-email-reports`: asks what is not given, and writes a schedule or a crontab line.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::io::AsyncWriteExt;

use super::output::{aside, note, say};
use super::schedule::{self, Fields};
use super::send_report;
use super::{WrongArguments, read_line, the_site, with_state};
use crate::config::Config;
use crate::mail::address;
use crate::mail::plan::{Format, weekday};
use crate::mail::run::{self, Kind};
use crate::state::AppState;

/// Answers that need not be asked for.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Key of the site; need not be given when there is only one.
    #[arg(long, value_name = "KEY")]
    site: Option<String>,
    #[command(flatten)]
    fields: Fields,
    /// Send a report at once, to see it: yes or no.
    #[arg(long, value_parser = ["yes", "no"])]
    test: Option<String>,
    /// Print a crontab line that runs `send-report` instead of keeping the schedule in the database. Such a report goes up to the moment
    /// it is sent: daily covers that day since midnight, weekly the last 7 days, monthly the last 30, that day included.
    #[arg(long)]
    crontab: bool,
    /// With --crontab: put the line into this user's crontab: yes or no.
    #[arg(long, value_parser = ["yes", "no"], requires = "crontab")]
    install: Option<String>,
    /// With --crontab: file with the service's environment, read before the command; cron itself knows none of it.
    #[arg(long, value_name = "FILE", requires = "crontab")]
    env_file: Option<PathBuf>,
    /// With --crontab: where the output goes.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/var/log/utm_email_reports.log",
        requires = "crontab"
    )]
    log: PathBuf,
}

/// Where docs/deploy.md puts the service's environment.
const ENV_FILE: &str = "/etc/utm-dispatcher/central-api.env";

/// Refuses what a schedule in the database has and a crontab line cannot say.
fn fits_a_crontab(fields: &Fields) -> Result<(), WrongArguments> {
    let refused = [
        (
            !fields.filters.is_empty(),
            "--filter: a crontab line sends the whole site's report",
        ),
        (
            fields.time_zone.is_some(),
            "--time-zone: cron counts hours in the machine's own zone",
        ),
        (fields.name.is_some(), "--name: a crontab line has none"),
    ];
    match refused.into_iter().find(|(given, _)| *given) {
        Some((_, why)) => Err(WrongArguments(format!(
            "{why}; leave it out, or leave out --crontab to keep the schedule in the database"
        ))),
        None => Ok(()),
    }
}

/// Asks, writes, and sends a test.
///
/// # Errors
/// An answer that is not allowed or not there, or a report that could not be sent.
pub async fn run(config: Config, mut args: Args) -> anyhow::Result<()> {
    if args.crontab {
        fits_a_crontab(&args.fields)?;
    }
    with_state(config, async |state| {
        let site = the_site(state, args.site.as_deref())?;
        args.fields = ask(std::mem::take(&mut args.fields)).await?;
        if args.crontab {
            if args.env_file.is_none() {
                let file = prompt("File with the service's environment", Some(ENV_FILE), "--env-file").await?;
                args.env_file = Some(file.into());
            }
            return crontab(state, &args, &site.key).await;
        }
        let made = schedule::add(state, &site, &std::mem::take(&mut args.fields).plan_fields()?).await?;
        say!("{}", schedule::line(state, &made));
        say!("A running `central-api serve`, or the worker's Cron Trigger, sends it.");
        if yes("Send the report now, to see it?", args.test.as_deref(), "--test").await? {
            let run = run::start(state, &site, &made, Kind::Manual, None, state.clock.now()).await?;
            let run = run.context("a run without a slot was taken for claimed")?;
            run::deliver_in_turn(state, run).await?;
            send_report::report(state, run).await?;
        }
        Ok(())
    })
    .await
}

/// Fills in what was not given.
async fn ask(mut fields: Fields) -> anyhow::Result<Fields> {
    if fields.recipients.is_none() {
        loop {
            let answer = prompt("E-mail addresses, separated by commas", None, "--recipients").await?;
            match address::listed(&answer) {
                Ok(list) => {
                    fields.recipients = Some(list.join(","));
                    break;
                }
                Err(error) => note!("{error}"),
            }
        }
    }
    if fields.frequency.is_none() {
        loop {
            let answer = prompt("How often: 1 daily, 2 weekly, 3 monthly", Some("2"), "--frequency").await?;
            let name = match answer.as_str() {
                "1" | "daily" => "daily",
                "2" | "weekly" => "weekly",
                "3" | "monthly" => "monthly",
                _ => {
                    note!("Answer 1, 2 or 3.");
                    continue;
                }
            };
            fields.frequency = Some(name.to_owned());
            break;
        }
    }
    if fields.attach_csv.is_none() {
        fields.attach_csv = Some(yes("Attach utm_sources.csv and utm_campaigns.csv?", None, "--attach-csv").await?);
    }
    Ok(fields)
}

/// Asks for a line. `flag` is named when nobody is there to answer.
async fn prompt(question: &str, default: Option<&str>, flag: &str) -> anyhow::Result<String> {
    let shown = default.map_or(String::new(), |default| format!(" [{default}]"));
    aside(format_args!("{question}{shown}: "));
    let Some(line) = read_line().await? else {
        return Err(WrongArguments(format!("nobody answers: give {flag}")).into());
    };
    match (line.trim(), default) {
        ("", Some(default)) => Ok(default.to_owned()),
        (answer, _) => Ok(answer.to_owned()),
    }
}

async fn yes(question: &str, given: Option<&str>, flag: &str) -> anyhow::Result<bool> {
    if let Some(given) = given {
        return Ok(given == "yes");
    }
    loop {
        match prompt(&format!("{question} y/n"), Some("n"), flag)
            .await?
            .to_lowercase()
            .as_str()
        {
            "y" | "yes" | "т" | "так" => return Ok(true),
            "n" | "no" | "н" | "ні" => return Ok(false),
            _ => note!("Answer y or n."),
        }
    }
}

/// Prints the line, and installs it when that is agreed.
async fn crontab(state: &AppState, args: &Args, site: &str) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("asking where this program is")?;
    // Cron runs it in a home directory, where the embedded database's is not.
    let data = match state.config.is_embedded() {
        true => Some(std::path::absolute(&state.config.data_dir).context("asking where the data directory is")?),
        false => None,
    };
    let line = crontab_line(args, site, &program.display().to_string(), data.as_deref())?;
    say!("{line}");
    note!("Cron counts hours in the machine's own zone.");
    if yes("Put it into your crontab?", args.install.as_deref(), "--install").await? {
        install(&line).await?;
        note!("Installed; `crontab -l` shows it.");
    }
    if yes("Send the report now, to see it?", args.test.as_deref(), "--test").await? {
        let report = send_report::Args {
            period: period(args).to_owned(),
            recipients: args.fields.recipients.clone(),
            format: format(args)?,
            attach_csv: args.fields.attach_csv == Some(true),
            dry_run: false,
            site: Some(site.to_owned()),
            lang: args.fields.lang.clone(),
            out: None,
        };
        send_report::send_now(state, report).await?;
    }
    Ok(())
}

fn period(args: &Args) -> &'static str {
    match args.fields.frequency.as_deref() {
        Some("daily") => "today",
        Some("monthly") => "month",
        _ => "week",
    }
}

fn format(args: &Args) -> Result<Format, WrongArguments> {
    match args.fields.format.as_deref() {
        None => Ok(Format::Html),
        Some(name) => Format::from_name(name).ok_or_else(|| WrongArguments("--format: allowed are html, text".into())),
    }
}

fn crontab_line(args: &Args, site: &str, program: &str, data: Option<&Path>) -> Result<String, WrongArguments> {
    let fields = &args.fields;
    let hour = fields.hour.unwrap_or(9);
    if !(0..=23).contains(&hour) {
        return Err(WrongArguments("--hour: must be a whole number from 0 to 23".into()));
    }
    let when = match fields.frequency.as_deref() {
        Some("daily") => format!("0 {hour} * * *"),
        Some("weekly") => {
            let asked = Fields {
                weekday: fields.weekday.clone(),
                ..Fields::default()
            }
            .plan_fields()?;
            let number = asked.weekday.unwrap_or(1);
            let day = u32::try_from(number).ok().filter(|day| (1..=7).contains(day));
            let day =
                day.ok_or_else(|| WrongArguments("--weekday: allowed are 1 (Monday) to 7, and mon to sun".into()))?;
            // Cron's Sunday is 0.
            format!("0 {hour} * * {}", weekday(day).num_days_from_sunday())
        }
        Some("monthly") => match fields.month_day.unwrap_or(1) {
            day @ 1..=28 => format!("0 {hour} {day} * *"),
            _ => {
                return Err(WrongArguments(
                    "--month-day: cron has no last day of a month; allowed are 1 to 28".into(),
                ));
            }
        },
        _ => return Err(WrongArguments("--frequency: allowed are daily, weekly, monthly".into())),
    };
    let mut command = String::new();
    if let Some(file) = &args.env_file {
        // A shell looks for a file without a slash in its search path, and a relative one would be looked for in a home directory.
        let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
        command.push_str(&format!("set -a; . {}; set +a; ", quoted(&file.display().to_string())));
    }
    if let Some(data) = data {
        command.push_str(&format!("UD_DATA_DIR={} ", quoted(&data.display().to_string())));
    }
    let recipients = fields.recipients.as_deref().unwrap_or_default();
    command.push_str(&format!(
        "{} send-report --site {} --period {} --recipients {}",
        quoted(program),
        quoted(site),
        period(args),
        quoted(recipients)
    ));
    if fields.format.is_some() {
        command.push_str(&format!(" --format {}", format(args)?.name()));
    }
    if fields.attach_csv == Some(true) {
        command.push_str(" --attach-csv");
    }
    if let Some(language) = &fields.lang {
        command.push_str(&format!(" --lang {}", quoted(language)));
    }
    command.push_str(&format!(" >> {} 2>&1", quoted(&args.log.display().to_string())));
    // A percent sign is a line end to cron.
    Ok(format!("{when} {}", command.replace('%', "\\%")))
}

/// One word of a shell's line.
fn quoted(text: &str) -> String {
    let plain = !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"/._-@,+=:".contains(&b));
    if plain {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Adds a line to this user's crontab, once.
async fn install(line: &str) -> anyhow::Result<()> {
    let listed = tokio::process::Command::new("crontab").arg("-l").output().await;
    let listed = listed.context("running crontab; is cron installed?")?;
    // Without a table it fails too and says so; any other failure must not end in a table that holds this line alone.
    let says = String::from_utf8_lossy(&listed.stderr);
    if !listed.status.success() && !["no crontab", "No such file"].iter().any(|none| says.contains(none)) {
        bail!("crontab -l failed, so nothing was changed: {}", says.trim());
    }
    let mut table = String::from_utf8(listed.stdout).context("the crontab is not text")?;
    if table.lines().any(|known| known == line) {
        return Ok(());
    }
    if !table.is_empty() && !table.ends_with('\n') {
        table.push('\n');
    }
    table.push_str(line);
    table.push('\n');
    let mut writing = tokio::process::Command::new("crontab")
        .arg("-")
        .stdin(Stdio::piped())
        .spawn()
        .context("running crontab")?;
    if let Some(mut input) = writing.stdin.take() {
        input.write_all(table.as_bytes()).await.context("writing the crontab")?;
    }
    let done = writing.wait().await.context("waiting for crontab")?;
    if !done.success() {
        bail!("crontab refused the line");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(fields: Fields) -> Args {
        Args {
            site: None,
            fields,
            test: None,
            crontab: true,
            install: None,
            env_file: None,
            log: "/var/log/utm.log".into(),
        }
    }

    fn fields(frequency: &str) -> Fields {
        Fields {
            frequency: Some(frequency.into()),
            recipients: Some("a@x.example,b@x.example".into()),
            ..Fields::default()
        }
    }

    #[test]
    fn the_line_says_when_and_what_as_cron_reads_it() {
        let weekly = Fields {
            weekday: Some("sun".into()),
            attach_csv: Some(true),
            ..fields("weekly")
        };
        assert_eq!(
            crontab_line(&args(weekly), "shop", "/usr/local/bin/central-api", None).unwrap(),
            "0 9 * * 0 /usr/local/bin/central-api send-report --site shop --period week --recipients a@x.example,b@x.example --attach-csv >> /var/log/utm.log 2>&1"
        );
        let daily = Args {
            env_file: Some("/etc/a b/100%.env".into()),
            ..args(Fields {
                hour: Some(18),
                ..fields("daily")
            })
        };
        assert_eq!(
            crontab_line(&daily, "shop", "central-api", None).unwrap(),
            "0 18 * * * set -a; . '/etc/a b/100\\%.env'; set +a; central-api send-report --site shop --period today --recipients a@x.example,b@x.example >> /var/log/utm.log 2>&1"
        );
        assert!(
            crontab_line(
                &args(Fields {
                    month_day: Some(31),
                    ..fields("monthly")
                }),
                "shop",
                "x",
                None
            )
            .is_err()
        );
        assert!(
            crontab_line(
                &args(Fields {
                    hour: Some(24),
                    ..fields("daily")
                }),
                "shop",
                "x",
                None
            )
            .is_err()
        );
    }

    #[test]
    fn the_line_keeps_the_format_and_says_where_an_embedded_database_is() {
        let text = Fields {
            format: Some("text".into()),
            ..fields("monthly")
        };
        assert_eq!(
            crontab_line(&args(text), "shop", "central-api", Some(Path::new("/var/lib/my data"))).unwrap(),
            "0 9 1 * * UD_DATA_DIR='/var/lib/my data' central-api send-report --site shop --period month --recipients a@x.example,b@x.example --format text >> /var/log/utm.log 2>&1"
        );
        let odd = Fields {
            format: Some("pdf".into()),
            ..fields("daily")
        };
        assert!(crontab_line(&args(odd), "shop", "x", None).is_err());
    }

    #[test]
    fn what_a_crontab_line_cannot_say_is_refused_and_not_dropped() {
        fits_a_crontab(&fields("daily")).unwrap();
        for (given, says) in [
            (
                Fields {
                    filters: vec!["utm_source=ig".into()],
                    ..Fields::default()
                },
                "--filter: ",
            ),
            (
                Fields {
                    time_zone: Some("Europe/Kyiv".into()),
                    ..Fields::default()
                },
                "--time-zone: ",
            ),
            (
                Fields {
                    name: Some("Mine".into()),
                    ..Fields::default()
                },
                "--name: ",
            ),
        ] {
            let error = fits_a_crontab(&given).unwrap_err().to_string();
            assert!(
                error.starts_with(says) && error.contains("leave out --crontab"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_shell_takes_a_quoted_word_as_it_is() {
        assert_eq!(quoted("it's; rm -rf /"), "'it'\\''s; rm -rf /'");
        assert_eq!(quoted(""), "''");
    }
}
