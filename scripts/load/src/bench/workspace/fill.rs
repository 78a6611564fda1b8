//! A workspace of the size of the issue, made of the demo's records: each is repeated with a name, an address, a number and a
//! moment of its own, in the very form in which the server wrote it.

use super::base::{Base, Row};
use super::template::{Template, id, moment, number_value, pick, templates, text_value};
use crate::bench::progress;
use crate::corpus::{Dice, Vocabulary};
use crate::wire::Failure;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Records written in one transaction.
const AT_ONCE: usize = 5_000;
/// Messages of one conversation.
pub(super) const MESSAGES_EACH: usize = 10;
/// Of so many tickets and conversations one is the key owner's.
const MINE: usize = 100;
/// Of so many leads one is tagged.
const TAGGED: usize = 50;
/// First names; each stands in a fiftieth of the leads.
pub(super) const FIRST_NAMES: usize = 50;
/// A year, in milliseconds: how old the oldest record is.
const YEAR_MS: i64 = 365 * 24 * 60 * 60 * 1000;

/// How many records of each kind.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Size {
    pub(super) leads: usize,
    pub(super) tickets: usize,
    pub(super) conversations: usize,
    pub(super) articles: usize,
}

/// What was put in, to ask for.
#[derive(Serialize, Deserialize)]
pub(super) struct Town {
    pub(super) tenant: String,
    pub(super) leads: Vec<String>,
    pub(super) tickets: Vec<String>,
    pub(super) conversations: Vec<String>,
    pub(super) emails: Vec<String>,
    pub(super) last_names: Vec<String>,
    pub(super) first_names: Vec<String>,
    pub(super) owners: Vec<String>,
    pub(super) first_number: usize,
}

/// Fills a tenant that the demo was made in. `me` is the user to whom some of the work belongs.
pub(super) fn fill(base: &mut Base, tenant: &str, me: &str, size: Size, now: i64) -> Result<Town, Failure> {
    let mut filler = Filler {
        base,
        vocabulary: Vocabulary::new(),
        dice: Dice::new(6),
        tenant: tenant.to_owned(),
        me: me.to_owned(),
        now,
    };
    let mut town = Town {
        tenant: tenant.to_owned(),
        leads: Vec::new(),
        tickets: Vec::new(),
        conversations: Vec::new(),
        emails: Vec::new(),
        last_names: Vec::new(),
        first_names: (0..FIRST_NAMES)
            .map(|n| filler.vocabulary.rank(200 + n).to_owned())
            .collect(),
        owners: Vec::new(),
        first_number: 100_000,
    };
    let left = filler.base.open_wide()?;
    filler.leads(&mut town, size.leads)?;
    filler.tickets(&mut town, size.tickets)?;
    filler.conversations(&mut town, size.conversations)?;
    filler.articles(size.articles)?;
    progress("workspace: looking over what was put in");
    filler.base.look_over(&left)?;
    Ok(town)
}

struct Filler<'a> {
    base: &'a mut Base,
    vocabulary: Vocabulary,
    dice: Dice,
    tenant: String,
    me: String,
    now: i64,
}

