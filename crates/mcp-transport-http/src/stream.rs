//! A connection's bytes, counted while they are no request yet.
//!
//! The HTTP libraries keep what they have read until a head is complete. Only here can it be seen how
//! much that is, and that nothing else holds it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::connections::{Kind, Place};

/// Room for the head of a request, in bytes: the longest token, and as much again.
pub(crate) const MAX_HEAD: u32 = 32 * 1024;

/// What an HTTP/2 connection may have sent of bodies that nobody has read yet: the protocol's own
/// default (RFC 9113 section 6.9.2).
pub(crate) const WINDOW: u32 = 65_535;

/// What every connection is charged for anyway.
const COVERED: usize = 8 * 1024;

/// The last words to a client whose head does not fit.
const NO_ROOM: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// The stream of a connection that has a place.
#[derive(Debug)]
pub(crate) struct Metered {
    stream: TcpStream,
    place: Arc<Place>,
    /// Requests that had begun when it was last looked.
    begun: u64,
    /// Bytes since then.
    unparsed: usize,
    is_http2: bool,
}

impl Metered {
    pub(crate) fn new(stream: TcpStream, place: Arc<Place>) -> Self {
        Self {
            stream,
            place,
            begun: 0,
            unparsed: 0,
            is_http2: false,
        }
    }

    /// Counts what was read into a buffer that had this much room.
    fn count(&mut self, read: &[u8], room: usize) -> io::Result<()> {
        let (begun, in_flight) = self.place.activity.progress();
        if begun == 0 && self.unparsed == 0 {
            // No method of HTTP/1 begins like the preface of HTTP/2 (RFC 9113 section 3.4).
            self.is_http2 = read.starts_with(b"PRI");
        }
        // What comes with a request in flight is its body, which HTTP/1 hands on at once.
        if begun != self.begun || (in_flight && !self.is_http2) {
            (self.begun, self.unparsed) = (begun, 0);
        }
        let window = if self.is_http2 { WINDOW } else { 0 };
        self.unparsed = (self.unparsed + read.len()).min((MAX_HEAD + window) as usize);
        let spare = room.saturating_sub(read.len()).min(MAX_HEAD as usize);
        let held = self.unparsed + spare;
        if held <= COVERED {
            return Ok(());
        }
        // In steps, so that few of them have to ask.
        let held = held.next_multiple_of(COVERED) + COVERED;
        if self.place.grow(held) {
            return Ok(());
        }
        if !self.is_http2 && !in_flight {
            // Small enough for any socket that was not written to.
            let _ = self.stream.try_write(NO_ROOM);
        }
        Err(io::Error::other("there is no room for its head"))
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buffer.filled().len(), buffer.remaining());
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        // Whoever is let in for one answer is charged for nothing more.
        if self.place.kind() != Kind::Usual {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(self.count(read, room))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
