//! When to end: SIGTERM or SIGINT. What is in hand is finished first; a second signal ends at once.

use std::process;
use std::thread;

use anyhow::Context;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// Listens from now on, on a thread of its own: the loop may be busy when the second signal comes. What is returned
/// is told of the first.
pub(super) fn listen() -> anyhow::Result<oneshot::Receiver<()>> {
    let (sender, stop) = oneshot::channel();
    let runtime = Builder::new_current_thread().enable_io().build().context("cannot listen for signals")?;
    let signals = runtime.block_on(async { Signals::new() }).context("cannot listen for signals")?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(signals.follow(sender)))
        .context("cannot start a thread")?;
    Ok(stop)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn follow(mut self, stop: oneshot::Sender<()>) {
        self.next().await;
        tracing::info!("ending when what is in hand is done; a second signal ends at once");
        // Whoever has stopped listening has ended.
        let _told = stop.send(());
        let signal = self.next().await;
        tracing::warn!(
            "ended at once; what is in the kernel goes on, and the next start puts right what is missing"
        );
        process::exit(128 + signal);
    }

    /// The number of the next one.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.terminate.recv() => libc::SIGTERM,
            _ = self.interrupt.recv() => libc::SIGINT,
        }
    }
}
