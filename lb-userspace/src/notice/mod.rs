//! What is to be told to whoever made an object: it is theirs to put right.
//!
//! A log is read by those who run the node; an event on the object by those who own it. Whoever finds out tells
//! [`Notices`], which never waits: what finds no room in the queue is counted and left out. What becomes of a
//! notice is the cluster's side, `source/kubernetes/events`; for a directory of manifests there is none, and the
//! log line that goes with each notice is all.
//!
//! *Invariant:* a condition is told when it begins, and again only after it has ended.

mod telling;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tokio::sync::mpsc;

pub use telling::Telling;

use crate::model::{ObjectName, Uid};
use crate::reconcile::Contest;
use crate::source::ObjectRef;

/// So many notices may wait to be told; further ones are left out.
const ROOM: usize = 256;

/// What is the matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The instance begins to serve this node (EVT-01).
    Starting,
    /// Another Service has an address and port that this one claims too (SVC-14).
    AddressConflict,
    /// A health-check node port can't be listened on (HCN-07).
    HealthCheckPort,
    /// The server for health can't listen (HLZ-06).
    HealthPort,
    /// The one for metrics can't (HLZ-06).
    MetricsPort,
    /// It is not, or not in full, in the maps.
    NotInForce,
    /// A field has a value that can't be used, and is left out.
    FieldIgnored,
    /// The object can't be read, and stays as it was.
    Unreadable,
}

impl Reason {
    /// `reason` of the event; kube-proxy's where that has the same.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "Starting",
            Self::AddressConflict => "AddressConflict",
            Self::HealthCheckPort => "FailedToStartServiceHealthcheck",
            Self::HealthPort => "FailedToStartProxierHealthcheck",
            Self::MetricsPort => "FailedToStartMetricServer",
            Self::NotInForce => "NotInForce",
            Self::FieldIgnored => "FieldIgnored",
            Self::Unreadable => "Unreadable",
        }
    }

    /// `action` of the event: what was to be done; kube-proxy's where that has the same reason.
    pub fn action(self) -> &'static str {
        match self {
            Self::Starting | Self::HealthPort | Self::MetricsPort => "StartKubeProxy",
            Self::HealthCheckPort => "Listen",
            Self::AddressConflict | Self::NotInForce => "Serve",
            Self::FieldIgnored | Self::Unreadable => "Read",
        }
    }

    /// Whether something is wrong.
    pub fn is_warning(self) -> bool {
        self != Self::Starting
    }

    /// Whether it is so on this node; else every node finds the same, and one of them has to tell it.
    pub fn is_of_this_node(self) -> bool {
        match self {
            Self::Starting
            | Self::HealthCheckPort
            | Self::HealthPort
            | Self::MetricsPort
            | Self::NotInForce => true,
            Self::AddressConflict | Self::FieldIgnored | Self::Unreadable => false,
        }
    }
}

/// Something to be told of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whose owner is to know.
    pub about: ObjectRef,
    /// `metadata.uid` of that; without it, `kubectl describe` doesn't find the event.
    pub uid: Option<String>,
    /// What is the matter.
    pub reason: Reason,
    /// The same in words, with what to do.
    pub note: String,
    /// Another object that has to do with it.
    pub related: Option<ObjectRef>,
}

impl Notice {
    /// About a Service.
    pub fn of_service(name: &ObjectName, uid: Option<Uid>, reason: Reason, note: impl Into<String>) -> Self {
        let uid = uid.map(|uid| uid.to_string());
        Self { about: ObjectRef::new("Service", name), uid, reason, note: note.into(), related: None }
    }

    /// About a node. Its events are filed under its name in place of a UID, as the kubelet's and kube-proxy's.
    pub fn of_node(name: &str, reason: Reason, note: impl Into<String>) -> Self {
        let about = ObjectRef { kind: "Node".to_owned(), namespace: String::new(), name: name.to_owned() };
        Self { about, uid: Some(name.to_owned()), reason, note: note.into(), related: None }
    }

    /// One for each Service that goes without what it claims.
    pub fn of_contest(contest: &Contest, uid: impl Fn(&ObjectName) -> Option<Uid>) -> Vec<Self> {
        let mut names: Vec<&ObjectName> = contest.others.iter().map(|key| &key.service).collect();
        names.dedup();
        let owner = ObjectRef::new("Service", &contest.owner.service);
        let notice = |name| Self {
            related: Some(owner.clone()),
            ..Self::of_service(name, uid(name), Reason::AddressConflict, contest.to_string())
        };
        names.into_iter().map(notice).collect()
    }
}

/// What becomes of notices, counted.
pub type Fates = Family<[(&'static str, &'static str); 1], Counter>;

/// What became of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is told.
    Told,
    /// Another node, or this one before, has told the same.
    Known,
    /// Too much was told of this object, or of all, in this time.
    Limited,
    /// Too many were waiting.
    NoRoom,
    /// It could not be told.
    GivenUp,
}

impl Fate {
    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Told => "told",
            Self::Known => "known",
            Self::Limited => "limited",
            Self::NoRoom => "no-room",
            Self::GivenUp => "given-up",
        }
    }
}

/// Counts a fate.
pub fn count(fates: &Fates, fate: Fate) {
    fates.get_or_create(&[("became", fate.name())]).inc();
}

/// Where notices go; clones lead to the same place, the default one to nowhere.
#[derive(Debug, Clone, Default)]
pub struct Notices {
    sender: Option<mpsc::Sender<Notice>>,
    fates: Fates,
}

impl Notices {
    /// To whoever has the receiver.
    pub fn channel(fates: Fates) -> (Self, mpsc::Receiver<Notice>) {
        let (sender, receiver) = mpsc::channel(ROOM);
        (Self { sender: Some(sender), fates }, receiver)
    }

    /// Tells it, if there is room; never waits.
    pub fn tell(&self, notice: Notice) {
        if let Some(sender) = &self.sender
            && sender.try_send(notice).is_err()
        {
            count(&self.fates, Fate::NoRoom);
        }
    }
}

#[cfg(test)]
mod tests;
