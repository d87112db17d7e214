//! Who logs tenants in, and what becomes of it.

use mcp_test_support::{IdentityProvider, Issuer, IssuerMode, ProviderFault};

/// The far end that instances ask.
pub(super) enum Identity {
    /// Its tokens are what clients have, and are exchanged.
    Issuer(Issuer),
    /// It stands behind the server's own authorization server.
    Provider(IdentityProvider),
}

impl Identity {
    /// Connections are refused from now on.
    pub(super) async fn stop(&self) {
        match self {
            Self::Issuer(issuer) => issuer.stop().await,
            Self::Provider(provider) => provider.stop().await,
        }
    }

    /// Once, on the port that it had.
    pub(super) async fn come_back(&self) -> std::io::Result<()> {
        match self {
            Self::Issuer(issuer) => issuer.come_back().await,
            Self::Provider(provider) => provider.come_back().await,
        }
    }

    pub(super) fn set_mode(&self, mode: IssuerMode) {
        let provider = match self {
            Self::Issuer(issuer) => return issuer.set_mode(mode),
            Self::Provider(provider) => provider,
        };
        provider.heal();
        let fault = match mode {
            IssuerMode::Slow(delay) => ProviderFault::Slow(delay),
            IssuerMode::Garbage => ProviderFault::Garbage,
            _ => return,
        };
        for path in [
            IdentityProvider::METADATA_PATH,
            IdentityProvider::KEYS_PATH,
            IdentityProvider::TOKEN_PATH,
        ] {
            provider.break_path(path, fault.clone());
        }
    }
}
