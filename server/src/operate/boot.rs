//! From a configuration and an open store to a running house.

use std::{path::Path, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use tracing_subscriber::EnvFilter;

use super::{
    OperateError,
    editions::{CatalogueSource, ReloadError, Reloader},
    invitations, new_password, retention,
    sign_in::PasswordCheck,
    tenants::LOCAL_OWNER,
};
use crate::{
    access::{Keyring, oauth::OAuth},
    audit::Keeping,
    config::{Config, KeptArguments, LogSettings},
    domain::{
        Handlers,
        context::Context,
        workspace::{Workspace, WorkspaceSettings},
    },
    outbox::Courier,
    pipeline::{House, HouseBuilder, HouseError},
    policy::SealKey,
    store::{NewTenant, NewUser, Store, StoreError},
    vocabulary::{EditionName, Role, TenantId, UserId, new_id},
};

/// The name under which the store keeps the key that seals multi-round states, the same for all replicas.
const SEAL_KEY: &str = "seal_key";
/// How often tables are rid of what only strangers left behind.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// A house with what runs beside it.
pub struct Booted {
    /// The rooms.
    pub house: Arc<House>,
    /// Reads the catalogue again.
    pub reloader: Arc<Reloader>,
    /// The context edition's engine, for commands that use it directly.
    pub context: Arc<Context>,
    /// The workspace edition's engine.
    pub workspace: Arc<Workspace>,
    /// Checks passwords of people who sign in.
    pub password_check: Arc<PasswordCheck>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Booted {
    /// Delivers what is in the outbox, until the house is stopped.
    pub fn deliver(&mut self, courier: Courier) {
        let courier = courier.on_behalf_of(self.workspace.dispatcher());
        let courier = Arc::new(courier).run(self.stop.clone());
        self.tasks.push(tokio::spawn(courier));
    }

    /// Ends what runs beside the house and makes everything durable.
    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            // A task that panicked has told its story already.
            let _ = task.await;
        }
        if let Err(error) = self.house.write_down().await {
            warn!(error = %error, "last uses of keys not written");
        }
        if let Err(error) = self.house.limits().leave().await {
            warn!(error = %error, "calls taken in advance were not given back; they count as made");
        }
        self.house.store().clone().close().await;
    }
}

/// Builds the house. `folder` is where engines keep their files; `link_url` what links to this server begin with, if
/// there is something that people can follow ([`EdgeSettings::link_url`](crate::edge::EdgeSettings::link_url)).
///
/// # Errors
/// What of the catalogue, the handlers or the store is not in order.
pub async fn boot(
    store: Store,
    config: &Config,
    folder: &Path,
    editions: &[EditionName],
    link_url: Option<String>,
) -> Result<Booted, ReloadError> {
    let source = CatalogueSource::of(config, editions);
    let catalogue = source.load()?;
    let context = Context::new(store.clone(), folder);
    let mut handlers = Handlers::default();
    context.register(&mut handlers);
    let workspace = Workspace::with(
        store.clone(),
        seal_key(&store).await.map_err(HouseError::from)?,
        WorkspaceSettings {
            flow_runs_per_hour: config.workspace.flow_runs_per_hour,
            base_url: link_url.unwrap_or_default(),
            allow_private: config.workspace.allow_private,
        },
    );
    workspace.register(&mut handlers);
    let serves_workspace = catalogue
        .editions()
        .iter()
        .any(|edition| edition.name.as_str() == "workspace");
    let per_minute = config.limits.requests_per_minute_per_key;
    let keyring = Keyring::load(store.clone(), &catalogue, per_minute)
        .await
        .map_err(HouseError::from)?;
    let oauth = OAuth::load(store.clone(), &catalogue, config.oauth.clone())
        .await
        .map_err(HouseError::from)?;
    let house = HouseBuilder {
        store: store.clone(),
        catalogue,
        handlers,
        keyring: Arc::clone(&keyring),
        oauth: Arc::clone(&oauth),
        seal_key: seal_key(&store).await.map_err(HouseError::from)?,
        clock: store.clock().clone(),
        call_timeout: Duration::from_secs(config.limits.call_seconds),
        audit: Keeping {
            arguments: config.audit.args == KeptArguments::Redacted,
            strict: config.audit.strict,
        },
        most_running_per_key: config.limits.running_per_key,
        failed_sign_ins_per_minute: config.limits.failed_sign_ins_per_minute,
    };
    let house = Arc::new(house.build()?);
    let password_check = Arc::new(PasswordCheck::new(
        store.clone(),
        config.limits.failed_sign_ins_per_minute,
    ));
    house.rules().refresh().await.map_err(HouseError::from)?;
    let rules = Arc::clone(house.rules());
    let reloader = Arc::new(Reloader::new(Arc::clone(&house), source));
    let stop = CancellationToken::new();
    let mut tasks = vec![
        spawn_until(&stop, keyring.follow()),
        spawn_until(&stop, oauth.follow()),
        spawn_until(&stop, async move { rules.follow().await }),
        spawn_until(&stop, Arc::clone(&reloader).follow()),
        spawn_until(&stop, tidy(Arc::clone(&house), Arc::clone(&password_check))),
        spawn_until(&stop, Arc::clone(house.limits()).follow()),
        spawn_until(&stop, {
            let house = Arc::clone(&house);
            async move { house.follow_clients().await }
        }),
        spawn_until(
            &stop,
            retention::follow(store.clone(), config.audit.retention_days),
        ),
        tokio::spawn(Arc::clone(&context).run(stop.clone())),
    ];
    // Nobody's workspace is prepared or tended where nobody can reach it.
    if serves_workspace {
        tasks.push(tokio::spawn(Arc::clone(&workspace).run(stop.clone())));
    }
    Ok(Booted {
        house,
        reloader,
        context,
        workspace,
        password_check,
        stop,
        tasks,
    })
}

