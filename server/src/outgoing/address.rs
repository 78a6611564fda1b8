//! Which addresses a call out may reach: the public internet, unless the operator said otherwise.
//!
//! Judged after names are resolved, on the very addresses that are then connected to, so that a name that answers
//! differently the second time gains nothing (security.md H2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one that everybody can reach and nobody's own network: the special-purpose registries of
/// RFC 6890, without which a caller's words could lead to a cloud's metadata service or a database next door.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_unspecified()
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        // Carrier-grade NAT (RFC 6598): private for the caller behind it.
        || (a == 100 && (64..128).contains(&b))
        // Protocol assignments (RFC 6890) and relay anycast (RFC 7526).
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        // Benchmarks (RFC 2544).
        || (a == 198 && (b == 18 || b == 19))
        // Reserved (RFC 1112), among it class E.
        || a >= 240;
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = embedded_v4(address) {
        return is_public_v4(inner);
    }
    let [first, second, ..] = address.segments();
    // Global unicast is 2000::/3; of that, documentation (2001:db8::/32, 3fff::/20) and the ORCHID, benchmarking
    // and Teredo blocks under 2001::/23 lead nowhere that a REST API would be.
    let global = first & 0xe000 == 0x2000;
    let documentation = (first == 0x2001 && second == 0x0db8) || (first == 0x3fff && second < 0x1000);
    let assignments = first == 0x2001 && second < 0x0200;
    global && !documentation && !assignments
}

/// An IPv4 address inside an IPv6 one: mapped, compatible, NAT64 (RFC 6052) and 6to4 (RFC 3056).
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let join = |high: u16, low: u16| {
        let ([p, q], [r, s]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(p, q, r, s)
    };
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0 | 0xffff) | (0x0064, 0xff9b, 0, 0, 0, 0) => Some(join(g, h)),
        (0x2002, ..) => Some(join(b, c)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_everybody_can_reach_is_public() {
        let table = [
            ("93.184.215.14", true),
            ("1.1.1.1", true),
            ("127.0.0.1", false),
            ("0.0.0.0", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("172.32.0.1", true),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("100.128.0.1", true),
            ("192.0.0.8", false),
            ("198.18.0.1", false),
            ("224.0.0.1", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:1.1.1.1", true),
            ("::127.0.0.1", false),
            ("64:ff9b::7f00:1", false),
            ("64:ff9b::101:101", true),
            ("2002:7f00:1::", false),
            ("2002:a00:1::", false),
            ("fe80::1", false),
            ("fc00::1", false),
            ("fd12:3456::1", false),
            ("ff02::1", false),
            ("2001:db8::1", false),
            ("3fff::1", false),
            ("2001:0:1::", false),
            ("2606:4700::1111", true),
        ];
        for (address, expected) in table {
            assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
        }
    }
}
