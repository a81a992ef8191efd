//! Addresses, ports and protocols as they stand in a packet.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// An IPv4 or IPv6 address in 16 bytes, network order; IPv4 is mapped (`::ffff:a.b.c.d`, RFC 4291 §2.5.5.2),
/// so that both families share one key and one code path.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Addr {
    /// Each word holds four bytes of the address in memory order: `u32::from_ne_bytes` of the wire bytes.
    words: [u32; 4],
}

/// The third word of every mapped IPv4 address.
const MAPPED: u32 = 0xffff_u32.to_be();

impl Addr {
    /// `::`, which no service can have.
    pub const UNSPECIFIED: Self = Self { words: [0; 4] };
    /// `::ffff:127.0.0.1`
    pub const LOOPBACK_V4: Self = Self::from_v4_word(0x7f00_0001_u32.to_be());
    /// `::1`
    pub const LOOPBACK_V6: Self = Self { words: [0, 0, 0, 1_u32.to_be()] };

    /// From the word of an IPv4 header or a `sockaddr_in`, network order in memory.
    #[inline(always)]
    pub const fn from_v4_word(word: u32) -> Self {
        Self { words: [0, 0, MAPPED, word] }
    }

    /// From the words of an IPv6 header or a `sockaddr_in6`, network order in memory.
    #[inline(always)]
    pub const fn from_words(words: [u32; 4]) -> Self {
        Self { words }
    }

    /// The four words, network order in memory.
    #[inline(always)]
    pub const fn words(&self) -> [u32; 4] {
        self.words
    }

    /// Whether this is a mapped IPv4 address.
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        self.words[0] == 0 && self.words[1] == 0 && self.words[2] == MAPPED
    }

    /// The last word: all of a mapped IPv4 address, network order in memory.
    #[inline(always)]
    pub const fn v4_word(&self) -> u32 {
        self.words[3]
    }

    /// Whether a socket that dials this reaches its own network namespace: 127.0.0.0/8 and `::1`, and also
    /// `0.0.0.0` and `::`, which connect(2) takes for loopback.
    #[inline(always)]
    pub const fn is_own_host(&self) -> bool {
        let [a, b, c, d] = self.words;
        if a != 0 || b != 0 {
            return false;
        }
        if c == MAPPED {
            return d == 0 || d.to_ne_bytes()[0] == 127;
        }
        c == 0 && (d == 0 || d == 1_u32.to_be())
    }

    /// Whether a socket bound to this listens on every address: `0.0.0.0` and `::`.
    #[inline(always)]
    pub const fn is_any_host(&self) -> bool {
        let [a, b, c, d] = self.words;
        a == 0 && b == 0 && (c == 0 || c == MAPPED) && d == 0
    }

    /// Whether a host outside may have this address: it is neither one of its own host ([`Self::is_own_host`])
    /// nor of 0.0.0.0/8 nor of many hosts (224.0.0.0/4, 255.255.255.255, `ff00::/8`; RFC 1122 §3.2.1.3, RFC 4291
    /// §2.7).
    #[inline(always)]
    pub const fn is_unicast(&self) -> bool {
        if self.is_v4() {
            let [first, ..] = self.v4_word().to_ne_bytes();
            return first != 0 && first != 127 && first & 0xf0 != 224 && self.v4_word() != u32::MAX;
        }
        self.words[0].to_ne_bytes()[0] != 0xff && !self.is_own_host()
    }

    /// Whether it is an IPv6 address of one link alone, `fe80::/10`, which no router may send on (RFC 4291
    /// §2.5.6). IPv4's are another matter: the kernel does send them on.
    #[inline(always)]
    pub const fn is_of_link(&self) -> bool {
        let [first, second, ..] = self.words[0].to_ne_bytes();
        first == 0xfe && second & 0xc0 == 0x80
    }

    /// The loopback address of the same family.
    #[inline(always)]
    pub const fn loopback(&self) -> Self {
        if self.is_v4() { Self::LOOPBACK_V4 } else { Self::LOOPBACK_V6 }
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::from_v4_word(u32::from_ne_bytes(v4.octets())),
            IpAddr::V6(v6) => {
                let mut words = [0; 4];
                for (word, bytes) in words.iter_mut().zip(v6.octets().chunks_exact(4)) {
                    *word = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                }
                Self { words }
            }
        }
    }
}

impl From<Addr> for IpAddr {
    fn from(addr: Addr) -> Self {
        if addr.is_v4() {
            return Self::V4(Ipv4Addr::from(addr.words[3].to_ne_bytes()));
        }
        let mut octets = [0; 16];
        for (bytes, word) in octets.chunks_exact_mut(4).zip(addr.words) {
            bytes.copy_from_slice(&word.to_ne_bytes());
        }
        Self::V6(Ipv6Addr::from(octets))
    }
}

impl Ord for Addr {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        IpAddr::from(*self).cmp(&IpAddr::from(*other))
    }
}

impl PartialOrd for Addr {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&IpAddr::from(*self), f)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A port, network order in memory.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Port(u16);

impl Port {
    /// From the field of a header or of a `sockaddr`, network order in memory.
    #[inline(always)]
    pub const fn from_wire(be: u16) -> Self {
        Self(be)
    }

    /// From a number.
    #[inline(always)]
    pub const fn new(number: u16) -> Self {
        Self(number.to_be())
    }