fn spawn_until(stop: &CancellationToken, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    let stop = stop.clone();
    tokio::spawn(async move {
        let _ = stop.run_until_cancelled(work).await;
    })
}

async fn tidy(house: Arc<House>, password_check: Arc<PasswordCheck>) {
    let mut interval = tokio::time::interval(TIDY_EVERY);
    loop {
        interval.tick().await;
        house.tidy();
        for done in [
            password_check.tidy().await,
            invitations::tidy(house.store()).await,
            new_password::tidy(house.store()).await,
        ] {
            if let Err(error) = done {
                warn!(error = %error, "old sign-ins and links not forgotten");
            }
        }
        if let Err(error) = house.sweep().await {
            tracing::warn!("failed to sweep calls that waited too long: {error}");
        }
    }
}

/// The sealing key: made once, then read by every replica.
///
/// # Errors
/// When the store cannot be used, or the machine gives no random bytes.
pub async fn seal_key(store: &Store) -> Result<SealKey, StoreError> {
    let mut fresh = [0_u8; 32];
    getrandom::fill(&mut fresh).map_err(|e| StoreError::Invalid {
        what: format!("no random bytes: {e}"),
    })?;
    let bytes: [u8; 32] = store
        .system_write(move |tx| {
            async move {
                match tx.settings().get::<[u8; 32]>(SEAL_KEY).await? {
                    Some(known) => Ok::<_, StoreError>(known),
                    None => {
                        tx.settings().set(SEAL_KEY, &fresh).await?;
                        Ok(fresh)
                    }
                }
            }
            .boxed()
        })
        .await?;
    Ok(SealKey::new(bytes))
}

/// The user that a local process acts as: the tenant's owner, made with the tenant on the first run.
///
/// # Errors
/// When the tenant has people but no owner, or the store fails.
pub async fn local_owner(store: &Store, tenant: &TenantId) -> Result<UserId, OperateError> {
    let tenant = tenant.clone();
    store
        .system_write(move |tx| {
            async move {
                if tx.tenants().find(&tenant).await?.is_none() {
                    let new = NewTenant {
                        id: tenant.clone(),
                        name: tenant.to_string(),
                        monthly_cap: None,
                    };
                    tx.tenants().insert(&new).await?;
                }
                let mut tx = tx.within(&tenant);
                let users = tx.users().list().await?;
                if let Some(owner) = users
                    .iter()
                    .find(|u| u.role == Role::Owner && u.disabled_at.is_none())
                {
                    return Ok(owner.id.clone());
                }
                let id = UserId::new(&new_id("usr", tx.now()))?;
                let owner = NewUser {
                    id: id.clone(),
                    email: LOCAL_OWNER.to_owned(),
                    name: "Operator".to_owned(),
                    role: Role::Owner,
                    groups: Vec::new(),
                    password_hash: None,
                };
                tx.users().insert(&owner).await?;
                Ok(id)
            }
            .boxed()
        })
        .await
}

/// Sends logs to stderr; stdout belongs to results and, over stdio, to the protocol.
///
/// # Errors
/// When the filter is not in `tracing` syntax.
pub fn start_logging(settings: &LogSettings) -> Result<(), OperateError> {
    let filter = std::env::var("FOOTBRIDGE_LOG").unwrap_or_else(|_| settings.filter.clone());
    let filter = EnvFilter::try_new(&filter)
        .map_err(|e| OperateError::Rule(format!("log filter `{filter}`: {e}; write for example `info`")))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first subscriber.
    let _ = if settings.json {
        builder.json().try_init()
    } else {
        builder.with_ansi(false).try_init()
    };
    Ok(())
}
