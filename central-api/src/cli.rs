//! The command line: what can be asked, and the exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands;
use crate::config::{Config, Effective};

/// Takes in events and orders, computes the analytics, serves the panel and mails the reports.
#[derive(Debug, Parser)]
#[command(name = "central-api", version, arg_required_else_help = true)]
pub struct Cli {
    /// TOML file with settings; environment variables win over it. `central-api config` lists them.
    #[arg(long, global = true, env = "UD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring the database up to date and serve until SIGTERM or Ctrl-C.
    Serve,
    /// Bring the database up to date.
    Migrate,
    /// Check everything and say what is wrong and what helps.
    Doctor(commands::doctor::Args),
    /// Make a site: one shop.
    CreateSite(commands::create_site::Args),
    /// Make a user who may log in to the panel.
    CreateAdmin(commands::create_admin::Args),
    /// Make a link by which a user sets a new password, once.
    ResetPassword(commands::reset_password::Args),
    /// Make a key for a worker (ingest) or a program (api); shown once.
    CreateKey(commands::create_key::Args),
    /// Revoke a key; it stops working within seconds.
    RevokeKey(commands::revoke_key::Args),
    /// List keys, without their secrets.
    ListKeys,
    /// Bring history in from files: sessions, actions, orders, ad spend.
    Import(commands::import::Args),
    /// Check the sums that reports are made from, or make them anew.
    Rollup(commands::rollup::Args),
    /// Make customer and business figures anew, of a range of days or all.
    UpdateAnalytics(commands::update_analytics::Args),
    /// Fill an empty site with an invented shop's year, for trying out and measuring.
    DemoData(commands::demo_data::Args),
    /// What was refused: list it, look at it, send it through the same door again.
    DeadLetters(commands::dead_letters::Args),
    /// Send a report by e-mail now, or show it.
    SendReport(commands::send_report::Args),
    /// Reports that are mailed regularly: list, add, edit, remove, run-now.
    Schedule(commands::schedule::Args),
    /// Set up regular reports by e-mail, question by question.
    SetupEmailReports(commands::setup_email_reports::Args),
    /// What is kept of one visitor or customer: find it, export it, erase it.
    Privacy(commands::privacy::Args),
    /// Take the secret as it is set now for the database's, where the one before is lost; says first what is lost with it.
    AcceptSecret(commands::accept_secret::Args),
    /// Show every setting: what it is for, its value, its default. Secrets are hidden.
    Config,
    /// Print the API's description, OpenAPI 3.1.
    Openapi,
    /// Run just the embedded Postgres until Ctrl-C; prints DATABASE_URL=… when ready.
    Postgres(commands::postgres::Args),
}

/// Runs what the arguments ask for. Exit codes: 0 done, 1 it failed, 2 the arguments or the configuration are wrong.
pub fn run(cli: Cli) -> ExitCode {
    let effective = match read_config(cli.config.as_deref()) {
        Ok(effective) => effective,
        Err(error) => {
            commands::say_error(&commands::in_full(&error));
            return ExitCode::from(2);
        }
    };
    let config = effective.config.clone();
    let serving = matches!(cli.command, Command::Serve);
    if let Err(error) = crate::telemetry::start_logging(&config, serving) {
        commands::say_error(&commands::in_full(&error));
        return ExitCode::from(2);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            commands::say_error(&format!("starting the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(async {
        match cli.command {
            Command::Serve => commands::serve::run(config).await,
            Command::Migrate => commands::migrate::run(config).await,
            Command::Doctor(args) => commands::doctor::run(config, args).await,
            Command::CreateSite(args) => commands::create_site::run(config, args).await,
            Command::CreateAdmin(args) => commands::create_admin::run(config, args).await,
            Command::ResetPassword(args) => commands::reset_password::run(config, args).await,
            Command::CreateKey(args) => commands::create_key::run(config, args).await,
            Command::RevokeKey(args) => commands::revoke_key::run(config, args).await,
            Command::ListKeys => commands::list_keys::run(config).await,
            Command::Import(args) => commands::import::run(config, args).await,
            Command::Rollup(args) => commands::rollup::run(config, args).await,
            Command::UpdateAnalytics(args) => commands::update_analytics::run(config, args).await,
            Command::DemoData(args) => commands::demo_data::run(config, args).await,
            Command::DeadLetters(args) => commands::dead_letters::run(config, args).await,
            Command::SendReport(args) => commands::send_report::run(config, args).await,
            Command::Schedule(args) => commands::schedule::run(config, args).await,
            Command::SetupEmailReports(args) => commands::setup_email_reports::run(config, args).await,
            Command::Privacy(args) => commands::privacy::run(config, args).await,
            Command::AcceptSecret(args) => commands::accept_secret::run(config, args).await,
            Command::Config => commands::config::run(&effective),
            Command::Openapi => commands::openapi::run(&config),
            Command::Postgres(args) => commands::postgres::run(config, args).await,
        }
    });
    match done {
        Ok(()) => match commands::unheard() {
            None => ExitCode::SUCCESS,
            Some(error) => {
                commands::say_error(&format!("writing to standard output: {error}"));
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            commands::say_error(&commands::in_full(&error));
            match error.downcast_ref::<commands::WrongArguments>() {
                Some(_) => ExitCode::from(2),
                None => ExitCode::FAILURE,
            }
        }
    }
}

fn read_config(file: Option<&std::path::Path>) -> anyhow::Result<Effective> {
    use anyhow::Context;
    let text = file
        .map(|file| std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display())))
        .transpose()?;
    // A variable that is not text cannot be one of ours.
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(Config::load(variables, text.as_deref())?)
}
