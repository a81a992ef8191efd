//! Addresses that no Service and no endpoint has.

use std::net::IpAddr;

/// Why an address can't be a Service's or an endpoint's, in words that follow «it is»; `None` where it can.
///
/// What every host takes for itself, for its link or for many hosts is nobody's: an object must neither catch what is
/// sent there, such as a cloud's metadata at 169.254.169.254, nor lead to the node's own loopback. An API server
/// refuses it of most fields, not of all (EXT-01, EPS-02). An IPv6 address that maps an IPv4 one would be that one in
/// every key, in a family that it does not belong to.
pub fn why_not_dialled(ip: IpAddr) -> Option<&'static str> {
    let (mapped, link_local, broadcast) = match ip {
        IpAddr::V4(v4) => (false, v4.is_link_local(), v4.is_broadcast()),
        IpAddr::V6(v6) => (v6.to_ipv4_mapped().is_some(), v6.is_unicast_link_local(), false),
    };
    let reasons = [
        (mapped, "an IPv4 address mapped into IPv6"),
        (ip.is_unspecified(), "the unspecified address"),
        (ip.is_loopback(), "a loopback address"),
        (ip.is_multicast(), "a multicast address"),
        (link_local, "a link-local address"),
        (broadcast, "the broadcast address"),
    ];
    reasons.into_iter().find(|(is, _)| *is).map(|(_, why)| why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> Option<&'static str> {
        why_not_dialled(text.parse().expect(text))
    }

    #[test]
    fn what_a_host_sends_to_itself_to_its_link_or_to_many_is_nobodys() {
        for (text, expected) in [
            ("127.0.0.1", "a loopback address"),
            ("127.8.8.8", "a loopback address"),
            ("::1", "a loopback address"),
            ("0.0.0.0", "the unspecified address"),
            ("::", "the unspecified address"),
            ("169.254.169.254", "a link-local address"),
            ("fe80::a", "a link-local address"),
            ("224.0.0.251", "a multicast address"),
            ("ff02::1", "a multicast address"),
            ("255.255.255.255", "the broadcast address"),
            ("::ffff:10.0.0.1", "an IPv4 address mapped into IPv6"),
        ] {
            assert_eq!(why(text), Some(expected), "{text}");
        }
        for text in ["10.0.0.1", "169.253.0.1", "128.0.0.1", "fd00::1", "2001:db8::1", "fec0::1", "240.0.0.1"]
        {
            assert_eq!(why(text), None, "{text}");
        }
    }
}
