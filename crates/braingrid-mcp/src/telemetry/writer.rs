//! The last station of the log: lines that come close together leave together.

use std::io::{self, BufWriter, Write};
use std::thread;
use std::time::Duration;

/// How long the writer rests after a write. Lines wait for it at most so long, and a busy server
/// makes one system call for many lines instead of two for each: one that wakes the writer and one
/// that writes.
const REST: Duration = Duration::from_millis(5);

/// Room for the lines of one rest of a busy server.
const ROOM: usize = 64 * 1024;

/// Writes to `W` what has gathered when it is flushed, and then rests.
pub(super) struct Gathering<W: Write>(BufWriter<W>);

impl<W: Write> Gathering<W> {
    pub(super) fn new(end: W) -> Self {
        Self(BufWriter::with_capacity(ROOM, end))
    }
}

impl<W: Write> Write for Gathering<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    /// Called when no line is waiting any more.
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        thread::sleep(REST);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts the writes.
    #[derive(Default)]
    struct End(Vec<Vec<u8>>);

    impl Write for End {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_between_two_flushes_are_one_write() {
        let mut writer = Gathering::new(End::default());
        writer.write_all(b"one\n").unwrap();
        writer.write_all(b"two\n").unwrap();
        writer.flush().unwrap();
        assert_eq!(writer.0.get_ref().0, [b"one\ntwo\n"]);
    }
}
