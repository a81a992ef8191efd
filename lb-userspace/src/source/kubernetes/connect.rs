//! Where the API is, and who we are to it.
//!
//! With no way to it named, what Kubernetes gives a pod is used: a token and a certificate authority in files
//! that it renews, and the API's ClusterIP in the environment. That ClusterIP is a Service that somebody has
//! to serve: where Shunt is the one who does, the first start of a node needs another way (`--kubeconfig`,
//! `--api-server`). Later starts don't: what was pinned goes on serving it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use kube::config::{Config, InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Error as ClientError};

use super::servers::{Cluster, PATIENCE, Server};

/// Where Kubernetes puts the files of a pod's service account.
pub const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a connection may be silent: a server says at least once a minute, by a bookmark, that it is
/// there.
const SILENCE: Duration = Duration::from_secs(100);

/// How the API is reached.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// A kubeconfig; its current context counts.
    pub kubeconfig: Option<PathBuf>,
    /// The API servers, in the order in which they are tried, in place of any other that is named.
    pub servers: Vec<Uri>,
    /// Where the files of the service account are; `None` for [`SERVICE_ACCOUNT`].
    pub service_account: Option<PathBuf>,
    /// How long a server may take until it begins to answer; `None` for 30 s.
    pub patience: Option<Duration>,
}

/// Why there is no way to the API.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig can't be used.
    #[error("kubeconfig {path}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<KubeconfigError>,
    },
    /// Nothing was named, and this is no pod of a cluster.
    #[error(
        "there is nothing to serve: name a cluster by --kubeconfig FILE or --api-server URL, or a directory \
         by --manifests DIR (in a pod with a service account neither is needed)"
    )]
    Nowhere(#[source] Box<InClusterError>),
    /// A server without its scheme or its host.
    #[error("API server {0} is not a URL such as https://192.0.2.1:6443")]
    Server(Uri),
    /// What was given makes no client.
    #[error("API server {url}")]
    Client {
        /// The server.
        url: Uri,
        /// Why.
        source: Box<ClientError>,
    },
}

/// A way to the API. Nothing is sent yet.
///
/// # Errors
///
/// There is none, or what was given for it can't be used.
pub async fn connect(access: &Access) -> Result<Cluster, ConnectError> {
    let config = match (&access.kubeconfig, access.servers.first()) {
        (Some(path), _) => from_kubeconfig(path).await?,
        (None, Some(server)) => with_service_account(server, access.service_account.as_deref()),
        (None, None) => Config::incluster().map_err(|error| ConnectError::Nowhere(Box::new(error)))?,
    };
    let urls =
        if access.servers.is_empty() { vec![config.cluster_url.clone()] } else { access.servers.clone() };
    let namespace = config.default_namespace.clone();
    let servers: Result<Vec<Server>, _> = urls.into_iter().map(|url| server(&config, url)).collect();
    Ok(Cluster::new(servers?, namespace, access.patience.unwrap_or(PATIENCE)))
}

async fn from_kubeconfig(path: &Path) -> Result<Config, ConnectError> {
    let wrong = |source| ConnectError::Kubeconfig { path: path.to_owned(), source: Box::new(source) };
    let kubeconfig = Kubeconfig::read_from(path).map_err(wrong)?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(wrong)
}

/// Who a pod is, where the files are there that say it; nobody else.
fn with_service_account(server: &Uri, dir: Option<&Path>) -> Config {
    let mut config = Config::new(server.clone());
    let dir = dir.unwrap_or(Path::new(SERVICE_ACCOUNT));
    let (authority, token) = (dir.join("ca.crt"), dir.join("token"));
    config.root_cert_file = authority.is_file().then_some(authority);
    config.auth_info.token_file = token.is_file().then(|| token.to_string_lossy().into_owned());
    config
}

fn server(config: &Config, url: Uri) -> Result<Server, ConnectError> {
    let scheme = url.scheme().filter(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme));
    if scheme.is_none() || url.host().is_none() {
        return Err(ConnectError::Server(url));
    }
    let mut config = config.clone();
    if scheme == Some(&Scheme::HTTP) {
        // Whoever can read such a connection can read a token: it gets none.
        config.auth_info = kube::config::AuthInfo::default();
        config.root_cert_file = None;
    }
    if config.root_cert_file.is_some() || scheme == Some(&Scheme::HTTP) {
        // The machine's own authorities are not asked, and a machine may have none.
        config.root_cert = Some(vec![]);
    }
    config.cluster_url = url.clone();
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    // Who failed is asked again by whoever wanted to know, and another server before it.
    config.default_retry = false;
    let client = Client::try_from(config)
        .map_err(|error| ConnectError::Client { url: url.clone(), source: Box::new(error) })?;
    Ok(Server { url: url.to_string().trim_end_matches('/').to_owned(), client })
}
