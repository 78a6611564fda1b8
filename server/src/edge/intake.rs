//! A request's body: collected once, within its size and its time, before anything parses it.

use std::{pin::pin, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::future::poll_immediate;
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::timeout;

use super::refusal::Refusal;

/// Bytes set aside at first for a body that names its length: what it names is a claim until it has arrived.
const FIRST_ROOM: usize = 64 * 1024;

/// Reads a whole body of at most `limit` bytes within `patience`.
pub(super) async fn read<B>(body: B, limit: usize, patience: Duration) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    let declared = body.size_hint();
    // By its own words too large: not a byte of it is waited for.
    if declared.lower() > limit as u64 {
        return Err(Refusal::TooLarge { limit });
    }
    let mut collecting = pin!(collect(body, limit));
    // Most bodies are there already; only for the others a timer is set.
    match poll_immediate(&mut collecting).await {
        Some(read) => read,
        None => timeout(patience, collecting)
            .await
            .unwrap_or(Err(Refusal::TooSlow)),
    }
}

async fn collect<B>(mut body: B, limit: usize) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::BrokenBody)?.into_data() else {
            // Trailers say nothing that we read.
            continue;
        };
        if first.len() + rest.len() + data.len() > limit {
            return Err(Refusal::TooLarge { limit });
        }
        if first.is_empty() && rest.is_empty() {
            // Most bodies arrive in one piece, which is then used as it is.
            first = data;
        } else {
            if rest.is_empty() {
                let expected = usize::try_from(body.size_hint().lower())
                    .unwrap_or(0)
                    .min(FIRST_ROOM);
                rest.reserve(first.len() + data.len() + expected);
                rest.extend_from_slice(&first);
                first = Bytes::new();
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn pieces(pieces: &[&'static str]) -> impl Body<Data = Bytes> + Unpin {
        let frames: Vec<_> = pieces
            .iter()
            .map(|p| Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(p.as_bytes()))))
            .collect();
        StreamBody::new(stream::iter(frames))
    }

    #[tokio::test]
    async fn pieces_come_together_up_to_the_limit() {
        for (parts, expected) in [
            (&["12345"][..], Some("12345")),
            (&["12", "345"], Some("12345")),
            (&["1", "", "2", "3"], Some("123")),
            (&[], Some("")),
            (&["123456"], None),
            (&["123", "456"], None),
        ] {
            let read = read(pieces(parts), 5, PATIENCE).await;
            assert_eq!(read.ok().as_deref(), expected.map(str::as_bytes), "{parts:?}");
        }
    }

    #[tokio::test]
    async fn a_declared_length_is_judged_before_a_byte_is_read() {
        let body = Full::new(Bytes::from_static(b"123456"));
        assert!(matches!(
            read(body, 5, PATIENCE).await,
            Err(Refusal::TooLarge { limit: 5 })
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let body = StreamBody::new(stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
        assert!(matches!(read(body, 5, PATIENCE).await, Err(Refusal::TooSlow)));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_refused() {
        let frames = [
            Ok(Frame::data(Bytes::from_static(b"1"))),
            Err(std::io::Error::other("gone")),
        ];
        let body = StreamBody::new(stream::iter(frames));
        assert!(matches!(read(body, 5, PATIENCE).await, Err(Refusal::BrokenBody)));
    }
}
