//! What groups make of somebody's role.

use crate::{
    catalogue::ADMINS,
    vocabulary::{EditionName, Role},
};

/// The edition whose reference has keys and tokens on one endpoint, and whose group `admin` is the role (catalogue.md
/// §2.4, design.md D15).
pub(super) const ACCESS: &str = "access";
/// The role that somebody of these groups acts with in an edition.
pub fn role_in(edition: &EditionName, role: Role, groups: &[String]) -> Role {
    let admits = edition.as_str() == ACCESS && groups.iter().any(|group| group == ADMINS);
    if admits && !role.is_admin() {
        Role::Admin
    } else {
        role
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_group_is_the_role_in_one_edition() {
        let of = |edition: &str, role, groups: &[&str]| {
            let groups: Vec<_> = groups.iter().map(|group| (*group).to_owned()).collect();
            role_in(&EditionName::new(edition).unwrap(), role, &groups)
        };
        assert_eq!(of("access", Role::Member, &["staff", "admin"]), Role::Admin);
        assert_eq!(of("access", Role::Owner, &["admin"]), Role::Owner);
        for (edition, groups) in [
            ("workspace", &["admin"][..]),
            ("access", &["admins", "Admin"]),
            ("access", &[]),
        ] {
            assert_eq!(
                of(edition, Role::Member, groups),
                Role::Member,
                "{edition} {groups:?}"
            );
        }
    }
}
