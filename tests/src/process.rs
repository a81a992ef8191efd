//! Child processes whose output is kept.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a process may take to end when it is told to.
const GRACE: Duration = Duration::from_secs(60);

/// A child process, ended when dropped: by SIGTERM first, then by SIGKILL.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    output: Arc<Output>,
}

#[derive(Debug, Default)]
struct Output {
    text: Mutex<Text>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct Text {
    lines: Vec<String>,
    /// Both streams are at their end.
    streams_ended: u8,
}

impl Process {
    /// Starts a command; `name` is what errors call it.
    pub fn start(name: impl Into<String>, command: &mut Command) -> Result<Self> {
        let name = name.into();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {name}: {command:?}"))?;
        let output = Arc::new(Output::default());
        if let Some(stdout) = child.stdout.take() {
            output.follow(stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            output.follow(stderr);
        }
        let stdin = child.stdin.take();
        Ok(Self { name, child, stdin, output })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How many lines it has printed so far, on both streams.
    pub fn lines_so_far(&self) -> usize {
        self.output.lock().lines.len()
    }

    /// What it has printed after the first `seen` lines.
    pub fn lines_since(&self, seen: usize) -> Vec<String> {
        self.output.lock().lines.iter().skip(seen).cloned().collect()
    }

    /// Everything it has printed.
    pub fn log(&self) -> String {
        self.output.lock().lines.join("\n")
    }

    /// The first line after the first `seen` ones for which `wanted` holds, and how many lines there are up
    /// to it; waits for it.
    pub fn wait_for_line(
        &self,
        seen: usize,
        timeout: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(usize, String)> {
        let deadline = Instant::now() + timeout;
        let mut seen = seen;
        let mut text = self.output.lock();
        loop {
            for line in text.lines.iter().skip(seen) {
                seen += 1;
                if wanted(line) {
                    return Ok((seen, line.clone()));
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let why = match (text.streams_ended, left.is_zero()) {
                (2, _) => "ended",
                (_, true) => "did not say it in time",
                _ => {
                    text = self.output.wait(text, left);
                    continue;
                }
            };
            bail!("{} {why}; it said:\n{}", self.name, text.lines.join("\n"));
        }
    }

    /// Writes a line to its standard input.
    pub fn write_line(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("standard input was closed")?;
        writeln!(stdin, "{line}").with_context(|| format!("write to {}", self.name))
    }

    /// Closes its standard input and waits until it ends by itself.
    pub fn finish(mut self, timeout: Duration) -> Result<String> {
        drop(self.stdin.take());
        let Some(status) = self.wait(timeout)? else {
            bail!("{} does not end; it said:\n{}", self.name, self.log());
        };
        if !status.success() {
            bail!("{}: {status}; it said:\n{}", self.name, self.log());
        }
        Ok(self.log())
    }

    /// Sends SIGTERM and waits until it has ended.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.wait(GRACE)?.with_context(|| format!("{} does not end by SIGTERM", self.name))
    }

    /// Sends SIGKILL and waits until it has ended; one that had ended by itself is an error.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("kill {}", self.name))?;
        let status = self.child.wait().with_context(|| format!("wait for {}", self.name))?;
        if status.signal() != Some(Signal::SIGKILL as i32) {
            bail!("{} had ended before it was killed: {status}; it said:\n{}", self.name, self.log());
        }
        Ok(())
    }

    /// Waits until it has ended by itself.
    pub fn wait_for_end(mut self, timeout: Duration) -> Result<ExitStatus> {
        self.wait(timeout)?.with_context(|| format!("{} does not end", self.name))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).context("a process id")?;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("signal {}", self.name))
    }

    /// Until it has ended and all it said was read, or the time is over.
    fn wait(&mut self, timeout: Duration) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + timeout;
        let mut text = self.output.lock();
        while text.streams_ended < 2 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            text = self.output.wait(text, left);
        }
        drop(text);
        self.child.wait().map(Some).with_context(|| format!("wait for {}", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        if self.signal(Signal::SIGTERM).is_err() || !matches!(self.wait(GRACE), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Output {
    /// Keeps what comes, line by line, until the end.
    fn follow(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        let output = Arc::clone(self);
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                output.lock().lines.push(String::from_utf8_lossy(&line).into_owned());
                output.grown.notify_all();
            }
            output.lock().streams_ended += 1;
            output.grown.notify_all();
        });
    }

    fn lock(&self) -> MutexGuard<'_, Text> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, text: MutexGuard<'a, Text>, timeout: Duration) -> MutexGuard<'a, Text> {
        self.grown.wait_timeout(text, timeout).unwrap_or_else(PoisonError::into_inner).0
    }
}
