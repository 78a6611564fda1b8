//! Understands a mail: who wrote it, what it says, what it answers, and whether a person wrote it at all.

use std::borrow::Cow;

use mail_parser::{
    ContentType, HeaderName, HeaderValue, Message, MessageParser, MessagePart, MimeHeaders, PartType,
    decoders::html::html_to_text,
};

use super::{quote::fold, skim::Skimmed};
use crate::vocabulary::is_hidden;

/// Longest text of a message, in characters: that of a reply too (catalogue.md §3.4).
const MOST_TEXT: usize = 20_000;
/// Longest quote that is kept beside it.
const MOST_QUOTE: usize = 20_000;
/// Longest subject, in characters.
const MOST_SUBJECT: usize = 200;
/// Longest name of a person or file, in characters.
const MOST_NAME: usize = 120;
/// Attachments that are named.
const MOST_ATTACHMENTS: usize = 50;
/// Earlier mails that are looked for: the newest of a long thread.
const MOST_REFERENCES: usize = 20;
/// Longest message id; RFC 5322 lines have at most 998 characters.
const MOST_ID: usize = 500;
/// Mail servers that a mail may have passed (RFC 5321 §6.3 advises at least 100; loops are caught long before).
const MOST_HOPS: usize = 50;

/// A mail, as far as a conversation needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mail {
    /// Who wrote it.
    pub(crate) from: Address,
    /// Who it was written to: every address of To and Cc.
    pub(crate) to: Vec<String>,
    /// Its subject, on one line.
    pub(crate) subject: String,
    /// What it says, without what it quotes.
    pub(crate) text: String,
    /// What it quotes at its end.
    pub(crate) quoted: Option<String>,
    /// Its own id, without brackets.
    pub(crate) message_id: Option<String>,
    /// Ids of the mails it answers, the nearest first.
    pub(crate) answers: Vec<String>,
    /// What came with it.
    pub(crate) attachments: Vec<Attachment>,
    /// Whether text or attachments were cut.
    pub(crate) cut: bool,
}

/// A sender.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Address {
    /// In lower case.
    pub(crate) email: String,
    /// As they call themselves.
    pub(crate) name: Option<String>,
}

/// A file that came with a mail: named, never stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attachment {
    /// Its name, without folders.
    pub(crate) name: String,
    /// Its media type, as the sender says.
    pub(crate) media_type: String,
    /// Its size in bytes, near enough.
    pub(crate) bytes: u64,
}

/// A mail that no person should be answered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ignored {
    /// It says that it was written by a program: RFC 3834, mailing lists, bulk.
    Automatic,
    /// It tells that a mail of ours was not delivered.
    Bounce,
    /// It went in circles.
    Loop,
}

impl Ignored {
    /// A word for programs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::Bounce => "bounce",
            Self::Loop => "loop",
        }
    }
}

/// Why bytes are no mail that can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MailFault {
    /// No header could be read.
    #[error("This is no mail: it must begin with header lines as RFC 5322 has them.")]
    NoMail,
    /// It names no sender, or several.
    #[error("The mail must name exactly one sender with an address in `From`.")]
    Sender,
}

/// Reads a mail. What is broken in it costs that part alone, except for its sender.
///
/// # Errors
/// When it is none, or nobody is named as its sender.
pub(crate) fn read(mail: &Skimmed) -> Result<(Mail, Option<Ignored>), MailFault> {
    let parsed = MessageParser::default()
        .parse(&mail.bytes)
        .ok_or(MailFault::NoMail)?;
    if parsed.headers().is_empty() {
        return Err(MailFault::NoMail);
    }
    let ignored = ignored(&parsed);
    let from = sender(&parsed).ok_or(MailFault::Sender)?;
    let (whole, text_cut) = text(&parsed);
    let (text, quoted) = fold(&whole);
    let (text, long_text) = shortened(&text, MOST_TEXT);
    let quoted = quoted.map(|quoted| shortened(&quoted, MOST_QUOTE).0);
    let message_id = parsed.message_id().and_then(message_id);
    let attachments = attachments(&parsed, mail);
    let cut = text_cut || long_text || parsed.attachments().count() > MOST_ATTACHMENTS;
    Ok((
        Mail {
            to: recipients(&parsed),
            subject: one_line(parsed.subject().unwrap_or_default(), MOST_SUBJECT),
            answers: answers(&parsed, message_id.as_deref()),
            from,
            text,
            quoted,
            message_id,
            attachments,
            cut,
        },
        ignored,
    ))
}

