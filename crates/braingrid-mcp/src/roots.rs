//! The system's root certificates are read while the server already serves, and only where TLS is
//! spoken.

use std::future::Future;
use std::pin::pin;

use anyhow::Context as _;
use mcp_outbound::SystemRoots;
use url::Url;

/// Whether one of these is reached with TLS.
pub(crate) fn needed<'a>(urls: impl IntoIterator<Item = &'a str>) -> bool {
    let speaks_tls = |url: &str| Url::parse(url).is_ok_and(|url| url.scheme() == "https");
    urls.into_iter().any(speaks_tls)
}

/// What `serving` gives. When the roots are `needed` and there are none, that is said at once, and
/// nothing is served.
pub(crate) async fn read_while<T>(
    roots: SystemRoots,
    needed: bool,
    serving: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    if !needed {
        return serving.await;
    }
    let mut reading = pin!(read(roots));
    let mut serving = pin!(serving);
    tokio::select! {
        read = &mut reading => {
            read?;
            serving.await
        }
        served = &mut serving => {
            reading.await?;
            served
        }
    }
}

/// Reads them on a thread that serves nobody.
async fn read(roots: SystemRoots) -> anyhow::Result<()> {
    let reading = tokio::task::spawn_blocking(move || roots.read());
    reading
        .await
        .context("reading the system's root certificates failed")??;
    Ok(())
}
