//! A connection whose answers are measured while they are read. redis-rs keeps whatever a server
//! announces; here an answer that is longer than any record ends the connection, before it is kept.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Longest record that is stored, in bytes. A token is at most 16 KiB, and a record is made of it.
pub(super) const MAX_RECORD: usize = 64 * 1024;

/// Longest answer, in bytes: a record, or what a server says of itself.
const MAX_ANSWER: usize = 2 * MAX_RECORD;

/// A stream of answers in RESP2 or RESP3.
#[derive(Debug)]
pub(super) struct Bounded<S> {
    stream: S,
    measure: Measure,
}

impl<S> Bounded<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            measure: Measure::default(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = read {
            let (_, fresh) = buffer.filled().split_at(before);
            if !self.measure.admits(fresh) {
                tracing::warn!("an answer of Redis is longer than any record: connection ended");
                buffer.set_filled(before);
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Where in an answer the stream is.
#[derive(Debug)]
struct Measure {
    /// The line being read; empty while a string is.
    line: Vec<u8>,
    /// Bytes of a string still to come, its line break included.
    string: usize,
    /// Elements still to come, those inside of others included.
    elements: usize,
    /// Bytes of this answer so far.
    length: usize,
}

impl Default for Measure {
    fn default() -> Self {
        Self {
            line: Vec::new(),
            string: 0,
            elements: 1,
            length: 0,
        }
    }
}

impl Measure {
    /// Whether the answer may go on after these bytes.
    fn admits(&mut self, mut bytes: &[u8]) -> bool {
        while let Some((first, rest)) = bytes.split_first() {
            if self.string > 0 {
                let part = self.string.min(bytes.len());
                self.string -= part;
                self.length += part;
                bytes = bytes.split_at(part).1;
                if self.string == 0 {
                    self.end_of_element();
                }
            } else {
                self.line.push(*first);
                self.length += 1;
                bytes = rest;
                if self.line.ends_with(b"\r\n") && !self.end_of_line() {
                    return false;
                }
            }
            // Every element still to come has three bytes at least.
            if self.length.saturating_add(self.string) > MAX_ANSWER || self.elements > MAX_ANSWER {
                return false;
            }
        }
        true
    }

    /// What a line announces; `false` if it is no announcement at all.
    fn end_of_line(&mut self) -> bool {
        let line = std::mem::take(&mut self.line);
        let Some((kind, rest)) = line.split_first() else {
            return false;
        };
        let number = || {
            let text = str::from_utf8(rest).ok()?;
            text.trim().parse::<i64>().ok()
        };
        // Less than nothing is null.
        let announced = || Some(usize::try_from(number()?).ok());
        let inside = match kind {
            b'$' | b'!' | b'=' => match announced() {
                Some(Some(length)) => {
                    self.string = length.saturating_add(2);
                    return true;
                }
                Some(None) => Some(0),
                None => None,
            },
            b'*' | b'~' | b'>' => announced().map(Option::unwrap_or_default),
            b'%' => announced().map(|pairs| pairs.unwrap_or_default().saturating_mul(2)),
            // Attributes come before what they are about.
            b'|' => announced().map(|pairs| {
                let pairs = pairs.unwrap_or_default();
                pairs.saturating_mul(2).saturating_add(1)
            }),
            b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => Some(0),
            _ => None,
        };
        let Some(inside) = inside else { return false };
        self.elements = self.elements.saturating_add(inside);
        self.end_of_element();
        true
    }

    fn end_of_element(&mut self) {
        self.elements -= 1;
        if self.elements == 0 {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In one piece, and byte by byte.
    fn admits(answers: &str) -> bool {
        let whole = Measure::default().admits(answers.as_bytes());
        let mut measure = Measure::default();
        let pieces = answers.as_bytes().chunks(1).all(|it| measure.admits(it));
        assert_eq!(whole, pieces, "{}", &answers[..answers.len().min(40)]);
        whole
    }

    #[test]
    fn answers_of_any_kind_pass_and_the_next_one_is_measured_anew() {
        let record = format!("${MAX_RECORD}\r\n{}\r\n", "\n".repeat(MAX_RECORD));
        for answer in [
            "+OK\r\n",
            "-ERR no\r\n",
            ":7\r\n",
            "$-1\r\n",
            "$0\r\n\r\n",
            "*-1\r\n",
            "*0\r\n",
            "*2\r\n*1\r\n:1\r\n$2\r\n\r\n\r\n",
            "%1\r\n+a\r\n~1\r\n#t\r\n",
            "|1\r\n+ttl\r\n:1\r\n+OK\r\n",
            ">3\r\n+message\r\n$1\r\nc\r\n=5\r\ntxt:x\r\n",
            "_\r\n",
            &record,
        ] {
            assert!(admits(&answer.repeat(100)), "{answer:?}");
            let mut measure = Measure::default();
            assert!(measure.admits(answer.as_bytes()));
            assert_eq!((measure.elements, measure.length), (1, 0), "{answer:?}");
        }
    }

    #[test]
    fn answers_longer_than_any_record_are_refused_as_soon_as_they_are_announced() {
        for answer in [
            "$536870912\r\n",
            "$9223372036854775807\r\n",
            "!536870912\r\n",
            "=536870912\r\n",
            "*536870912\r\n",
            "~536870912\r\n",
            ">536870912\r\n",
            "%4611686018427387904\r\n",
            "|9223372036854775807\r\n",
            "*2\r\n*536870912\r\n",
            "$x\r\n",
            "*\r\n",
            "\r\n",
        ] {
            assert!(!admits(answer), "{answer:?}");
        }
        let half = format!("${MAX_RECORD}\r\n{}\r\n", "x".repeat(MAX_RECORD));
        assert!(!admits(&format!("*2\r\n{half}{half}")));
        assert!(!admits(&"x".repeat(MAX_ANSWER + 1)));
        assert!(!admits(&"*1\r\n".repeat(MAX_ANSWER)));
        assert!(!admits(&"|1\r\n+a\r\n+b\r\n".repeat(MAX_ANSWER)));
    }
}
