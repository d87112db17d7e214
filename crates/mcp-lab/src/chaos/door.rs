//! A fixed address in front of an instance, of several, or of what they ask: it outlives what is behind it,
//! and can reset every connection.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// A TCP relay; closed on drop.
pub(crate) struct Door {
    port: u16,
    resets: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Door {
    /// Opens on a free port, to `inside`.
    pub(crate) async fn open(inside: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        Self::before(listener, vec![inside])
    }

    /// Lets in whoever comes there: each connection to the next of those inside.
    pub(crate) fn before(listener: TcpListener, inside: Vec<SocketAddr>) -> std::io::Result<Self> {
        let port = listener.local_addr()?.port();
        let resets = watch::Sender::new(());
        let task = tokio::spawn(serve(listener, inside, resets.clone()));
        Ok(Self { port, resets, task })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn mcp_url(&self) -> String {
        format!("{}/mcp", self.url())
    }

    /// Resets every connection (RST), those with calls under way included.
    pub(crate) fn reset(&self) {
        self.resets.send_replace(());
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, inside: Vec<SocketAddr>, resets: watch::Sender<()>) {
    for inside in inside.iter().cycle() {
        if let Ok((outer, _)) = listener.accept().await {
            tokio::spawn(relay(outer, *inside, resets.subscribe()));
        }
    }
}

async fn relay(mut outer: TcpStream, inside: SocketAddr, mut reset: watch::Receiver<()>) {
    // Nobody home: the connection closes, as that of an instance that was just killed.
    let Ok(mut inner) = TcpStream::connect(inside).await else {
        return;
    };
    // Without these two a call takes longer, nothing else.
    let _ = (outer.set_nodelay(true), inner.set_nodelay(true));
    tokio::select! {
        _ = copy_bidirectional(&mut outer, &mut inner) => {}
        _ = reset.changed() => {
            let _ = (outer.set_zero_linger(), inner.set_zero_linger());
        }
    }
}
