//! Orders of an operator that every replica follows within a second (design.md D10).
//!
//! In: the town at rest. Out: how long the slowest replica took.

use super::{PATIENCE, REPLICAS, town::Town, traffic::shared_key};
use crate::ours::READ_TOOL;
use crate::wire::{Call, Era, FIRST_ID, Failure, Target, call_once, exchange};
use serde_json::json;
use std::time::{Duration, Instant};

/// What must have reached every replica by then.
const WITHIN: Duration = Duration::from_secs(1);
/// An edition that the catalogue gets while the servers run.
const EXTRA: &str = "format = 1\n[edition]\nname = \"extra\"\ntitle = \"Extra\"\ninstructions = \"More.\"\nkey_prefix = \"extra_sk_\"\n[scopes.recall]\ntitle = \"Recall\"\n";

impl Town {
    /// A revoked key opens no replica one second later.
    pub(super) fn revocation(&mut self) -> Result<(), Failure> {
        let doomed = self.product.mint()?;
        let call = Call::tool(
            Era::Modern,
            READ_TOOL,
            &json!({ "key": shared_key(0) }).to_string(),
        );
        let targets = self.each(&doomed.secret)?;
        for target in &targets {
            call_once(target, &call, PATIENCE)?;
        }
        self.product.revoke(&doomed.id)?;
        let from = Instant::now();
        let mut slowest = Duration::ZERO;
        for target in &targets {
            loop {
                let mut stream = target.connect()?;
                let (status, _) = exchange(&mut stream, &call.request(target, FIRST_ID), PATIENCE)?;
                slowest = slowest.max(from.elapsed());
                if status == 401 {
                    break;
                }
                if from.elapsed() > WITHIN {
                    self.violations
                        .push(format!("a revoked key still opens {}", target.authority));
                    break;
                }
            }
        }
        self.report.push(format!(
            "revoked key: refused by all {REPLICAS} replicas {} ms after `key revoke` returned",
            slowest.as_millis()
        ));
        Ok(())
    }

    /// A new edition is served by every replica one second after `catalogue reload`.
    pub(super) fn catalogue(&mut self) -> Result<(), Failure> {
        let file = self.product.data().join("catalogue/extra.toml");
        std::fs::write(file, EXTRA)?;
        let urls: Vec<Target> = self
            .ports
            .iter()
            .map(|port| {
                Target::parse(
                    &format!("http://127.0.0.1:{port}/extra/mcp"),
                    Some(self.key.secret.clone()),
                )
            })
            .collect::<Result<_, _>>()?;
        let status = |target: &Target| -> Result<u16, Failure> {
            let mut stream = target.connect()?;
            Ok(exchange(
                &mut stream,
                &Call::list(Era::Modern).request(target, FIRST_ID),
                PATIENCE,
            )?
            .0)
        };
        for target in &urls {
            if status(target)? != 404 {
                self.violations.push(format!(
                    "{} serves an edition that nobody loaded",
                    target.authority
                ));
            }
        }
        self.product.reload_catalogue()?;
        let from = Instant::now();
        let mut slowest = Duration::ZERO;
        for target in &urls {
            // The key is for another edition: 401, where there was nothing.
            while status(target)? == 404 {
                if from.elapsed() > WITHIN {
                    self.violations
                        .push(format!("{} did not read its catalogue again", target.authority));
                    break;
                }
            }
            slowest = slowest.max(from.elapsed());
        }
        self.report.push(format!(
            "new edition: served by all {REPLICAS} replicas {} ms after `catalogue reload` returned",
            slowest.as_millis()
        ));
        Ok(())
    }
}
