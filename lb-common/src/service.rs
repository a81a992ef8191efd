//! Service ports: `SERVICES` holds, by id, the two lists that all frontends of a Service port share, and
//! `LABELS` says to people (and to the next start) whose id it is.

use core::fmt;

use crate::{Port, Proto};

/// Index into `SERVICES`: one Service port in one address family. 0 is no Service.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ServiceId(u32);

impl ServiceId {
    /// No Service.
    pub const NONE: Self = Self(0);

    /// From the number in a map.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// The number in a map.
    #[inline(always)]
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A list of backends: a run of `SLOTS`. One word, so that a reader sees the old list or the new one.
///
/// Bits 0..32 are the first slot, 32..52 the length, 52..64 a generation that makes two successive lists
/// of one Service distinct to anyone who compares words.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct List(u64);

impl List {
    /// No backend.
    pub const EMPTY: Self = Self(0);
    /// The longest list.
    pub const MAX_LEN: u32 = (1 << 20) - 1;

    /// A run of `len` slots from `first`; `len` is cut at [`List::MAX_LEN`], `generation` wraps at 4096.
    pub const fn new(first: u32, len: u32, generation: u32) -> Self {
        let len = if len > Self::MAX_LEN { Self::MAX_LEN } else { len };
        Self(first as u64 | (len as u64) << 32 | ((generation & 0xfff) as u64) << 52)
    }

    /// From the word in a map.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// The word in a map.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// The first slot of the run.
    #[inline(always)]
    pub const fn first(self) -> u32 {
        self.0 as u32
    }

    /// How many slots the run has.
    #[inline(always)]
    pub const fn len(self) -> u32 {
        (self.0 >> 32) as u32 & Self::MAX_LEN
    }

    /// Whether there is no backend in it.
    #[inline(always)]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The generation, 0 to 4095.
    pub const fn generation(self) -> u32 {
        (self.0 >> 52) as u32
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slots {}+{} generation {}", self.first(), self.len(), self.generation())
    }
}

/// What all frontends of one Service port share: 24 bytes.
///
/// The *cluster* list holds the endpoints usable from anywhere, the *local* list those on this node
/// (EPS-07, EPS-08). Where both are empty a dial is refused (NOE-01); where only the local one is empty
/// and policy points there it is dropped (NOE-02).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Service {
    cluster: List,
    local: List,
    /// `sessionAffinityConfig.clientIP.timeoutSeconds`; 0 where `sessionAffinity` is None (AFF-02).
    affinity_seconds: u32,
    /// Part of every affinity key: a new epoch forgets all that clients were remembered by (AFF-05).
    epoch: u32,
}

impl Service {
    /// Which of its 64-bit words the cluster list is.
    pub const CLUSTER_WORD: usize = core::mem::offset_of!(Self, cluster) / 8;
    /// Which of its 64-bit words the local list is.
    pub const LOCAL_WORD: usize = core::mem::offset_of!(Self, local) / 8;

    /// `affinity_seconds` 0 is no affinity.
    pub const fn new(cluster: List, local: List, affinity_seconds: u32, epoch: u32) -> Self {
        Self { cluster, local, affinity_seconds, epoch }
    }

    /// Backends usable from anywhere.
    #[inline(always)]
    pub const fn cluster(&self) -> List {
        self.cluster
    }

    /// Backends on this node.
    #[inline(always)]
    pub const fn local(&self) -> List {
        self.local
    }

    /// Seconds a client is remembered after its last connection; 0: not at all.
    #[inline(always)]
    pub const fn affinity_seconds(&self) -> u32 {
        self.affinity_seconds
    }

    /// See [`crate::AffinityKey`].
    #[inline(always)]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }
}

/// Room for a namespace, a Service name or a port name: DNS labels have 63 characters at most (RFC 1035).
pub const NAME_LEN: usize = 64;
/// Room for a target port: a number, or an IANA service name of 15 characters at most (RFC 6335 §5.1).
pub const TARGET_PORT_LEN: usize = 16;

/// Whose id a [`ServiceId`] is: 216 bytes in `LABELS`, which no program reads. `shunt services` prints it,
/// and a restart finds in it which id each Service port had.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ServiceLabel {
    namespace: [u8; NAME_LEN],
    name: [u8; NAME_LEN],
    port_name: [u8; NAME_LEN],
    target_port: [u8; TARGET_PORT_LEN],
    port: Port,
    node_port: Port,
    proto: Proto,
    /// 4 or 6.
    family: u8,
    /// `spec.type`: the caller's number.
    kind: u8,
    pad: u8,
}