impl Filler<'_> {
    fn words(&mut self, count: usize) -> String {
        let words: Vec<&str> = (0..count).map(|_| self.vocabulary.draw(&mut self.dice)).collect();
        words.join(" ")
    }

    /// When number `n` of `all` was made: the last one just now.
    fn made(&self, n: usize, all: usize) -> i64 {
        self.now - YEAR_MS * (all - n) as i64 / all as i64
    }

    fn put(&mut self, kind: &str, rows: &mut Vec<Row>, last: bool) -> Result<(), Failure> {
        if rows.len() >= AT_ONCE || last {
            self.base.put(&self.tenant, kind, rows)?;
            rows.clear();
        }
        Ok(())
    }

    fn leads(&mut self, town: &mut Town, count: usize) -> Result<(), Failure> {
        let all = templates(self.base, &self.tenant, "lead")?;
        let mut rows = Vec::new();
        for n in 0..count {
            tell("leads", n, count);
            let template = pick(&all, n)?;
            let at = self.made(n, count);
            let first = self
                .vocabulary
                .rank(200 + self.dice.below(FIRST_NAMES))
                .to_owned();
            let last = self.vocabulary.rank(5_000 + self.dice.below(20_000)).to_owned();
            let (name, email) = (
                format!("{first} {last}"),
                format!("{first}.{last}.{n}@lead.example"),
            );
            let cents = self.dice.below(1_000_000) as i64 * 100;
            let mut doc = vec![
                ("name", json!(name)),
                ("email", json!(email)),
                ("value_cents", json!(cents)),
            ];
            let body = format!(
                "{} {}",
                email.replace(['.', '@'], " "),
                template.text("company").to_lowercase()
            );
            let entries = [
                ("name", text_value(&name)),
                ("email", text_value(&email)),
                ("value_cents", number_value(cents)),
            ];
            let tagged = n % TAGGED == 0;
            if tagged {
                doc.push(("tags", json!(["fair"])));
            }
            let mut row = template.row(id("lead", at, n), at, &doc, &entries, Some((name, body)))?;
            if tagged {
                row.tag("fair")?;
            }
            town.leads.push(row.id.clone());
            town.owners.push(template.text("owner").to_owned());
            town.emails.push(email);
            town.last_names.push(last);
            rows.push(row);
            self.put("lead", &mut rows, n + 1 == count)?;
        }
        Ok(())
    }

    fn tickets(&mut self, town: &mut Town, count: usize) -> Result<(), Failure> {
        let all = templates(self.base, &self.tenant, "ticket")?;
        let mut rows = Vec::new();
        for n in 0..count {
            tell("tickets", n, count);
            let template = pick(&all, n)?;
            let at = self.made(n, count);
            let (title, description) = (self.words(4), self.words(20));
            let number = (town.first_number + n) as i64;
            let mut doc = vec![
                ("number", json!(number)),
                ("title", json!(title)),
                ("description", json!(description)),
            ];
            let mut entries = vec![("number", number_value(number)), ("title", text_value(&title))];
            if n % MINE == 0 {
                doc.push(("assignee", json!(self.me)));
                entries.push(("assignee", text_value(&self.me)));
            }
            let words = Some((format!("{number} {title}"), description));
            let row = template.row(id("tkt", at, n), at, &doc, &entries, words)?;
            town.tickets.push(row.id.clone());
            rows.push(row);
            self.put("ticket", &mut rows, n + 1 == count)?;
        }
        Ok(())
    }

    fn conversations(&mut self, town: &mut Town, count: usize) -> Result<(), Failure> {
        let all = templates(self.base, &self.tenant, "conversation")?;
        let messages = templates(self.base, &self.tenant, "message")?;
        let (mut rows, mut said) = (Vec::new(), Vec::new());
        for n in 0..count {
            tell("conversations with their messages", n, count);
            let template = pick(&all, n)?;
            let at = self.made(n, count);
            let subject = self.words(3);
            let mut doc = vec![
                ("subject", json!(subject)),
                ("last_message_at", json!(moment(at))),
            ];
            let mut entries = vec![("last_message_at", number_value(at))];
            if n % MINE == 0 {
                doc.push(("assignee", json!(self.me)));
                entries.push(("assignee", text_value(&self.me)));
            }
            let body = format!(
                "{} {}",
                template.text("name"),
                template.text("email").replace(['.', '@'], " ")
            );
            let words = Some((subject, body.to_lowercase()));
            let row = template.row(id("cnv", at, n), at, &doc, &entries, words)?;
            for number in 0..MESSAGES_EACH {
                let template = pick(&messages, n + number)?;
                said.push(self.message(template, &row.id, at, n * MESSAGES_EACH + number)?);
            }
            town.conversations.push(row.id.clone());
            rows.push(row);
            let last = n + 1 == count;
            self.put("conversation", &mut rows, last)?;
            self.put("message", &mut said, last)?;
        }
        Ok(())
    }

    /// A message; the index has those of one conversation alone.
    fn message(&mut self, template: &Template, of: &str, at: i64, n: usize) -> Result<Row, Failure> {
        let mut own = Template {
            doc: template.doc.clone(),
            entries: template.entries.clone(),
        };
        let place = format!("of {of}");
        for entry in own
            .entries
            .iter_mut()
            .filter(|entry| entry.field.starts_with("of "))
        {
            entry.field.clone_from(&place);
        }
        let said = at + (n % MESSAGES_EACH) as i64 * 1_000;
        let body = self.words(20);
        let doc = [
            ("conversation_id", json!(of)),
            ("body", json!(body)),
            ("at", json!(moment(said))),
        ];
        let entries = [
            ("conversation_id", text_value(of)),
            (place.as_str(), number_value(said * 1_000)),
        ];
        own.row(
            id("msg", said, n),
            said,
            &doc,
            &entries,
            Some((String::new(), body)),
        )
    }

    fn articles(&mut self, count: usize) -> Result<(), Failure> {
        let all = templates(self.base, &self.tenant, "article")?;
        let mut rows = Vec::new();
        for n in 0..count {
            tell("articles", n, count);
            let template = pick(&all, n)?;
            let at = self.made(n, count);
            let title = self.words(4);
            let slug = format!("{}-{n}", title.replace(' ', "-"));
            let body = format!("{}\n\n{}", template.text("body_markdown"), self.words(100));
            let doc = [
                ("title", json!(title)),
                ("slug", json!(slug)),
                ("body_markdown", json!(body)),
            ];
            let entries = [("title", text_value(&title)), ("slug", text_value(&slug))];
            let plain: String = body
                .chars()
                .map(|c| {
                    if c.is_alphanumeric() {
                        c.to_ascii_lowercase()
                    } else {
                        ' '
                    }
                })
                .collect();
            rows.push(template.row(id("art", at, n), at, &doc, &entries, Some((title, plain)))?);
            self.put("article", &mut rows, n + 1 == count)?;
        }
        Ok(())
    }
}

fn tell(what: &str, n: usize, all: usize) {
    if n.is_multiple_of((all / 5).max(1)) {
        progress(&format!("workspace: {n} of {all} {what}"));
    }
}
