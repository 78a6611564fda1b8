//! What other rooms keep in memory and must hear about when it changes: [`Topic`], [`Change`], [`Changes`].
//!
//! Each topic has a counter row in the store. A transaction raises it; after the commit every process
//! learns of the new value, by PostgreSQL's NOTIFY or by polling, and tells its listeners once per value.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::broadcast::{self, error::RecvError};

/// Something that is cached outside the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// API keys: minted, narrowed, revoked.
    Keys,
    /// Users and their roles.
    Users,
    /// Tenants: created, suspended, renamed.
    Tenants,
    /// Tools and editions configured in the store.
    Catalogue,
    /// Sources of the context edition.
    Sources,
    /// Settings of any tenant or of the server.
    Settings,
    /// Jobs that became due.
    Jobs,
    /// Answers that a waiting call on any replica may be looking for.
    Answers,
    /// Messages on replies that somebody may be waiting for on another connection.
    Replies,
    /// Sessions of legacy clients: ended, or told what they want to hear.
    Sessions,
    /// Calls that go on after their reply.
    Tasks,
    /// Calls of a month that some process holds and another one needs.
    Caps,
    /// What is read at some resource's URI.
    Resources,
}

impl Topic {
    pub(crate) const ALL: [Self; 13] = [
        Self::Keys,
        Self::Users,
        Self::Tenants,
        Self::Catalogue,
        Self::Sources,
        Self::Settings,
        Self::Jobs,
        Self::Answers,
        Self::Replies,
        Self::Sessions,
        Self::Tasks,
        Self::Caps,
        Self::Resources,
    ];

    /// The word in the `changes` table and in notifications.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Users => "users",
            Self::Tenants => "tenants",
            Self::Catalogue => "catalogue",
            Self::Sources => "sources",
            Self::Settings => "settings",
            Self::Jobs => "jobs",
            Self::Answers => "answers",
            Self::Replies => "replies",
            Self::Sessions => "sessions",
            Self::Tasks => "tasks",
            Self::Caps => "caps",
            Self::Resources => "resources",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == word)
    }
}

/// A topic changed, here or in another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// What changed.
    pub topic: Topic,
    /// The topic's counter after the change; for [`Topic::Keys`] the version to ask the keys' table for.
    pub version: i64,
}

/// What has changed since the store was opened, for whoever has read it before they listened.
pub struct SinceOpened {
    /// The last change of each topic from before there was this listener.
    before: Vec<Change>,
    receiver: broadcast::Receiver<Change>,
}

impl SinceOpened {
    /// The next change. Nothing is lost when it is dropped while it waits.
    ///
    /// # Errors
    /// As those of the channel: too much came at once, or the store is closed.
    pub async fn recv(&mut self) -> Result<Change, RecvError> {
        match self.before.pop() {
            Some(change) => Ok(change),
            None => self.receiver.recv().await,
        }
    }
}

/// Tells listeners each new counter value once, whoever saw it first: the writer of this process, the
/// poller or the notification listener.
pub(crate) struct Changes {
    told: Mutex<Told>,
    sender: broadcast::Sender<Change>,
}

/// The counters of the topics.
struct Told {
    opened: HashMap<Topic, i64>,
    last: HashMap<Topic, i64>,
}

/// Every statement that reads the counters uses this text.
pub(crate) const READ_COUNTERS: &str = "SELECT topic, counter FROM changes";

impl Changes {
    /// Starts from the counters as they stand, so that old changes are not told.
    pub(crate) fn new(counters: impl IntoIterator<Item = (Topic, i64)>) -> Self {
        // A listener that falls 256 changes behind is told so by the channel and reads everything anew.
        let (sender, _) = broadcast::channel(256);
        let opened: HashMap<_, _> = counters.into_iter().collect();
        Self {
            told: Mutex::new(Told {
                last: opened.clone(),
                opened,
            }),
            sender,
        }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.sender.subscribe()
    }

    pub(crate) fn since_opened(&self) -> SinceOpened {
        // Under the lock, like the telling: a change comes either before the new listener or to it.
        let told = self.told.lock();
        let news = told
            .last
            .iter()
            .filter(|(topic, version)| told.opened.get(topic) != Some(version));
        SinceOpened {
            before: news.map(|(&topic, &version)| Change { topic, version }).collect(),
            receiver: self.sender.subscribe(),
        }
    }

    /// Tells listeners unless this value or a later one was told already.
    pub(crate) fn tell(&self, topic: Topic, version: i64) {
        let mut told = self.told.lock();
        let last = told.last.entry(topic).or_insert(0);
        if version > *last {
            *last = version;
            // No listener is no error. Sending under the lock keeps the values of a topic in order.
            let _ = self.sender.send(Change { topic, version });
        }
    }

    /// The same for counters as read from the table; unknown topics belong to newer versions of us.
    pub(crate) fn tell_all(&self, counters: impl IntoIterator<Item = (String, i64)>) {
        for (word, version) in counters {
            if let Some(topic) = Topic::parse(&word) {
                self.tell(topic, version);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_told_once_and_never_backwards() {
        let changes = Changes::new([(Topic::Keys, 4)]);
        let mut heard = changes.subscribe();
        changes.tell(Topic::Keys, 4);
        changes.tell(Topic::Keys, 6);
        changes.tell(Topic::Keys, 5);
        changes.tell_all([("keys".to_owned(), 6), ("from the future".to_owned(), 9)]);
        assert_eq!(
            heard.try_recv().unwrap(),
            Change {
                topic: Topic::Keys,
                version: 6
            }
        );
        assert!(heard.try_recv().is_err());
    }

    #[tokio::test]
    async fn who_listens_late_hears_what_came_before() {
        let (keys, users) = (
            |version| Change {
                topic: Topic::Keys,
                version,
            },
            Change {
                topic: Topic::Users,
                version: 1,
            },
        );
        let changes = Changes::new([(Topic::Keys, 4), (Topic::Jobs, 9)]);
        let mut in_time = changes.since_opened();
        changes.tell(Topic::Keys, 5);
        changes.tell(Topic::Keys, 6);
        let mut late = changes.since_opened();
        changes.tell(users.topic, users.version);
        drop(changes);
        for (listener, heard) in [
            (&mut in_time, vec![keys(5), keys(6), users]),
            (&mut late, vec![keys(6), users]),
        ] {
            for change in heard {
                assert_eq!(listener.recv().await, Ok(change));
            }
            assert_eq!(listener.recv().await, Err(RecvError::Closed));
        }
    }

    #[test]
    fn every_topic_reads_back_from_its_word() {
        for topic in Topic::ALL {
            assert_eq!(Topic::parse(topic.as_str()), Some(topic));
        }
    }
}
