//! How writes are remembered.

use mcp_fleet::JournalConfig;

use crate::config::parse::words::Transport;
use crate::config::reader::Reader;
use crate::config::settings;

/// Nothing where writes are not remembered.
pub(super) fn read_writes(reader: &mut Reader, transport: Transport) -> Option<JournalConfig> {
    let mut read = JournalConfig::default();
    read.window = reader.value(&settings::WRITE_JOURNAL_WINDOW);
    if transport == Transport::Http {
        read.without_store = reader.value(&settings::WRITES);
    }
    (!read.window.is_zero()).then_some(read)
}
