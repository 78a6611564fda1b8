//! A call that waits for other people (catalogue.md §2.9): its states, and who may move it from one to the next.
//!
//! ```text
//! PENDING ─approve (enough groups)→ APPROVED ─its caller comes back→ PROCESSING → EXECUTED
//!    │ └─reject→ REJECTED              └─ 24 h passed → EXPIRED
//!    └─ 72 h passed → EXPIRED
//! ```

mod notice;

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::{ADMINS, ReviewRule},
    store::{Draft, Record, RecordQuery, StoreError, TenantTx},
    vocabulary::{EditionName, Role, Timestamp, ToolName, UserId},
};

/// How long a review waits for its reviewers.
pub const REVIEW_LIFETIME_MS: i64 = 72 * 60 * 60 * 1000;
/// How long an approval waits for its caller.
pub const APPROVED_LIFETIME_MS: i64 = 24 * 60 * 60 * 1000;

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
    /// Too late, or what it was about changed.
    Expired,
}

impl ReviewStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Approved,
        Self::Rejected,
        Self::Processing,
        Self::Executed,
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
            Self::Expired => "EXPIRED",
        }
    }

    /// The table above as code.
    pub fn may_become(self, next: Self) -> bool {
        use ReviewStatus::{Approved, Executed, Expired, Pending, Processing, Rejected};
        matches!(
            (self, next),
            (Pending, Approved | Rejected | Expired)
                | (Approved, Processing | Executed | Rejected | Expired)
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
            edition,
            tool,
            requester,
            summary,
            status: ReviewStatus::Pending,
            groups: groups.collect(),
            min_approvals: rule.min_approvals,
            force_groups: rule.force_groups.clone(),
            forced: false,
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

    /// Somebody says yes, for every group of theirs that is asked; with `force`, alone.
    ///
    /// # Errors
    /// Why that does not count.
    pub fn approve(mut self, who: &Reviewer, force: bool, now: Timestamp) -> Result<Self, NotCounted> {
        let status = self.status_at(now);
        if status != ReviewStatus::Pending {
            return Err(NotCounted::Over(status));
        }
        if who.user == self.requester {
            return Err(NotCounted::OwnCall);
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
        if force || yes >= self.min_approvals {
            self.status = ReviewStatus::Approved;
            self.expires_at = now.plus_millis(APPROVED_LIFETIME_MS);
        }
        Ok(self)
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
        let asked = self.groups.iter().any(|vote| who.is_in(&vote.group));
        if !(asked || who.user == self.requester || who.role.is_admin()) {
            let groups: Vec<_> = self.groups.iter().map(|vote| vote.group.as_str()).collect();
            return Err(NotCounted::NotAsked(groups.join(", ")));
        }
        self.status = ReviewStatus::Rejected;
        self.rejection_reason = reason;
        Ok(self)
    }
}

/// The kind of record that reviews are kept as.
const KIND: &str = "_review";

/// Keeps a new review, beside the waiting call of the same id.
///
/// # Errors
/// When the store refuses.
pub async fn keep(tx: &mut TenantTx<'_>, review: &Review) -> Result<(), StoreError> {
    let actor = review.requester.to_string();
    tx.records(KIND)
        .insert(&review.id, &Draft::of(review)?, &actor)
        .await?;
    notice::tell(tx, review).await
}

/// The review of that id, with the version to give to [`change`].
///
/// # Errors
/// When the store cannot be read.
pub async fn find(tx: &mut TenantTx<'_>, id: &str) -> Result<Option<(Review, u32)>, StoreError> {
    let found = tx.records(KIND).find(id).await?;
    found
        .map(|record| Ok((record.parse()?, record.version)))
        .transpose()
}

/// Writes down what became of a review that stood at `before`, and tells those whom it concerns;
/// [`StoreError::Conflict`] when somebody else was first.
///
/// # Errors
/// When the store refuses.
pub async fn change(
    tx: &mut TenantTx<'_>,
    review: &Review,
    before: ReviewStatus,
    version: u32,
    actor: &str,
) -> Result<(), StoreError> {
    tx.records(KIND)
        .update(&review.id, &Draft::of(review)?, Some(version), actor)
        .await?;
    if review.status == before {
        return Ok(());
    }
    notice::tell(tx, review).await
}

/// The newest reviews.
///
/// # Errors
/// When the store cannot be read.
pub async fn list(tx: &mut TenantTx<'_>, limit: u32) -> Result<Vec<Review>, StoreError> {
    let query = RecordQuery {
        limit,
        ..RecordQuery::default()
    };
    let page = tx.records(KIND).list(&query).await?;
    page.records.iter().map(Record::parse).collect()
}

/// Removes reviews that nothing happened to since a moment, at most `most` of them; gives how many. They are evidence of
/// calls, so they go when the rows of those calls do.
///
/// # Errors
/// When the store refuses.
pub async fn sweep(tx: &mut TenantTx<'_>, since: Timestamp, most: u32) -> Result<usize, StoreError> {
    tx.records(KIND).purge_unchanged(since, most).await
}

/// Moves a review to what its waiting call has become, where the table of states has a way.
pub(crate) async fn follow(
    tx: &mut TenantTx<'_>,
    id: &str,
    next: ReviewStatus,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    let Some((mut review, version)) = find(tx, id).await? else {
        return Ok(());
    };
    if !review.status.may_become(next) {
        return Ok(());
    }
    let before = std::mem::replace(&mut review.status, next);
    review.rejection_reason = reason.map(str::to_owned);
    change(tx, &review, before, version, "engine").await
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn review(groups: &[&str], min_approvals: usize, force: &[&str]) -> Review {
        let rule = ReviewRule {
            groups: groups.iter().map(|&g| g.to_owned()).collect(),
            min_approvals,
            force_groups: force.iter().map(|&g| g.to_owned()).collect(),
        };
        let call = (
            EditionName::new("desk").unwrap(),
            ToolName::new("ticket_purge").unwrap(),
            UserId::new("usr_ada").unwrap(),
        );
        Review::new("rev_1".to_owned(), call, "Purge".to_owned(), &rule, NOW)
    }

    fn who(user: &str, role: Role, groups: &[&str]) -> Reviewer {
        Reviewer {
            user: UserId::new(user).unwrap(),
            role,
            groups: groups.iter().map(|&g| g.to_owned()).collect(),
        }
    }

    #[test]
    fn the_table_of_states_has_no_way_back_from_an_end() {
        use ReviewStatus::{Approved, Executed, Expired, Pending, Processing, Rejected};
        let ways = [
            (Pending, Approved),
            (Pending, Rejected),
            (Pending, Expired),
            (Approved, Processing),
            (Approved, Executed),
            (Approved, Rejected),
            (Approved, Expired),
            (Processing, Executed),
            (Processing, Approved),
        ];
        for from in ReviewStatus::ALL {
            for to in ReviewStatus::ALL {
                assert_eq!(
                    from.may_become(to),
                    ways.contains(&(from, to)),
                    "{from:?} → {to:?}"
                );
            }
        }
    }

    #[test]
    fn enough_groups_approve_and_one_person_may_speak_for_several() {
        let both = review(&["leads", "security"], 2, &[]);
        let lead = who("usr_lea", Role::Member, &["leads"]);
        let half = both.clone().approve(&lead, false, NOW).unwrap();
        assert_eq!(half.status, ReviewStatus::Pending);
        assert!(matches!(
            half.clone().approve(&lead, false, NOW),
            Err(NotCounted::NotAsked(open)) if open == "security"
        ));
        let whole = half
            .approve(&who("usr_sec", Role::Member, &["security"]), false, NOW)
            .unwrap();
        assert_eq!(whole.status, ReviewStatus::Approved);
        assert_eq!(whole.expires_at, NOW.plus_millis(APPROVED_LIFETIME_MS));
        let many = who("usr_bea", Role::Member, &["leads", "security"]);
        assert_eq!(
            both.approve(&many, false, NOW).unwrap().status,
            ReviewStatus::Approved
        );
        let either = review(&["leads", "security"], 1, &[]);
        assert_eq!(
            either.approve(&lead, false, NOW).unwrap().status,
            ReviewStatus::Approved
        );
    }

    #[test]
    fn nobody_reviews_their_own_call_and_everybody_may_withdraw_it() {
        let ada = who("usr_ada", Role::Owner, &["leads"]);
        let mine = review(&["leads"], 1, &["leads"]);
        assert_eq!(mine.clone().approve(&ada, false, NOW), Err(NotCounted::OwnCall));
        assert_eq!(mine.clone().approve(&ada, true, NOW), Err(NotCounted::OwnCall));
        let withdrawn = mine
            .clone()
            .reject(&ada, Some("a mistake".to_owned()), NOW)
            .unwrap();
        assert_eq!(withdrawn.status, ReviewStatus::Rejected);
        let stranger = who("usr_eve", Role::Member, &[]);
        assert!(matches!(
            mine.clone().reject(&stranger, None, NOW),
            Err(NotCounted::NotAsked(_))
        ));
        assert!(matches!(
            mine.approve(&stranger, false, NOW),
            Err(NotCounted::NotAsked(_))
        ));
    }

    #[test]
    fn force_is_for_its_groups_and_is_marked() {
        let hard = review(&["leads", "security"], 2, &["oncall"]);
        let lead = who("usr_lea", Role::Admin, &["leads"]);
        assert!(matches!(
            hard.clone().approve(&lead, true, NOW),
            Err(NotCounted::NoForce(_))
        ));
        let forced = hard
            .approve(&who("usr_on", Role::Member, &["oncall"]), true, NOW)
            .unwrap();
        assert!(forced.forced && forced.status == ReviewStatus::Approved);
    }

    #[test]
    fn admins_are_a_group_and_time_ends_what_nobody_answers() {
        let plain = review(&[ADMINS], 1, &[]);
        let late = NOW.plus_millis(REVIEW_LIFETIME_MS);
        let admin = who("usr_root", Role::Admin, &[]);
        assert_eq!(
            plain.clone().approve(&admin, false, late),
            Err(NotCounted::Over(ReviewStatus::Expired))
        );
        let approved = plain.approve(&admin, false, NOW).unwrap();
        assert_eq!(
            approved.status_at(NOW.plus_millis(APPROVED_LIFETIME_MS)),
            ReviewStatus::Expired
        );
        // An approval may be taken back until it is used.
        let back = approved.reject(&admin, None, NOW).unwrap();
        assert_eq!(
            back.clone().reject(&admin, None, NOW),
            Err(NotCounted::Over(ReviewStatus::Rejected))
        );
        assert_eq!(
            back.approve(&admin, false, NOW),
            Err(NotCounted::Over(ReviewStatus::Rejected))
        );
    }
}
