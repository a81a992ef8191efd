//! The connections of our servers: within limits of size and time, and never more than so many at once.
//!
//! Anybody who reaches the node may dial a health-check node port. Who holds connections and says nothing, or says it
//! byte by byte, must neither use up our memory and descriptors nor keep a load balancer's question from being heard.
//! So a new connection is always taken, and the one that has been there longest gives way to it: an honest one is
//! done within milliseconds.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// Connections at once, of all listeners that share a [`Connections`].
pub(super) const MOST: usize = 128;
/// How long the head of a request may take, from when it is waited for.
const HEAD: Duration = Duration::from_secs(5);
/// Bytes of it.
pub(super) const HEAD_BYTES: usize = 16 * 1024;
/// How long a connection may last, whatever it is used for.
const WHOLE: Duration = Duration::from_secs(60);
/// After the system has refused to give another connection: it has no more descriptors, which takes a while.
const REFUSED: Duration = Duration::from_millis(100);

/// The connections that there are, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Connections(Arc<Mutex<VecDeque<AbortHandle>>>);

impl Connections {
    /// Serves whoever dials, until `end`; then all connections of this listener end too.
    pub(super) async fn serve(self, listener: TcpListener, router: Router, end: impl Future<Output = ()>) {
        let (mut own, mut end) = (JoinSet::new(), pin!(end));
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.admit(own.spawn(answer(stream, router.clone()))),
                    Err(_) => sleep(REFUSED).await,
                },
                Some(_) = own.join_next() => {}
                () = &mut end => return,
            }
        }
    }

    fn admit(&self, connection: AbortHandle) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|connection| !connection.is_finished());
        if all.len() >= MOST
            && let Some(oldest) = all.pop_front()
        {
            oldest.abort();
        }
        all.push_back(connection);
    }
}

async fn answer(stream: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // Who breaks off, or is cut off, has nobody to be told.
    let _end: Result<Result<(), hyper::Error>, _> = timeout(WHOLE, connection).await;
}
