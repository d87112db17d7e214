//! A verifier for the stand-in issuer.

use std::time::{Duration, SystemTime};

use mcp_auth::{
    AccessToken, AuthError, IssuerConfig, Principal, TokenVerifier, VerifierConfig, http_client,
};
use mcp_test_support::Issuer;

pub(crate) const RESOURCE: &str = "https://mcp.test/mcp";

pub(crate) async fn issuer() -> Issuer {
    let issuer = Issuer::start().await.unwrap();
    issuer.set_audience([RESOURCE]);
    issuer
}

pub(crate) fn config_for(issuer: &Issuer) -> IssuerConfig {
    IssuerConfig::new(issuer.url(), [RESOURCE])
}

pub(crate) fn verifier_with(config: IssuerConfig, policy: VerifierConfig) -> TokenVerifier {
    TokenVerifier::new(vec![config], http_client().unwrap(), policy).unwrap()
}

pub(crate) fn verifier(issuer: &Issuer) -> TokenVerifier {
    verifier_with(config_for(issuer), VerifierConfig::default())
}

/// Keys age at once, failures are retried at once.
pub(crate) fn impatient() -> VerifierConfig {
    let mut config = VerifierConfig::default();
    config.keys.fresh_for = Duration::ZERO;
    config.keys.retry_after = Duration::ZERO;
    config
}

pub(crate) async fn verify(verifier: &TokenVerifier, token: &str) -> Result<Principal, AuthError> {
    let token = AccessToken::parse(&format!("Bearer {token}"))?;
    verifier.verify(&token, SystemTime::now()).await
}
