//! The programs in the kernel: entry points only. Each one decodes, lets [`hook`] decide, and converts the
//! verdict; what a hook does to a dial or a datagram can be read there from top to bottom.
#![no_std]
#![no_main]
// One load or store for each word of a packet: see `skb`.
#![feature(asm_experimental_arch)]

mod answer;
mod config;
mod decode;
mod flow;
mod hook;
mod maps;
mod route;
mod send;
mod service;
mod skb;
mod verdict;
mod work;

use aya_ebpf::{
    macros::{cgroup_sock, cgroup_sock_addr, classifier},
    programs::{SockAddrContext, SockContext, TcContext},
};

use crate::hook::{
    bind,
    socket::{self, V4, V6},
    tc,
};

/// connect(2) of an IPv4 socket.
#[cgroup_sock_addr(connect4)]
pub fn shunt_connect4(ctx: SockAddrContext) -> i32 {
    socket::connect::<V4>(&ctx)
}

/// connect(2) of an IPv6 socket, to an IPv4 address in mapped form too.
#[cgroup_sock_addr(connect6)]
pub fn shunt_connect6(ctx: SockAddrContext) -> i32 {
    socket::connect::<V6>(&ctx)
}

/// sendto(2), sendmsg(2) with an IPv4 address: also of IPv6 sockets, which name it in mapped form.
#[cgroup_sock_addr(sendmsg4)]
pub fn shunt_sendmsg4(ctx: SockAddrContext) -> i32 {
    socket::send::<V4>(&ctx)
}

/// sendto(2), sendmsg(2) with an IPv6 address.
#[cgroup_sock_addr(sendmsg6)]
pub fn shunt_sendmsg6(ctx: SockAddrContext) -> i32 {
    socket::send::<V6>(&ctx)
}

/// recvfrom(2), recvmsg(2) of an IPv4 socket.
#[cgroup_sock_addr(recvmsg4)]
pub fn shunt_recvmsg4(ctx: SockAddrContext) -> i32 {
    socket::receive::<V4>(&ctx)
}

/// recvfrom(2), recvmsg(2) of an IPv6 socket, from an IPv4 address in mapped form too.
#[cgroup_sock_addr(recvmsg6)]
pub fn shunt_recvmsg6(ctx: SockAddrContext) -> i32 {
    socket::receive::<V6>(&ctx)
}

/// getpeername(2) of an IPv4 socket.
#[cgroup_sock_addr(getpeername4)]
pub fn shunt_peername4(ctx: SockAddrContext) -> i32 {
    socket::peer_name::<V4>(&ctx)
}

/// getpeername(2) of an IPv6 socket, of an IPv4 peer in mapped form too.
#[cgroup_sock_addr(getpeername6)]
pub fn shunt_peername6(ctx: SockAddrContext) -> i32 {
    socket::peer_name::<V6>(&ctx)
}

/// After bind(2) of an IPv4 socket.
#[cgroup_sock(post_bind4)]
pub fn shunt_bind4(ctx: SockContext) -> i32 {
    bind::post_bind(&ctx, bind::address_v4(&ctx))
}

/// After bind(2) of an IPv6 socket.
#[cgroup_sock(post_bind6)]
pub fn shunt_bind6(ctx: SockContext) -> i32 {
    bind::post_bind(&ctx, bind::address_v6(&ctx))
}

/// A packet comes in by a device that leads out of the node.
#[classifier]
pub fn shunt_ingress(ctx: TcContext) -> i32 {
    tc::ingress(&ctx, false)
}

/// A packet comes from a pod of this node.
#[classifier]
pub fn shunt_pod_in(ctx: TcContext) -> i32 {
    tc::ingress(&ctx, true)
}

/// A packet goes out by either kind of device.
#[classifier]
pub fn shunt_egress(ctx: TcContext) -> i32 {
    tc::egress(&ctx)
}

/// A panic that could be reached would make the verifier refuse the program: this is never run.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// `bpf_set_retval` and `bpf_sk_storage_get` are for programs that say they are GPL-compatible.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
