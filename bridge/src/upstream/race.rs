//! Several addresses → the first connection any of them grants.
//!
//! Addresses are tried a little apart rather than one after the other's time-out, so that a machine with half a network (an
//! IPv6 route that leads nowhere) still connects at once (RFC 8305).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How long one address is tried alone before the next one joins (RFC 8305 recommends 250 ms).
const HEAD_START: Duration = Duration::from_millis(250);
/// The same on this machine, where a connection takes microseconds. One that takes longer met a server with a full queue,
/// which drops it silently; the system itself would try again after a second.
const LOCAL_HEAD_START: Duration = Duration::from_millis(40);
/// How often an address of this machine is tried.
const LOCAL_ATTEMPTS: usize = 4;

/// Connects to one of `addresses`.
pub(super) async fn tcp(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let local = addresses.iter().all(|address| address.ip().is_loopback());
    let (head_start, attempts) = if local {
        (LOCAL_HEAD_START, LOCAL_ATTEMPTS)
    } else {
        (HEAD_START, 1)
    };
    if let [only] = addresses.as_slice() {
        let mut first = std::pin::pin!(TcpStream::connect(*only));
        if !local {
            return first.await;
        }
        if let Ok(outcome) = tokio::time::timeout(head_start, first.as_mut()).await {
            return outcome;
        }
        return tokio::select! {
            outcome = first => outcome,
            outcome = any(std::iter::repeat_n(*only, attempts - 1), head_start) => outcome,
        };
    }
    let order = interleaved(addresses);
    let count = order.len() * attempts;
    any(order.into_iter().cycle().take(count), head_start).await
}

/// Connects to a socket in the file system. A full queue shows as `WouldBlock` here.
#[cfg(unix)]
pub(super) async fn unix(path: &std::path::Path) -> io::Result<tokio::net::UnixStream> {
    loop {
        match tokio::net::UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            outcome => return outcome,
        }
    }
}

async fn any(mut waiting: impl Iterator<Item = SocketAddr>, head_start: Duration) -> io::Result<TcpStream> {
    let mut attempts = JoinSet::new();
    let mut refusing: Vec<SocketAddr> = Vec::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        // An address that has said no is not asked again.
        let next = waiting.find(|address| !refusing.contains(address));
        if let Some(address) = next {
            attempts.spawn(async move { (address, TcpStream::connect(address).await) });
        }
        let settled = if next.is_some() {
            match tokio::time::timeout(head_start, attempts.join_next()).await {
                Ok(settled) => settled,
                Err(_) => continue,
            }
        } else {
            attempts.join_next().await
        };
        match settled {
            Some(Ok((_, Ok(stream)))) => return Ok(stream),
            Some(Ok((address, Err(error)))) => {
                refusing.push(address);
                last = error;
            }
            Some(Err(stopped)) => last = io::Error::other(stopped),
            None => return Err(last),
        }
    }
}

/// The addresses with the families taking turns, the resolver's first choice first (RFC 8305 §4).
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let count = addresses.len();
    let (ours, theirs): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let (mut ours, mut theirs) = (ours.into_iter(), theirs.into_iter());
    let mut order = Vec::with_capacity(count);
    while order.len() < count {
        order.extend(ours.next());
        order.extend(theirs.next());
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(test)
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_the_resolver_chooses_the_first() {
        for (resolved, tried) in [
            (
                ["[2001:db8::1]:1", "[2001:db8::2]:1", "192.0.2.1:1", "192.0.2.2:1"],
                ["[2001:db8::1]:1", "192.0.2.1:1", "[2001:db8::2]:1", "192.0.2.2:1"],
            ),
            (
                ["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1", "[2001:db8::1]:1"],
                ["192.0.2.1:1", "[2001:db8::1]:1", "192.0.2.2:1", "192.0.2.3:1"],
            ),
        ] {
            assert_eq!(interleaved(addresses(&resolved)), addresses(&tried));
        }
        assert!(interleaved(Vec::new()).is_empty());
    }

    #[test]
    fn an_address_that_leads_nowhere_does_not_hold_up_the_others() {
        run(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let good = listener.local_addr().unwrap();
            // A network nobody routes to: refused at once or silent for ever, depending on the machine.
            let nowhere: SocketAddr = "[2001:db8::1]:9".parse().unwrap();
            let refusing: SocketAddr = "127.0.0.1:1".parse().unwrap();
            let stream = tcp(vec![nowhere, refusing, good]).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), good);
        });
    }

    #[test]
    fn when_all_refuse_the_cause_is_told() {
        let error = run(tcp(addresses(&["127.0.0.1:1", "127.0.0.1:1"]))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = run(tcp(addresses(&["127.0.0.1:1"]))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(run(tcp(Vec::new())).is_err());
    }
}
