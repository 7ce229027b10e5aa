//! Handing one mail to an SMTP server, and knowing exactly what is known afterwards.
//!
//! lettre's own transport answers only that a send failed, not how far it came; its connection lets us go step by step.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Noop, Quit, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};

use super::transport::Outcome;
use crate::config::{Config, SmtpSecurity};

/// A server may think about a whole message this many times longer than about a command: with the default of a minute the ten minutes of
/// RFC 5321, 4.5.3.2.6.
const PATIENCE_AFTER_MESSAGE: u32 = 10;
/// Characters of a server's answer that are kept.
const MAX_DETAIL: usize = 300;

/// How to reach the server.
#[derive(Debug, Clone)]
pub struct Server {
    host: String,
    port: u16,
    security: SmtpSecurity,
    credentials: Option<Credentials>,
    ca_file: Option<PathBuf>,
    timeout: Duration,
}

/// A connection that is logged in.
pub struct Connection {
    inner: AsyncSmtpConnection,
    timeout: Duration,
}

impl Server {
    /// From the configuration.
    ///
    /// # Errors
    /// Says which setting is missing.
    pub fn of(config: &Config) -> anyhow::Result<Self> {
        let host = config
            .smtp_host
            .clone()
            .context("UD_SMTP_HOST: must be set for UD_MAIL_TRANSPORT=smtp, such as smtp.shop.example")?;
        let credentials = match (&config.smtp_user, &config.smtp_password) {
            (Some(user), Some(password)) => Some(Credentials::new(user.clone(), password.expose().to_owned())),
            (None, None) => None,
            (Some(_), None) => anyhow::bail!("UD_SMTP_PASSWORD: must be set when UD_SMTP_USER is"),
            (None, Some(_)) => anyhow::bail!("UD_SMTP_USER: must be set when UD_SMTP_PASSWORD is"),
        };
        let standard = match config.smtp_security {
            SmtpSecurity::StartTls => 587,
            SmtpSecurity::Tls => 465,
            SmtpSecurity::None => 25,
        };
        Ok(Self {
            host,
            port: match config.smtp_port {
                Some(port) => u16::try_from(port).context("UD_SMTP_PORT: must be from 1 to 65535")?,
                None => standard,
            },
            security: config.smtp_security,
            credentials,
            ca_file: config.smtp_ca_file.clone(),
            timeout: Duration::from_secs(u64::from(config.smtp_timeout_seconds)),
        })
    }

    /// Host and port, for people.
    pub fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Connects, encrypts and logs in.
    ///
    /// # Errors
    /// What the server said, or why it cannot be reached.
    pub async fn connect(&self) -> Result<Connection, String> {
        match tokio::time::timeout(self.timeout, self.connect_patiently()).await {
            Ok(Ok(inner)) => Ok(Connection {
                inner,
                timeout: self.timeout,
            }),
            Ok(Err(error)) => Err(format!("{}: {error}", self.name())),
            Err(_) => Err(format!(
                "{}: no answer within {} s",
                self.name(),
                self.timeout.as_secs()
            )),
        }
    }

    async fn connect_patiently(&self) -> Result<AsyncSmtpConnection, String> {
        let hello = ClientId::default();
        let tls = || self.tls().map_err(|error| format!("{error:#}"));
        let implicit = match self.security {
            SmtpSecurity::Tls => Some(tls()?),
            _ => None,
        };
        let address = (self.host.as_str(), self.port);
        let mut connection = AsyncSmtpConnection::connect_tokio1(address, Some(self.timeout), &hello, implicit, None)
            .await
            .map_err(|error| detail(&error))?;
        if self.security == SmtpSecurity::StartTls {
            connection
                .starttls(tls()?, &hello)
                .await
                .map_err(|error| detail(&error))?;
        }
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            connection
                .auth(&mechanisms, credentials)
                .await
                .map_err(|error| detail(&error))?;
        }
        Ok(connection)
    }

    fn tls(&self) -> anyhow::Result<TlsParameters> {
        let mut parameters = TlsParameters::builder(self.host.clone());
        if let Some(file) = &self.ca_file {
            let pem = std::fs::read(file).with_context(|| format!("UD_SMTP_CA_FILE: reading {}", file.display()))?;
            let certificate = Certificate::from_pem(&pem).context("UD_SMTP_CA_FILE: it holds no certificate in PEM")?;
            parameters = parameters.add_root_certificate(certificate);
        }
        parameters.build().context("preparing TLS")
    }
}

