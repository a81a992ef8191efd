//! Addresses as people have always written them to Kubernetes (SVC-13).

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

/// An address. Leading zeros of an IPv4 number are accepted and mean nothing: `172.030.0.041` is
/// 172.30.0.41, as it was to Go before 1.17 and still is to Kubernetes. A mapped IPv4 address is the IPv4
/// address, as it is to Kubernetes.
pub fn parse_address(text: &str) -> Option<IpAddr> {
    match text.parse::<IpAddr>() {
        Ok(ip) => Some(ip.to_canonical()),
        Err(_) => parse_v4_with_zeros(text).map(IpAddr::V4),
    }
}

/// A network in CIDR notation, its address parsed as [`parse_address`] does, cut to its prefix.
pub fn parse_network(text: &str) -> Option<IpNet> {
    let (address, prefix) = text.split_once('/')?;
    // `u8::from_str` takes a sign, which no CIDR has.
    let prefix: u8 = prefix.bytes().all(|byte| byte.is_ascii_digit()).then(|| prefix.parse().ok())??;
    let net = match (parse_address(address)?, address.contains(':')) {
        (IpAddr::V4(v4), true) => IpNet::V4(Ipv4Net::new(v4, prefix.checked_sub(96)?).ok()?),
        (ip, _) => IpNet::new(ip, prefix).ok()?,
    };
    Some(net.trunc())
}

fn parse_v4_with_zeros(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = part.trim_start_matches('0');
        *octet = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn svc_13_leading_zeros_mean_nothing() {
        for (text, meant) in [
            ("172.030.0.041", "172.30.0.41"),
            ("010.96.00.1", "10.96.0.1"),
            ("000.0.0.0", "0.0.0.0"),
            ("10.96.0.1", "10.96.0.1"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("FD00:0:0::0001", "fd00::1"),
        ] {
            assert_eq!(parse_address(text).map(|ip| ip.to_string()).as_deref(), Some(meant), "{text}");
        }
    }

    #[test]
    fn svc_13_what_is_no_address_stays_none() {
        for text in ["", "10.96.0", "10.96.0.1.2", "10.96.0.256", "10.96.0.+1", "a.b.c.d", "10.96..1", "1:2"]
        {
            assert_eq!(parse_address(text), None, "{text:?}");
        }
    }

    #[test]
    fn svc_13_a_network_is_cut_to_its_prefix_and_written_the_usual_way() {
        for (text, meant) in [
            ("10.0.0.7/8", "10.0.0.0/8"),
            ("010.001.0.0/16", "10.1.0.0/16"),
            ("fd00::1/64", "fd00::/64"),
            ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            assert_eq!(parse_network(text).map(|net| net.to_string()).as_deref(), Some(meant), "{text}");
        }
        for text in ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0.0/", "::/129", "::ffff:10.0.0.0/8"] {
            assert_eq!(parse_network(text), None, "{text:?}");
        }
    }
}
