//! The handles that other rooms hold during a transaction: [`TenantTx`] and [`SystemTx`].

use std::borrow::Borrow;

use serde::de::DeserializeOwned;

use super::{
    AuditLog, AuditRecord, CallView, Caps, ChangeLog, ClientQuestions, ClientSessions, ClientTasks, Counters,
    Invitations, Jobs, Keys, Memories, NewChange, Notes, PasswordResets, PendingCalls, Records,
    ReplyMessages, ResourceChanges, Session, Settings, SetupTokens, SignInAttempts, SignIns, StatementPlan,
    StoreError, SystemCaps, SystemClientQuestions, SystemClientSessions, SystemClientTasks,
    SystemInvitations, SystemJobs, SystemKeys, SystemOAuth, SystemPasswordResets, SystemPendingCalls,
    SystemReplyMessages, SystemResourceChanges, SystemSignIns, SystemUsers, TenantOAuth, Tenants, Topic,
    Users,
};
use crate::vocabulary::{TenantId, Timestamp};

/// A transaction of one tenant.
///
/// Invariant: nothing here takes a tenant or SQL, so the rows of another tenant cannot be named
/// (security.md T1).
pub struct TenantTx<'a> {
    session: &'a mut Session,
    tenant: TenantId,
}

impl<'a> TenantTx<'a> {
    pub(super) fn new(session: &'a mut Session, tenant: TenantId) -> Self {
        Self { session, tenant }
    }

    pub(super) fn parts(&mut self) -> (&mut Session, TenantId) {
        (self.session, self.tenant.clone())
    }

    /// Whose rows these are.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The moment the transaction began.
    pub fn now(&self) -> Timestamp {
        self.session.now
    }

    /// A fresh identifier. What one transaction makes sorts in the order in which it made it, though all of it is of one moment.
    pub fn new_id(&mut self, kind: &str) -> String {
        self.session.ids.next(kind, self.session.now)
    }

    /// From here on, notes how the engine goes about each statement that reads. Tests ask whether lists are found along
    /// indexes; nothing else does.
    #[doc(hidden)]
    pub fn note_plans(&mut self) {
        self.session.plans = Some(Vec::new());
    }

    /// What was noted since [`TenantTx::note_plans`].
    #[doc(hidden)]
    pub fn take_plans(&mut self) -> Vec<StatementPlan> {
        self.session.plans.take().unwrap_or_default()
    }

    /// Adds a row to the tenant's audit log, committed with the rest of this transaction or not at all.
    /// It gets its number and hash when the work is done.
    pub fn audit(&mut self, event: impl Borrow<AuditRecord>) -> Result<(), StoreError> {
        let row = event.borrow().seal(&self.tenant)?;
        self.session.audits.push((self.tenant.clone(), row));
        Ok(())
    }

    /// Adds a row to the tenant's change log, committed with the change itself or not at all. Whoever changes a key,
    /// a member, a setting or a record through any door calls this in the same transaction.
    pub fn log_change(&mut self, change: NewChange) {
        self.session.note_change(Some(&self.tenant), change);
    }

