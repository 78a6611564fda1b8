//! Who gets a conversation: the channel's rule chooses among its members (catalogue.md §3.1). Arithmetic over what is
//! given; who is there and how busy they are is found out elsewhere.

use crate::domain::workspace::kinds::channel::Routing;

/// Somebody who could get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The member.
    pub(crate) id: String,
    /// Whether they are active and in the office.
    pub(crate) available: bool,
    /// Open conversations and tickets they have.
    pub(crate) open_load: i64,
}

/// Chooses one of `candidates`. `turn` counts the channel's assignments: each replica gives it a number that no other one
/// has, so that nobody is passed over.
pub(crate) fn choose(routing: Routing, candidates: &[Candidate], turn: u64) -> Option<&Candidate> {
    let mut there: Vec<_> = candidates.iter().filter(|one| one.available).collect();
    there.sort_by(|a, b| a.id.cmp(&b.id));
    let count = u64::try_from(there.len()).ok().filter(|count| *count > 0)?;
    let next = usize::try_from(turn % count).ok()?;
    match routing {
        Routing::Manual => None,
        Routing::RoundRobin => there.get(next).copied(),
        Routing::LeastBusy => {
            // Among equals, the turn decides: else the first in the alphabet would get all of a quiet morning.
            there.rotate_left(next);
            there.into_iter().min_by_key(|one| one.open_load)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(of: &[(&str, bool, i64)]) -> Vec<Candidate> {
        of.iter()
            .map(|(id, available, open_load)| Candidate {
                id: (*id).to_owned(),
                available: *available,
                open_load: *open_load,
            })
            .collect()
    }

    fn chosen(routing: Routing, among: &[Candidate]) -> Vec<&str> {
        (0..6)
            .filter_map(|turn| choose(routing, among, turn))
            .map(|one| one.id.as_str())
            .collect()
    }

    #[test]
    fn each_rule_chooses_its_way_and_none_chooses_who_is_away() {
        let team = candidates(&[("c", true, 5), ("a", true, 5), ("b", false, 0), ("d", true, 9)]);
        assert_eq!(chosen(Routing::Manual, &team), [""; 0]);
        assert_eq!(chosen(Routing::RoundRobin, &team), ["a", "c", "d", "a", "c", "d"]);
        assert_eq!(chosen(Routing::LeastBusy, &team), ["a", "c", "a", "a", "c", "a"]);
        let away = candidates(&[("b", false, 0)]);
        assert_eq!(chosen(Routing::RoundRobin, &away), [""; 0]);
        assert_eq!(chosen(Routing::LeastBusy, &[]), [""; 0]);
    }
}
