//! The ten tools of administrators: members, channels, bots, widgets (catalogue.md §3.4). Their scopes ask for the role.
//!
//! | Module | Tools |
//! |--------|-------|
//! | `members` | `list_members`, `invite_member` |
//! | `changes` | `update_member` |
//! | `channels` | `list_channels`, `create_channel`, `update_channel` |
//! | `bots` | `list_bots`, `update_bot` |
//! | `widgets` | `list_widgets`, `update_widget` |

mod bots;
mod changes;
mod channels;
mod members;
mod widgets;

use std::sync::Arc;

use serde_json::Value;

use crate::domain::{
    DomainError, Handlers,
    workspace::{engine::Desk, refs},
};
use crate::store::ReadTx;

pub(super) fn register(desk: &Arc<Desk>, table: &mut Handlers) {
    members::register(desk, table);
    changes::register(table);
    channels::register(desk, table);
    bots::register(desk, table);
    widgets::register(desk, table);
}

/// The ids of the channels that a list names, by id, slug or name.
async fn channel_ids(tx: &mut ReadTx<'_>, names: &Value) -> Result<Vec<String>, DomainError> {
    let mut ids = Vec::new();
    for name in names.as_array().into_iter().flatten().filter_map(Value::as_str) {
        let named = refs::record(tx, refs::kind("channel")?, name, true).await?;
        if !ids.contains(&named.id) {
            ids.push(named.id);
        }
    }
    Ok(ids)
}