    /// The change log, for readers.
    pub fn change_log(&mut self) -> ChangeLog<'_> {
        ChangeLog::new(self.session, self.tenant.as_str())
    }

    /// Tells every process that something they may hold in memory changed. Keys, users, tenants, sources
    /// and settings do so by themselves.
    pub async fn announce(&mut self, topic: Topic) -> Result<(), StoreError> {
        self.session.raise(topic).await.map(|_| ())
    }

    /// The audit log, for readers.
    pub fn audit_log(&mut self) -> AuditLog<'_> {
        AuditLog::new(self.session, self.tenant.as_str())
    }

    /// The call log as people read it.
    pub fn call_view(&mut self) -> CallView<'_> {
        CallView {
            session: self.session,
            tenant: &self.tenant,
        }
    }

    /// People and services of the tenant.
    pub fn users(&mut self) -> Users<'_> {
        Users {
            session: self.session,
            tenant: &self.tenant,
        }
    }

    /// Invitations into the tenant.
    pub fn invitations(&mut self) -> Invitations<'_> {
        Invitations {
            session: self.session,
            tenant: &self.tenant,
        }
    }

    /// Links with which the tenant's people choose a new password.
    pub fn password_resets(&mut self) -> PasswordResets<'_> {
        PasswordResets {
            session: self.session,
            tenant: &self.tenant,
        }
    }

    /// API keys of the tenant.
    pub fn keys(&mut self) -> Keys<'_> {
        Keys {
            session: self.session,
            tenant: &self.tenant,
        }
    }

    /// Exact numbers: sequences and counts with a cap.
    pub fn counters(&mut self) -> Counters<'_> {
        Counters {
            session: self.session,
            tenant: &self.tenant,
        }
    }

    /// Counters with a cap that many processes share.
    pub fn caps(&mut self) -> Caps<'_> {
        Caps {
            session: self.session,
            tenant: &self.tenant,
        }
    }

    /// Domain records of one kind, such as `ticket`.
    pub fn records<'t>(&'t mut self, kind: &'t str) -> Records<'t> {
        Records {
            session: self.session,
            tenant: &self.tenant,
            kind,
        }
    }

    /// Which resources changed, for whoever subscribed to them.
    pub fn resources(&mut self) -> ResourceChanges<'_> {
        ResourceChanges {
            session: self.session,
            tenant: &self.tenant,
        }
    }

    /// Work to be done later.
    pub fn jobs(&mut self) -> Jobs<'_> {
        Jobs {
            session: self.session,
            tenant: &self.tenant,
        }
    }

    /// Calls that wait for a yes.
    pub fn pending_calls(&mut self) -> PendingCalls<'_> {
        PendingCalls {
            session: self.session,
            tenant: &self.tenant,
        }
    }

    /// Sessions of legacy clients.
    pub fn client_sessions(&mut self) -> ClientSessions<'_> {
        ClientSessions {
            session: self.session,
            tenant: &self.tenant,
        }
    }

    /// Calls that go on after their reply.
    pub fn client_tasks(&mut self) -> ClientTasks<'_> {
        ClientTasks {
            session: self.session,
            tenant: &self.tenant,
        }
    }

    /// Questions to clients.
    pub fn client_questions(&mut self) -> ClientQuestions<'_> {
        ClientQuestions {
            session: self.session,
            tenant: &self.tenant,
        }
    }

    /// What was said on replies that are streams.
    pub fn reply_messages(&mut self) -> ReplyMessages<'_> {
        ReplyMessages {
            session: self.session,
            tenant: &self.tenant,
        }
    }

    /// What agents remember.
    pub fn memory(&mut self) -> Memories<'_> {
        Memories {
            session: self.session,
            tenant: &self.tenant,
        }
    }

    /// Sources, entities and chunks of the context edition.
    pub fn notes(&mut self) -> Notes<'_> {
        Notes {
            session: self.session,
            tenant: &self.tenant,
        }
    }

    /// What editions ask of access tokens, and who the people behind them are.
    pub fn oauth(&mut self) -> TenantOAuth<'_> {
        TenantOAuth {
            session: self.session,
            tenant: &self.tenant,
        }
    }

    /// Who is signed in.
    pub fn sign_ins(&mut self) -> SignIns<'_> {
        SignIns {
            session: self.session,
            tenant: &self.tenant,
        }
    }

    /// Small JSON values by name.
    pub fn settings(&mut self) -> Settings<'_> {
        Settings {
            session: self.session,
            owner: self.tenant.as_str(),
        }
    }
}

/// A transaction of the operator, across tenants.
pub struct SystemTx<'a> {
    session: &'a mut Session,
}

impl<'a> SystemTx<'a> {
    pub(super) fn new(session: &'a mut Session) -> Self {
        Self { session }
    }

    /// The moment the transaction began.
    pub fn now(&self) -> Timestamp {
        self.session.now
    }

