//! Sends an event's letter to one person.

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        Mailbox, MultiPart,
        header::{ContentType, HeaderName, HeaderValue},
    },
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{Envelope, Event, OutboxError};

/// Longest subject, in characters: mail programs show no more.
const LONGEST_SUBJECT: usize = 150;

/// One mail server.
pub(super) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    pub(super) fn new(smtp: &SecretString, from: Mailbox) -> Result<Self, OutboxError> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(smtp.expose_secret())
            .map_err(|_| OutboxError::Smtp)?
            .build();
        Ok(Self { transport, from })
    }

    /// Sends it, with a link at its end if there is one. Gives what the mail server said, or why it took nothing.
    pub(super) async fn send(
        &self,
        event: &Event,
        address: &str,
        link: Option<&str>,
    ) -> Result<Value, String> {
        let to: Mailbox = address
            .parse()
            .map_err(|e| format!("`{address}` is no mail address: {e}"))?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(one_line(&event.letter.subject))
            // The same for every attempt, so that a mail that arrived twice is shown once.
            .message_id(Some(format!("<{}@{}>", event.id, self.from.email.domain())))
            .header(ContentType::TEXT_PLAIN)
            .body(match link {
                Some(link) => format!("{}\n\n{link}\n", event.letter.text),
                None => format!("{}\n", event.letter.text),
            })
            .map_err(|e| format!("no mail can be made of it: {e}"))?;
        self.hand_over(message).await
    }

    /// Sends a message to somebody outside. Gives what the mail server said, or why it took nothing.
    pub(super) async fn send_on(&self, envelope: &Envelope) -> Result<Value, String> {
        let mailbox = |address: &str| {
            let parsed = address.parse::<Mailbox>();
            parsed.map_err(|e| format!("`{address}` is no mail address: {e}"))
        };
        let from = match &envelope.from {
            Some(from) => mailbox(from)?,
            None => self.from.clone(),
        };
        let mut builder = Message::builder()
            .from(from)
            .to(mailbox(&envelope.to)?)
            .subject(one_line(&envelope.subject))
            .message_id(Some(format!("<{}>", envelope.message_id)));
        if let Some(nearest) = envelope.answers.last() {
            builder = builder.in_reply_to(format!("<{nearest}>")).references(
                envelope
                    .answers
                    .iter()
                    .map(|id| format!("<{id}>"))
                    .collect::<Vec<_>>()
                    .join(" "),
            );
        }
        let text = format!("{}\n", envelope.text);
        let made = match &envelope.html {
            Some(html) => builder.multipart(MultiPart::alternative_plain_html(text, html.clone())),
            None => builder.header(ContentType::TEXT_PLAIN).body(text),
        };
        let mut message = made.map_err(|e| format!("no mail can be made of it: {e}"))?;
        if envelope.automatic {
            let name = HeaderName::new_from_ascii_str("Auto-Submitted");
            let value = HeaderValue::new(name, "auto-replied".to_owned());
            message.headers_mut().insert_raw(value);
        }
        self.hand_over(message).await
    }

    async fn hand_over(&self, message: Message) -> Result<Value, String> {
        let said = self.transport.send(message).await;
        let said = said.map_err(|e| format!("the mail server did not take it: {e}"))?;
        Ok(json!({ "code": said.code().to_string() }))
    }
}

/// Names of strangers stand in a subject: a line break there would begin a header of theirs.
fn one_line(text: &str) -> String {
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    visible.take(LONGEST_SUBJECT).collect()
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_subject_stays_one_line_of_bounded_length() {
        assert_eq!(one_line("a\r\nBcc: eve@example.com"), "a  Bcc: eve@example.com");
        assert_eq!(one_line(&"x".repeat(1000)).len(), 150);
    }
}
