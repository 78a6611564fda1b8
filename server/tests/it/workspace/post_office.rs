//! A mail server that speaks the protocol by the book (the crate mailin) on a port of this machine, and keeps what it takes.

use std::{net::IpAddr, sync::Arc};

use mailin::{Action, Handler, Response, SessionBuilder, response};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// A mail as it was taken: who it is from and to on the envelope, and its bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    pub(super) from: String,
    pub(super) to: Vec<String>,
    pub(super) mail: String,
}

/// The server. It takes mail for `*.test` alone.
pub(super) struct PostOffice {
    pub(super) url: String,
    taken: Arc<Mutex<Vec<Taken>>>,
}

struct Counter {
    taken: Arc<Mutex<Vec<Taken>>>,
    now: Taken,
}

impl Handler for Counter {
    fn rcpt(&mut self, to: &str) -> Response {
        if to.ends_with(".test") {
            response::OK
        } else {
            response::NO_MAILBOX
        }
    }

    fn data_start(&mut self, _domain: &str, from: &str, _is8bit: bool, to: &[String]) -> Response {
        self.now = Taken {
            from: from.to_owned(),
            to: to.to_vec(),
            mail: String::new(),
        };
        response::OK
    }

    fn data(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.now.mail.push_str(&String::from_utf8_lossy(bytes));
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        self.taken.lock().push(std::mem::take(&mut self.now));
        response::OK
    }
}

impl PostOffice {
    pub(super) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let taken = Arc::<Mutex<Vec<Taken>>>::default();
        let log = Arc::clone(&taken);
        tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                tokio::spawn(serve(stream, peer.ip(), Arc::clone(&log)));
            }
        });
        Self { url, taken }
    }

    /// What was taken so far.
    pub(super) fn taken(&self) -> Vec<Taken> {
        self.taken.lock().clone()
    }
}

async fn serve(stream: TcpStream, peer: IpAddr, taken: Arc<Mutex<Vec<Taken>>>) {
    let counter = Counter {
        taken,
        now: Taken::default(),
    };
    let mut session = SessionBuilder::new("post.test").build(peer, counter);
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    writer
        .write_all(&session.greeting().buffer().unwrap())
        .await
        .unwrap();
    let mut line = Vec::new();
    while let Ok(read @ 1..) = reader.read_until(b'\n', &mut line).await {
        let said = session.process(&line[..read]);
        line.clear();
        if said.action != Action::NoReply {
            let _ = writer.write_all(&said.buffer().unwrap()).await;
        }
        if said.action == Action::Close {
            return;
        }
    }
}
