//! From a URL to a migrated database and a pool of checked connections, or a refusal that names the fix.

use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, QueueMode, RecyclingMethod, Runtime};
use tokio_postgres::{
    Client, Config, NoTls,
    config::{Host, SslMode},
};

use crate::store::{StoreError, StoreSettings, Topic, changes::READ_COUNTERS, error::migration_failed};

mod embedded {
    refinery::embed_migrations!("migrations/postgres");
}

/// Longest wait for a connection, whether from the pool or from the network.
const CONNECT: Duration = Duration::from_secs(5);
/// Held while migrating, so that of many replicas that start at once one migrates. "FtBr".
const MIGRATION_LOCK: i64 = 0x4674_4272;

pub(super) struct Opened {
    pub(super) pool: Pool,
    pub(super) config: Config,
    pub(super) host: String,
    pub(super) counters: Vec<(Topic, i64)>,
}

pub(super) async fn open(url: &str, settings: &StoreSettings) -> Result<Opened, StoreError> {
    let mut config: Config = url.parse().map_err(|_| StoreError::BadUrl {
        given: "the PostgreSQL URL".to_owned(),
    })?;
    if config.get_ssl_mode() == SslMode::Require {
        return Err(StoreError::Invalid {
            what: "TLS to PostgreSQL is not built in: use a socket, a private network or a tunnel, without sslmode=require"
                .to_owned(),
        });
    }
    config
        .application_name("footbridge-server")
        .keepalives_idle(Duration::from_secs(30));
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    let host = host_of(&config);
    let named = |error: StoreError| match error {
        StoreError::Unreachable { detail, .. } => StoreError::Unreachable {
            host: host.clone(),
            detail,
        },
        other => other,
    };

    let (mut client, connection) = config.connect(NoTls).await.map_err(|e| named(e.into()))?;
    // It ends when the client is dropped; what goes wrong shows at the client.
    let driver = tokio::spawn(connection);
    check_version(&client).await?;
    migrate(&mut client).await.map_err(named)?;
    let rows = client.query(READ_COUNTERS, &[]).await?;
    let counters = rows
        .iter()
        .filter_map(|row| Some((Topic::parse(row.try_get(0).ok()?)?, row.try_get(1).ok()?)));
    let counters = counters.collect();
    drop(client);
    driver.abort();

    let pool = pool(&config, settings)?;
    // The first connection shows whether the settings take.
    drop(
        pool.get()
            .await
            .map_err(|e| named(super::connection::pool_error(e)))?,
    );
    Ok(Opened {
        pool,
        config,
        host,
        counters,
    })
}

fn pool(config: &Config, settings: &StoreSettings) -> Result<Pool, StoreError> {
    // Idle in a transaction means a caller of ours is stuck; the server then frees its locks. Statements are found along
    // indexes whatever their values, so each is planned once a connection: by itself PostgreSQL plans a page of a list anew each
    // time, because a small LIMIT that it knows looks cheaper to it, and planning one takes longer than the page. A plan that was
    // made for a table of a few rows, which it would rather read whole, is kept when the table has grown. To compile a
    // statement, or to start processes that share in it, takes tens of milliseconds, and ours read a few hundred rows.
    let setup = format!(
        "SET synchronous_commit = on; SET statement_timeout = {}; SET lock_timeout = {};
         SET idle_in_transaction_session_timeout = 60000; SET client_min_messages = warning;
         SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET jit = off;
         SET max_parallel_workers_per_gather = 0",
        settings.statement_timeout.as_millis(),
        settings.lock_timeout.as_millis(),
    );
    let prepare = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
        let setup = setup.clone();
        Box::pin(async move {
            client.batch_execute(&setup).await.map_err(HookError::Backend)?;
            let row = client
                .query_one("SHOW synchronous_commit", &[])
                .await
                .map_err(HookError::Backend)?;
            match row.try_get::<_, &str>(0) {
                Ok("on" | "remote_apply") => Ok(()),
                other => {
                    let found = other.unwrap_or("unreadable");
                    Err(HookError::message(
                        StoreError::NotDurable { found: found.into() }.to_string(),
                    ))
                }
            }
        })
    });
    let manager_config = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    Pool::builder(Manager::from_config(config.clone(), NoTls, manager_config))
        .max_size(settings.connections.max(2))
        // The connection that was used last has its statements planned and its caches warm.
        .queue_mode(QueueMode::Lifo)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(CONNECT))
        .create_timeout(Some(CONNECT))
        .post_create(prepare)
        .build()
        .map_err(|e| StoreError::Invalid { what: e.to_string() })
}

/// Host and port, or the socket's folder, as the operator wrote them.
fn host_of(config: &Config) -> String {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match config.get_hosts().first() {
        Some(Host::Tcp(name)) => format!("{name}:{port}"),
        #[cfg(unix)]
        Some(Host::Unix(folder)) => format!("{} (port {port})", folder.display()),
        None => format!("the default address (port {port})"),
    }
}

async fn check_version(client: &Client) -> Result<(), StoreError> {
    let row = client.query_one("SHOW server_version_num", &[]).await?;
    let number: &str = row.try_get(0).map_err(|e| StoreError::Row(e.to_string()))?;
    if number.parse::<u32>().unwrap_or(0) < 150_000 {
        let row = client.query_one("SHOW server_version", &[]).await?;
        return Err(StoreError::TooOld {
            found: row.try_get(0).unwrap_or("of an unknown version").to_owned(),
        });
    }
    Ok(())
}

async fn migrate(client: &mut Client) -> Result<(), StoreError> {
    let runner = embedded::migrations::runner();
    let known = runner
        .get_migrations()
        .iter()
        .map(refinery::Migration::version)
        .max()
        .unwrap_or(0);
    // The common case takes no lock: replicas start while others serve.
    if version(client).await? == Some(known) {
        return Ok(());
    }
    client
        .execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK])
        .await?;
    let migrated = match version(client).await? {
        Some(found) if found > known => Err(StoreError::Newer { found, known }),
        Some(found) if found == known => Ok(()),
        _ => {
            let run = runner.run_async(client).await;
            run.map(|_| ()).map_err(|e| migration_failed(&e))
        }
    };
    // Ends with the connection too; said here so that a waiting replica goes on at once.
    client
        .execute("SELECT pg_advisory_unlock($1)", &[&MIGRATION_LOCK])
        .await?;
    migrated
}

async fn version(client: &Client) -> Result<Option<i32>, StoreError> {
    let row = client
        .query_one("SELECT to_regclass('refinery_schema_history') IS NOT NULL", &[])
        .await?;
    if !row.try_get::<_, bool>(0).unwrap_or(false) {
        return Ok(None);
    }
    let row = client
        .query_one("SELECT max(version)::INT FROM refinery_schema_history", &[])
        .await?;
    row.try_get(0).map_err(|e| StoreError::Row(e.to_string()))
}