impl ServiceLabel {
    /// Text longer than its room is cut; the API server admits none that is.
    pub fn new(namespace: &str, name: &str, port_name: &str, proto: Proto, family: u8) -> Self {
        Self {
            namespace: to_field(namespace),
            name: to_field(name),
            port_name: to_field(port_name),
            target_port: [0; TARGET_PORT_LEN],
            port: Port::new(0),
            node_port: Port::new(0),
            proto,
            family,
            kind: 0,
            pad: 0,
        }
    }

    /// With the numbers of the Service port; `node_port` 0 is none.
    #[must_use]
    pub fn with_ports(mut self, port: u16, target_port: &str, node_port: u16) -> Self {
        self.port = Port::new(port);
        self.target_port = to_field(target_port);
        self.node_port = Port::new(node_port);
        self
    }

    /// With the number that stands for `spec.type`.
    #[must_use]
    pub const fn with_kind(mut self, kind: u8) -> Self {
        self.kind = kind;
        self
    }

    /// `metadata.namespace`
    pub fn namespace(&self) -> &str {
        from_field(&self.namespace)
    }

    /// `metadata.name`
    pub fn name(&self) -> &str {
        from_field(&self.name)
    }

    /// `spec.ports[].name`, empty where there is none.
    pub fn port_name(&self) -> &str {
        from_field(&self.port_name)
    }

    /// `spec.ports[].targetPort` as written.
    pub fn target_port(&self) -> &str {
        from_field(&self.target_port)
    }

    /// `spec.ports[].port`
    pub const fn port(&self) -> u16 {
        self.port.number()
    }

    /// `spec.ports[].nodePort`, 0 where there is none.
    pub const fn node_port(&self) -> u16 {
        self.node_port.number()
    }

    /// `spec.ports[].protocol`
    pub const fn proto(&self) -> Proto {
        self.proto
    }

    /// 4 or 6.
    pub const fn family(&self) -> u8 {
        self.family
    }

    /// The number that stands for `spec.type`.
    pub const fn kind(&self) -> u8 {
        self.kind
    }
}

impl fmt::Debug for ServiceLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}:{} {} IPv{}",
            self.namespace(),
            self.name(),
            self.port_name(),
            self.proto,
            self.family
        )
    }
}

/// Text as zero-terminated bytes, cut at a character's boundary.
fn to_field<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [0; N];
    let mut end = text.len().min(N);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    for (to, from) in field.iter_mut().zip(text.as_bytes().iter().take(end)) {
        *to = *from;
    }
    field
}

/// The text before the first zero byte; empty where the bytes are not UTF-8.
fn from_field(field: &[u8]) -> &str {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    core::str::from_utf8(field.get(..end).unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_its_three_numbers_in_one_word() {
        for (first, len, generation) in [(0, 0, 0), (1, 1, 1), (u32::MAX, List::MAX_LEN, 4095)] {
            let list = List::from_word(List::new(first, len, generation).word());
            assert_eq!((list.first(), list.len(), list.generation()), (first, len, generation));
        }
    }

    #[test]
    fn a_list_longer_than_its_field_is_cut_and_a_generation_wraps() {
        let list = List::new(7, u32::MAX, 4096);
        assert_eq!((list.first(), list.len(), list.generation()), (7, List::MAX_LEN, 0));
    }

    #[test]
    fn a_label_says_what_it_was_told() {
        let label = ServiceLabel::new("default", "web", "http", Proto::TCP, 4)
            .with_ports(8080, "http-alt", 31111)
            .with_kind(2);
        assert_eq!((label.namespace(), label.name(), label.port_name()), ("default", "web", "http"));
        assert_eq!((label.port(), label.target_port(), label.node_port()), (8080, "http-alt", 31111));
        assert_eq!((label.proto(), label.family(), label.kind()), (Proto::TCP, 4, 2));
    }

    #[test]
    fn a_label_of_any_text_stays_valid_text() {
        let long = "ä".repeat(40);
        let label = ServiceLabel::new(&long, &"x".repeat(64), "", Proto::UDP, 6);
        assert_eq!(label.namespace(), "ä".repeat(32));
        assert_eq!(label.name().len(), 64);
        assert_eq!(label.port_name(), "");
    }
}
