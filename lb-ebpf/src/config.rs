//! Read-only globals that the loader sets; the verifier folds them into the programs.

use aya_ebpf::Global;

/// The cookie of the node's own network namespace (`SO_NETNS_COOKIE`, Linux 5.14).
#[unsafe(no_mangle)]
static NODE_NETNS: Global<u64> = Global::new(0);

/// Whether `cookie` is the node's own network namespace: a process of the node, or a pod on its network.
#[inline(always)]
pub fn is_node(cookie: u64) -> bool {
    cookie == NODE_NETNS.load()
}