impl Connection {
    /// Hands a mail to one recipient over. After anything but an acceptance the connection may be broken, see [`Connection::is_usable`].
    pub async fn send(&mut self, envelope: &Envelope, mail: &[u8]) -> Outcome {
        match tokio::time::timeout(self.timeout, self.announce(envelope, mail)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return self.refused(&error).await,
            Err(_) => {
                self.inner.abort_silently().await;
                return Outcome::Later(format!("no answer within {} s", self.timeout.as_secs()));
            }
        }
        // The iterator is asked for more only once everything before was written, and the end mark goes out right after it says no.
        let complete = AtomicBool::new(false);
        let parts = std::iter::once(mail).chain(std::iter::from_fn(|| {
            complete.store(true, Ordering::Relaxed);
            None
        }));
        let answered =
            tokio::time::timeout(self.timeout * PATIENCE_AFTER_MESSAGE, self.inner.message_iter(parts)).await;
        match answered {
            Ok(Ok(response)) => {
                let lines: Vec<&str> = response.message().collect();
                Outcome::Accepted(shortened(&format!("{} {}", response.code(), lines.join(" "))))
            }
            Ok(Err(error)) => self.refused(&error).await,
            Err(_) => {
                self.inner.abort_silently().await;
                if complete.load(Ordering::Relaxed) {
                    Outcome::Uncertain("the server had the whole message and did not answer".into())
                } else {
                    Outcome::Later("the server stopped reading in the middle of the message".into())
                }
            }
        }
    }

    /// Sender, recipient, and that a message follows.
    async fn announce(&mut self, envelope: &Envelope, mail: &[u8]) -> Result<(), Error> {
        let mut parameters = Vec::new();
        // A server that does not know an extension refuses the parameter by itself, with a code.
        if !envelope
            .to()
            .iter()
            .chain(envelope.from())
            .all(|address| AsRef::<str>::as_ref(address).is_ascii())
        {
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !mail.is_ascii() && self.inner.server_info().supports_feature(Extension::EightBitMime) {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        self.inner
            .command(Mail::new(envelope.from().cloned(), parameters))
            .await?;
        for recipient in envelope.to() {
            self.inner.command(Rcpt::new(recipient.clone(), Vec::new())).await?;
        }
        self.inner.command(Data).await?;
        Ok(())
    }

    /// An answer that is no acceptance, or none at all because the connection is gone.
    async fn refused(&mut self, error: &Error) -> Outcome {
        let says = detail(error);
        if error.status().is_some() {
            // Ready for the next one, unless the server is leaving (421).
            let reset = tokio::time::timeout(self.timeout, self.inner.command(Rset)).await;
            if !matches!(reset, Ok(Ok(_))) {
                self.inner.abort_silently().await;
            }
        } else {
            self.inner.abort_silently().await;
        }
        if error.is_permanent() {
            Outcome::Refused(says)
        } else {
            Outcome::Later(says)
        }
    }

    /// Whether another mail can go through it.
    pub fn is_usable(&self) -> bool {
        !self.inner.has_broken()
    }

    /// Asks whether the server is still there.
    ///
    /// # Errors
    /// What it said.
    pub async fn check(&mut self) -> Result<(), String> {
        match tokio::time::timeout(self.timeout, self.inner.command(Noop)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(detail(&error)),
            Err(_) => Err("no answer".into()),
        }
    }

    /// Takes leave.
    pub async fn close(mut self) {
        if self.is_usable() {
            let _ = tokio::time::timeout(self.timeout, self.inner.command(Quit)).await;
        }
    }
}

/// Ends a connection without waiting for a server that may be silent.
trait AbortSilently {
    async fn abort_silently(&mut self);
}

impl AbortSilently for AsyncSmtpConnection {
    async fn abort_silently(&mut self) {
        // It says QUIT and waits for the answer; the flag is set before.
        let _ = tokio::time::timeout(Duration::from_millis(200), self.abort()).await;
    }
}

/// What an error says, with its cause, in one line.
fn detail(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    shortened(&text)
}

fn shortened(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_DETAIL)
        .collect();
    text.trim().to_owned()
}
