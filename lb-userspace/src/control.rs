//! What a running instance tells those who ask on its machine: a unix socket, for root alone, on which whoever
//! connects gets what the instance knows as one JSON document. It takes no orders.

use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, mem};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::model::{Change, EndpointSlice, NodeFacts, Service, World};
use crate::private;

/// Who asks and doesn't listen is not waited for any longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// All that an instance decides by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// What it takes the node for.
    pub node: NodeFacts,
    /// Where ClusterIPs are from.
    pub service_cidrs: Vec<IpNet>,
    /// Every Service.
    pub services: Vec<Service>,
    /// Every EndpointSlice.
    pub slices: Vec<EndpointSlice>,
}

impl Snapshot {
    /// Of a world.
    pub fn of(world: &World, node: &NodeFacts, service_cidrs: &[IpNet]) -> Self {
        Self {
            node: node.clone(),
            service_cidrs: service_cidrs.to_vec(),
            services: world.services().cloned().collect(),
            slices: world.slices().cloned().collect(),
        }
    }

    /// The world that it is of.
    pub fn world(&mut self) -> World {
        let mut world = World::default();
        for service in mem::take(&mut self.services) {
            world.apply(Change::Service(Box::new(service)));
        }
        for slice in mem::take(&mut self.slices) {
            world.apply(Change::Slice(Box::new(slice)));
        }
        world
    }
}

/// Why an instance could not be asked, or can't be.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The socket could not be made.
    #[error("cannot listen on {}", path.display())]
    Listen {
        /// Where.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// There is an instance, and it could not be asked.
    #[error("cannot ask the instance that listens on {}", path.display())]
    Ask {
        /// Where.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// It said something else.
    #[error("the instance that listens on {} is of another version of Shunt: ask it with its own binary", path.display())]
    Answer {
        /// Where.
        path: PathBuf,
        /// What is wrong with what it said.
        source: serde_json::Error,
    },
}

/// The socket of the instance that has its pins in `pin_dir`.
pub fn socket_path(pin_dir: &Path) -> PathBuf {
    // What stands for a slash stands for nothing else.
    let name = pin_dir.to_string_lossy().replace('%', "%25").replace('-', "%2D");
    let name = name.trim_matches('/').replace('/', "-");
    Path::new("/run/shunt").join(format!("{name}.sock"))
}

/// Who asks, and waits for a snapshot.
pub type Asked = oneshot::Sender<Snapshot>;

/// The socket of this instance; gone when dropped.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    asked: mpsc::Receiver<Asked>,
}

impl Control {
    /// Listens on `path`. An instance that ended without taking its socket along doesn't hinder; that none
    /// lives is the caller's to know.
    ///
    /// # Errors
    ///
    /// The socket can't be made.
    pub fn listen(path: &Path) -> Result<Self, ControlError> {
        let listener = bind(path).map_err(|source| ControlError::Listen { path: path.to_owned(), source })?;
        let (sender, asked) = mpsc::channel(1);
        tokio::spawn(answer_all(listener, sender));
        Ok(Self { path: path.to_owned(), asked })
    }

    /// The next who asks.
    pub async fn asked(&mut self) -> Option<Asked> {
        self.asked.recv().await
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Nobody can be told; a socket that is left over is taken over by the next instance.
        let _removed = fs::remove_file(&self.path);
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        // Nobody else can come to the socket, not even before it is closed to them.
        private::directory(directory)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// One after the other, so that a crowd costs no more memory than one.
async fn answer_all(listener: UnixListener, asks: mpsc::Sender<Asked>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (sender, snapshot) = oneshot::channel();
        if asks.send(sender).await.is_err() {
            return;
        }
        let Ok(snapshot) = snapshot.await else { return };
        if timeout(PATIENCE, write(stream, snapshot)).await.is_err() {
            tracing::debug!("who asked for the state of this instance did not listen");
        }
    }
}

async fn write(mut stream: UnixStream, snapshot: Snapshot) {
    let json = tokio::task::spawn_blocking(move || serde_json::to_vec(&snapshot)).await;
    if let Ok(Ok(json)) = json {
        // Who hangs up has heard enough.
        let _written = stream.write_all(&json).await;
    }
}

/// What the instance that listens on `path` knows; `None` where none does.
///
/// # Errors
///
/// There is one, but it can't be asked, or not be understood.
pub fn ask(path: &Path) -> Result<Option<Snapshot>, ControlError> {
    let failed = |source| ControlError::Ask { path: path.to_owned(), source };
    let mut stream = match BlockingStream::connect(path) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    stream.shutdown(Shutdown::Write).map_err(failed)?;
    let mut json = Vec::new();
    stream.read_to_end(&mut json).map_err(failed)?;
    serde_json::from_slice(&json)
        .map(Some)
        .map_err(|source| ControlError::Answer { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let node = NodeFacts { name: "n1".into(), ..NodeFacts::default() };
        Snapshot::of(&World::default(), &node, &["10.96.0.0/12".parse().expect("a network")])
    }

    #[test]
    fn each_instance_has_a_socket_of_its_own() {
        let path = |pins: &str| socket_path(Path::new(pins));
        assert_eq!(path("/sys/fs/bpf/shunt"), Path::new("/run/shunt/sys-fs-bpf-shunt.sock"));
        assert_ne!(path("/sys/fs/bpf/other"), path("/sys/fs/bpf/shunt"));
        let alike = ["/a/b", "/a-b", "/a%2Db", "/a-/b", "/a/-b", "/a%b"].map(path);
        assert_eq!(alike.iter().collect::<std::collections::BTreeSet<_>>().len(), alike.len(), "{alike:?}");
    }

    #[tokio::test]
    async fn whoever_asks_is_told_and_nobody_is_there_afterwards() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("new/one.sock");
        assert_eq!(ask(&path).expect("nobody"), None);
        let mut control = Control::listen(&path).expect("a socket");
        for _ in 0..3 {
            let asking = tokio::task::spawn_blocking({
                let path = path.clone();
                move || ask(&path)
            });
            let asked = control.asked().await.expect("somebody asks");
            asked.send(snapshot()).expect("somebody waits");
            assert_eq!(asking.await.expect("an end").expect("an answer"), Some(snapshot()));
        }
        drop(control);
        assert_eq!(ask(&path).expect("nobody"), None);
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_taken_over() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("one.sock");
        mem::forget(Control::listen(&path).expect("a socket"));
        let _control = Control::listen(&path).expect("a socket again");
    }

    #[tokio::test]
    async fn what_is_no_answer_is_said_to_be_another_versions() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("one.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        let asking = tokio::task::spawn_blocking(move || ask(&path));
        let (mut stream, _) = listener.accept().await.expect("somebody asks");
        stream.write_all(b"{\"nodes\": 3}").await.expect("somebody listens");
        drop(stream);
        let error = asking.await.expect("an end").expect_err("no answer");
        assert!(error.to_string().contains("another version"), "{error}");
    }
}
