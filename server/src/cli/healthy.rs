//! `footbridge-server healthy`: for containers, in which there is nothing else to ask with.

use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

/// Below the interval at which anybody asks.
const PATIENCE: Duration = Duration::from_secs(2);

/// `footbridge-server healthy`.
#[derive(Debug, Args)]
pub(crate) struct Healthy {
    /// What to ask, over plain HTTP.
    #[arg(default_value = "http://127.0.0.1:19850/health/ready")]
    url: String,
}

impl Healthy {
    pub(crate) fn run(&self) -> Result<()> {
        let rest = self
            .url
            .strip_prefix("http://")
            .context("the URL must begin with http://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, "health/ready"));
        let address = authority
            .to_socket_addrs()
            .ok()
            .and_then(|mut addresses| addresses.next())
            .with_context(|| format!("`{authority}` is no host and port"))?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
            .with_context(|| format!("nobody listens on {address}"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(
            format!("GET /{path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n").as_bytes(),
        )?;
        let mut reply = String::new();
        stream.take(64 * 1024).read_to_string(&mut reply)?;
        let status = reply.split(' ').nth(1).unwrap_or("no answer");
        if status != "200" {
            let said = reply.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            bail!("{} says {status}: {said}", self.url);
        }
        Ok(())
    }
}
