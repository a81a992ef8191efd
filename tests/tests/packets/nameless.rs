//! Endpoints that are here although no slice says so: written by hand, without a node's name or with another's.

use std::net::SocketAddr;

use lb_common::{BackendFlags, Counter};
use lb_tests::programs::{Device, Lab};

use crate::case::{Case, each};

/// Serves a backend of which no slice says that it is here.
fn serve(case: Case, lab: &mut Lab, backend: SocketAddr) {
    let (service, backends) = lab.serve(&case.service(backend));
    lab.replace_backend(backends[0], backend, BackendFlags::IN_CLUSTER, 1, service);
}

#[test]
fn a_pod_of_this_node_that_no_slice_says_is_here_sees_the_client_itself() {
    each(|case, lab| {
        lab.leave_alone(Device::PodSide);
        serve(case, lab, case.here());
        let dial = case.dial();
        let received = lab.from_outside(&dial).counting(&[Counter::NewFlow, Counter::TcForward]).passed();
        assert_eq!(received, dial.to(case.here()));
        let answer = received.answer();
        assert_eq!(lab.to_outside(&answer).passed(), answer.from(case.frontend()));
    });
}

#[test]
fn a_process_of_this_node_that_no_slice_says_is_here_sees_the_client_itself() {
    each(|case, lab| {
        lab.leave_alone(Device::PodSide);
        let process = SocketAddr::new(case.node(), 6_443);
        serve(case, lab, process);
        let dial = case.dial();
        let received = lab.from_outside(&dial).counting(&[Counter::NewFlow, Counter::TcForward]).passed();
        assert_eq!(received, dial.to(process));
        let answer = received.answer();
        assert_eq!(lab.to_outside(&answer).passed(), answer.from(case.frontend()));
    });
}

#[test]
fn behind_a_device_with_programs_a_client_is_masqueraded_whoever_is_there() {
    each(|case, lab| {
        lab.leave_alone(Device::PodSide);
        serve(case, lab, case.there());
        let sent = lab.from_outside(&case.dial()).redirected();
        assert_eq!((sent.src.ip(), sent.dst), (case.node(), case.there()));
        let answered = lab.from_outside(&sent.answer()).redirected();
        assert_eq!((answered.src, answered.dst), (case.frontend(), case.client()));
    });
}

#[test]
fn a_pod_that_reaches_itself_is_masqueraded_whatever_its_slice_says() {
    each(|case, lab| {
        serve(case, lab, case.here());
        let pod = SocketAddr::new(case.here().ip(), 40_000);
        let sent = lab.from_pod(&case.open(pod, case.frontend())).redirected();
        assert_eq!(sent.dst, case.here());
        assert_ne!(sent.src.ip(), case.here().ip());
        let answered = lab.from_pod(&sent.answer()).redirected();
        assert_eq!((answered.src, answered.dst), (case.frontend(), pod));
    });
}
