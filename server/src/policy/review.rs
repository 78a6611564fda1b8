//! A call that waits for other people (catalogue.md §2.9): its states, and who may move it from one to the next.
//!
//! ```text
//! PENDING ─approve (enough groups)→ APPROVED ─its caller comes back→ PROCESSING → EXECUTED
//!    │ └─reject→ REJECTED              ├─revoke (jit)→ REVOKED
//!    └─ 72 h passed → EXPIRED          └─ its time window, or 24 h, passed → EXPIRED
//! ```
//!
//! A review of type `onetime` lets its one call run. One of type `jit` opens its tool to whoever asked, for a while: it
//! stays APPROVED through all the calls of that time, each of which shows its own preview.

mod kept;
mod notice;
mod standing;
mod window;

use serde::{Deserialize, Serialize};

pub use kept::{change, find, keep, list, sweep};
pub(crate) use kept::{follow, withdraw};
pub(crate) use standing::{find as find_standing, stands};
pub use window::TimeWindow;

use crate::{
    catalogue::{ADMINS, ReviewRule},
    vocabulary::{EditionName, Role, Timestamp, ToolName, UserId},
};

/// How long a review waits for its reviewers.
pub const REVIEW_LIFETIME_MS: i64 = 72 * 60 * 60 * 1000;
/// How long an approval waits for its caller.
pub const APPROVED_LIFETIME_MS: i64 = 24 * 60 * 60 * 1000;

/// What an approval is good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReviewType {
    /// One run of one call.
    #[default]
    Onetime,
    /// Every call of the tool by whoever asked, for a while.
    Jit,
}

/// Where a review stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ReviewStatus {
    /// Not enough have answered.
    Pending,
    /// Enough said yes; its caller has not come back yet.
    Approved,
    /// Somebody said no.
    Rejected,
    /// Its caller came back, and it is being carried out.
    Processing,
    /// It was carried out.
    Executed,
    /// What it opened was closed before its time.
    Revoked,
    /// Too late, or what it was about changed.
    Expired,
}

impl ReviewStatus {
    /// Every status.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Approved,
        Self::Rejected,
        Self::Processing,
        Self::Executed,
        Self::Revoked,
        Self::Expired,
    ];

    /// The word shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Approved => "APPROVED",
            Self::Rejected => "REJECTED",
            Self::Processing => "PROCESSING",
            Self::Executed => "EXECUTED",
            Self::Revoked => "REVOKED",
            Self::Expired => "EXPIRED",
        }
    }

    /// The table above as code.
    pub fn may_become(self, next: Self) -> bool {
        use ReviewStatus::{Approved, Executed, Expired, Pending, Processing, Rejected, Revoked};
        matches!(
            (self, next),
            (Pending, Approved | Rejected | Expired)
                | (Approved, Processing | Executed | Rejected | Revoked | Expired)
                // What a tool refuses, its approval outlives.
                | (Processing, Executed | Approved)
        )
    }
}

/// What one group said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupVote {
    /// The group.
    pub group: String,
    /// Whether it said yes.
    pub approved: bool,
    /// Who spoke for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<UserId>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// A review. The call's arguments and preview are sealed beside its waiting call, under the same id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Identity, and what its caller comes back with.
    pub id: String,
    /// What an approval is good for.
    #[serde(default, rename = "type")]
    pub kind: ReviewType,
    /// With `jit`: for how long its tool is open, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_duration_seconds: Option<u32>,
    /// Through which edition it was called.
    pub edition: EditionName,
    /// Which tool.
    pub tool: ToolName,
    /// Who called.
    pub requester: UserId,
    /// What it would do, in one sentence.
    pub summary: String,
    /// Where it stands.
    pub status: ReviewStatus,
    /// What the groups said.
    pub groups: Vec<GroupVote>,
    /// How many of them are enough.
    pub min_approvals: usize,
    /// Groups whose members may approve alone.
    pub force_groups: Vec<String>,
    /// Whether somebody did.
    pub forced: bool,
    /// Whether an admin approved their own call, where their tenant lets them.
    #[serde(default)]
    pub self_approved: bool,
    /// The part of a day in which it may run, as its reviewers say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_window: Option<TimeWindow>,
    /// From when it may run, where that is not at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_from: Option<Timestamp>,
    /// Until when it may go on.
    pub expires_at: Timestamp,
    /// Why it was rejected, or came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection_reason: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Somebody who answers.
#[derive(Clone, Debug)]
pub struct Reviewer {
    /// Who.
    pub user: UserId,
    /// Their role.
    pub role: Role,
    /// Their groups.
    pub groups: Vec<String>,
}

impl Reviewer {
    fn is_in(&self, group: &str) -> bool {
        (group == ADMINS && self.role.is_admin()) || self.groups.iter().any(|own| own == group)
    }
}

/// How somebody says yes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Approval {
    /// Alone, without the other groups.
    pub force: bool,
    /// Only for this part of a day; of several that are named, the last holds.
    pub window: Option<TimeWindow>,
    /// Whether the tenant lets admins approve their own calls.
    pub own_calls: bool,
}

/// Why an answer does not count. The texts are for whoever gave it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCounted {
    /// The review is over.
    #[error("the review is {} and takes no more answers", .0.as_str())]
    Over(ReviewStatus),
    /// Nobody reviews their own call, whatever their role.
    #[error("somebody else must approve this call: it is your own")]
    OwnCall,
    /// They are in none of the groups that are asked, or those have answered.
    #[error("none of the groups that still have to approve is yours; they are: {0}")]
    NotAsked(String),
    /// There is nothing open that could be closed.
    #[error("only an approved review of type jit can be revoked")]
    NothingOpen,
    /// It is open, so a no comes too late.
    #[error("the review is APPROVED and opened its tool for a while: revoke it instead")]
    Open,
    /// They may not approve alone.
    #[error("only members of these groups may approve alone: {0}")]
    NoForce(String),
}