    /// The same transaction, bound to one tenant.
    pub fn within(&mut self, tenant: &TenantId) -> TenantTx<'_> {
        TenantTx::new(self.session, tenant.clone())
    }

    /// Adds a row to the server's own change log, for what belongs to no tenant. What belongs to one is logged
    /// [`within`](Self::within) it.
    pub fn log_change(&mut self, change: NewChange) {
        self.session.note_change(None, change);
    }

    /// The server's own change log, for readers.
    pub fn change_log(&mut self) -> ChangeLog<'_> {
        // No tenant id is empty, so no tenant can reach these rows.
        ChangeLog::new(self.session, "")
    }

    /// Tells every process that something they may hold in memory changed.
    pub async fn announce(&mut self, topic: Topic) -> Result<(), StoreError> {
        self.session.raise(topic).await.map(|_| ())
    }

    /// The tenants themselves.
    pub fn tenants(&mut self) -> Tenants<'_> {
        Tenants {
            session: self.session,
        }
    }

    /// Keys of all tenants: the look-up by hash and the table that is kept in memory.
    pub fn keys(&mut self) -> SystemKeys<'_> {
        SystemKeys {
            session: self.session,
        }
    }

    /// Users of all tenants, for the log-in.
    pub fn users(&mut self) -> SystemUsers<'_> {
        SystemUsers {
            session: self.session,
        }
    }

    /// Invitations of all tenants, for those who follow a link.
    pub fn invitations(&mut self) -> SystemInvitations<'_> {
        SystemInvitations {
            session: self.session,
        }
    }

    /// Links to a new password of all tenants, for those who follow one.
    pub fn password_resets(&mut self) -> SystemPasswordResets<'_> {
        SystemPasswordResets {
            session: self.session,
        }
    }

    /// Sign-ins of all tenants, for the doors.
    pub fn sign_ins(&mut self) -> SystemSignIns<'_> {
        SystemSignIns {
            session: self.session,
        }
    }

    /// What editions ask of access tokens, for the table that is kept in memory.
    pub fn oauth(&mut self) -> SystemOAuth<'_> {
        SystemOAuth {
            session: self.session,
        }
    }

    /// Changes of resources of all tenants.
    pub fn resources(&mut self) -> SystemResourceChanges<'_> {
        SystemResourceChanges {
            session: self.session,
        }
    }

    /// Waiting calls of all tenants, for the sweep.
    pub fn pending_calls(&mut self) -> SystemPendingCalls<'_> {
        SystemPendingCalls {
            session: self.session,
        }
    }

    /// Sessions of legacy clients of all tenants.
    pub fn client_sessions(&mut self) -> SystemClientSessions<'_> {
        SystemClientSessions {
            session: self.session,
        }
    }

    /// Calls of all tenants that go on after their reply, for the sweep.
    pub fn client_tasks(&mut self) -> SystemClientTasks<'_> {
        SystemClientTasks {
            session: self.session,
        }
    }

    /// Questions to clients of all tenants.
    pub fn client_questions(&mut self) -> SystemClientQuestions<'_> {
        SystemClientQuestions {
            session: self.session,
        }
    }

    /// What was said on replies of all tenants, for the sweep.
    pub fn reply_messages(&mut self) -> SystemReplyMessages<'_> {
        SystemReplyMessages {
            session: self.session,
        }
    }

    /// Attempts to sign in.
    pub fn sign_in_attempts(&mut self) -> SignInAttempts<'_> {
        SignInAttempts {
            session: self.session,
        }
    }

    /// Jobs of all tenants, for the workers.
    pub fn jobs(&mut self) -> SystemJobs<'_> {
        SystemJobs {
            session: self.session,
        }
    }

    /// Caps of all tenants, for the process that holds calls of them.
    pub fn caps(&mut self) -> SystemCaps<'_> {
        SystemCaps {
            session: self.session,
        }
    }

    /// Settings of the server itself.
    pub fn settings(&mut self) -> Settings<'_> {
        // No tenant id is empty, so no tenant can reach these rows.
        Settings {
            session: self.session,
            owner: "",
        }
    }

    /// The setting of that name of every tenant that has it.
    pub async fn settings_of_tenants<T: DeserializeOwned>(
        &mut self,
        name: &str,
    ) -> Result<Vec<(TenantId, T)>, StoreError> {
        super::settings::of_tenants(self.session, name).await
    }

    /// One-time tokens that set up the first owner or invite someone.
    pub fn setup_tokens(&mut self) -> SetupTokens<'_> {
        SetupTokens {
            session: self.session,
        }
    }
}
