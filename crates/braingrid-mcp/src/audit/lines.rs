//! Audit records as JSON lines, written by a thread of their own.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Counts, Record, Settled};

/// Between two complaints about a place that cannot be written to.
const BETWEEN_COMPLAINTS: Duration = Duration::from_secs(10);

/// Where lines go.
pub(super) trait Target: Write + Send {
    /// Before a batch: makes sure that the place is still the right one.
    fn begin(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// After a batch: makes sure that it outlives the process.
    fn end(&mut self) -> io::Result<()> {
        self.flush()
    }
}

impl Target for io::Stdout {}

/// A record, and who waits for it.
type Line = (Vec<u8>, Option<Settled>);

/// The queue in front of the thread.
pub(super) struct Lines {
    queue: Mutex<Option<Sender<Line>>>,
    done: Mutex<Receiver<()>>,
    counts: Arc<Counts>,
}

impl Lines {
    /// Starts the thread.
    pub(super) fn to(target: Box<dyn Target>, counts: Arc<Counts>) -> anyhow::Result<Self> {
        // Unbounded in itself: `Counts` keeps the bound.
        let (queue, lines) = mpsc::channel();
        let (finished, done) = mpsc::channel();
        let thread = std::thread::Builder::new().name("audit-writer".to_owned());
        let counting = Arc::clone(&counts);
        thread.spawn(move || {
            write(target, &lines, &counting);
            // Whoever waits may have gone.
            let _ = finished.send(());
        })?;
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            done: Mutex::new(done),
            counts,
        })
    }

    /// Puts a record, which has its place, into the queue.
    pub(super) fn record(&self, record: &Record, settled: Option<Settled>) {
        // A struct of texts always serializes.
        let mut line = serde_json::to_vec(record).unwrap_or_default();
        line.push(b'\n');
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue
            .as_ref()
            .is_none_or(|queue| queue.send((line, settled)).is_err())
        {
            self.counts.leave(1, false);
        }
    }

    /// Ends the thread when it has written everything.
    pub(super) fn finish(&self, timeout: Duration) {
        let queue = self.queue.lock().map(|mut queue| queue.take());
        drop(queue);
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        // What it did not manage is still counted as waiting.
        let _ = done.recv_timeout(timeout);
    }
}

/// Until the queue is closed and empty. A batch is what waits when the last one is done.
fn write(mut target: Box<dyn Target>, lines: &Receiver<Line>, counts: &Counts) {
    let mut complained: Option<Instant> = None;
    let mut torn = false;
    while let Ok(first) = lines.recv() {
        // What a full disk cut off is not to spoil the record that comes after it.
        let mut batch = if torn { vec![b'\n'] } else { Vec::new() };
        let mut waiting = Vec::new();
        let mut records = 0;
        for (line, settled) in std::iter::once(first).chain(lines.try_iter().take(255)) {
            batch.extend_from_slice(&line);
            waiting.extend(settled);
            records += 1;
        }
        let written = target.begin().and_then(|()| {
            let mut rest = batch.as_slice();
            let written = write_all(&mut *target, &mut rest);
            let done = batch.len() - rest.len();
            if done > 0 {
                torn = batch.get(done - 1) != Some(&b'\n');
            }
            written.and_then(|()| target.end())
        });
        counts.leave(records, written.is_ok());
        drop(waiting);
        if let Err(error) = written
            && complained.is_none_or(|at| at.elapsed() >= BETWEEN_COMPLAINTS)
        {
            complained = Some(Instant::now());
            tracing::error!(kind = %error.kind(), records, "audit records could not be written and are lost");
        }
    }
}

