//! What ends or breaks a string: quotes, backslashes and control characters, found in windows of a text.

use wide::u8x16;

/// Bytes that are looked at together.
pub(super) const WINDOW: usize = 64;

/// The first window from `at` on with a mark: where it begins, and its marks. No marks if there is none.
#[inline(never)]
pub(super) fn first_marked(bytes: &[u8], mut at: usize) -> (usize, u64) {
    while let Some(window) = bytes.get(at..).and_then(<[u8]>::first_chunk::<WINDOW>) {
        let marks = marks(window);
        if marks != 0 {
            return (at, marks);
        }
        at += WINDOW;
    }
    // The end of the text, filled up with what no string ends at.
    let mut window = [b' '; WINDOW];
    let rest = bytes.get(at..).unwrap_or_default();
    for (slot, byte) in window.iter_mut().zip(rest) {
        *slot = *byte;
    }
    (at, marks(&window))
}

/// A bit for each byte that ends or breaks a string: a quote, a backslash, a control character.
#[inline(always)]
fn marks(window: &[u8; WINDOW]) -> u64 {
    let (sixteens, _) = window.as_chunks::<16>();
    let sixteens = sixteens.iter().rev();
    sixteens.fold(0, |marks, sixteen| {
        marks << 16 | u64::from(marks_of_sixteen(u8x16::new(*sixteen)))
    })
}

// Vectors are spelled out: the bridge is linked for size, and gets none from the compiler.
#[inline(always)]
fn marks_of_sixteen(bytes: u8x16) -> u32 {
    let is_control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    let is_quote = bytes.simd_eq(u8x16::splat(b'"'));
    let is_backslash = bytes.simd_eq(u8x16::splat(b'\\'));
    (is_control | is_quote | is_backslash).to_bitmask()
}
