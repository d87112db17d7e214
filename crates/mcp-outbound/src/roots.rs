//! [`SystemRoots`]: whom connections with TLS trust, read when the first of them asks. Reading them
//! takes longer than everything else a start does, and a start without TLS needs none.

use std::sync::{Arc, OnceLock};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use rustls_platform_verifier::Verifier;

/// No connection with TLS can be made: without root certificates nobody can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; are root certificates installed (ca-certificates), or named in SSL_CERT_FILE?")]
pub struct TlsError(pub(crate) String);

/// The system's root certificates. A cheap clone; clones share what was read.
#[derive(Debug, Clone)]
pub struct SystemRoots(Arc<Lazy>);

#[derive(Debug)]
struct Lazy {
    provider: Arc<CryptoProvider>,
    verifier: OnceLock<Result<Verifier, Error>>,
}

impl Default for SystemRoots {
    fn default() -> Self {
        Self::new()
    }
}

impl SystemRoots {
    /// Roots that are not read yet.
    ///
    /// TLS needs a process-wide rustls crypto provider: aws-lc-rs becomes it if there is none yet.
    pub fn new() -> Self {
        // An error only says that the application chose one already, which is what we want.
        let _ = aws_lc_rs::default_provider().install_default();
        let chosen = CryptoProvider::get_default().cloned();
        Self(Arc::new(Lazy {
            provider: chosen.unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider())),
            verifier: OnceLock::new(),
        }))
    }

    /// Reads them now, which takes milliseconds: not on a thread that serves.
    ///
    /// # Errors
    /// When there are none; [`TlsError`] names the fix.
    pub fn read(&self) -> Result<(), TlsError> {
        let read = self.0.verifier();
        read.map(drop).map_err(|error| without(&error))
    }

    /// TLS that trusts them.
    ///
    /// # Errors
    /// When the crypto provider cannot do TLS.
    pub fn tls_config(&self) -> Result<ClientConfig, TlsError> {
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.0.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError(error.to_string()))?;
        let verifier = Arc::<Lazy>::clone(&self.0);
        let mut config = config
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        // What reqwest itself would offer.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl Lazy {
    fn verifier(&self) -> Result<&Verifier, Error> {
        let read = || {
            let read = Verifier::new(Arc::clone(&self.provider));
            if let Err(error) = &read {
                let error = without(error);
                tracing::error!(%error, "no connection with TLS can be made");
            }
            read
        };
        self.verifier
            .get_or_init(read)
            .as_ref()
            .map_err(Error::clone)
    }
}

/// The platform's own verifier decides; it is made when it is first asked.
impl ServerCertVerifier for Lazy {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verifier = self.verifier()?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verifier = self.verifier()?;
        verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verifier = self.verifier()?;
        verifier.verify_tls13_signature(message, certificate, signature)
    }

    /// Of the crypto library, as the platform's verifier says too; asked before there is anything
    /// to verify.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

fn without(error: &Error) -> TlsError {
    TlsError(error.to_string())
}
