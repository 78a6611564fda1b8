//! Who may answer, what an answer makes of a review, and for how long it holds.

use super::*;

const NOW: Timestamp = Timestamp(1_000);
const YES: Approval = Approval {
    force: false,
    window: None,
    own_calls: false,
};
const ALONE: Approval = Approval { force: true, ..YES };

fn review(groups: &[&str], min_approvals: usize, force: &[&str]) -> Review {
    let rule = ReviewRule {
        groups: groups.iter().map(|&g| g.to_owned()).collect(),
        min_approvals,
        force_groups: force.iter().map(|&g| g.to_owned()).collect(),
        jit_seconds: None,
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
    use ReviewStatus::{Approved, Executed, Expired, Pending, Processing, Rejected, Revoked};
    let ways = [
        (Pending, Approved),
        (Pending, Rejected),
        (Pending, Expired),
        (Approved, Processing),
        (Approved, Executed),
        (Approved, Rejected),
        (Approved, Expired),
        (Approved, Revoked),
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
    let half = both.clone().approve(&lead, YES, NOW).unwrap();
    assert_eq!(half.status, ReviewStatus::Pending);
    assert!(matches!(
        half.clone().approve(&lead, YES, NOW),
        Err(NotCounted::NotAsked(open)) if open == "security"
    ));
    let whole = half
        .approve(&who("usr_sec", Role::Member, &["security"]), YES, NOW)
        .unwrap();
    assert_eq!(whole.status, ReviewStatus::Approved);
    assert_eq!(whole.expires_at, NOW.plus_millis(APPROVED_LIFETIME_MS));
    let many = who("usr_bea", Role::Member, &["leads", "security"]);
    assert_eq!(
        both.approve(&many, YES, NOW).unwrap().status,
        ReviewStatus::Approved
    );
    let either = review(&["leads", "security"], 1, &[]);
    assert_eq!(
        either.approve(&lead, YES, NOW).unwrap().status,
        ReviewStatus::Approved
    );
}

#[test]
fn nobody_reviews_their_own_call_and_everybody_may_withdraw_it() {
    let ada = who("usr_ada", Role::Owner, &["leads"]);
    let mine = review(&["leads"], 1, &["leads"]);
    assert_eq!(mine.clone().approve(&ada, YES, NOW), Err(NotCounted::OwnCall));
    assert_eq!(mine.clone().approve(&ada, ALONE, NOW), Err(NotCounted::OwnCall));
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
        mine.approve(&stranger, YES, NOW),
        Err(NotCounted::NotAsked(_))
    ));
}

#[test]
fn force_is_for_its_groups_and_is_marked() {
    let hard = review(&["leads", "security"], 2, &["oncall"]);
    let lead = who("usr_lea", Role::Admin, &["leads"]);
    assert!(matches!(
        hard.clone().approve(&lead, ALONE, NOW),
        Err(NotCounted::NoForce(_))
    ));
    let forced = hard
        .approve(&who("usr_on", Role::Member, &["oncall"]), ALONE, NOW)
        .unwrap();
    assert!(forced.forced && forced.status == ReviewStatus::Approved);
}

#[test]
fn admins_are_a_group_and_time_ends_what_nobody_answers() {
    let plain = review(&[ADMINS], 1, &[]);
    let late = NOW.plus_millis(REVIEW_LIFETIME_MS);
    let admin = who("usr_root", Role::Admin, &[]);
    assert_eq!(
        plain.clone().approve(&admin, YES, late),
        Err(NotCounted::Over(ReviewStatus::Expired))
    );
    let approved = plain.approve(&admin, YES, NOW).unwrap();
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
        back.approve(&admin, YES, NOW),
        Err(NotCounted::Over(ReviewStatus::Rejected))
    );
}

#[test]
fn a_tenant_may_let_admins_approve_their_own_calls_and_it_is_marked() {
    let own = Approval {
        own_calls: true,
        ..YES
    };
    let mine = review(&[ADMINS], 1, &[]);
    let ada = who("usr_ada", Role::Admin, &[]);
    let approved = mine.clone().approve(&ada, own, NOW).unwrap();
    assert!(approved.self_approved && approved.status == ReviewStatus::Approved);
    // A member may not, in whatever groups they are; and for a group that she is not in, an admin neither.
    let member = who("usr_ada", Role::Member, &[ADMINS]);
    assert_eq!(mine.approve(&member, own, NOW), Err(NotCounted::OwnCall));
    let leads = review(&["leads"], 1, &[]);
    assert!(matches!(
        leads.approve(&ada, own, NOW),
        Err(NotCounted::NotAsked(_))
    ));
}

fn window(start: &str, end: &str) -> TimeWindow {
    serde_json::from_value(serde_json::json!({ "start_time": start, "end_time": end })).unwrap()
}

#[test]
fn a_time_window_says_from_when_to_when_an_approval_is_good() {
    let lea = who("usr_lea", Role::Member, &["leads"]);
    let noon = Timestamp::parse("2026-11-20T12:00:00Z").unwrap();
    let at = |text: &str| Timestamp::parse(text).unwrap();
    let within = |start: &str, end: &str| {
        let how = Approval {
            window: Some(window(start, end)),
            ..YES
        };
        let fresh = Review {
            expires_at: noon.plus_millis(REVIEW_LIFETIME_MS),
            ..review(&["leads"], 1, &[])
        };
        let approved = fresh.approve(&lea, how, noon).unwrap();
        (approved.runs_from.unwrap(), approved.expires_at)
    };
    assert_eq!(
        within("22:00", "23:30"),
        (at("2026-11-20T22:00:00Z"), at("2026-11-20T23:30:00Z"))
    );
    assert_eq!(
        within("08:00", "11:00"),
        (at("2026-11-21T08:00:00Z"), at("2026-11-21T11:00:00Z"))
    );
    // One that is open now is good at once, to its end.
    assert_eq!(
        within("11:00", "13:00"),
        (at("2026-11-20T11:00:00Z"), at("2026-11-20T13:00:00Z"))
    );
    assert_eq!(
        within("23:00", "01:00"),
        (at("2026-11-20T23:00:00Z"), at("2026-11-21T01:00:00Z"))
    );
}

#[test]
fn what_a_review_opened_is_closed_by_time_and_by_whoever_may_reject() {
    let jit = Review {
        kind: ReviewType::Jit,
        access_duration_seconds: Some(1800),
        ..review(&["leads"], 1, &[])
    };
    let lea = who("usr_lea", Role::Member, &["leads"]);
    assert_eq!(jit.clone().revoke(&lea, NOW), Err(NotCounted::NothingOpen));
    let open = jit.approve(&lea, YES, NOW).unwrap();
    assert_eq!(open.expires_at, NOW.plus_millis(1_800_000));
    assert_eq!(open.clone().reject(&lea, None, NOW), Err(NotCounted::Open));
    let stranger = who("usr_eve", Role::Member, &[]);
    assert!(matches!(
        open.clone().revoke(&stranger, NOW),
        Err(NotCounted::NotAsked(_))
    ));
    let ada = who("usr_ada", Role::Member, &[]);
    assert_eq!(
        open.clone().revoke(&ada, NOW).unwrap().status,
        ReviewStatus::Revoked
    );
    assert_eq!(
        open.clone().revoke(&lea, open.expires_at),
        Err(NotCounted::NothingOpen)
    );
    let once = review(&["leads"], 1, &[]).approve(&lea, YES, NOW).unwrap();
    assert_eq!(once.revoke(&lea, NOW), Err(NotCounted::NothingOpen));
}
