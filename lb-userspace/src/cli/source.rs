//! Where `shunt run` learns of Services.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use http::Uri;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Allocation;
use super::span::Span;
use crate::notice::{Fates, Notices};
use crate::source::kubernetes::{self, Access, Cluster};
use crate::source::manifest::{self, Config, StateFileError};
use crate::source::{Requests, SourceEvent};

/// A directory of manifests, or a cluster.
#[derive(Debug, clap::Args)]
pub(super) struct SourceArgs {
    /// Directory of manifests to serve in place of a cluster: every *.yaml, *.yml and *.json in it.
    ///
    /// Services, EndpointSlices, Pods and Nodes are read. What an API server would do is done here: addresses
    /// and node ports are allocated, endpoints are derived from the Pods that a selector finds. The directory
    /// is watched; a file that is wrong is reported, and what it said before goes on being served.
    #[arg(
        long,
        env = "SHUNT_MANIFESTS",
        value_name = "DIR",
        conflicts_with_all = ["kubeconfig", "api_servers"]
    )]
    manifests: Option<PathBuf>,

    /// File that remembers allocated addresses and node ports of --manifests, so that each Service keeps its
    /// own.
    #[arg(long, env = "SHUNT_STATE_FILE", value_name = "FILE", default_value = super::DEFAULT_STATE_FILE)]
    state_file: PathBuf,

    /// Kubeconfig by which to reach the cluster to serve; its current context counts [default: the service
    /// account of the pod that this runs in]
    #[arg(long, env = "SHUNT_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// API servers of the cluster, in the order in which they are tried, comma-separated; in place of the one
    /// that the kubeconfig or the pod's environment names. One that fails is left for the next one.
    ///
    /// A token is sent by https only.
    #[arg(long = "api-server", env = "SHUNT_API_SERVER", value_name = "URL", value_delimiter = ',')]
    api_servers: Vec<Uri>,

    /// How much time there is between two changes to what is served, at least; what a cluster changes in
    /// between is one change. As in 20ms or 1s; 0 is none.
    #[arg(long, env = "SHUNT_MIN_SYNC_PERIOD", value_name = "TIME", default_value = "20ms")]
    min_sync_period: Span,
}

/// A source that can be started.
pub(super) enum Source {
    /// A directory, what may be allocated, and what remembers it.
    Manifests(PathBuf, Config, PathBuf),
    /// A cluster.
    Cluster(Cluster, kubernetes::Options),
}

impl SourceArgs {
    /// The source that was named; nothing is read or sent yet.
    pub(super) async fn source(&self, node_name: &str, allocation: &Allocation) -> anyhow::Result<Source> {
        if let Some(dir) = &self.manifests {
            let config = allocation.config(Some(node_name.to_owned()))?;
            return Ok(Source::Manifests(dir.clone(), config, self.state_file.clone()));
        }
        let access = Access {
            kubeconfig: self.kubeconfig.clone(),
            servers: self.api_servers.clone(),
            ..Access::default()
        };
        let cluster = kubernetes::connect(&access).await?;
        let mut options = kubernetes::Options::new(node_name);
        options.min_sync_period = self.min_sync_period.0;
        Ok(Source::Cluster(cluster, options))
    }
}

impl Source {
    /// Who is told what is wrong with objects: those who own them, by events; of a directory, nobody but the log.
    pub(super) fn notices(&mut self, fates: &Fates) -> Notices {
        match self {
            Self::Manifests(..) => Notices::default(),
            Self::Cluster(cluster, options) => {
                let (notices, heard) = Notices::channel(fates.clone());
                options.notices = notices.clone();
                let node = options.node_name.clone();
                tokio::spawn(kubernetes::publish(cluster.clone(), node, heard, fates.clone()));
                notices
            }
        }
    }

    /// What was asked of API servers, counted.
    pub(super) fn requests(&self) -> Requests {
        match self {
            Self::Manifests(..) => Requests::default(),
            Self::Cluster(cluster, _) => cluster.requests(),
        }
    }

    /// Whether it knows by itself where ClusterIPs are from.
    pub(super) fn knows_service_cidrs(&self) -> bool {
        matches!(self, Self::Cluster(..))
    }

    /// The file that remembers what was allocated, where this allocates.
    pub(super) fn state_file(&self) -> Option<&Path> {
        match self {
            Self::Manifests(_, _, state_file) => Some(state_file),
            Self::Cluster(..) => None,
        }
    }

    /// Keeps other instances from giving numbers by the same file, for as long as what it returns lives.
    pub(super) fn hold(&self) -> Result<Option<File>, StateFileError> {
        self.state_file().map_or(Ok(None), manifest::hold_state_file)
    }

    /// What people know it by.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Manifests(dir, ..) => dir.display().to_string(),
            Self::Cluster(cluster, _) => cluster.urls().join(", "),
        }
    }

    /// Starts it. It ends when nobody listens any more, or can't go on.
    pub(super) fn start(self) -> (mpsc::Receiver<SourceEvent>, JoinHandle<anyhow::Result<()>>) {
        // What a source can gather while the last event is being applied, it gathers.
        let (sender, events) = mpsc::channel(1);
        let task = match self {
            Self::Manifests(dir, config, state_file) => tokio::spawn(async move {
                let end = manifest::watch(dir, config, Some(state_file), sender).await;
                end.context("the directory can't be served")
            }),
            Self::Cluster(cluster, options) => tokio::spawn(async move {
                kubernetes::watch(cluster, options, sender).await;
                Ok(())
            }),
        };
        (events, task)
    }
}
