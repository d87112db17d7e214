//! Just enough of the Redis protocol (RESP2) to look at a server from outside.

use std::{future::Future, io, pin::Pin};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing there.
    Nil,
    /// A number.
    Integer(i64),
    /// A string.
    Bytes(Vec<u8>),
    /// A refusal.
    Error(String),
    /// Several.
    List(Vec<Reply>),
}

impl Reply {
    /// The bytes of a string reply.
    pub fn into_bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The replies of a list; none of anything else.
    pub fn into_list(self) -> Vec<Self> {
        match self {
            Self::List(items) => items,
            _ => Vec::new(),
        }
    }

    /// The text of a string reply, lossy.
    pub fn into_text(self) -> String {
        String::from_utf8_lossy(&self.into_bytes().unwrap_or_default()).into_owned()
    }
}

/// A connection of its own.
pub struct Resp(BufReader<TcpStream>);

impl Resp {
    /// To the server at this port of this machine.
    pub async fn connect(port: u16) -> io::Result<Self> {
        Ok(Self(BufReader::new(
            TcpStream::connect(("127.0.0.1", port)).await?,
        )))
    }

    /// Sends one command and reads its reply.
    pub async fn command(&mut self, arguments: &[&[u8]]) -> io::Result<Reply> {
        let mut message = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments {
            message.extend(format!("${}\r\n", argument.len()).into_bytes());
            message.extend_from_slice(argument);
            message.extend(b"\r\n");
        }
        self.0.write_all(&message).await?;
        self.reply().await
    }

    /// Boxed, because lists nest.
    fn reply(&mut self) -> Pin<Box<dyn Future<Output = io::Result<Reply>> + Send + '_>> {
        Box::pin(async move {
            let mut line = String::new();
            self.0.read_line(&mut line).await?;
            let line = line.trim_end();
            let (kind, rest) = line
                .split_at_checked(1)
                .ok_or(io::ErrorKind::UnexpectedEof)?;
            let number = || rest.parse::<i64>().map_err(|_| io::ErrorKind::InvalidData);
            Ok(match kind {
                "+" => Reply::Bytes(rest.as_bytes().to_vec()),
                "-" => Reply::Error(rest.to_owned()),
                ":" => Reply::Integer(number()?),
                "$" => match usize::try_from(number()?) {
                    Ok(length) => Reply::Bytes(self.bulk(length).await?),
                    Err(_) => Reply::Nil,
                },
                "*" => {
                    let mut items = Vec::new();
                    for _ in 0..number()? {
                        items.push(self.reply().await?);
                    }
                    Reply::List(items)
                }
                _ => return Err(io::ErrorKind::InvalidData.into()),
            })
        })
    }

    async fn bulk(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length + 2];
        self.0.read_exact(&mut bytes).await?;
        bytes.truncate(length);
        Ok(bytes)
    }
}
