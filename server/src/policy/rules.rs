//! What a tenant asks for beyond what its tools do. Rules only tighten: the strictest of all holds.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::{
    store::{Store, StoreError, Topic},
    vocabulary::{Consent, TenantId, ToolName},
};

/// The tenant's setting that holds its rules.
pub const RULES: &str = "policy";

/// One tenant's rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantRules {
    /// What every tool that does not only read asks for at least.
    pub writes: Consent,
    /// What single tools ask for at least, by their native names.
    pub tools: BTreeMap<ToolName, Consent>,
    /// Whether owners and admins may approve reviews of their own calls: the one rule that loosens, so the operator alone
    /// sets it, and each use of it is marked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub admin_self_approval: bool,
}

impl TenantRules {
    pub(super) fn of_tool(&self, tool: &ToolName) -> Consent {
        self.tools.get(tool).copied().unwrap_or_default()
    }
}

type All = HashMap<TenantId, Arc<TenantRules>>;

/// The rules of all tenants, in memory.
pub struct Rules {
    store: Store,
    all: ArcSwap<All>,
    none: Arc<TenantRules>,
}

impl Rules {
    /// No rules yet: [`Rules::refresh`] before the first call.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            all: ArcSwap::default(),
            none: Arc::default(),
        }
    }

    /// The rules of one tenant.
    pub fn of(&self, tenant: &TenantId) -> Arc<TenantRules> {
        let all = self.all.load();
        Arc::clone(all.get(tenant).unwrap_or(&self.none))
    }

    /// Reads all rules.
    ///
    /// # Errors
    /// When the store cannot be read, or somebody wrote there what is no rule: the rules known so far stay.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let named = self
            .store
            .system_read(|tx| async move { tx.settings_of_tenants::<TenantRules>(RULES).await }.boxed())
            .await?;
        let all: All = named
            .into_iter()
            .map(|(tenant, rules)| (tenant, Arc::new(rules)))
            .collect();
        self.all.store(Arc::new(all));
        Ok(())
    }

    /// Reads the rules again whenever a setting changes, in this process or another (design.md D10).
    pub async fn follow(&self) {
        let mut changes = self.store.listen_since_opened(&[Topic::Settings]);
        while changes.next().await.is_some() {
            if let Err(error) = self.refresh().await {
                warn!("failed to read the tenants' rules; those known so far stay: {error}");
            }
        }
    }
}
