//! Hears of changes by other replicas: LISTEN on a connection of its own, and a slow look at the counters
//! for notifications that were lost with a connection.

use std::{
    future::poll_fn,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{sync::mpsc, time::timeout};
use tokio_postgres::{AsyncMessage, Config, NoTls};

use super::Shared;
use crate::store::{StoreError, Topic, changes::READ_COUNTERS};

/// How often the counters are read although nobody notified. It also shows that the connection is alive.
const LOOK: Duration = Duration::from_secs(5);

/// Runs until the engine is gone.
pub(super) async fn listen(config: Config, shared: Weak<Shared>) {
    let mut pause = Duration::from_millis(100);
    loop {
        let heard = listen_once(&config, &shared, &mut pause).await;
        if shared.strong_count() == 0 {
            return;
        }
        if let Err(error) = heard {
            tracing::warn!(error = %error, "lost the connection that listens for changes, connecting again");
        }
        tokio::time::sleep(jittered(pause)).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

/// Between half and all of `pause`, so that replicas do not come back in step.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0_u8; 1];
    // Without randomness the pause is merely even.
    let _ = getrandom::fill(&mut byte);
    pause / 2 + pause / 2 * u32::from(byte[0]) / 255
}

async fn listen_once(config: &Config, shared: &Weak<Shared>, pause: &mut Duration) -> Result<(), StoreError> {
    let (client, mut connection) = config.connect(NoTls).await?;
    let (told, mut heard) = mpsc::unbounded_channel();
    // Ends with the connection; then `heard` ends too.
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(notification) = message
                && told.send(notification.payload().to_owned()).is_err()
            {
                return;
            }
        }
    });
    client.batch_execute("LISTEN footbridge").await?;
    loop {
        let rows = timeout(LOOK, client.query(READ_COUNTERS, &[]))
            .await
            .map_err(|_| StoreError::TimedOut {
                what: "the counters of changes".into(),
            })??;
        let counters = rows
            .iter()
            .filter_map(|row| Some((row.try_get(0).ok()?, row.try_get(1).ok()?)));
        let Some(alive) = shared.upgrade() else {
            return Ok(());
        };
        alive.changes.tell_all(counters);
        drop(alive);
        *pause = Duration::from_millis(100);
        while let Ok(message) = timeout(LOOK, heard.recv()).await {
            let (Some(message), Some(alive)) = (message, shared.upgrade()) else {
                return Ok(());
            };
            tell(&alive, &message);
        }
    }
}

/// A payload is `<topic> <counter>`; anything else is not from us.
fn tell(shared: &Arc<Shared>, message: &str) {
    if let Some((word, counter)) = message.split_once(' ')
        && let (Some(topic), Ok(counter)) = (Topic::parse(word), counter.parse())
    {
        shared.changes.tell(topic, counter);
    }
}
