//! Datagrams in fragments.

use super::{Body, Fragment, Packet};

impl Packet {
    /// It in fragments of `size` bytes of payload, a multiple of eight.
    #[must_use]
    pub fn fragments(&self, id: u32, size: usize) -> Vec<Self> {
        let payload = self.payload_bytes();
        let last = payload.len().div_ceil(size) - 1;
        let parts = payload.chunks(size).enumerate();
        parts
            .map(|(index, bytes)| {
                let offset = (index * size) as u16;
                let body = Body::Part { proto: self.proto(), bytes: bytes.to_vec() };
                let mut part = Self { body, ..self.clone() };
                part.fragment = Some(Fragment { id, offset, more: index < last });
                part.src.set_port(0);
                part.dst.set_port(0);
                part
            })
            .collect()
    }

    /// What its receiver makes of fragments that came in order.
    ///
    /// # Errors
    ///
    /// They don't fit together, or what they make is wrong as a whole.
    pub fn reassembled(parts: &[Self]) -> Result<Self, String> {
        let first = parts.first().ok_or("no fragment")?;
        let mut whole = Vec::new();
        for part in parts {
            let (Some(fragment), Body::Part { bytes, .. }) = (part.fragment, &part.body) else {
                return Err(format!("not a fragment: {part:?}"));
            };
            let same = (part.src, part.dst, part.ttl) == (first.src, first.dst, first.ttl);
            if !same || usize::from(fragment.offset) != whole.len() {
                return Err(format!("does not follow: {part:?}"));
            }
            whole.extend(bytes);
        }
        let body = Body::Part { proto: first.proto(), bytes: whole };
        Self::read(&Self { body, fragment: None, ..first.clone() }.bytes())
    }
}
