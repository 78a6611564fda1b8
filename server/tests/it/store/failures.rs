//! What the operator gets wrong and the disk does: each is refused in words that name the fix, and the store
//! recovers by itself.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command, time::Duration};

use footbridge_server::store::{AuditStatus, Store, StoreError, StoreUrl};

use super::{
    audit::{event, verify},
    harness::{Place, eventually, for_each_engine, read, run, skipped, tenant, write},
};

async fn refusal(place: &Place) -> StoreError {
    Store::open(&place.url, &place.settings, place.clock.clone())
        .await
        .expect_err("the store is refused")
}

#[test]
fn file_and_folder_belong_to_their_owner_alone() {
    run(async {
        let mut place = Place::sqlite();
        let file = place.folder().join("new/deep/store.db");
        place.url = StoreUrl::Sqlite(file.clone());
        let store = place.open_with(&["acme"]).await;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        for side in ["store.db-wal", "store.db-shm"] {
            assert_eq!(mode(&file.with_file_name(side)), 0o600, "{side}");
        }
        store.close().await;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        drop(place.open().await);
        assert_eq!(mode(&file), 0o600, "a wider mode is narrowed");
    });
}

#[test]
fn what_is_not_our_database_is_refused_and_left_alone() {
    run(async {
        let place = Place::sqlite();
        let text = "this is a letter, not a database. ".repeat(200);
        fs::write(place.file(), &text).unwrap();
        let error = refusal(&place).await;
        assert!(
            matches!(&error, StoreError::NotADatabase { path } if *path == place.file()),
            "{error:?}"
        );
        assert_eq!(fs::read_to_string(place.file()).unwrap(), text);

        let place = Place::sqlite();
        place.tamper("CREATE TABLE foreign_table (x)").await;
        let error = refusal(&place).await;
        assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");

        let mut place = Place::sqlite();
        place.url = StoreUrl::Sqlite(place.folder().to_owned());
        assert!(matches!(refusal(&place).await, StoreError::NotADatabase { .. }));
    });
}

#[test]
fn a_damaged_file_is_refused() {
    run(async {
        let place = Place::sqlite();
        place.open_with(&["acme"]).await.close().await;
        let mut bytes = fs::read(place.file()).unwrap();
        // Every page but the first is overwritten; the header stays that of a database.
        bytes[4096..].fill(0x5a);
        fs::write(place.file(), bytes).unwrap();
        let error = refusal(&place).await;
        assert!(matches!(&error, StoreError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains("restore a backup"));
    });
}

#[test]
fn a_store_from_a_newer_version_is_refused() {
    for_each_engine(|place| async move {
        place.open().await.close().await;
        place
            .tamper(
                "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
                 VALUES (999, 'future', '2030-01-01T00:00:00Z', '1')",
            )
            .await;
        let error = refusal(&place).await;
        assert!(
            matches!(error, StoreError::Newer { found: 999, known } if known < 999),
            "{error:?}"
        );
        assert!(error.to_string().contains("start the newer version"));
    });
}

#[test]
fn an_older_store_is_copied_before_it_is_migrated() {
    run(async {
        let place = Place::sqlite();
        place.open_with(&["acme"]).await.close().await;
        // A store as an earlier version left it: its last migration is not ours. Repeating ours must then fail,
        // and the copy made before is whole.
        place
            .tamper(
                "CREATE TABLE kept AS SELECT * FROM refinery_schema_history;
                 DELETE FROM refinery_schema_history WHERE version > 1;
                 UPDATE refinery_schema_history SET version = 0, name = 'before'",
            )
            .await;
        let error = refusal(&place).await;
        assert!(matches!(error, StoreError::Migration(_)), "{error:?}");
        let copy = Place::sqlite();
        let backup = place.file().with_file_name("store.db.backup-v0");
        assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
        fs::copy(backup, copy.file()).unwrap();
        copy.tamper(
            "DELETE FROM refinery_schema_history;
             INSERT INTO refinery_schema_history SELECT * FROM kept;
             DROP TABLE kept",
        )
        .await;
        let users = read(&copy.open().await, "acme", |tx| {
            Box::pin(async move { tx.users().list().await })
        })
        .await;
        assert_eq!(users.len(), 1);
    });
}

#[test]
fn a_backup_made_under_load_opens_and_verifies() {
    run(async {
        let place = Place::sqlite();
        let store = place.open_with(&["acme"]).await;
        let writer = {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..300 {
                    store
                        .append_audit_durable(&tenant("acme"), event("busy", AuditStatus::Allow))
                        .await
                        .unwrap();
                }
            })
        };
        let copy = Place::sqlite();
        store.backup(&copy.file()).await.unwrap();
        writer.await.unwrap();
        let copied = copy.open().await;
        assert_eq!(verify(&copied, "acme", None).await.fault, None);
        assert!(store.backup(Path::new("/proc/nowhere/x.db")).await.is_err());
    });
}