/// Whether a program wrote it, or it runs in circles.
fn ignored(mail: &Message<'_>) -> Option<Ignored> {
    let word = |name: &'static str| {
        mail.header_raw(name)
            .map(|value| value.trim().to_ascii_lowercase())
    };
    let report = mail
        .root_part()
        .content_type()
        .is_some_and(|kind| kind.ctype() == "multipart" && kind.subtype() == Some("report"));
    let nobody = word("Return-Path").is_some_and(|path| path == "<>");
    if report || nobody {
        return Some(Ignored::Bounce);
    }
    if mail.header_values(HeaderName::Received).count() > MOST_HOPS {
        return Some(Ignored::Loop);
    }
    // RFC 3834 §5: `no` alone says that a person wrote it.
    let automatic = word("Auto-Submitted").is_some_and(|value| value != "no" && !value.starts_with("no;"));
    let bulk = word("Precedence")
        .is_some_and(|value| matches!(value.as_str(), "bulk" | "junk" | "list" | "auto_reply"));
    let marked = [
        "X-Autoreply",
        "X-Autorespond",
        "X-Auto-Reply-From",
        "List-Id",
        "List-Unsubscribe",
        "X-Loop",
    ];
    let daemon = sender(mail).is_some_and(|from| {
        let local = from.email.split('@').next().unwrap_or_default();
        matches!(
            local,
            "mailer-daemon" | "postmaster" | "no-reply" | "noreply" | "do-not-reply" | "donotreply"
        )
    });
    (automatic || bulk || daemon || marked.iter().any(|name| mail.header_raw(*name).is_some()))
        .then_some(Ignored::Automatic)
}

fn sender(mail: &Message<'_>) -> Option<Address> {
    let mut all = mail.from()?.iter();
    let (one, None) = (all.next()?, all.next()) else {
        return None;
    };
    let email = email(one.address()?)?;
    let name = one
        .name()
        .map(|name| one_line(name, MOST_NAME))
        .filter(|name| !name.is_empty());
    Some(Address { email, name })
}

/// An address in lower case, if it is one.
pub(crate) fn email(text: &str) -> Option<String> {
    let text = text.trim();
    let (local, domain) = text.rsplit_once('@')?;
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| !c.is_whitespace() && !is_hidden(c) && !"<>,;\"()".contains(c))
    };
    (plain(local) && plain(domain) && text.len() <= 254).then(|| text.to_lowercase())
}

fn recipients(mail: &Message<'_>) -> Vec<String> {
    let fields = [mail.to(), mail.cc()];
    let all = fields.into_iter().flatten().flat_map(|field| field.iter());
    all.filter_map(|one| one.address().and_then(email))
        .take(100)
        .collect()
}

/// The text of a mail: its plain parts, else its HTML as text. Scripts and styles are no text.
fn text(mail: &Message<'_>) -> (String, bool) {
    let mut whole = String::new();
    let parts: Vec<Cow<'_, str>> = match mail.text_body_count() {
        // A mail that broke off has no body by the book. What there is of it, is still what somebody wrote.
        0 => mail.parts.iter().filter_map(remains).collect(),
        count => (0..count).filter_map(|at| mail.body_text(at)).collect(),
    };
    for part in parts {
        if !whole.is_empty() {
            whole.push_str("\n\n");
        }
        whole.push_str(&part);
        if whole.len() > 4 * (MOST_TEXT + MOST_QUOTE) {
            return (clean(&whole), true);
        }
    }
    (clean(&whole), false)
}

