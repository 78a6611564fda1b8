//! The server's samples as lines of a table, in the order of design.md.
//!
//! In: samples named `<load> <figure> <side>`. Out: rows with their targets, and notes on how far to trust them.

use super::{Samples, server::PEER};
use crate::report::{Row, Section, Target as Goal};
use crate::stats::median;

/// What is left of a figure without pages of the program's file: those are the same for every process that runs it, and the
/// system drops them when it needs room.
const OWN: &str = "  of it its own, without pages of its program: MB";

/// Samples become lines.
pub(super) fn rows(section: &mut Section, samples: &Samples, keys: usize, list_bytes: Option<usize>) {
    let mut row = |figure: &str, name: &str, goal: Goal| {
        let side = |side: &str| samples.get(&format!("{name} {side}"));
        let mut row = Row::new(figure, side("ours"), side("floor"), goal);
        let peer = side(PEER);
        if !peer.is_empty() {
            row.peers.insert(PEER.to_owned(), peer);
        }
        section.rows.push(row);
    };
    let sync_us = median(&samples.get("sync")).unwrap_or(0.0);
    let alone = |name: &str| {
        let floor_us = median(&samples.get(&format!("{name} p50 floor"))).unwrap_or(0.0);
        Goal::AtMostBecause(floor_us + sync_us + 50.0, "floor + one fdatasync + 50".to_owned())
    };
    row(
        "tools/call read, 64 connections: CPU µs a call",
        "read cpu",
        Goal::RatioAtMost(2.0),
    );
    row("  calls/s", "read rate", Goal::None);
    row("  p50 µs", "read p50", Goal::None);
    row("  p99 µs", "read p99", Goal::None);
    row(
        "  from clients that sleep until a reply comes: CPU µs a call",
        "read asleep cpu",
        Goal::None,
    );
    row(
        "the same, legacy era: CPU µs a call",
        "read legacy cpu",
        Goal::RatioAtMost(2.0),
    );
    row(
        "tools/call write, 64 connections: CPU µs a call",
        "write cpu",
        Goal::None,
    );
    row("  calls/s", "write rate", Goal::None);
    row("  p50 µs", "write p50", Goal::None);
    row("  p99 µs", "write p99", Goal::None);
    row(
        "tools/call read, one connection: p50 µs",
        "read alone p50",
        alone("read alone"),
    );
    row(
        "tools/call write, one connection: p50 µs",
        "write alone p50",
        alone("write alone"),
    );
    row(
        "tools/list, 64 connections: CPU µs a call",
        "list cpu",
        Goal::RatioAtMost(1.3),
    );
    row("  calls/s", "list rate", Goal::None);
    row(
        "fairness, read at 256 connections: p99 / p50",
        "read many fair",
        Goal::AtMost(5.0),
    );
    row(
        "fairness, write at 256 connections: p99 / p50",
        "write many fair",
        Goal::AtMost(5.0),
    );
    row(
        &format!("memory idle, {keys} keys: MB"),
        "idle",
        Goal::AtMost(20.0),
    );
    row(OWN, "idle own", Goal::None);
    row("memory after load: MB", "after", Goal::AtMost(40.0));
    row(OWN, "after own", Goal::None);
    row("  after 12 s of quiet: MB", "after quiet", Goal::None);
    row(OWN, "after quiet own", Goal::None);
    row(
        "10 000 idle connections: KB each",
        "idle each",
        Goal::AtMost(14.0),
    );
    row(
        &format!("start to the first 200, {keys} keys: ms"),
        "start",
        Goal::AtMost(30.0),
    );
    let peer = samples.get(&format!("read rate {PEER}"));
    if !peer.is_empty() {
        section.rows.push(Row::new(
            format!("tools/call read, 64 connections: calls/s, ours beside {PEER}"),
            samples.get("read rate ours"),
            peer,
            Goal::RatioAtLeast(1.3),
        ));
    }
    section.rows.push(Row::new(
        "one fdatasync of 4 KB where the store lies: µs",
        samples.get("sync"),
        Vec::new(),
        Goal::None,
    ));
    if let Some(bytes) = list_bytes {
        section.rows.push(Row::new(
            "tools/list, estimated tokens (bytes / 4)",
            vec![bytes as f64 / 4.0],
            Vec::new(),
            Goal::AtMost(12_000.0),
        ));
        section.notes.push(format!(
            "both sides answer with the same bytes; the list has {bytes}"
        ));
    }
    section.notes.push(
        "the clients of 64 connections look for replies without a pause: one that sleeps is woken by the server's own core, and the \
         faster the server, the less its clients sleep. All others sleep"
            .to_owned(),
    );
    for (figure, name) in [("read", "read"), ("write", "write"), ("tools/list", "list")] {
        for side in ["ours", "floor"] {
            let share = median(&samples.get(&format!("{name} server {side}"))).unwrap_or(0.0);
            if share < 0.95 {
                section.notes.push(format!(
                    "{figure} on {side}: the server used {:.0} % of its core, so calls/s is another limit than its own",
                    share * 100.0
                ));
            }
        }
    }
}
