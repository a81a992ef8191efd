//! Filters of a clsact qdisc, for kernels before Linux 6.6 and for those who want no TCX. They have a priority
//! and a handle of ours, by which a later run finds and replaces them.

use std::io;

use aya::programs::tc::{
    NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact,
    qdisc_detach_program,
};
use aya::programs::{ProgramError, SchedClassifier};
use futures::TryStreamExt;
use rtnetlink::packet_route::tc::TcHandle as QdiscHandle;

use super::record::DeviceStatus;
use super::{EGRESS, INGRESS, POD_INGRESS, TcHook};
use crate::node::devices::Device;

const HANDLE: TcHandle = TcHandle::new(0, 1);

/// Attaches a loaded program, in place of an earlier one of ours where there is one. Returns whether the
/// device had no clsact qdisc before.
pub(super) fn attach(
    program: &mut SchedClassifier,
    device: &Device,
    hook: TcHook,
) -> Result<bool, ProgramError> {
    let made_qdisc = match qdisc_add_clsact(&device.name) {
        Ok(()) => true,
        Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => false,
        Err(error) => return Err(error.into()),
    };
    let earlier = SchedClassifierLink::attached(&device.name, hook.direction, hook.priority, HANDLE, None)?;
    let id = match program.attach_to_link(earlier) {
        Ok(id) => id,
        Err(_) => {
            let options = NlOptions { priority: hook.priority, handle: HANDLE, classid: None };
            program.attach_with_options(&device.name, hook.direction, TcAttachOptions::Netlink(options))?
        }
    };
    // Dropped, the link would take the filter off.
    std::mem::forget(program.take_link(id)?);
    Ok(made_qdisc)
}

/// Takes our filters off a device. That there is none, or no such device, is as good.
pub(super) fn detach(device: &str) {
    for hook in [INGRESS, POD_INGRESS, EGRESS] {
        if let Err(error) = qdisc_detach_program(device, hook.direction, hook.program) {
            tracing::debug!(device, program = hook.program, %error, "no filter taken off");
        }
    }
}

/// Takes our filters off these devices, and the clsact qdiscs that we made where no filter is left in them.
/// Run in the network namespace of the node. Returns the devices from which something was taken.
///
/// # Errors
///
/// Where there is no netlink.
pub fn remove_filters(statuses: &[DeviceStatus]) -> io::Result<Vec<String>> {
    let ours: Vec<&DeviceStatus> =
        statuses.iter().filter(|status| status.made_qdisc || status.has_filter()).collect();
    if ours.is_empty() {
        return Ok(Vec::new());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        for status in &ours {
            detach(&status.device);
            if status.made_qdisc && !has_filters(&handle, status.index).await {
                remove_qdisc(&handle, status.index).await;
            }
        }
        Ok(ours.iter().map(|status| status.device.clone()).collect())
    })
}

async fn has_filters(handle: &rtnetlink::Handle, index: u32) -> bool {
    let index = index.cast_signed();
    for request in [handle.traffic_filter(index).get().ingress(), handle.traffic_filter(index).get().egress()]
    {
        let filters: Result<Vec<_>, _> = request.execute().try_collect().await;
        if filters.is_ok_and(|filters| !filters.is_empty()) {
            return true;
        }
    }
    false
}

async fn remove_qdisc(handle: &rtnetlink::Handle, index: u32) {
    /// `TC_H_CLSACT` and `TC_H_INGRESS` (linux/pkt_sched.h)
    const CLSACT: QdiscHandle = QdiscHandle { major: 0xffff, minor: 0 };
    const PARENT: QdiscHandle = QdiscHandle { major: 0xffff, minor: 0xfff1 };
    let mut request = handle.qdisc().del(index.cast_signed());
    request.message_mut().header.handle = CLSACT;
    request.message_mut().header.parent = PARENT;
    if let Err(error) = request.execute().await {
        tracing::debug!(index, %error, "clsact qdisc not removed");
    }
}