/// The text of a part that belongs to no body.
fn remains<'x>(part: &'x MessagePart<'_>) -> Option<Cow<'x, str>> {
    let attached = part.content_disposition().is_some_and(ContentType::is_attachment);
    match &part.body {
        PartType::Text(text) if !attached => Some(Cow::Borrowed(text)),
        PartType::Html(html) if !attached => Some(html_to_text(html).into()),
        _ => None,
    }
}

/// Text without characters that hide something from whoever reads it; lines end with a line feed.
pub(crate) fn clean(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.chars()
        .filter(|&c| c == '\n' || c == '\t' || !is_hidden(c))
        .collect()
}

fn one_line(text: &str, most: usize) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = words.chars().filter(|&c| !is_hidden(c));
    shown.take(most).collect::<String>().trim().to_owned()
}

fn shortened(text: &str, most: usize) -> (String, bool) {
    match text.char_indices().nth(most) {
        Some((end, _)) => (text.get(..end).unwrap_or(text).to_owned(), true),
        None => (text.to_owned(), false),
    }
}

/// An id as it is looked for: without brackets.
pub(crate) fn message_id(text: &str) -> Option<String> {
    let id = text.trim().trim_start_matches('<').trim_end_matches('>');
    let plain = id.len() <= MOST_ID && id.contains('@') && id.chars().all(|c| c.is_ascii_graphic());
    plain.then(|| id.to_owned())
}

/// Mails that this one answers, the nearest first.
fn answers(mail: &Message<'_>, own: Option<&str>) -> Vec<String> {
    let mut ids = listed(mail.in_reply_to());
    // The last one of the thread is the nearest.
    ids.extend(listed(mail.references()).into_iter().rev());
    let mut seen = Vec::new();
    for id in ids {
        if !seen.contains(&id) && own != Some(id.as_str()) {
            seen.push(id);
        }
    }
    seen.truncate(MOST_REFERENCES);
    seen
}

fn listed(value: &HeaderValue<'_>) -> Vec<String> {
    match value {
        HeaderValue::Text(one) => message_id(one).into_iter().collect(),
        HeaderValue::TextList(many) => many.iter().filter_map(|id| message_id(id)).collect(),
        _ => Vec::new(),
    }
}

fn attachments(mail: &Message<'_>, skimmed: &Skimmed) -> Vec<Attachment> {
    mail.attachments()
        .take(MOST_ATTACHMENTS)
        .enumerate()
        .map(|(at, part)| Attachment {
            name: file_name(part, at),
            media_type: media_type(part),
            bytes: size(part, skimmed),
        })
        .collect()
}

fn file_name(part: &MessagePart<'_>, at: usize) -> String {
    let given = part.attachment_name().unwrap_or_default();
    // Whatever a sender writes, it is a name and no place.
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = one_line(last, MOST_NAME);
    if name.is_empty() || name.chars().all(|c| c == '.') {
        format!("attachment-{}", at + 1)
    } else {
        name
    }
}

fn media_type(part: &MessagePart<'_>) -> String {
    let declared = part.content_type().map(|kind| match kind.subtype() {
        Some(subtype) => format!("{}/{subtype}", kind.ctype()),
        None => kind.ctype().to_owned(),
    });
    let plain = |kind: &String| {
        kind.len() <= 100
            && kind
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "/.+-_".contains(c))
    };
    declared
        .map(|kind| kind.to_ascii_lowercase())
        .filter(plain)
        .unwrap_or_else(|| "application/octet-stream".to_owned())
}

fn size(part: &MessagePart<'_>, skimmed: &Skimmed) -> u64 {
    let kept = match &part.body {
        PartType::Message(message) => message.raw_message().len(),
        other => other.len(),
    };
    let place = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX);
    let dropped = skimmed.dropped_between(place(part.raw_body_offset()), place(part.raw_end_offset()));
    // Base64 writes three bytes as four characters, and breaks its lines.
    let dropped = if part.encoding == mail_parser::Encoding::Base64 {
        dropped * 74 / 100
    } else {
        dropped
    };
    kept as u64 + dropped
}

#[cfg(test)]
mod tests;
