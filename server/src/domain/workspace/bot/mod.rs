//! The bot (catalogue.md §3.1): deterministic, without a model. Directives first, then the best public article, else it hands
//! off. `judge` decides over plain texts; here it is asked, and does what was decided.

mod judge;

use judge::Verdict;

use super::{
    kinds::{
        article::Article,
        bot::Bot,
        channel::Channel,
        conversation::Conversation,
        message::{Author, AuthorType, Direction, Message},
    },
    record::{self, Kind, Stored, Who},
    shelf,
    sla::{rules, timers},
    talk::{
        moves::{self, Then},
        outbound,
    },
};
use crate::{
    domain::{DomainError, context::words::words},
    store::{Condition, Matching, ReadTx, RecordQuery, TenantTx, TextQuery},
};

/// Articles that are judged for one question, the best by full text.
const MOST_ARTICLES: u32 = 20;
/// Words of a question that count: a long mail is judged by its beginning.
const MOST_WORDS: usize = 40;
/// What it says when it finds nothing and may try again.
const ASKS_AGAIN: &str = "I did not find an answer to that. Could you say it in other words?";

/// Says a channel's greeting, once, to whoever begins a conversation. It answers no question, so no clock stops for it.
///
/// # Errors
/// When the store fails.
pub(crate) async fn greet(
    tx: &mut TenantTx<'_>,
    channel: &Stored<Channel>,
    conversation: &Stored<Conversation>,
    greeting: &str,
) -> Result<(), DomainError> {
    if greeting.trim().is_empty() {
        return Ok(());
    }
    let Ok(route) = outbound::route(&mut tx.reading(), channel.fields(), conversation.fields()).await else {
        return Ok(());
    };
    let message = written(greeting.to_owned(), Vec::new(), &channel.fields().name, "");
    let of = (conversation.id.as_str(), conversation.fields());
    outbound::send(tx, channel, of, message, &route, &Who::system("bot"))
        .await
        .map(|_| ())
}

fn written(body: String, article_ids: Vec<String>, name: &str, id: &str) -> Message {
    Message {
        direction: Direction::Out,
        author: Author {
            kind: AuthorType::Bot,
            id: id.to_owned(),
            name: name.to_owned(),
        },
        body,
        article_ids,
        ..Message::default()
    }
}

/// Lets the bot of a channel answer a message. `false`: there is none, it may not, or it hands off.
///
/// # Errors
/// When the store fails.
pub(crate) async fn answer(
    tx: &mut TenantTx<'_>,
    channel: &Stored<Channel>,
    conversation: &Stored<Conversation>,
    message: &Stored<Message>,
    base_url: &str,
) -> Result<bool, DomainError> {
    // Where a person has taken over, no program speaks.
    if conversation.fields().assignee.is_some() || conversation.fields().bot_silent {
        return Ok(false);
    }
    let Some(bot) = of_channel(&mut tx.reading(), &channel.id).await? else {
        return Ok(false);
    };
    let question = &message.fields().body;
    let articles = candidates(tx, question).await?;
    let readable: Vec<_> = articles
        .iter()
        .map(|found| judge::Readable::of(&found.id, found.fields()))
        .collect();
    let unanswered = conversation.fields().bot_unanswered;
    let (body, article_ids, answered) = match judge::judge(bot.fields(), question, &readable, unanswered) {
        Verdict::Say(text) => (text, Vec::new(), true),
        Verdict::Quote { article, text } => {
            let slug = articles.iter().find(|found| found.id == article);
            let link = slug.map(|found| shelf::path(tx.tenant(), &found.fields().slug));
            let text = match link {
                // Without an address that people reach, a link would lead readers nowhere.
                Some(link) if !base_url.is_empty() => format!("{text}: {base_url}{link}"),
                _ => text,
            };
            (text, vec![article], true)
        }
        Verdict::AskAgain => (ASKS_AGAIN.to_owned(), Vec::new(), false),
        Verdict::HandOff => {
            hand_off(tx, &bot, conversation).await?;
            return Ok(false);
        }
    };
    let Ok(route) = outbound::route(&mut tx.reading(), channel.fields(), conversation.fields()).await else {
        return Ok(false);
    };
    let who = Who::system("bot");
    let reply = written(body, article_ids, &bot.fields().name, &bot.id);
    let of = (conversation.id.as_str(), conversation.fields());
    let reply = outbound::send(tx, channel, of, reply, &route, &who).await?;
    let rules = rules::of_channel(&mut tx.reading(), Some(channel.fields())).await?;
    let now = tx.now();
    let mut doc = conversation.doc.clone();
    moves::note_message(&mut doc.fields, reply.fields(), now);
    if answered {
        moves::answered(&mut doc.fields, &rules, Then::Waiting, now);
        doc.fields.bot_unanswered = 0;
    } else {
        doc.fields.bot_unanswered += 1;
    }
    record::update(tx, &conversation.id, &doc, Some(conversation.version), &who).await?;
    timers::schedule(tx, &conversation.id, &doc.fields).await?;
    Ok(true)
}

async fn of_channel(tx: &mut ReadTx<'_>, channel: &str) -> Result<Option<Stored<Bot>>, DomainError> {
    let query = RecordQuery {
        conditions: vec![Condition::is("enabled", true), Condition::is("channel", channel)],
        descending: false,
        limit: 1,
        ..RecordQuery::default()
    };
    let found = tx.records(Bot::NAME).list(&query).await?.records;
    Ok(found.first().map(Stored::of).transpose()?)
}

/// Public articles that hold any word of a question, the best first.
async fn candidates(tx: &mut TenantTx<'_>, question: &str) -> Result<Vec<Stored<Article>>, DomainError> {
    let terms: Vec<_> = judge::telling(words(question))
        .into_iter()
        .take(MOST_WORDS)
        .map(|word| vec![word])
        .collect();
    if terms.is_empty() {
        return Ok(Vec::new());
    }
    let query = TextQuery {
        terms,
        matching: Matching::Any,
        ..TextQuery::default()
    };
    let hits = tx
        .records(Article::NAME)
        .text_candidates(&query, MOST_ARTICLES)
        .await?;
    let rows: Vec<i64> = hits.iter().map(|hit| hit.row_id).collect();
    let found = tx.records(Article::NAME).find_rows(&rows).await?;
    let found = found
        .iter()
        .map(Stored::<Article>::of)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(found
        .into_iter()
        .filter(|article| article.fields().is_quotable())
        .collect())
}

/// Leaves the conversation to people, perhaps those of another channel.
async fn hand_off(
    tx: &mut TenantTx<'_>,
    bot: &Stored<Bot>,
    conversation: &Stored<Conversation>,
) -> Result<(), DomainError> {
    let mut doc = conversation.doc.clone();
    doc.fields.bot_silent = true;
    doc.fields.bot_handled = false;
    if let Some(id) = &bot.fields().handoff.to_channel
        && let Some(to) = record::find::<Channel>(&mut tx.reading(), id).await?
        && to.fields().active
    {
        doc.fields.handed_to = Some(to.id);
    }
    record::update(
        tx,
        &conversation.id,
        &doc,
        Some(conversation.version),
        &Who::system("bot"),
    )
    .await?;
    Ok(())
}
