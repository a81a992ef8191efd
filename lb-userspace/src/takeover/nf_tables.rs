//! What nf_tables has, asked of the kernel itself (nfnetlink, linux/netfilter/nf_tables.h): whether there is
//! something of a kube-proxy's is known also where no tool is.

use std::io;

use rustix::io::Errno;
use rustix::net::netlink;

use crate::netlink::{Netlink, attribute};

/// `NFNL_SUBSYS_NFTABLES` above the message: `NFT_MSG_NEWTABLE`, `…_GETTABLE`, `…_NEWCHAIN`, `…_GETCHAIN`
const NEW_TABLE: u16 = 10 << 8;
const GET_TABLE: u16 = NEW_TABLE | 1;
const NEW_CHAIN: u16 = NEW_TABLE | 3;
const GET_CHAIN: u16 = NEW_TABLE | 4;
/// `NFTA_TABLE_NAME`; `NFTA_CHAIN_NAME`
const TABLE_NAME: u16 = 1;
const CHAIN_NAME: u16 = 3;
/// `struct nfgenmsg`: a family, a version, and two bytes for more.
const GENERIC: usize = 4;
/// `NFPROTO_IPV4`, `NFPROTO_IPV6`
const FAMILIES: [(u8, &str); 2] = [(2, "ip"), (10, "ip6")];

/// Something with a name, of the family `ip` or `ip6`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// `ip` or `ip6`
    pub(super) family: &'static str,
    /// As `nft` shows it.
    pub(super) name: String,
}

/// The tables of both families.
pub(super) fn tables() -> io::Result<Vec<Named>> {
    names(GET_TABLE, NEW_TABLE, TABLE_NAME)
}

/// The chains of all tables.
pub(super) fn chains() -> io::Result<Vec<Named>> {
    names(GET_CHAIN, NEW_CHAIN, CHAIN_NAME)
}

fn names(ask: u16, answer: u16, attribute: u16) -> io::Result<Vec<Named>> {
    let mut all = Vec::new();
    let asked = Netlink::open(netlink::NETFILTER).and_then(|mut kernel| {
        kernel.dump(ask, &[0; GENERIC], answer, |body| all.extend(named(body, attribute)))
    });
    match asked {
        Err(error) if is_absent(&error) => Ok(Vec::new()),
        asked => asked.map(|()| all),
    }
}

/// A kernel without nf_tables: no such protocol, or none of its parts takes such messages.
fn is_absent(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    [Errno::PROTONOSUPPORT, Errno::INVAL, Errno::OPNOTSUPP].into_iter().any(|one| errno == Some(one))
}

fn named(body: &[u8], wanted: u16) -> Option<Named> {
    let [family, ..] = *body else { return None };
    let family = FAMILIES.iter().find(|(number, _)| *number == family)?.1;
    let name = attribute(body.get(GENERIC..)?, wanted)?;
    let name = name.strip_suffix(&[0]).unwrap_or(name);
    Some(Named { family, name: String::from_utf8_lossy(name).into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_read_with_its_family_and_others_are_passed_over() {
        let chain = |family| {
            let mut body = vec![family, 0, 0, 0];
            for (kind, name) in [(1_u16, "nat\0"), (CHAIN_NAME, "KUBE-MARK-MASQ\0")] {
                let length = u16::try_from(4 + name.len()).expect("a short name");
                body.extend([length.to_ne_bytes(), kind.to_ne_bytes()].concat());
                body.extend(name.bytes());
                body.resize(body.len().next_multiple_of(4), 0);
            }
            body
        };
        let expected = |family| Named { family, name: "KUBE-MARK-MASQ".to_owned() };
        assert_eq!(named(&chain(2), CHAIN_NAME), Some(expected("ip")));
        assert_eq!(named(&chain(10), CHAIN_NAME), Some(expected("ip6")));
        assert_eq!(named(&chain(1), CHAIN_NAME), None, "inet");
        assert_eq!(named(&chain(2)[..3], CHAIN_NAME), None);
    }
}
