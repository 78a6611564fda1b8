//! Which trace a caller names (W3C Trace Context).

/// Where a request stands in its caller's trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The trace.
    pub id: u128,
    /// The caller's span in it.
    pub parent: u64,
    /// Whether the caller keeps the trace.
    pub sampled: bool,
}

impl Trace {
    /// What a `traceparent` names, if it is well-formed: a version, 32 digits that are not all zero, 16 more for the
    /// parent, and flags (W3C Trace Context §3.2). Whatever is not is ignored, as that document asks.
    pub fn read(parent: &str) -> Option<Self> {
        let mut parts = parent.trim().split('-');
        let version = hex(parts.next(), 2)?;
        let trace = Self {
            id: hex(parts.next(), 32)?,
            parent: u64::try_from(hex(parts.next(), 16)?).ok()?,
            sampled: hex(parts.next(), 2)? & 1 == 1,
        };
        // Version 00 has nothing after its flags; a later one may.
        let ends = version != 0 || parts.next().is_none();
        (version != 0xff && ends && trace.id != 0 && trace.parent != 0).then_some(trace)
    }

    /// The trace as logs write it: 32 hexadecimal digits.
    pub fn id_text(self) -> String {
        format!("{:032x}", self.id)
    }
}

fn hex(part: Option<&str>, digits: usize) -> Option<u128> {
    let part = part.filter(|text| {
        let small = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        text.len() == digits && text.bytes().all(small)
    })?;
    u128::from_str_radix(part, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_known_by_a_well_formed_parent_alone() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let good = format!("00-{id}-00f067aa0ba902b7-01");
        let read = Trace::read(&good).unwrap();
        assert_eq!(
            (read.id_text().as_str(), read.parent, read.sampled),
            (id, 0x00f0_67aa_0ba9_02b7, true)
        );
        assert!(!Trace::read(&good.replace("-01", "-00")).unwrap().sampled);
        let later = Trace::read(&format!("01-{id}-00f067aa0ba902b7-01-more"));
        assert_eq!(later, Some(read));
        for bad in [
            String::new(),
            "00".to_owned(),
            format!("{good}-more"),
            format!("ff-{id}-00f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{id}-{}-01", "0".repeat(16)),
            good.to_uppercase(),
            good.replace('4', "ä"),
            good.replace("-01", "-1"),
            good.replace("4bf", "+bf"),
        ] {
            assert_eq!(Trace::read(&bad), None, "{bad}");
        }
    }
}
