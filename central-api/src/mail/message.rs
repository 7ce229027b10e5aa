//! A report as a mail: HTML and text as alternatives, the chart inside, the tables attached.

use std::collections::HashSet;
use std::time::SystemTime;

use anyhow::Context;
use chrono::{DateTime, Utc};
use lettre::address::Envelope;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Body, Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};

use super::content::Content;
use super::page::{Page, Picture};
use super::plan::Format;
use super::{chart, unsubscribe};
use crate::config::Config;
use crate::secret::{Secret, hex};

/// Content-ID of the chart.
const CHART: &str = "trend";

/// A report that is ready to be sent to any number of people.
pub struct Mailing {
    from: Mailbox,
    page: Page,
    format: Format,
    /// Encoded once.
    chart: Option<Body>,
    files: Vec<(&'static str, Body)>,
    /// Whom to offer to unsubscribe, and where.
    offer: Option<Offer>,
    secret: Secret,
    run_id: i64,
}

/// How recipients who are no users leave a schedule.
struct Offer {
    schedule_id: i64,
    /// The panel's origin; none: by mail to the sender.
    origin: Option<String>,
    /// They change the schedule in the panel instead.
    users: HashSet<String>,
}

/// A mail as it travels.
pub struct Packed {
    /// From whom to whom.
    pub envelope: Envelope,
    /// The whole message.
    pub bytes: Vec<u8>,
}

/// Which run a mailing belongs to, and who may leave it.
pub struct Occasion {
    /// Its number, 0 for none.
    pub run_id: i64,
    /// The schedule's.
    pub schedule_id: Option<i64>,
    /// Addresses of users.
    pub users: HashSet<String>,
}

impl Mailing {
    /// Draws the chart and encodes what all mails share.
    ///
    /// # Errors
    /// A setting that is wrong, or none that data could cause.
    pub async fn new(
        config: &Config,
        from: Mailbox,
        page: Page,
        content: Content,
        format: Format,
        occasion: Occasion,
    ) -> anyhow::Result<Self> {
        let encode = move || -> anyhow::Result<_> {
            let encoded = |bytes: Vec<u8>| {
                Body::new_with_encoding(bytes, ContentTransferEncoding::Base64)
                    .map_err(|_| anyhow::anyhow!("encoding an attachment"))
            };
            let chart = match format {
                Format::Html => Some(encoded(chart::png(&content.trend)?)?),
                Format::Text => None,
            };
            let files = content
                .files
                .into_iter()
                .filter_map(|file| Some((file.name, file.bytes?)));
            let files = files
                .map(|(name, bytes)| Ok((name, encoded(bytes)?)))
                .collect::<anyhow::Result<Vec<_>>>()?;
            Ok((chart, files))
        };
        // Megabytes of tables and a picture: not on a thread that serves others.
        let (chart, files) = tokio::task::spawn_blocking(encode)
            .await
            .context("encoding attachments")??;
        Ok(Self {
            from,
            page,
            format,
            chart,
            files,
            offer: occasion.schedule_id.map(|schedule_id| Offer {
                schedule_id,
                origin: config.public_url.as_ref().map(|origin| origin.as_str().to_owned()),
                users: occasion.users,
            }),
            secret: config.secret.clone(),
            run_id: occasion.run_id,
        })
    }

    /// The mail to one recipient. Sent again it has the same Message-ID.
    ///
    /// # Errors
    /// An address that cannot be one.
    pub fn to(&self, address: &str, now: DateTime<Utc>) -> anyhow::Result<Packed> {
        let recipient: Address = address.parse().context("the recipient's address")?;
        let envelope = Envelope::new(Some(self.from.email.clone()), vec![recipient.clone()]).context("the envelope")?;
        let id = hex(&self.secret.derive(&format!("message-id:{}:{address}", self.run_id))[..16]);
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, recipient))
            .subject(self.page.subject())
            .date(SystemTime::from(now))
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .raw_header(raw("Auto-Submitted", "auto-generated".into())?);
        let mut link = None;
        if let Some(offer) = self.offer.as_ref().filter(|offer| !offer.users.contains(address)) {
            match &offer.origin {
                Some(origin) => {
                    let url = unsubscribe::link(origin, &self.secret, offer.schedule_id, address);
                    message = message
                        .raw_header(raw("List-Unsubscribe", format!("<{url}>"))?)
                        .raw_header(raw("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".into())?);
                    link = Some(url);
                }
                None => {
                    let by_mail = format!("<mailto:{}?subject=unsubscribe>", self.from.email);
                    message = message.raw_header(raw("List-Unsubscribe", by_mail)?);
                }
            }
        }
        let plain = SinglePart::plain(self.page.text(link.as_deref())?);
        let attached = |mut parts: MultiPart| {
            for (name, body) in &self.files {
                parts = parts.singlepart(Attachment::new((*name).to_owned()).body(body.clone(), csv()));
            }
            parts
        };
        let built = match self.format {
            Format::Text if self.files.is_empty() => message.singlepart(plain),
            Format::Text => message.multipart(attached(MultiPart::mixed().singlepart(plain))),
            Format::Html => {
                let picture = self.chart.as_ref().map(|_| Picture::Attached(CHART));
                let html = SinglePart::html(self.page.html(picture.as_ref(), link.as_deref())?);
                let mut related = MultiPart::related().singlepart(html);
                if let Some(chart) = &self.chart {
                    related = related.singlepart(
                        Attachment::new_inline_with_name(CHART.into(), "trend.png".into()).body(chart.clone(), png()),
                    );
                }
                let both = MultiPart::alternative().singlepart(plain).multipart(related);
                if self.files.is_empty() {
                    message.multipart(both)
                } else {
                    message.multipart(attached(MultiPart::mixed().multipart(both)))
                }
            }
        };
        let bytes = built.context("building the message")?.formatted();
        Ok(Packed { envelope, bytes })
    }

    /// The report alone, as a browser shows it: HTML with the chart in it, or text.
    ///
    /// # Errors
    /// None that data could cause.
    pub fn alone(page: &Page, content: &Content, format: Format) -> anyhow::Result<String> {
        use base64::Engine as _;
        match format {
            Format::Text => page.text(None),
            Format::Html => {
                let chart = base64::engine::general_purpose::STANDARD.encode(chart::png(&content.trend)?);
                page.html(Some(&Picture::Inline(format!("data:image/png;base64,{chart}"))), None)
            }
        }
    }
}

fn raw(name: &'static str, value: String) -> anyhow::Result<HeaderValue> {
    let name = HeaderName::new_from_ascii(name.to_owned()).context("a header's name")?;
    Ok(HeaderValue::new(name, value))
}

fn csv() -> ContentType {
    ContentType::parse("text/csv; charset=utf-8").unwrap_or(ContentType::TEXT_PLAIN)
}

fn png() -> ContentType {
    ContentType::parse("image/png").unwrap_or(ContentType::TEXT_PLAIN)
}
