//! IPv4's options (RFC 791 §3.1), of which one matters: a route that the sender has laid out.

use network_types::ip::Ipv4Hdr;

use super::{L3, Packet};

/// Ends the options.
const END: u8 = 0;
/// One byte of padding; every other option has a length.
const NO_OPERATION: u8 = 1;
/// Loose and strict source route.
const ROUTES: [u8; 2] = [131, 137];

/// Most options that there may be: forty bytes, and none is shorter than one.
pub const MOST: u32 = 40;

/// The search among a packet's options for a route that the sender has laid out. With one its destination is a stop
/// on the way, and what becomes of it is the kernel's to say (`accept_source_route`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Walk {
    at: usize,
    end: usize,
    /// Whether one was found, or an option that contradicts itself.
    pub is_source_routed: bool,
}

impl Walk {
    /// From the first option of a packet whose transport header is at `l4`.
    #[inline(always)]
    pub const fn new(l4: usize) -> Self {
        Self { at: L3 + Ipv4Hdr::LEN, end: l4, is_source_routed: false }
    }

    /// Looks at one option; false where there is no need of another.
    #[inline(always)]
    pub fn step<P: Packet>(&mut self, packet: &P) -> bool {
        if self.at >= self.end {
            return false;
        }
        let Some([kind, len]) = packet.half(self.at).map(u16::to_ne_bytes) else {
            self.is_source_routed = true;
            return false;
        };
        match kind {
            END => return false,
            NO_OPERATION => self.at += 1,
            _ if len < 2 || ROUTES.contains(&kind) => {
                self.is_source_routed = true;
                return false;
            }
            _ => self.at += len as usize,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::Bytes;
    use super::*;

    #[track_caller]
    fn check(options: &[u8], expected: bool) {
        let mut frame = [&[0; L3 + 20][..], options, &[0; 20]].concat();
        let len = frame.len();
        let l4 = L3 + 20 + options.len();
        let (packet, mut walk) = (Bytes::new(&mut frame, len), Walk::new(l4));
        for _ in 0..MOST {
            if !walk.step(&packet) {
                break;
            }
        }
        assert_eq!(walk.is_source_routed, expected, "{options:?}");
    }

    #[test]
    fn a_route_is_found_behind_any_other_option() {
        check(&[131, 7, 4, 1, 2, 3, 4, 0], true);
        check(&[1, 137, 7, 4, 1, 2, 3, 4], true);
        check(&[68, 4, 5, 0, 7, 3, 4, 1, 1, 131, 3, 4], true);
        check(&[&[1; 39][..], &[131]].concat(), true);
    }

    #[test]
    fn what_is_inside_an_option_or_behind_their_end_is_none() {
        check(&[], false);
        check(&[1; 40], false);
        check(&[7, 8, 131, 137, 131, 137, 131, 137], false);
        check(&[0, 131, 7, 4], false);
        check(&[148, 4, 0, 0], false);
    }

    #[test]
    fn options_that_contradict_themselves_are_not_trusted() {
        check(&[7, 1, 0, 0], true);
        check(&[7, 0, 0, 0], true);
        // Longer than there is room: the kernel refuses it by itself.
        check(&[7, 200, 0, 0], false);
    }
}
