//! Access to `struct bpf_sock_addr`: the only place that reads and writes it.
//!
//! Every word is read and written by one volatile access of its own: where the compiler merges or splits
//! them, the verifier says «dereference of modified ctx ptr».

use aya_ebpf::{
    helpers::generated::bpf_get_netns_cookie, helpers::generated::bpf_get_socket_cookie,
    programs::SockAddrContext,
};
use lb_common::{Addr, Port, Proto};

/// How a hook's context holds the address.
pub trait Form {
    /// The address in the context.
    fn addr(ctx: &SockAddrContext) -> Addr;
    /// Puts another in its place.
    fn set_addr(ctx: &SockAddrContext, addr: Addr);
}

/// `user_ip4`
pub struct V4;

/// `user_ip6`, IPv4 in mapped form
pub struct V6;

impl Form for V4 {
    #[inline(always)]
    fn addr(ctx: &SockAddrContext) -> Addr {
        // SAFETY: a word of the context.
        Addr::from_v4_word(unsafe { (&raw const (*ctx.sock_addr).user_ip4).read_volatile() })
    }

    #[inline(always)]
    fn set_addr(ctx: &SockAddrContext, addr: Addr) {
        // SAFETY: a word of the context that these hooks may write.
        unsafe { (&raw mut (*ctx.sock_addr).user_ip4).write_volatile(addr.v4_word()) };
    }
}

impl Form for V6 {
    #[inline(always)]
    fn addr(ctx: &SockAddrContext) -> Addr {
        // SAFETY: words of the context.
        unsafe {
            Addr::from_words([
                (&raw const (*ctx.sock_addr).user_ip6[0]).read_volatile(),
                (&raw const (*ctx.sock_addr).user_ip6[1]).read_volatile(),
                (&raw const (*ctx.sock_addr).user_ip6[2]).read_volatile(),
                (&raw const (*ctx.sock_addr).user_ip6[3]).read_volatile(),
            ])
        }
    }

    #[inline(always)]
    fn set_addr(ctx: &SockAddrContext, addr: Addr) {
        let words = addr.words();
        // SAFETY: words of the context that these hooks may write.
        unsafe {
            (&raw mut (*ctx.sock_addr).user_ip6[0]).write_volatile(words[0]);
            (&raw mut (*ctx.sock_addr).user_ip6[1]).write_volatile(words[1]);
            (&raw mut (*ctx.sock_addr).user_ip6[2]).write_volatile(words[2]);
            (&raw mut (*ctx.sock_addr).user_ip6[3]).write_volatile(words[3]);
        }
    }
}

/// The port in the context: a word of which the first two bytes are the port.
#[inline(always)]
pub fn port(ctx: &SockAddrContext) -> Port {
    // SAFETY: a word of the context.
    Port::from_wire(unsafe { (&raw const (*ctx.sock_addr).user_port).read_volatile() } as u16)
}

/// Puts another port in its place.
#[inline(always)]
pub fn set_port(ctx: &SockAddrContext, port: Port) {
    // SAFETY: a word of the context that these hooks may write.
    unsafe { (&raw mut (*ctx.sock_addr).user_port).write_volatile(port.wire().into()) };
}

/// The socket's protocol, where Services have ports of it.
#[inline(always)]
pub fn proto(ctx: &SockAddrContext) -> Option<Proto> {
    const TCP: u32 = 6;
    const UDP: u32 = 17;
    /// A Multipath TCP socket (RFC 8684): TCP to the peer.
    const MPTCP: u32 = 262;
    // SAFETY: a word of the context.
    match unsafe { (&raw const (*ctx.sock_addr).protocol).read_volatile() } {
        TCP | MPTCP => Some(Proto::TCP),
        UDP => Some(Proto::UDP),
        _ => None,
    }
}

/// The cookie of the network namespace that the socket is in.
#[inline(always)]
pub fn netns(ctx: &SockAddrContext) -> u64 {
    // SAFETY: the context is this program's own.
    unsafe { bpf_get_netns_cookie(ctx.sock_addr.cast()) }
}

/// The socket's cookie.
#[inline(always)]
pub fn cookie(ctx: &SockAddrContext) -> u64 {
    // SAFETY: the context is this program's own.
    unsafe { bpf_get_socket_cookie(ctx.sock_addr.cast()) }
}
