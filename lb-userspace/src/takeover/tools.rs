//! The node's own tools.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Output, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Where root's programs are, on a node whose PATH may be that of an empty image.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A tool that did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It could not be started.
    #[error("cannot run {tool}")]
    Start {
        /// Which.
        tool: String,
        /// The system's word.
        source: io::Error,
    },
    /// The node has no such tool, and it is needed.
    #[error("{why}, and the node has no `{tool}`: install it")]
    Missing {
        /// Which.
        tool: String,
        /// For what.
        why: String,
    },
    /// The kernel does not tell.
    #[error("cannot ask the kernel for {what}")]
    Kernel {
        /// For what it was asked.
        what: &'static str,
        /// Its word.
        source: io::Error,
    },
    /// It failed.
    #[error("{command}: {said}")]
    Failed {
        /// As a person would type it.
        command: String,
        /// Its own words.
        said: String,
    },
}

/// Moves this process to where the node's tools are: into the files of its first process, where those are
/// other ones, as they are seen from a pod with the node's process ids. The network namespace stays.
///
/// # Errors
///
/// Where the process may not, or has more than one thread.
pub fn enter_host() -> io::Result<()> {
    let [own, first] = ["/proc/self/ns/mnt", "/proc/1/ns/mnt"];
    if fs::metadata(own)?.ino() == fs::metadata(first)?.ino() {
        return Ok(());
    }
    move_into_link_name_space(File::open(first)?.as_fd(), Some(LinkNameSpaceType::Mount))?;
    Ok(())
}

/// What a tool prints; `None` where the node has no such tool.
pub(super) fn output(tool: &str, arguments: &[&str]) -> Result<Option<String>, ToolError> {
    run(tool, arguments, "")
}

/// Has a tool do something for a reason: that the node lacks it is an error.
pub(super) fn need(tool: &str, arguments: &[&str], why: &str) -> Result<String, ToolError> {
    let missing = || ToolError::Missing { tool: tool.to_owned(), why: why.to_owned() };
    output(tool, arguments)?.ok_or_else(missing)
}

/// The same as [`output`] for one that is given an input.
pub(super) fn run(tool: &str, arguments: &[&str], input: &str) -> Result<Option<String>, ToolError> {
    let start = |source| ToolError::Start { tool: tool.to_owned(), source };
    let mut command = Command::new(tool);
    command.args(arguments).env("PATH", PATH).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        spawned => spawned.map_err(start)?,
    };
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends before it has read all says itself why.
        let _written = stdin.write_all(input.as_bytes());
    }
    let Output { status, stdout, stderr } = child.wait_with_output().map_err(start)?;
    if !status.success() {
        let command = [&[tool], arguments].concat().join(" ");
        return Err(ToolError::Failed { command, said: String::from_utf8_lossy(&stderr).trim().to_owned() });
    }
    Ok(Some(String::from_utf8_lossy(&stdout).into_owned()))
}
