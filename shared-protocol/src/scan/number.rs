//! Numbers: how long one is.

/// The length of a number of few digits and nothing else, if that is what lies ahead.
#[inline(always)]
pub(super) fn short_number(ahead: u64) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let digits = ahead ^ (ONES * b'0' as u64);
    // The highest bit of each byte that is no digit. Bits above the lowest one may be wrong, by the carry of an addition.
    let others = (digits.wrapping_add(ONES * 0x76) | digits) & (ONES * 0x80);
    let length = others.trailing_zeros() / 8;
    let ends = matches!(
        ahead.checked_shr(8 * length)?.to_le_bytes()[0],
        b',' | b'}' | b']'
    );
    let leads = ahead.to_le_bytes()[0] != b'0' || length == 1;
    (ends && leads && length > 0).then_some(length as usize)
}

/// The length of a number.
pub(super) fn number(bytes: &[u8]) -> Option<usize> {
    let byte = |at: usize| bytes.get(at).copied();
    let mut at = usize::from(byte(0)? == b'-');
    at = match byte(at)? {
        b'0' => at + 1,
        _ => digits(bytes, at)?,
    };
    if byte(at) == Some(b'.') {
        at = digits(bytes, at + 1)?;
    }
    if matches!(byte(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(byte(at), Some(b'+' | b'-')) {
            at += 1;
        }
        at = digits(bytes, at)?;
    }
    Some(at)
}

/// Passes one digit or more.
#[inline]
fn digits(bytes: &[u8], start: usize) -> Option<usize> {
    let rest = bytes.get(start..)?;
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count > 0).then_some(start + count)
}
