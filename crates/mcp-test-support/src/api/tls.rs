//! The stand-in behind TLS, where a client that can speaks HTTP/2.

use std::{io, sync::Arc};

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use super::server::Inner;
use crate::http::{Closed, listen};

/// A second door to a stand-in; closes when dropped.
pub struct TlsDoor {
    /// `https://127.0.0.1:PORT`.
    pub url: String,
    /// The certificate authority that a client must trust.
    pub ca_pem: String,
    task: JoinHandle<()>,
}

impl Drop for TlsDoor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TlsDoor {
    pub(super) async fn open(inner: Arc<Inner>) -> io::Result<Self> {
        let (listener, port) = listen(0).await?;
        let (config, ca_pem) = certified().map_err(io::Error::other)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Self {
            url: format!("https://127.0.0.1:{port}"),
            ca_pem,
            task: tokio::spawn(accept(listener, acceptor, inner)),
        })
    }
}

/// A configuration with a certificate for the loopback address, and the authority behind it.
fn certified() -> anyhow::Result<(ServerConfig, String)> {
    crate::install_tls_provider();
    let ca_key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = authority.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(authority, ca_key);
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((config, ca_pem))
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, inner: Arc<Inner>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, inner) = (acceptor.clone(), Arc::clone(&inner));
        tokio::spawn(async move {
            // A client that does not trust us is its own business.
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = service_fn(move |request: Request<Incoming>| {
                let inner = Arc::clone(&inner);
                async move {
                    let (parts, body) = request.into_parts();
                    let body: Bytes = body.collect().await.map_err(|_| Closed)?.to_bytes();
                    inner.answer(Request::from_parts(parts, body)).await
                }
            });
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
