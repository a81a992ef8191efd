//! Ctrl-C and SIGTERM: heard between two steps, so that what was made is taken down in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SigSet, Signal};

/// Whether the reader has seen enough.
pub(crate) struct Interrupt {
    raised: Arc<AtomicBool>,
    news: Receiver<()>,
}

impl Interrupt {
    /// From here on the signals are this one's. To be called before there is another thread; children that
    /// enter a place get theirs back on the way.
    pub(crate) fn catch() -> Result<Self> {
        let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
        signals.thread_block().context("block signals")?;
        let raised = Arc::new(AtomicBool::new(false));
        let (sender, news) = mpsc::channel();
        let flag = Arc::clone(&raised);
        thread::spawn(move || {
            while signals.wait().is_ok() {
                flag.store(true, Ordering::Relaxed);
                let _ = sender.send(());
            }
        });
        Ok(Self { raised, news })
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }

    /// An error where it was raised: ends a tour at its next step.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_raised() {
            bail!("interrupted");
        }
        Ok(())
    }

    /// Waits for it so long; whether it came.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        self.is_raised() || self.news.recv_timeout(timeout).is_ok()
    }
}
