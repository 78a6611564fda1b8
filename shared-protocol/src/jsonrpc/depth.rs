//! Bounds how deeply a text nests, before anything parses it.
//!
//! The scan is linear, keeps one counter and needs no valid JSON: on broken input it may count wrong, and the
//! parser that follows refuses that input anyway.

/// True when no more than `limit` objects and arrays are open at once anywhere in `text`.
pub(super) fn within(text: &str, limit: usize) -> bool {
    // Every level takes a byte, so a bound above the length is no bound and costs nothing.
    if text.len() <= limit {
        return true;
    }
    // Most messages have fewer brackets in all than they may have open at once. Counting those is much cheaper
    // than following them, which then happens only where it could matter.
    openers(text) <= limit || deepest(text) <= limit
}

/// Counts `{` and `[`, in strings or not. Sums of bytes over short chunks are what compilers vectorise.
fn openers(text: &str) -> usize {
    // `[` and `{` differ in one bit.
    let is_opener = |byte: &u8| u8::from(byte | 0x20 == b'{');
    text.as_bytes()
        .chunks(255)
        .map(|chunk| usize::from(chunk.iter().map(is_opener).sum::<u8>()))
        .sum()
}

fn deepest(text: &str) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                open += 1;
                deepest = deepest.max(open);
            }
            b'}' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn counts_what_is_open_at_once() {
        for (text, depth) in [
            ("1", 0),
            ("{}", 1),
            ("[[],[],[]]", 2),
            (r#"{"a":{"b":[{}]}}"#, 4),
            (r#"["[[[[", "\"[[", "\\"]"#, 1),
            (r#"["\\",["\"]"]]"#, 2),
        ] {
            assert!(within(text, depth), "{text} nests {depth} deep");
            assert!(
                depth == 0 || !within(text, depth - 1),
                "{text} nests deeper than {}",
                depth - 1
            );
        }
    }

    #[test]
    fn stray_closers_do_not_underflow() {
        assert!(within("]]]]}}}}[", 1));
    }
}
