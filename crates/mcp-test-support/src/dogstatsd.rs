//! A stand-in Datadog agent: takes DogStatsD over UDP and reads it strictly.

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc};

use tokio::{net::UdpSocket, task::JoinHandle};

use crate::journal::Journal;

/// A running agent; it ends when it is dropped.
pub struct DogStatsd {
    address: SocketAddr,
    lines: Arc<Journal<StatsdLine>>,
    task: JoinHandle<()>,
}

/// One metric as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct StatsdLine {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// `c`, `g`, `ms`, `h` or `d`.
    pub kind: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The whole line.
    pub text: String,
}

impl DogStatsd {
    /// Starts on a free port of this loopback address: `127.0.0.1` or `::1`.
    pub async fn start(host: &str) -> io::Result<Self> {
        let socket = UdpSocket::bind((host, 0)).await?;
        let address = socket.local_addr()?;
        let lines = Arc::new(Journal::new());
        let journal = Arc::clone(&lines);
        let task = tokio::spawn(async move {
            let mut packet = vec![0; 65_536];
            while let Ok(length) = socket.recv(&mut packet).await {
                let text =
                    String::from_utf8_lossy(packet.get(..length).unwrap_or_default()).into_owned();
                for line in text.lines() {
                    journal.push(StatsdLine::read(line));
                }
            }
        });
        Ok(Self {
            address,
            lines,
            task,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every metric so far; also what to wait on.
    #[must_use]
    pub fn lines(&self) -> &Journal<StatsdLine> {
        &self.lines
    }
}

impl Drop for DogStatsd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl StatsdLine {
    /// Reads `name:value|kind|#tag:value,…`; a line that is none has an empty name.
    fn read(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(|| Self {
            name: String::new(),
            value: f64::NAN,
            kind: String::new(),
            tags: BTreeMap::new(),
            text: text.to_owned(),
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('|');
        let (name, value) = parts.next()?.split_once(':')?;
        let kind = parts.next()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "._".contains(c);
        let known = ["c", "g", "ms", "h", "d"].contains(&kind);
        if !known || name.is_empty() || !name.chars().all(plain) {
            return None;
        }
        let mut tags = BTreeMap::new();
        for part in parts {
            for tag in part.strip_prefix('#')?.split(',') {
                let (tag, value) = tag.split_once(':')?;
                tags.insert(tag.to_owned(), value.to_owned());
            }
        }
        Some(Self {
            name: name.to_owned(),
            value: value.parse().ok()?,
            kind: kind.to_owned(),
            tags,
            text: text.to_owned(),
        })
    }
}
