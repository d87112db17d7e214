//! What is good once, on all instances together.

use std::time::Duration;

use mcp_session::{FactStore, Put, StoreError};

use crate::keys::{Keys, Kind};

/// Whether something that these parts name is used for the first time. Under the names of every key: while
/// keys are being turned, instances disagree on which is current.
pub(crate) async fn is_first_use(
    keys: &Keys,
    facts: &dyn FactStore,
    (kind, parts): (Kind, &[&[u8]]),
    remember_for: Duration,
) -> Result<bool, StoreError> {
    for name in keys.names(kind, parts) {
        let put = facts.put_if_absent(&name, Vec::new(), remember_for);
        if let Put::Exists(_) = put.await? {
            return Ok(false);
        }
    }
    Ok(true)
}
