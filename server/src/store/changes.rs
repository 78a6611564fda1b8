//! What other rooms keep in memory and must hear about when it changes: [`Topic`], [`Listener`], [`Changes`].
//!
//! Each topic has a counter row in the store. A transaction raises it; after the commit every process
//! learns of the new value, by PostgreSQL's NOTIFY or by polling, and tells whoever listens for that topic.
//!
//! A listener remembers of each of its topics whether it changed, not how often: it reads what is new anyway. So nothing
//! queues up behind a slow one, and nobody is woken for what others want to hear.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::Notify;

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

    /// Its bit in what a listener has heard.
    fn bit(self) -> u32 {
        1 << self as u32
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == word)
    }
}

/// Hears of changes of some topics, here or in another process, until it is dropped.
pub struct Listener {
    ear: Arc<Ear>,
    number: u64,
    wanted: Vec<Topic>,
    told: Weak<Mutex<Told>>,
}

impl Listener {
    /// The next topic that changed. What changes again before it is asked for is heard of once. Nothing is lost when this is
    /// dropped while it waits. `None`: the store is gone.
    pub async fn next(&mut self) -> Option<Topic> {
        loop {
            let heard = self.ear.heard.load(Ordering::Acquire);
            if let Some(topic) = self.wanted.iter().find(|topic| heard & topic.bit() != 0) {
                self.ear.heard.fetch_and(!topic.bit(), Ordering::AcqRel);
                return Some(*topic);
            }
            if heard & GONE != 0 {
                return None;
            }
            // It keeps a word that comes before somebody waits for it.
            self.ear.word.notified().await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(told) = self.told.upgrade() {
            let mut told = told.lock();
            for topic in &self.wanted {
                told.ears
                    .get_mut(topic)
                    .and_then(|ears| ears.remove(&self.number));
            }
        }
    }
}

/// The bit for the end of the store.
const GONE: u32 = 1 << 31;

/// What a listener has heard and not taken yet.
#[derive(Default)]
struct Ear {
    heard: AtomicU32,
    word: Notify,
}

impl Ear {
    fn hear(&self, bit: u32) {
        self.heard.fetch_or(bit, Ordering::AcqRel);
        self.word.notify_one();
    }
}

/// Every statement that reads the counters uses this text.
pub(crate) const READ_COUNTERS: &str = "SELECT topic, counter FROM changes";

/// Tells of each new value of a counter once, whoever saw it first: the writer of this process, the poller or the
/// notification listener.
pub(crate) struct Changes {
    told: Arc<Mutex<Told>>,
}

#[derive(Default)]
struct Told {
    /// The counters when the store was opened.
    opened: HashMap<Topic, i64>,
    last: HashMap<Topic, i64>,
    ears: HashMap<Topic, HashMap<u64, Arc<Ear>>>,
    listeners: u64,
}

impl Changes {
    /// Starts from the counters as they stand, so that old changes are not told.
    pub(crate) fn new(counters: impl IntoIterator<Item = (Topic, i64)>) -> Self {
        let opened: HashMap<_, _> = counters.into_iter().collect();
        Self {
            told: Arc::new(Mutex::new(Told {
                last: opened.clone(),
                opened,
                ..Told::default()
            })),
        }
    }

    /// Listens from now on.
    pub(crate) fn listen(&self, topics: &[Topic]) -> Listener {
        self.listener(topics, false)
    }

    /// Listens as if from the moment on when the store was opened.
    pub(crate) fn listen_since_opened(&self, topics: &[Topic]) -> Listener {
        self.listener(topics, true)
    }

    fn listener(&self, topics: &[Topic], since_opened: bool) -> Listener {
        let ear = Arc::<Ear>::default();
        let mut told = self.told.lock();
        told.listeners += 1;
        let number = told.listeners;
        for topic in topics {
            if since_opened && told.last.get(topic) != told.opened.get(topic) {
                ear.hear(topic.bit());
            }
            told.ears
                .entry(*topic)
                .or_default()
                .insert(number, Arc::clone(&ear));
        }
        Listener {
            ear,
            number,
            wanted: topics.to_vec(),
            told: Arc::downgrade(&self.told),
        }
    }

    /// Tells listeners unless this value or a later one was told already.
    pub(crate) fn tell(&self, topic: Topic, version: i64) {
        let mut told = self.told.lock();
        let last = told.last.entry(topic).or_insert(0);
        if version > *last {
            *last = version;
            let ears = told.ears.get(&topic).into_iter().flat_map(HashMap::values);
            ears.for_each(|ear| ear.hear(topic.bit()));
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

impl Drop for Changes {
    fn drop(&mut self) {
        let told = self.told.lock();
        let ears = told.ears.values().flat_map(HashMap::values);
        ears.for_each(|ear| ear.hear(GONE));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// What was heard so far.
    fn heard(listener: &mut Listener) -> Vec<Option<Topic>> {
        std::iter::from_fn(|| listener.next().now_or_never())
            .take(5)
            .collect()
    }

    #[test]
    fn each_value_is_told_once_and_never_backwards() {
        let changes = Changes::new([(Topic::Keys, 4)]);
        let mut listener = changes.listen(&[Topic::Keys, Topic::Users]);
        changes.tell(Topic::Keys, 4);
        assert_eq!(heard(&mut listener), []);
        changes.tell(Topic::Keys, 6);
        assert_eq!(heard(&mut listener), [Some(Topic::Keys)]);
        changes.tell(Topic::Keys, 5);
        changes.tell_all([("keys".to_owned(), 6), ("from the future".to_owned(), 9)]);
        changes.tell(Topic::Jobs, 1);
        assert_eq!(heard(&mut listener), [], "old values and other topics");
        changes.tell(Topic::Users, 1);
        changes.tell(Topic::Keys, 7);
        changes.tell(Topic::Keys, 8);
        assert_eq!(heard(&mut listener), [Some(Topic::Keys), Some(Topic::Users)]);
    }

    #[test]
    fn who_listens_late_hears_what_came_before() {
        let changes = Changes::new([(Topic::Keys, 4), (Topic::Jobs, 9)]);
        let all = [Topic::Keys, Topic::Jobs, Topic::Users];
        changes.tell(Topic::Keys, 5);
        let mut late = changes.listen_since_opened(&all);
        let mut from_now_on = changes.listen(&all);
        changes.tell(Topic::Users, 1);
        assert_eq!(heard(&mut late), [Some(Topic::Keys), Some(Topic::Users)]);
        assert_eq!(heard(&mut from_now_on), [Some(Topic::Users)]);
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_by_a_change_and_by_the_end() {
        let changes = Changes::new([]);
        let mut listener = changes.listen(&[Topic::Tasks]);
        let waiting = tokio::spawn(async move { (listener.next().await, listener.next().await) });
        tokio::task::yield_now().await;
        changes.tell(Topic::Tasks, 1);
        drop(changes);
        assert_eq!(waiting.await.unwrap(), (Some(Topic::Tasks), None));
    }

    #[test]
    fn who_is_gone_is_forgotten() {
        let changes = Changes::new([]);
        let stays = changes.listen(&[Topic::Keys]);
        drop(changes.listen(&Topic::ALL));
        let ears: usize = changes.told.lock().ears.values().map(HashMap::len).sum();
        assert_eq!(ears, 1);
        drop(changes);
        drop(stays);
    }

    #[test]
    fn every_topic_reads_back_from_its_word() {
        for topic in Topic::ALL {
            assert_eq!(Topic::parse(topic.as_str()), Some(topic));
        }
    }
}
