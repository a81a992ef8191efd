//! Writes that fail for a while (HLZ-02).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use lb_common::{Addr, NodeConfig, NodeFlags, PortRange};

use super::*;
use crate::reconcile::NodePath;

/// An instance with a Service in force, and what makes every write fail.
fn instance() -> (Instance, Arc<AtomicBool>) {
    let memory = Memory::new(16, 64, 64);
    let refuses_all = Arc::clone(&memory.refuses_all);
    let mut instance = Instance::start_on(memory, false);
    instance.put(vec![boxed(load_balancer_service()), endpoint("10.244.2.1")]);
    assert_eq!(published(&instance).queued, None);
    (instance, refuses_all)
}

fn endpoint(address: &str) -> Change {
    Change::Slice(Box::new(slice(vec![remote(address)])))
}

fn published(instance: &Instance) -> Published {
    instance.publisher.subscribe().borrow().clone()
}

/// What the health check says when so much time has passed since.
fn status(published: &Published, since: Instant, passed: Duration) -> [u16; 2] {
    let now = (since + passed, Timestamp::now());
    [answers::healthz(published, now).status, answers::livez(published, now).status]
}

#[test]
fn an_instance_whose_writes_fail_is_ill_after_its_time_since_the_first_and_well_when_one_succeeds_hlz_02() {
    let (mut instance, refuses_all) = instance();
    refuses_all.store(true, Ordering::Relaxed);
    instance.put(vec![endpoint("10.244.2.2")]);
    let first = published(&instance);
    let since = first.queued.expect("it is not in force");
    // Neither another attempt nor another change begins the time anew.
    instance.handle(Event::Retry);
    instance.put(vec![endpoint("10.244.2.3")]);
    instance.handle(Event::Retry);
    let last = published(&instance);
    assert_eq!((last.queued, last.updated), (Some(since), first.updated));
    assert_eq!(status(&last, since, LATE - Duration::from_nanos(1)), [200; 2]);
    assert_eq!(status(&last, since, LATE), [503; 2]);
    ask_until(instance.health, "GET /healthz", is(200));

    refuses_all.store(false, Ordering::Relaxed);
    instance.handle(Event::Retry);
    let well = published(&instance);
    assert_eq!(well.queued, None);
    assert!(well.updated > first.updated);
    assert_eq!(status(&well, since, LATE * 2), [200; 2]);
}

#[test]
fn a_stall_that_begins_with_what_the_packet_path_is_told_of_the_node_is_one_too_hlz_02() {
    let (mut instance, refuses_all) = instance();
    let none = PortRange::new(1, 0);
    let address = Addr::from(ip("192.168.0.2"));
    let path = NodePath {
        config: NodeConfig::new(address, Addr::UNSPECIFIED, [none; 2], NodeFlags::empty()),
        addresses: BTreeSet::from([address]),
        ranges: BTreeSet::new(),
        service_cidrs: vec![],
    };
    refuses_all.store(true, Ordering::Relaxed);
    assert_eq!(instance.engine.put_node(path).len(), 1);
    assert!(instance.engine.is_behind(), "so that the loop tries again");
    instance.handle(Event::Retry);
    let since = published(&instance).queued.expect("it is not in force");
    instance.handle(Event::Retry);
    let last = published(&instance);
    assert_eq!((last.queued, status(&last, since, LATE)), (Some(since), [503; 2]));
    refuses_all.store(false, Ordering::Relaxed);
    instance.handle(Event::Retry);
    assert_eq!(published(&instance).queued, None);
}