#[test]
fn a_locked_file_is_refused_at_start_and_in_use_and_recovers() {
    run(async {
        let mut place = Place::sqlite();
        place.settings.lock_timeout = Duration::from_millis(50);
        let store = place.open_with(&["acme"]).await;
        let holder = rusqlite::Connection::open(place.file()).unwrap();
        holder.execute_batch("BEGIN IMMEDIATE").unwrap();
        let refused = store
            .append_audit_durable(&tenant("acme"), event("x", AuditStatus::Allow))
            .await;
        assert!(matches!(refused, Err(StoreError::Locked)), "{refused:?}");
        assert!(!store.healthy());
        let refused = store
            .append_audit(&tenant("acme"), event("x", AuditStatus::Allow))
            .await;
        assert!(
            matches!(&refused, Err(StoreError::Refusing { reason }) if reason.contains("locked")),
            "{refused:?}"
        );
        read(&store, "acme", |tx| {
            Box::pin(async move { tx.users().list().await })
        })
        .await;
        holder.execute_batch("ROLLBACK").unwrap();
        eventually("the store recovers", Duration::from_secs(10), async || {
            store.healthy().then_some(())
        })
        .await;
        store
            .append_audit(&tenant("acme"), event("y", AuditStatus::Allow))
            .await
            .unwrap();
        store.close().await;

        holder
            .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
            .unwrap();
        assert!(matches!(refusal(&place).await, StoreError::Locked));
        holder.execute_batch("ROLLBACK").unwrap();
        drop(holder);
        assert_eq!(verify(&place.open().await, "acme", None).await.rows, 1);
    });
}

#[test]
fn rows_queued_while_the_store_was_locked_are_not_lost() {
    run(async {
        let mut place = Place::sqlite();
        place.settings.lock_timeout = Duration::from_millis(20);
        let store = place.open_with(&["acme"]).await;
        let holder = rusqlite::Connection::open(place.file()).unwrap();
        holder.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut taken = 0;
        while store
            .append_audit(&tenant("acme"), event("x", AuditStatus::Allow))
            .await
            .is_ok()
        {
            taken += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert!(taken < 10_000, "a store that cannot write says so");
        }
        assert!(taken > 0);
        holder.execute_batch("ROLLBACK").unwrap();
        eventually("the store recovers", Duration::from_secs(10), async || {
            store.healthy().then_some(())
        })
        .await;
        store.flush().await.unwrap();
        let verdict = verify(&store, "acme", None).await;
        assert_eq!((verdict.rows, verdict.fault), (taken, None));
    });
}

/// Fills the store until it refuses, and checks that what was acknowledged is all there and nothing else.
async fn fill_up(place: &Place) -> (Store, u64) {
    let store = place.open_with(&["acme"]).await;
    let mut acknowledged = 0_u64;
    let refused = loop {
        let mut large = event("large", AuditStatus::Allow);
        large.args = Some("x".repeat(20_000).into());
        match store.append_audit_durable(&tenant("acme"), large).await {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 10_000, "the disk never fills");
    };
    assert!(matches!(refused, StoreError::DiskFull), "{refused:?}");
    assert!(refused.to_string().contains("free disk space"));
    assert!(!store.healthy());
    let event = event("x", AuditStatus::Allow);
    assert!(matches!(
        store.append_audit(&tenant("acme"), event).await,
        Err(StoreError::Refusing { .. })
    ));
    let verdict = verify(&store, "acme", None).await;
    assert_eq!(
        (verdict.rows, verdict.fault),
        (acknowledged, None),
        "reads go on, and see what was acknowledged"
    );
    (store, acknowledged)
}

#[test]
fn a_full_database_refuses_writes_and_goes_on_when_there_is_room() {
    run(async {
        let mut place = Place::sqlite();
        place.settings.most_bytes = Some(1 << 20);
        let (store, acknowledged) = fill_up(&place).await;
        assert!(acknowledged > 0);
        store.close().await;
        place.settings.most_bytes = None;
        let store = place.open().await;
        store
            .append_audit_durable(&tenant("acme"), event("room", AuditStatus::Allow))
            .await
            .unwrap();
        assert_eq!(verify(&store, "acme", None).await.rows, acknowledged + 1);
    });
}

