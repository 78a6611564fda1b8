//! The workspace edition at the size of the issue: 100 000 leads, 100 000 tickets, 1 000 000 messages in one tenant.
//!
//! In: our binary. Out: for each engine the spread of lists, gets and searches through the real server, beside the spread of
//! the plainest query on the same database, asked without a server. The bare query gives the rows of the same table in the same
//! order; what it does not do is the rest of a call: the key, the scopes, the log, the other records that an answer shows.

mod base;
mod figures;
mod fill;
pub(super) mod place;
mod template;

use super::{Engine, Samples, Settings, progress};
use crate::process::{Running, free_port, wait_for_port};
use crate::report::{Row, Section, Target as Goal};
use crate::stats::Spread;
use crate::wire::{Call, Era, FIRST_ID, Failure, Target, call_once, check, excerpt, exchange, tool_result};
use base::{Base, Value};
use figures::{Figure, figures};
use fill::{Size, Town, fill};
use place::Place;
use serde_json::{Value as Json, json};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How many of each, and with `--quick`.
const SIZES: (Size, Size) = (
    Size {
        leads: 100_000,
        tickets: 100_000,
        conversations: 100_000,
        articles: 2_000,
    },
    Size {
        leads: 10_000,
        tickets: 10_000,
        conversations: 10_000,
        articles: 500,
    },
);
/// Calls of each figure in a round.
const CALLS: usize = 200;
/// For one answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// "Single-digit milliseconds."
const MOST_MS: f64 = 9.99;
/// The most that a full key's list may have.
const MOST_LIST_KIB: f64 = 96.0;

/// Measures the section on one engine.
pub(super) fn measure(settings: &Settings, engine: Engine) -> Result<Section, Failure> {
    let title = format!("Workspace edition, large, on {}", engine.name());
    let mut section = Section::new(&title, "bare query");
    if settings.leaves_out(&mut section) {
        return Ok(section);
    }
    let size = if settings.quick { SIZES.1 } else { SIZES.0 };
    section.notes.push(format!(
        "one tenant with {} leads, {} tickets, {} conversations and {} messages; {CALLS} calls a round, one at a time",
        size.leads,
        size.tickets,
        size.conversations,
        size.conversations * fill::MESSAGES_EACH
    ));
    match Place::of(settings, engine, "workspace") {
        Ok(place) => on(settings, &mut section, place, size)?,
        Err(reason) => section.not_measured.push(format!("everything: {reason}")),
    }
    Ok(section)
}

