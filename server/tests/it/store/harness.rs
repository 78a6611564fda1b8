//! Places to put a store: an SQLite file in a temporary folder, and a database in a private PostgreSQL
//! cluster that this process starts, owns and ends.

use std::{
    fmt::Write as _,
    future::Future,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use footbridge_server::{
    store::{BoxFuture, NewTenant, NewUser, Store, StoreError, StoreSettings, StoreUrl, TenantTx},
    vocabulary::{Clock, Role, TenantId, Timestamp, UserId},
};
use tempfile::TempDir;

/// When every manual clock starts: 20 November 2026.
pub(crate) const START: Timestamp = Timestamp(1_795_190_400_000);

/// Where one test's store is.
pub(crate) struct Place {
    pub(crate) url: StoreUrl,
    pub(crate) clock: Clock,
    pub(crate) settings: StoreSettings,
    folder: TempDir,
}

impl Place {
    fn new(url: impl FnOnce(&Path) -> StoreUrl) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let settings = StoreSettings {
            lock_timeout: Duration::from_secs(2),
            ..StoreSettings::default()
        };
        Self {
            url: url(folder.path()),
            clock: Clock::manual(START),
            settings,
            folder,
        }
    }

    /// An SQLite file that does not exist yet.
    pub(crate) fn sqlite() -> Self {
        Self::new(|folder| StoreUrl::Sqlite(folder.join("store.db")))
    }

    /// A fresh PostgreSQL database; `None`, said aloud, where PostgreSQL is not installed.
    pub(crate) fn postgres() -> Option<Self> {
        let cluster = cluster()?;
        let name = cluster.create_database();
        Some(Self::new(|_| {
            StoreUrl::Postgres(cluster.url("footbridge", &name))
        }))
    }

    /// The SQLite file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    /// The folder around it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Whether it is a database of PostgreSQL.
    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.url, StoreUrl::Postgres(_))
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.url, &self.settings, self.clock.clone())
            .await
            .expect("the store opens")
    }

    /// Opens the store with these tenants in it, each with one owner `usr_owner`.
    pub(crate) async fn open_with(&self, tenants: &[&str]) -> Store {
        let store = self.open().await;
        for name in tenants {
            add_tenant(&store, name).await;
        }
        store
    }

    /// Runs SQL behind the store's back, as somebody with access to the database would.
    pub(crate) async fn tamper(&self, sql: &str) {
        match &self.url {
            StoreUrl::Sqlite(path) => {
                let raw = rusqlite::Connection::open(path).unwrap();
                raw.busy_timeout(Duration::from_secs(5)).unwrap();
                raw.execute_batch(sql).unwrap();
            }
            StoreUrl::Postgres(url) => {
                let admin = url.replace("//footbridge@", "//admin@");
                let (client, connection) = tokio_postgres::connect(&admin, tokio_postgres::NoTls)
                    .await
                    .unwrap();
                let driver = tokio::spawn(connection);
                client.batch_execute(sql).await.unwrap();
                drop(client);
                driver.await.unwrap().unwrap();
            }
        }
    }
}

/// A value of SQLite's as a person reads it.
fn shown(value: rusqlite::types::ValueRef<'_>) -> String {
    use rusqlite::types::ValueRef;
    match value {
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(bytes) => format!("{bytes:02x?}"),
        other => format!("{other:?}"),
    }
}

impl Place {
    /// Every row of every table but these, as text: what two moments of a store are compared by.
    pub(crate) async fn dump(&self, except: &[&str]) -> Vec<String> {
        match &self.url {
            StoreUrl::Sqlite(path) => {
                let raw = rusqlite::Connection::open(path).unwrap();
                raw.busy_timeout(Duration::from_secs(5)).unwrap();
                let mut tables = raw
                    .prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
                    .unwrap();
                let tables: Vec<String> = tables
                    .query_map([], |row| row.get(0))
                    .unwrap()
                    .map(Result::unwrap)
                    .collect();
                let mut all = Vec::new();
                for table in tables.iter().filter(|table| !except.contains(&table.as_str())) {
                    let mut rows = raw.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
                    let columns = rows.column_count();
                    let text = |row: &rusqlite::Row<'_>| {
                        let values: Vec<_> = (0..columns).map(|at| shown(row.get_ref(at).unwrap())).collect();
                        Ok(format!("{table}: {}", values.join(", ")))
                    };
                    let mut rows: Vec<String> =
                        rows.query_map([], text).unwrap().map(Result::unwrap).collect();
                    rows.sort();
                    all.extend(rows);
                }
                all
            }
            StoreUrl::Postgres(url) => {
                let admin = url.replace("//footbridge@", "//admin@");
                let (client, connection) = tokio_postgres::connect(&admin, tokio_postgres::NoTls)
                    .await
                    .unwrap();
                let driver = tokio::spawn(connection);
                let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1";
                let mut all = Vec::new();
                for table in client.query(tables, &[]).await.unwrap() {
                    let table: String = table.get(0);
                    if except.contains(&table.as_str()) {
                        continue;
                    }
                    let sql = format!("SELECT row_text::text FROM \"{table}\" AS row_text ORDER BY 1");
                    for row in client.query(&sql, &[]).await.unwrap() {
                        all.push(format!("{table}: {}", row.get::<_, String>(0)));
                    }
                }
                drop(client);
                driver.await.unwrap().unwrap();
                all
            }
        }
    }
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

/// Writes as a tenant; a refusal fails the test.
pub(crate) async fn write<T, F>(store: &Store, name: &str, work: F) -> T
where
    F: for<'t> FnOnce(&'t mut TenantTx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    T: Send + 'static,
{
    store
        .write(&tenant(name), work)
        .await
        .expect("the write is accepted")
}

