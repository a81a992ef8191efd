//! Why a list or a watch is over, and so how to go on.

use kube::Error;
use kube::core::Status;

use super::object::Kind;
use super::servers::describe;

/// The receiver is gone.
#[derive(Debug)]
pub(super) struct Unwanted;

/// Why a list or a watch is over.
#[derive(Debug)]
pub(super) enum End {
    /// The receiver is gone.
    Unwanted,
    /// No change can have been lost: it goes on where it was.
    Resumable(String),
    /// A change may have been lost: a list comes next.
    Lost(String),
    /// The server has forgotten where it was, as it does when that is long ago: a list comes next.
    Forgotten,
    /// The list broke off, or brought nothing: the next comes from another server.
    Broken(String),
    /// The list was complete, and is not believed: the next comes from another server.
    Doubted(String),
    /// The server knows no streaming lists.
    NoStreams,
    /// The server has no such kind.
    Absent,
}

impl From<Unwanted> for End {
    fn from(_: Unwanted) -> Self {
        Self::Unwanted
    }
}

impl End {
    /// A list comes next.
    pub(super) fn asks_for_list(&self) -> bool {
        !matches!(self, Self::Unwanted | Self::Resumable(_))
    }

    /// A list ended so because of what it is, and may end otherwise when it is asked for in another way.
    pub(super) fn is_of_the_list(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Lost(_) | Self::Forgotten)
    }

    /// Another server may do better.
    pub(super) fn is_of_the_server(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Doubted(_))
    }

    /// A streaming list was not begun.
    pub(super) fn of_stream<T: Kind>(error: &Error) -> Self {
        match error {
            // Bad Request and Unprocessable Entity: what a server says to a query that it doesn't know.
            Error::Api(status) if [400, 422].contains(&status.code) => Self::NoStreams,
            _ => Self::of_request::<T>(error, "listed"),
        }
    }

    /// A page was not given, or not in full.
    pub(super) fn of_list<T: Kind>(error: &Error) -> Self {
        Self::of_request::<T>(error, "listed")
    }

    /// A watch was not begun.
    pub(super) fn of_watch<T: Kind>(error: &Error) -> Self {
        Self::of_request::<T>(error, "watched")
    }

    fn of_request<T: Kind>(error: &Error, what: &str) -> Self {
        let why = || format!("it can't be {what}: {}", describe(error));
        match error {
            Error::Api(status) => match status.code {
                // A Service without slices, or a path that is no API, is a failure.
                404 if !T::IS_NEVER_EMPTY => Self::Absent,
                410 => Self::Forgotten,
                // Too many requests, or it can't serve: nothing was said of what was asked for.
                429 | 500.. => Self::Resumable(why()),
                _ => Self::Lost(why()),
            },
            Error::HyperError(_) | Error::Service(_) => Self::Resumable(why()),
            _ => Self::Lost(why()),
        }
    }

    /// There is an error in place of an event.
    pub(super) fn told(status: &Status) -> Self {
        match status.code {
            410 => Self::Forgotten,
            code => Self::Lost(format!("it can't be watched: it says {code} {}", status.message)),
        }
    }

    /// A streaming list breaks off so.
    pub(super) fn broke_off_list(error: &Error) -> Self {
        Self::Broken(format!("the list breaks off: {}", describe(error)))
    }

    /// A watch breaks off so.
    pub(super) fn broke_off_watch(error: &Error) -> Self {
        let why = format!("it can't be watched: {}", describe(error));
        match error {
            Error::ReadEvents(_) => Self::Resumable(why),
            _ => Self::Lost(why),
        }
    }

    /// What is sent can't be gone on from.
    pub(super) fn without_version() -> Self {
        Self::Lost("what is sent has no metadata.resourceVersion".to_owned())
    }
}