/// Like [`Write::write_all`]; `rest` is what was not written.
fn write_all(target: &mut dyn Target, rest: &mut &[u8]) -> io::Result<()> {
    while !rest.is_empty() {
        match target.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => *rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A file that is only ever appended to. When it was moved away, as log rotation does, the next
/// batch begins a new one under the same name.
pub(super) struct Appended {
    path: PathBuf,
    file: File,
}

impl Appended {
    /// Opens or makes the file; nobody but its owner may read a new one.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        Ok(Self { path, file })
    }

    #[cfg(unix)]
    fn was_moved(&self) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let there = std::fs::metadata(&self.path).map(id).ok();
        there != self.file.metadata().map(id).ok()
    }

    #[cfg(not(unix))]
    fn was_moved(&self) -> bool {
        !self.path.exists()
    }
}

impl Write for Appended {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Target for Appended {
    fn begin(&mut self) -> io::Result<()> {
        if self.was_moved() {
            *self = Self::open(self.path.clone())?;
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Event, WAITING};
    use super::*;
    use std::sync::atomic::Ordering;

    fn record(lines: &Lines, outcome: &'static str) {
        assert!(lines.counts.enter(Event::ToolCall));
        lines.record(&Record::now(Event::ToolCall, outcome), None);
    }

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn a_file_is_appended_to_and_begun_anew_when_it_was_moved() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("audit"), folder.path().join("audit.1"));
        std::fs::write(&path, "earlier\n").unwrap();
        let write = |outcome| {
            let file = Appended::open(path.clone()).unwrap();
            Lines::to(Box::new(file), Arc::default()).map(|lines| {
                record(&lines, outcome);
                lines.finish(PATIENCE);
            })
        };
        write("one").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("earlier\n{") && text.ends_with("}\n"),
            "{text}"
        );

        let mut file = Appended::open(path.clone()).unwrap();
        std::fs::rename(&path, &moved).unwrap();
        file.begin().unwrap();
        file.write_all(b"two\n").unwrap();
        file.end().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
        assert!(!std::fs::read_to_string(&moved).unwrap().contains("two"));
    }

    /// A disk with room for so many bytes, and then for more.
    struct Full {
        room: usize,
        file: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                self.room = usize::MAX;
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.file.lock().unwrap().extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Target for Full {}

    #[test]
    fn a_record_that_a_full_disk_cut_off_does_not_spoil_the_next() {
        let file = Arc::<Mutex<Vec<u8>>>::default();
        let full = Full {
            room: 10,
            file: Arc::clone(&file),
        };
        let lines = Lines::to(Box::new(full), Arc::default()).unwrap();
        for outcome in ["lost", "kept"] {
            let (settled, settles) = tokio::sync::oneshot::channel();
            assert!(lines.counts.enter(Event::ToolCall));
            lines.record(&Record::now(Event::ToolCall, outcome), Some(settled));
            // Dropped: written or lost.
            let _ = settles.blocking_recv();
        }
        lines.finish(PATIENCE);
        let text = String::from_utf8(file.lock().unwrap().clone()).unwrap();
        let (torn, whole) = text.split_once('\n').unwrap();
        assert_eq!(torn.len(), 10, "{text}");
        assert!(
            whole.contains("\"kept\"") && serde_json::from_str::<serde_json::Value>(whole).is_ok(),
            "{text}"
        );
        assert_eq!(lines.counts.lost.load(Ordering::Relaxed), 1);
    }

    /// Takes nothing until it is let, and then fails.
    struct Stuck(mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Target for Stuck {}

    #[test]
    fn a_place_that_takes_nothing_loses_records_counts_them_and_holds_nobody_up() {
        let (open, gate) = mpsc::channel();
        let lines = Lines::to(Box::new(Stuck(gate)), Arc::default()).unwrap();
        for _ in 0..WAITING {
            record(&lines, "ok");
        }
        assert!(!lines.counts.enter(Event::ToolCall), "the queue is full");
        drop(open);
        lines.finish(PATIENCE);
        let lost = lines.counts.lost.load(Ordering::Relaxed);
        assert_eq!(lost, WAITING as u64 + 1);
        assert_eq!(lines.counts.waiting.load(Ordering::Relaxed), 0);
    }
}
