//! Tools whose effect shows on a stream: progress and log messages on the reply's own, a changed list on those that
//! listen, and an answer that is fetched later.

use std::time::Duration;

use footbridge_server::{
    domain::{Handlers, LogLevel, Outcome},
    store::Topic,
};
use futures_util::FutureExt;

/// Between two reports: the suite wants them apart, and nothing is gained by waiting longer.
const STEP: Duration = Duration::from_millis(50);

/// Adds this file's handlers.
pub(crate) fn register(handlers: &mut Handlers) {
    handlers.plain("streams::progress", |call| {
        async move {
            for done in [0.0, 50.0, 100.0] {
                call.progress
                    .report(done, Some(100.0), Some(format!("{done} of 100")));
                tokio::time::sleep(STEP).await;
            }
            Ok(Outcome::text("Progress is complete."))
        }
        .boxed()
    });
    handlers.plain("streams::logging", |call| {
        async move {
            for word in [
                "Tool execution started",
                "Tool processing data",
                "Tool execution completed",
            ] {
                call.progress.log(LogLevel::Info, word);
                tokio::time::sleep(STEP).await;
            }
            Ok(Outcome::text("Logging is complete."))
        }
        .boxed()
    });
    handlers.plain("streams::reconnection", |call| {
        async move {
            call.progress.let_go();
            tokio::time::sleep(STEP * 4).await;
            Ok(Outcome::text("The answer came on another connection."))
        }
        .boxed()
    });
    handlers.plain("streams::silent", |_| {
        async { Ok(Outcome::text("Done, without a log message.")) }.boxed()
    });
    handlers.write("streams::tool_change", |tx, _| {
        async move {
            tx.announce(Topic::Catalogue).await?;
            Ok(Outcome::text("Announced that the list of tools changed."))
        }
        .boxed()
    });
}