/// A file system of `kib` KiB, unmounted on drop. `None` where this user may not mount.
struct Disk(std::path::PathBuf);

impl Disk {
    fn mount(at: &Path, kib: u32) -> Option<Self> {
        let size = format!("size={kib}k");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(at)
            .output();
        mounted
            .is_ok_and(|done| done.status.success())
            .then(|| Self(at.to_owned()))
    }

    fn remount(&self, options: &str) {
        let done = Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(&self.0)
            .status();
        assert!(done.unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_refuses_writes_and_recovers_when_there_is_room() {
    run(async {
        let mut place = Place::sqlite();
        let at = place.folder().join("small");
        fs::create_dir(&at).unwrap();
        let Some(disk) = Disk::mount(&at, 2048) else {
            return skipped("full disk", "mounting a tmpfs needs root");
        };
        place.url = StoreUrl::Sqlite(at.join("store.db"));
        let (store, acknowledged) = fill_up(&place).await;
        disk.remount("size=64m");
        eventually(
            "the store recovers by itself",
            Duration::from_secs(10),
            async || store.healthy().then_some(()),
        )
        .await;
        store
            .append_audit_durable(&tenant("acme"), event("room", AuditStatus::Allow))
            .await
            .unwrap();
        let verdict = verify(&store, "acme", None).await;
        assert_eq!((verdict.rows, verdict.fault), (acknowledged + 1, None));
        store.close().await;
        drop(disk);
    });
}

#[test]
fn a_read_only_place_is_refused() {
    run(async {
        let mut place = Place::sqlite();
        let at = place.folder().join("fixed");
        fs::create_dir(&at).unwrap();
        place.url = StoreUrl::Sqlite(at.join("store.db"));
        // Root writes whatever the mode says, so root gets a read-only mount instead.
        let disk = Disk::mount(&at, 8192);
        place.open_with(&["acme"]).await.close().await;
        match &disk {
            Some(disk) => disk.remount("ro"),
            None => fs::set_permissions(at.join("store.db"), fs::Permissions::from_mode(0o400)).unwrap(),
        }
        let error = refusal(&place).await;
        assert!(matches!(error, StoreError::NotWritable { .. }), "{error:?}");
        assert!(error.to_string().contains("let the server's user write"));
        drop(disk);
    });
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    run(async {
        let mut place = Place::sqlite();
        fs::write(place.folder().join("file"), "x").unwrap();
        place.url = StoreUrl::Sqlite(place.folder().join("file/below/store.db"));
        let error = refusal(&place).await;
        assert!(
            matches!(&error, StoreError::FolderMissing { path } if path.ends_with("file/below")),
            "{error:?}"
        );
    });
}

#[test]
fn a_read_only_database_refuses_and_recovers() {
    super::harness::on_postgres(|place| async move {
        let store = place.open_with(&["acme"]).await;
        write(&store, "acme", |tx| {
            Box::pin(async move { tx.settings().set("x", &1).await })
        })
        .await;
        let StoreUrl::Postgres(url) = &place.url else {
            panic!("on PostgreSQL")
        };
        let database = url.rsplit('/').next().unwrap();
        place
            .tamper(&format!(
                "ALTER DATABASE {database} SET default_transaction_read_only = on;
                 SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' AND usename = 'footbridge'"
            ))
            .await;
        let refused = eventually("the database refuses", Duration::from_secs(10), async || {
            store
                .append_audit_durable(&tenant("acme"), event("x", AuditStatus::Allow))
                .await
                .err()
        })
        .await;
        assert!(
            matches!(refused, StoreError::ReadOnly | StoreError::Unreachable { .. }),
            "{refused:?}"
        );
        assert!(!store.healthy());
        place
            .tamper(&format!(
                "BEGIN READ WRITE; ALTER DATABASE {database} RESET default_transaction_read_only; COMMIT;
                 SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' AND usename = 'footbridge'"
            ))
            .await;
        eventually(
            "the store recovers by itself",
            Duration::from_secs(10),
            async || store.healthy().then_some(()),
        )
        .await;
        store
            .append_audit_durable(&tenant("acme"), event("y", AuditStatus::Allow))
            .await
            .unwrap();
    });
}