    /// As it stands in a header, network order in memory.
    #[inline(always)]
    pub const fn wire(self) -> u16 {
        self.0
    }

    /// The number.
    #[inline(always)]
    pub const fn number(self) -> u16 {
        u16::from_be(self.0)
    }
}

impl Ord for Port {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.number().cmp(&other.number())
    }
}

impl PartialOrd for Port {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.number(), f)
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An IP protocol number (IANA). A Service port has one of [`Proto::TCP`], [`Proto::UDP`], [`Proto::SCTP`].
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Proto(u8);

impl Proto {
    /// No protocol: the key of an address guard (see [`crate::FrontendKey::address_guard`]).
    pub const ANY: Self = Self(0);
    /// TCP, 6
    pub const TCP: Self = Self(6);
    /// UDP, 17
    pub const UDP: Self = Self(17);
    /// SCTP, 132
    pub const SCTP: Self = Self(132);

    /// From the number in an IP header.
    #[inline(always)]
    pub const fn from_number(number: u8) -> Self {
        Self(number)
    }

    /// The number in an IP header.
    #[inline(always)]
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TCP => f.pad("TCP"),
            Self::UDP => f.pad("UDP"),
            Self::SCTP => f.pad("SCTP"),
            Self::ANY => f.pad("any"),
            Self(number) => write!(f, "proto-{number}"),
        }
    }
}

impl fmt::Debug for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Neither TCP, UDP nor SCTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownProto;

impl fmt::Display for UnknownProto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not one of TCP, UDP, SCTP")
    }
}

impl core::error::Error for UnknownProto {}

impl FromStr for Proto {
    type Err = UnknownProto;

    /// Any case: the API writes upper, people write lower.
    fn from_str(text: &str) -> Result<Self, UnknownProto> {
        [("tcp", Self::TCP), ("udp", Self::UDP), ("sctp", Self::SCTP)]
            .into_iter()
            .find_map(|(name, proto)| text.eq_ignore_ascii_case(name).then_some(proto))
            .ok_or(UnknownProto)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> Addr {
        text.parse::<IpAddr>().expect(text).into()
    }

    #[test]
    fn an_address_keeps_its_text_through_both_families() {
        for text in ["10.96.0.1", "0.0.0.0", "255.255.255.255", "fd00:10:96::a", "::", "::1"] {
            assert_eq!(addr(text).to_string(), text);
        }
    }

    #[test]
    fn an_ipv4_address_is_the_same_key_as_its_mapped_form_on_the_wire() {
        let words = [0, 0, u32::from_ne_bytes([0, 0, 0xff, 0xff]), u32::from_ne_bytes([10, 96, 0, 1])];
        assert_eq!(addr("10.96.0.1"), Addr::from_words(words));
        assert!(addr("10.96.0.1").is_v4());
        assert!(!addr("::10.96.0.1").is_v4());
    }

    #[test]
    fn only_loopback_and_unspecified_addresses_are_the_own_host() {
        for text in ["127.0.0.1", "127.9.8.7", "0.0.0.0", "::1", "::"] {
            assert!(addr(text).is_own_host(), "{text}");
        }
        for text in ["128.0.0.1", "10.0.0.127", "fe80::1", "::2", "::127.0.0.1"] {
            assert!(!addr(text).is_own_host(), "{text}");
        }
    }

    #[test]
    fn only_addresses_of_fe80_are_of_the_link() {
        for (text, expected) in [
            ("fe80::1", true),
            ("febf:ffff::", true),
            ("fec0::1", false),
            ("fe7f::1", false),
            ("fd00::fe80", false),
            ("169.254.0.1", false),
        ] {
            assert_eq!(addr(text).is_of_link(), expected, "{text}");
        }
    }

    #[test]
    fn addresses_and_ports_sort_as_people_count() {
        assert!(addr("10.0.0.2") < addr("10.0.0.10"));
        assert!(addr("9.255.255.255") < addr("10.0.0.0"));
        assert!(Port::new(80) < Port::new(443));
        assert!(Port::new(255) < Port::new(256));
    }

    #[test]
    fn a_protocol_reads_what_it_prints_in_any_case() {
        for proto in [Proto::TCP, Proto::UDP, Proto::SCTP] {
            assert_eq!(proto.to_string().parse(), Ok(proto));
            assert_eq!(proto.to_string().to_lowercase().parse(), Ok(proto));
        }
        assert_eq!("icmp".parse::<Proto>(), Err(UnknownProto));
    }

    #[test]
    fn only_an_address_that_one_host_outside_may_have_is_unicast() {
        let unicast = |text: &str| Addr::from(text.parse::<IpAddr>().expect(text)).is_unicast();
        for text in ["1.0.0.0", "10.0.0.1", "192.0.2.255", "223.255.255.255", "240.0.0.1", "255.255.255.254"]
        {
            assert!(unicast(text), "{text}");
        }
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.9.9.9",
            "224.0.0.1",
            "239.255.255.255",
            "255.255.255.255",
        ] {
            assert!(!unicast(text), "{text}");
        }
        assert!(unicast("2001:db8::1") && unicast("fe80::1") && unicast("::2"));
        assert!(!unicast("::") && !unicast("::1") && !unicast("ff02::1") && !unicast("ffff::1"));
    }
}
