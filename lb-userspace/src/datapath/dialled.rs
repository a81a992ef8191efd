//! What a socket remembers of its dial, for those who hold a descriptor of it, and whether that still serves.

use std::os::fd::AsRawFd;

use aya::maps::{MapData, MapError, SkStorage};
use lb_common::{Backend, BackendId, Dialled};

use super::array::MappedArray;
use super::store::{map_error, open, open_array};
use super::{DatapathError, Pins};

/// `SOCKET_DIALLED`, read by descriptor of the socket, in whatever network namespace that is; and `BACKENDS`.
pub struct DialledSockets {
    map: SkStorage<MapData, Dialled>,
    backends: MappedArray<Backend>,
}

impl std::fmt::Debug for DialledSockets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DialledSockets").finish_non_exhaustive()
    }
}

impl DialledSockets {
    /// Opens the pinned maps.
    ///
    /// # Errors
    ///
    /// Where it can't be opened.
    pub fn open(pins: &Pins) -> Result<Self, DatapathError> {
        Ok(Self { map: open(pins, "SOCKET_DIALLED")?, backends: open_array(pins, "BACKENDS")? })
    }

    /// Whose an id is now; `None` for one that there is not.
    pub fn backend(&self, id: BackendId) -> Option<Backend> {
        self.backends.get(id.number())
    }

    /// What the programs remembered in a socket; `None` where it never dialled a Service.
    ///
    /// # Errors
    ///
    /// Where the descriptor is not a socket's.
    pub fn dialled(&self, socket: &impl AsRawFd) -> Result<Option<Dialled>, DatapathError> {
        match self.map.get(socket, 0) {
            Ok(dialled) => Ok(Some(dialled)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(map_error("SOCKET_DIALLED", "read")(error)),
        }
    }
}
