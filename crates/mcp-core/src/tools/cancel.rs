//! A cancel that a client said: more than a connection that was lost.

use rmcp::{RoleServer, service::RequestContext};
use tokio_util::sync::CancellationToken;

/// The cancel of one request. A transport over which clients name what they cancel puts one into the
/// extensions of each request: when they do, a write that was sent ends, too. A cheap handle.
#[derive(Debug, Clone, Default)]
pub struct ExplicitCancel(CancellationToken);

impl ExplicitCancel {
    /// The client said so.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// That of a request; one that never comes where the transport knows of none.
    pub(super) fn of(context: &RequestContext<RoleServer>) -> CancellationToken {
        let said = context.extensions.get::<Self>().cloned();
        said.unwrap_or_default().0
    }
}
