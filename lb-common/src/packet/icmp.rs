//! ICMP errors about translated packets: what they quote must look like what their receiver sent (NAT-01,
//! KRN-02).
//!
//! An error quotes a packet `E`, and goes back to where that came from. The flow of `E`'s answers, the entry
//! of `E.reversed()`, says what such answers become, `T`: and the error is an answer of a kind. Its receiver
//! sent `T.reversed()`, so that is what it must quote, and `T.dst` is where it goes. That is true of all four
//! cases, of either side of the flow, masqueraded or not:
//!
//! | from | quotes | entry | becomes |
//! |---|---|---|---|
//! | the client's side | frontend → client | client → frontend ⇒ source → backend | backend → source |
//! | the backend's side | source → backend | backend → source ⇒ frontend → client | client → frontend |
//!
//! where the source is the client itself, or the node in its place.

use core::mem::offset_of;

use network_types::icmp::{Icmpv4Hdr, Icmpv6Hdr};

use super::headers::Headers;
use super::network::Network;
use super::rewrite::{V4_CHECKSUM, checksum_field, set_addresses, set_ports};
use super::{ChecksumField, L3, Packet, Sum};
use crate::{Addr, FlowKey};

/// A packet quoted by an ICMP error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quoted {
    /// Its tuple.
    pub tuple: FlowKey,
    /// Where its IP header is.
    pub l3: usize,
    /// Where its transport header is.
    pub l4: usize,
}

/// The packet that an error quotes; `None` where it is not one with ports, or is not of who is told: whoever knows
/// a flow's tuple could else have an error about it carried to any address, as the kernel's own tracking once did.
#[inline(always)]
pub fn quoted<P: Packet>(packet: &P, headers: &Headers) -> Option<Quoted> {
    let l3 = headers.l4 + Icmpv4Hdr::LEN;
    let network =
        if headers.is_v4() { Network::parse_v4(packet, l3)? } else { Network::parse_v6(packet, l3)? };
    if network.src != headers.tuple.dst() || !network.has_ports() || network.l4 + 8 > L3 + headers.total {
        return None;
    }
    let [ports] = packet.words::<1>(network.l4)?;
    Some(Quoted { tuple: network.tuple(ports), l3, l4: network.l4 })
}

/// Rewrites an error: it quotes `to.reversed()`, goes to `to.dst()`, and comes from `src`.
#[inline(always)]
pub fn rewrite<P: Packet>(
    packet: &mut P,
    headers: &Headers,
    quoted: &Quoted,
    to: &FlowKey,
    src: Addr,
) -> Option<()> {
    let v4 = headers.is_v4();
    let body = rewrite_quoted(packet, L3 + headers.total, v4, quoted, &to.reversed())?;
    let outer = &headers.tuple;
    let new = FlowKey::new(src, outer.sport(), to.dst(), outer.dport(), outer.proto());
    let addresses = set_addresses(packet, L3, outer, &new)?;
    // Only ICMPv6 sums a pseudo-header (RFC 4443 §2.3).
    let pseudo = if v4 { Sum::ZERO } else { addresses };
    let at = headers.l4 + offset_of!(Icmpv6Hdr, check);
    packet.fix_checksum(ChecksumField { at, optional: false, v6: !v4 }, pseudo, body)
}

/// Gives the quoted packet another tuple; the difference that it makes to what quotes it. The checksum of its
/// transport header is adjusted where it is quoted: an SCTP one can't be, and nobody checks it.
#[inline(always)]
fn rewrite_quoted<P: Packet>(
    packet: &mut P,
    end: usize,
    v4: bool,
    quoted: &Quoted,
    to: &FlowKey,
) -> Option<Sum> {
    let v4_checksum = quoted.l3 + V4_CHECKSUM;
    let before = if v4 { packet.half(v4_checksum)? } else { 0 };
    let addresses = set_addresses(packet, quoted.l3, &quoted.tuple, to)?;
    let after = if v4 { packet.half(v4_checksum)? } else { 0 };
    let ports = set_ports(packet, quoted.l4, to)?;
    let body = addresses.add(ports).replace_half(before, after);
    let Some(field) = checksum_field(quoted.tuple.proto(), quoted.l4, v4) else {
        return Some(body);
    };
    if field.at + 2 > end {
        return Some(body);
    }
    let Some(old) = packet.half(field.at) else {
        return Some(body);
    };
    if field.optional && old == 0 {
        return Some(body);
    }
    let new = addresses.add(ports).apply(old);
    let new = if field.optional && new == 0 { 0xffff } else { new };
    packet.set_half(field.at, new)?;
    Some(body.replace_half(old, new))
}
