//! Where mails go: to a server, into files, or to the terminal.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use lettre::address::Envelope;
use lettre::message::Mailbox;
use lettre::{AsyncFileTransport, AsyncTransport, Tokio1Executor};

use super::smtp;
use crate::config::{Config, MailTransport};

/// What came of handing a mail over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Taken over: never to be sent again. What the server said.
    Accepted(String),
    /// Surely not taken over; worth another try.
    Later(String),
    /// Refused for good.
    Refused(String),
    /// Nobody knows.
    Uncertain(String),
}

/// How mails leave.
#[derive(Debug, Clone)]
pub enum Transport {
    /// To an SMTP server.
    Smtp(Box<smtp::Server>),
    /// Into a directory, a file `.eml` a mail.
    File(PathBuf),
    /// To standard output.
    Console,
}

/// An open way out.
pub enum Link {
    /// See [`Transport::Smtp`].
    Smtp(Box<smtp::Connection>),
    /// See [`Transport::File`].
    File(AsyncFileTransport<Tokio1Executor>),
    /// See [`Transport::Console`].
    Console,
}

impl Transport {
    /// From the configuration.
    ///
    /// # Errors
    /// Says which setting is missing.
    pub fn of(config: &Config) -> anyhow::Result<Self> {
        Ok(match config.mail_transport {
            MailTransport::None => {
                bail!(
                    "mail is not set up: set UD_MAIL_TRANSPORT to smtp (with UD_SMTP_HOST and UD_MAIL_FROM), file or console"
                )
            }
            MailTransport::Smtp => Self::Smtp(Box::new(smtp::Server::of(config)?)),
            MailTransport::File => Self::File(config.mail_dir.clone().unwrap_or_else(|| config.data_dir.join("mail"))),
            MailTransport::Console => Self::Console,
        })
    }

    /// Opens a way out.
    ///
    /// # Errors
    /// Why it cannot be.
    pub async fn open(&self) -> Result<Link, String> {
        Ok(match self {
            Self::Smtp(server) => Link::Smtp(Box::new(server.connect().await?)),
            Self::File(folder) => {
                let made = tokio::fs::create_dir_all(folder).await;
                made.map_err(|error| format!("making {}: {error}", folder.display()))?;
                Link::File(AsyncFileTransport::new(folder))
            }
            Self::Console => Link::Console,
        })
    }

    /// For people.
    pub fn describe(&self) -> String {
        match self {
            Self::Smtp(server) => format!("SMTP server {}", server.name()),
            Self::File(folder) => format!("files in {}", folder.display()),
            Self::Console => "standard output".into(),
        }
    }
}

impl Link {
    /// Hands a mail over.
    pub async fn send(&mut self, envelope: &Envelope, mail: &[u8]) -> Outcome {
        match self {
            Self::Smtp(connection) => connection.send(envelope, mail).await,
            Self::File(folder) => match folder.send_raw(envelope, mail).await {
                Ok(name) => Outcome::Accepted(format!("file {name}.eml")),
                Err(error) => Outcome::Later(format!("writing a file: {error}")),
            },
            Self::Console => match std::io::stdout().lock().write_all(mail) {
                Ok(()) => Outcome::Accepted("written to standard output".into()),
                Err(error) => Outcome::Later(format!("writing to standard output: {error}")),
            },
        }
    }

    /// Whether another mail can go through it.
    pub fn is_usable(&self) -> bool {
        match self {
            Self::Smtp(connection) => connection.is_usable(),
            Self::File(_) | Self::Console => true,
        }
    }

    /// Asks whether the other side is there.
    ///
    /// # Errors
    /// What it said.
    pub async fn check(&mut self) -> Result<(), String> {
        match self {
            Self::Smtp(connection) => connection.check().await,
            Self::File(_) | Self::Console => Ok(()),
        }
    }

    /// Takes leave.
    pub async fn close(self) {
        if let Self::Smtp(connection) = self {
            connection.close().await;
        }
    }
}

/// Whom mails come from.
///
/// # Errors
/// When it is not set, or no address.
pub fn sender(config: &Config) -> anyhow::Result<Mailbox> {
    match (&config.mail_from, config.mail_transport) {
        (Some(from), _) => from
            .parse()
            .context("UD_MAIL_FROM: must be an address such as Reports <reports@shop.example>"),
        (None, MailTransport::Smtp) => {
            bail!("UD_MAIL_FROM: must be set for UD_MAIL_TRANSPORT=smtp, such as Reports <reports@shop.example>")
        }
        (None, _) => "UTM Dispatcher <reports@localhost.localdomain>"
            .parse()
            .context("the default sender"),
    }
}