impl Review {
    /// A review that nobody has answered.
    pub fn new(
        id: String,
        call: (EditionName, ToolName, UserId),
        summary: String,
        rule: &ReviewRule,
        now: Timestamp,
    ) -> Self {
        let (edition, tool, requester) = call;
        let groups = rule.groups.iter().map(|group| GroupVote {
            group: group.clone(),
            approved: false,
            by: None,
            at: None,
        });
        Self {
            id,
            kind: match rule.jit_seconds {
                Some(_) => ReviewType::Jit,
                None => ReviewType::Onetime,
            },
            access_duration_seconds: rule.jit_seconds,
            edition,
            tool,
            requester,
            summary,
            status: ReviewStatus::Pending,
            groups: groups.collect(),
            min_approvals: rule.min_approvals,
            force_groups: rule.force_groups.clone(),
            forced: false,
            self_approved: false,
            time_window: None,
            runs_from: None,
            expires_at: now.plus_millis(REVIEW_LIFETIME_MS),
            rejection_reason: None,
            created_at: now,
        }
    }

    /// Where it stands now: time ends it without anybody writing that down.
    pub fn status_at(&self, now: Timestamp) -> ReviewStatus {
        match self.status {
            ReviewStatus::Pending | ReviewStatus::Approved if now >= self.expires_at => ReviewStatus::Expired,
            status => status,
        }
    }

    /// Somebody says yes, for every group of theirs that is asked.
    ///
    /// # Errors
    /// Why that does not count.
    pub fn approve(mut self, who: &Reviewer, how: Approval, now: Timestamp) -> Result<Self, NotCounted> {
        let Approval {
            force,
            window,
            own_calls,
        } = how;
        let status = self.status_at(now);
        if status != ReviewStatus::Pending {
            return Err(NotCounted::Over(status));
        }
        if who.user == self.requester {
            if !(own_calls && who.role.is_admin()) {
                return Err(NotCounted::OwnCall);
            }
            self.self_approved = true;
        }
        if force {
            if !self.force_groups.iter().any(|group| who.is_in(group)) {
                return Err(NotCounted::NoForce(self.force_groups.join(", ")));
            }
            self.forced = true;
        }
        let mut counted = force;
        for vote in self
            .groups
            .iter_mut()
            .filter(|vote| !vote.approved && who.is_in(&vote.group))
        {
            vote.approved = true;
            vote.by = Some(who.user.clone());
            vote.at = Some(now);
            counted = true;
        }
        if !counted {
            let open = self.groups.iter().filter(|vote| !vote.approved);
            let open: Vec<_> = open.map(|vote| vote.group.as_str()).collect();
            return Err(NotCounted::NotAsked(open.join(", ")));
        }
        let yes = self.groups.iter().filter(|vote| vote.approved).count();
        self.time_window = window.or(self.time_window);
        if force || yes >= self.min_approvals {
            self.status = ReviewStatus::Approved;
            self.open_from(now);
        }
        Ok(self)
    }

    /// From when to when an approval of this moment is good.
    fn open_from(&mut self, now: Timestamp) {
        let (from, until) = match self.time_window {
            Some(window) => window.next(now),
            None => (now, now.plus_millis(APPROVED_LIFETIME_MS)),
        };
        self.runs_from = self.time_window.map(|_| from);
        self.expires_at = match self.access_duration_seconds {
            Some(seconds) => until.min(from.max(now).plus_millis(i64::from(seconds) * 1000)),
            None => until,
        };
    }

    /// Somebody says no. Its requester and admins always may, and so may whoever is asked.
    ///
    /// # Errors
    /// Why that does not count.
    pub fn reject(
        mut self,
        who: &Reviewer,
        reason: Option<String>,
        now: Timestamp,
    ) -> Result<Self, NotCounted> {
        let status = self.status_at(now);
        if !status.may_become(ReviewStatus::Rejected) {
            return Err(NotCounted::Over(status));
        }
        if status == ReviewStatus::Approved && self.kind == ReviewType::Jit {
            return Err(NotCounted::Open);
        }
        self.must_concern(who)?;
        self.status = ReviewStatus::Rejected;
        self.rejection_reason = reason;
        Ok(self)
    }

    /// Somebody closes what the review opened: whoever may reject it.
    ///
    /// # Errors
    /// Why that does not count.
    pub fn revoke(mut self, who: &Reviewer, now: Timestamp) -> Result<Self, NotCounted> {
        self.must_concern(who)?;
        if self.kind != ReviewType::Jit || self.status_at(now) != ReviewStatus::Approved {
            return Err(NotCounted::NothingOpen);
        }
        self.status = ReviewStatus::Revoked;
        Ok(self)
    }

    /// For its requester, admins, and whoever is asked.
    fn must_concern(&self, who: &Reviewer) -> Result<(), NotCounted> {
        let asked = self.groups.iter().any(|vote| who.is_in(&vote.group));
        if asked || who.user == self.requester || who.role.is_admin() {
            return Ok(());
        }
        let groups: Vec<_> = self.groups.iter().map(|vote| vote.group.as_str()).collect();
        Err(NotCounted::NotAsked(groups.join(", ")))
    }
}

#[cfg(test)]
mod tests;
