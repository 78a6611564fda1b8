//! What was said on replies that are streams, kept for clients whose connection is cut: they ask for the rest on
//! another connection, of whatever replica (protocol.md B-45).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::FutureExt;

use super::House;
use crate::{
    access::Principal,
    policy::StateError,
    store::{ReplyMessage, StoreError},
};

/// What a kept message is bound to.
fn binding(principal: &Principal, stream: &str, position: u32) -> String {
    let facts = principal.facts();
    format!("reply\n{}\n{}\n{stream}\n{position}", facts.tenant, facts.user)
}

/// A message of a stream, opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its place in the stream.
    pub position: u32,
    /// The message.
    pub message: Vec<u8>,
    /// Nothing comes after it.
    pub is_last: bool,
}

impl House {
    /// An id for a stream. `None`: the machine gives no random bytes.
    pub fn new_stream(&self) -> Option<String> {
        let mut random = [0_u8; 16];
        getrandom::fill(&mut random).ok()?;
        Some(URL_SAFE_NO_PAD.encode(random))
    }

    /// Keeps one message of a stream for `lifetime_ms`.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn keep_said(
        &self,
        principal: &Principal,
        stream: &str,
        said: Said,
        lifetime_ms: i64,
    ) -> Result<(), StoreError> {
        let binding = binding(principal, stream, said.position);
        let sealed = self.seal_key.seal_row(&binding, &said.message);
        let sealed = sealed.map_err(|StateError| StoreError::Invalid {
            what: "no random bytes".into(),
        })?;
        let (stream, user) = (stream.to_owned(), principal.facts().user.clone());
        let message = ReplyMessage {
            position: said.position,
            message: sealed,
            is_last: said.is_last,
        };
        self.store
            .write(principal.tenant(), move |tx| {
                async move {
                    tx.reply_messages()
                        .keep(&stream, &user, &message, lifetime_ms)
                        .await
                }
                .boxed()
            })
            .await
    }

    /// What was said on a principal's stream after a position. `None`: no such stream is kept.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn said_after(
        &self,
        principal: &Principal,
        stream: &str,
        position: u32,
    ) -> Result<Option<Vec<Said>>, StoreError> {
        let (name, user) = (stream.to_owned(), principal.facts().user.clone());
        let found = self
            .store
            .read(principal.tenant(), move |tx| {
                async move {
                    match tx.reply_messages().is_known(&name, &user).await? {
                        true => tx.reply_messages().after(&name, &user, position).await.map(Some),
                        false => Ok(None),
                    }
                }
                .boxed()
            })
            .await?;
        let opened = |kept: ReplyMessage| {
            let binding = binding(principal, stream, kept.position);
            let message = self.seal_key.open_row(&binding, &kept.message).ok()?;
            Some(Said {
                position: kept.position,
                message,
                is_last: kept.is_last,
            })
        };
        Ok(found.map(|rows| rows.into_iter().filter_map(opened).collect()))
    }
}
