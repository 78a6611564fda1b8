//! `NO_PROXY`: who is reached without a proxy.

use std::net::IpAddr;

use super::Endpoint;

/// Says whether `list` (the value of `NO_PROXY`) names `endpoint`: `*`, a domain (which means everything below it, too), an
/// address, a network such as `10.0.0.0/8`, each but the first and last with a port if it is for that port only.
pub(super) fn is_excepted(list: &str, endpoint: &Endpoint) -> bool {
    let host = endpoint.host.trim_end_matches('.');
    let address: Option<IpAddr> = host.parse().ok();
    list.split([',', ' ', '\t'])
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .any(|entry| {
            if entry == "*" {
                return true;
            }
            if let Some((network, length)) = entry.split_once('/') {
                return address.is_some_and(|address| is_within(address, network, length));
            }
            let (name, port) = split_port(entry);
            if port.is_some_and(|port| port.parse() != Ok(endpoint.port)) {
                return false;
            }
            if let Some(address) = address {
                return name.parse() == Ok(address);
            }
            let domain = name
                .trim_start_matches("*.")
                .trim_matches('.')
                .to_ascii_lowercase();
            !domain.is_empty()
                && host
                    .strip_suffix(&domain)
                    .is_some_and(|below| below.is_empty() || below.ends_with('.'))
        })
}

/// A name or address and the port after it. An address of IPv6 that is followed by a port is in brackets.
fn split_port(entry: &str) -> (&str, Option<&str>) {
    if let Some((address, rest)) = entry.strip_prefix('[').and_then(|entry| entry.split_once(']')) {
        return (address, rest.strip_prefix(':'));
    }
    match entry.split_once(':') {
        Some((name, port)) if !port.contains(':') => (name, Some(port)),
        _ => (entry, None),
    }
}

/// Says whether `address` lies in the network whose first `length` bits are those of `network`.
fn is_within(address: IpAddr, network: &str, length: &str) -> bool {
    let Ok(length) = length.parse::<u32>() else {
        return false;
    };
    match (address, network.parse()) {
        (IpAddr::V4(address), Ok(IpAddr::V4(network))) if length <= 32 => {
            let differing = address.to_bits() ^ network.to_bits();
            differing.leading_zeros() >= length
        }
        (IpAddr::V6(address), Ok(IpAddr::V6(network))) if length <= 128 => {
            let differing = address.to_bits() ^ network.to_bits();
            differing.leading_zeros() >= length
        }
        _ => false,
    }
}
