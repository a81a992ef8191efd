//! Connections.

use std::net::TcpListener;
use std::sync::Arc;

use anyhow::{Context, Result};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::answer::answer;
use super::state::Shared;

/// What the server is told. Each is answered when it is done.
pub(super) enum Command {
    /// Closes every connection.
    Cut(oneshot::Sender<()>),
    /// Closes every connection, and accepts no more.
    Leave(oneshot::Sender<()>),
    /// Accepts connections here.
    Listen(TcpListener, oneshot::Sender<()>),
}

/// Serves until the commands end. Call it on a thread of its own.
pub(super) fn serve(
    shared: &Arc<Shared>,
    tls: Option<TlsAcceptor>,
    mut commands: mpsc::UnboundedReceiver<Command>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("a runtime for the API server")?.block_on(async {
        let mut listener: Option<tokio::net::TcpListener> = None;
        let mut connections = JoinSet::new();
        loop {
            let accepted = async {
                match &listener {
                    Some(listener) => listener.accept().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                accepted = accepted => {
                    let (socket, _) = accepted.context("accept a connection")?;
                    let (shared, tls) = (Arc::clone(shared), tls.clone());
                    // How a connection ends is the client's business, and the test's.
                    connections.spawn(async move {
                        match tls {
                            None => converse(shared, socket).await,
                            Some(tls) => {
                                if let Ok(socket) = tls.accept(socket).await {
                                    converse(shared, socket).await;
                                }
                            }
                        }
                    });
                }
                Some(_) = connections.join_next() => {}
                command = commands.recv() => {
                    let done = match command {
                        None => return Ok(()),
                        Some(Command::Listen(new, done)) => {
                            new.set_nonblocking(true).context("a listener")?;
                            listener = Some(tokio::net::TcpListener::from_std(new).context("a listener")?);
                            done
                        }
                        Some(Command::Cut(done)) => {
                            connections.shutdown().await;
                            done
                        }
                        Some(Command::Leave(done)) => {
                            listener = None;
                            connections.shutdown().await;
                            done
                        }
                    };
                    let _ = done.send(());
                }
            }
        }
    })
}

/// Answers on a connection until it ends.
async fn converse(shared: Arc<Shared>, socket: impl AsyncRead + AsyncWrite + Unpin) {
    let service = service_fn(|request| answer(Arc::clone(&shared), request));
    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
}