/// Fills the place, or finds what fills it already; gives what to ask for.
fn filled(place: &Place, size: Size) -> Result<Town, Failure> {
    if let Some(town) = place.kept(size)? {
        progress("workspace: filled before");
        return Ok(town);
    }
    let engine = place.engine.name();
    progress(&format!("workspace: the demo on {engine}"));
    place.product.fill_demo()?;
    let key = place.product.mint_for("workspace", &[])?;
    let mut base = place.base()?;
    let of_key = base.rows(
        "SELECT tenant_id, owner_id FROM api_keys WHERE key_id = $1",
        &[Value::Text(key.id.clone())],
    )?;
    let Some([tenant, me]) = of_key.first().map(Vec::as_slice) else {
        return Err("the key that was minted is not in the store".into());
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let from = Instant::now();
    let town = fill(&mut base, tenant, me, size, i64::try_from(now)?)?;
    progress(&format!(
        "workspace: filled in {:.0} s",
        from.elapsed().as_secs_f64()
    ));
    place.note_kept(size, town)
}

fn on(settings: &Settings, section: &mut Section, place: Place, size: Size) -> Result<(), Failure> {
    let town = filled(&place, size)?;
    let engine = place.engine.name();
    let key = place.product.mint_for("workspace", &[])?;
    let mut base = place.base()?;
    let number = match &mut base {
        Base::Sqlite(raw) => raw.query_row(
            "SELECT number FROM tenants WHERE tenant_id = ?1",
            [&town.tenant],
            |row| row.get(0),
        )?,
        Base::Postgres(_) => 0,
    };
    let port = free_port()?;
    let mut running = Running::start(
        "the server",
        place.product.serve(settings.cores.tested, port),
        &settings.log(&format!("workspace-{engine}")),
    )?;
    wait_for_port(&mut running, port)?;
    let target = Target::parse(
        &format!("http://127.0.0.1:{port}/workspace/mcp"),
        Some(key.secret.clone()),
    )?;
    let all = figures(&base, &town, number);
    let mut samples = Samples::default();
    for figure in &all {
        finds(&target, figure)?;
    }
    let cursor = next_page(&target)?;
    let second = Figure {
        name: "list_leads, the second page",
        tool: "list_leads",
        arguments: vec![json!({ "limit": 50, "cursor": cursor })],
        bare: None,
        finds: true,
    };
    let rounds = settings.rounds();
    for round in 0..rounds {
        progress(&format!("workspace: {engine}, round {} of {rounds}", round + 1));
        for figure in all.iter().chain([&second]) {
            let ours = called(&target, figure)?;
            samples.add(format!("{} p50", figure.name), ours.p50_us / 1e3);
            samples.add(format!("{} p99", figure.name), ours.p99_us / 1e3);
            if let Some((sql, questions)) = &figure.bare {
                let questions: Vec<Vec<Value>> = questions.iter().cycle().take(CALLS).cloned().collect();
                let bare = Spread::of(base.time(sql, &questions)?);
                samples.add(format!("{} bare p50", figure.name), bare.p50_us / 1e3);
                samples.add(format!("{} bare p99", figure.name), bare.p99_us / 1e3);
            }
        }
    }
    for figure in all.iter().chain([&second]) {
        for (share, goal) in [("p50", Goal::None), ("p99", Goal::AtMost(MOST_MS))] {
            section.rows.push(Row::new(
                format!("{}: {share} ms", figure.name),
                samples.get(&format!("{} {share}", figure.name)),
                samples.get(&format!("{} bare {share}", figure.name)),
                goal,
            ));
        }
    }
    let list = call_once(&target, &Call::list(Era::Modern), PATIENCE)?.len() as f64;
    section.rows.push(Row::new(
        "tools/list for a full key: KiB",
        vec![list / 1024.0],
        Vec::new(),
        Goal::AtMost(MOST_LIST_KIB),
    ));
    section.rows.push(Row::new(
        "its estimated tokens (bytes / 4)",
        vec![list / 4.0],
        Vec::new(),
        Goal::None,
    ));
    running.stop();
    drop(base);
    place.remove()
}

/// An empty answer is quick; a question that finds nothing would flatter.
fn finds(target: &Target, figure: &Figure) -> Result<(), Failure> {
    let Some(first) = figure.arguments.first() else {
        return Err(format!("there is nothing to ask for {}", figure.name).into());
    };
    let call = Call::tool(Era::Modern, figure.tool, &first.to_string());
    let found = tool_result(&call_once(target, &call, PATIENCE)?)?;
    let none = found
        .get("items")
        .and_then(Json::as_array)
        .is_none_or(Vec::is_empty);
    if figure.finds && none {
        return Err(format!("{} found nothing: {first}", figure.name).into());
    }
    Ok(())
}

fn next_page(target: &Target) -> Result<Json, Failure> {
    let call = Call::tool(Era::Modern, "list_leads", &json!({ "limit": 50 }).to_string());
    let found = tool_result(&call_once(target, &call, PATIENCE)?)?;
    found
        .get("next_cursor")
        .cloned()
        .ok_or_else(|| "a long list has no next page".into())
}

/// Calls one after the other on one connection.
fn called(target: &Target, figure: &Figure) -> Result<Spread, Failure> {
    let mut stream = target.connect()?;
    let mut took = Vec::with_capacity(CALLS);
    for arguments in figure.arguments.iter().cycle().take(CALLS) {
        let call = Call::tool(Era::Modern, figure.tool, &arguments.to_string());
        let request = call.request(target, FIRST_ID);
        let from = Instant::now();
        let (status, body) = exchange(&mut stream, &request, PATIENCE)?;
        took.push(u64::try_from(from.elapsed().as_nanos()).unwrap_or(u64::MAX));
        if status != 200 {
            return Err(format!("{}: HTTP {status}: {}", figure.name, excerpt(&body)).into());
        }
        check(&body, FIRST_ID).map_err(|e| format!("{}: {e}", figure.name))?;
    }
    Ok(Spread::of(took))
}