/// Reads as a tenant; a refusal fails the test.
pub(crate) async fn read<T, F>(store: &Store, name: &str, work: F) -> T
where
    F: for<'t> FnOnce(&'t mut TenantTx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    T: Send + 'static,
{
    store
        .read(&tenant(name), work)
        .await
        .expect("the read is accepted")
}

pub(crate) async fn add_tenant(store: &Store, name: &str) {
    let id = tenant(name);
    let owner = NewUser {
        id: UserId::new("usr_owner").unwrap(),
        email: format!("owner@{name}.test"),
        name: "Owner".into(),
        role: Role::Owner,
        groups: Vec::new(),
        password_hash: None,
    };
    let new = NewTenant {
        id: id.clone(),
        name: name.to_owned(),
        monthly_cap: None,
    };
    let made = store.system_write(move |tx| {
        Box::pin(async move {
            tx.tenants().insert(&new).await?;
            tx.within(&id).users().insert(&owner).await.map(|_| ())
        })
    });
    made.await.unwrap();
}

/// Runs a test on SQLite and, where it is installed, on PostgreSQL.
pub(crate) fn for_each_engine<F, Fut>(test: F)
where
    F: Fn(Place) -> Fut,
    Fut: Future<Output = ()>,
{
    run(test(Place::sqlite()));
    on_postgres(test);
}

/// Runs a test on PostgreSQL where it is installed.
pub(crate) fn on_postgres<F, Fut>(test: F)
where
    F: Fn(Place) -> Fut,
    Fut: Future<Output = ()>,
{
    match Place::postgres() {
        Some(place) => run(test(place)),
        None => skipped(
            "postgres",
            "initdb and postgres were not found (Debian: apt install postgresql)",
        ),
    }
}

pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(test);
}

/// Says that a test did not run, past the test runner's capturing; fails where skipping is forbidden.
pub(crate) fn skipped(what: &str, why: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {what}: {name}: {why}");
    assert!(
        what != "postgres" || std::env::var_os("FOOTBRIDGE_REQUIRE_POSTGRES").is_none_or(|v| v != "1"),
        "FOOTBRIDGE_REQUIRE_POSTGRES=1 and {why}"
    );
}

/// Waits until `ready` gives something, or fails after `limit`. For liveness only.
pub(crate) async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut ready: impl AsyncFnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = ready().await {
            return value;
        }
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A PostgreSQL cluster of this process alone, on a socket in a folder of its own.
pub(crate) struct Cluster {
    folder: PathBuf,
    /// A shell that ends the cluster and removes its folder when its standard input closes, which it
    /// does whatever way this process ends.
    _keeper: Child,
    databases: AtomicU32,
}

fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start).as_ref()
}

fn programs() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let mut installed: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    installed.sort();
    folders.extend(installed.into_iter().rev());
    folders
        .into_iter()
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

impl Cluster {
    fn start() -> Option<Self> {
        let programs = programs()?;
        let folder = TempDir::with_prefix("fbpg").expect("a temporary folder").keep();
        let root = Command::new("id")
            .arg("-u")
            .output()
            .is_ok_and(|out| out.stdout.trim_ascii() == b"0");
        // PostgreSQL refuses to run as root; its package brings a user for it.
        let (before, user): (&[&str], _) = if root {
            (&["runuser", "-u", "postgres", "--"], "postgres")
        } else {
            (&["env"], "")
        };
        if root {
            let owned = Command::new("chown").arg(user).arg(&folder).status();
            assert!(
                owned.is_ok_and(|status| status.success()),
                "the cluster's folder goes to user {user}"
            );
        }
        let data = folder.join("data");
        let made = Command::new(before[0])
            .args(&before[1..])
            .arg(programs.join("initdb"))
            .args([
                "-U",
                "admin",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "-D",
            ])
            .arg(&data)
            .current_dir("/")
            .output()
            .expect("initdb starts");
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let mut script = String::new();
        write!(
            script,
            "{before} '{postgres}' -D '{data}' -k '{folder}' -c listen_addresses= -c max_connections=300 \
             -c fsync=off -c max_wal_size=256MB >'{folder}/log' 2>&1 & pid=$!; read _; \
             kill -TERM $pid; wait $pid; rm -rf '{folder}'",
            before = before.join(" "),
            postgres = programs.join("postgres").display(),
            data = data.display(),
            folder = folder.display(),
        )
        .unwrap();
        let keeper = Command::new("sh")
            .args(["-c", &script])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell starts");
        let cluster = Self {
            folder,
            _keeper: keeper,
            databases: AtomicU32::new(0),
        };
        let end = Instant::now() + Duration::from_secs(30);
        while cluster.admin("postgres", "CREATE ROLE footbridge LOGIN").is_err() {
            assert!(
                Instant::now() < end,
                "PostgreSQL did not start, see {}/log",
                cluster.folder.display()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(cluster)
    }

    /// A URL for `user` and `database`.
    pub(crate) fn url(&self, user: &str, database: &str) -> String {
        let socket = self.folder.display().to_string().replace('/', "%2F");
        format!("postgresql://{user}@{socket}/{database}")
    }

    /// Runs one statement as the administrator, on a thread without a runtime.
    fn admin(&self, database: &str, sql: &str) -> Result<(), tokio_postgres::Error> {
        let (url, sql) = (self.url("admin", database), sql.to_owned());
        let work = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
                let driver = tokio::spawn(connection);
                let done = client.batch_execute(&sql).await;
                drop(client);
                let _ = driver.await;
                done
            })
        });
        work.join().unwrap()
    }

    fn create_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.admin("postgres", &format!("CREATE DATABASE {name} OWNER footbridge"))
            .expect("a fresh database");
        name
    }
}
