use super::telling::Refused;
use super::*;
use crate::compile::tests::objects::*;
use crate::engine::{Engine, Event};
use crate::model::{Change, Family, Service};
use crate::reconcile::memory::Memory;
use crate::reconcile::{Reconciler, Refusal};
use crate::source::SourceEvent;
use crate::tables::ServiceKey;

fn key(name: &str, port_name: &str) -> ServiceKey {
    ServiceKey {
        service: ObjectName::new("default", name),
        port_name: port_name.to_owned(),
        protocol: lb_common::Proto::TCP,
        family: Family::V4,
    }
}

fn refused(name: &str, port_name: &str) -> Refusal {
    let key = key(name, port_name);
    Refusal { message: format!("map SLOTS is full: {key} keeps what it had"), service: Some(key) }
}

#[test]
fn a_service_that_is_refused_is_told_once_until_it_is_in_force_and_refused_again() {
    let mut known = Refused::default();
    let mut told = |refusals: &[Refusal]| -> Vec<String> {
        known.take(refusals, |_| None).into_iter().map(|notice| notice.about.to_string()).collect()
    };
    let both = [refused("a", "http"), refused("a", "https"), refused("b", "")];
    assert_eq!(told(&both), ["Service default/a", "Service default/b"]);
    assert_eq!(told(&both), [""; 0]);
    assert_eq!(told(&both[2..]), [""; 0]);
    assert_eq!(told(&both), ["Service default/a"]);
}

#[test]
fn what_is_wrong_with_a_leftover_is_nobody_s() {
    let leftover = Refusal { service: None, message: "removal of frontend".to_owned() };
    assert_eq!(Refused::default().take(&[leftover], |_| None), []);
}

#[test]
fn each_service_that_goes_without_its_address_is_told_once_with_the_one_that_has_it() {
    let frontend = lb_common::FrontendKey::new(
        lb_common::Addr::from(std::net::IpAddr::from([10, 0, 0, 1])),
        lb_common::Port::new(80),
        lb_common::Proto::TCP,
    );
    let others = [key("b", "http"), key("b", "web"), key("c", "")].into();
    let contest = Contest { frontend, owner: key("a", ""), others };
    let notices = Notice::of_contest(&contest, |_| service().uid);
    let told: Vec<String> = notices
        .iter()
        .map(|notice| format!("{} {}", notice.about, notice.related.as_ref().unwrap()))
        .collect();
    assert_eq!(told, ["Service default/b Service default/a", "Service default/c Service default/a"]);
}

#[test]
fn what_finds_no_room_is_counted_and_nobody_waits() {
    let fates = Fates::default();
    let (notices, mut waiting) = Notices::channel(fates.clone());
    for _ in 0..ROOM + 3 {
        notices.tell(Notice::of_node("node-1", Reason::Starting, ""));
    }
    assert_eq!(fates.get_or_create(&[("became", "no-room")]).get(), 3);
    assert!(waiting.try_recv().is_ok());
    notices.tell(Notice::of_node("node-1", Reason::Starting, ""));
    assert_eq!(fates.get_or_create(&[("became", "no-room")]).get(), 3);
    Notices::default().tell(Notice::of_node("node-1", Reason::Starting, ""));
}

#[test]
fn a_service_that_finds_no_room_is_told_by_what_the_engine_reports_and_by_its_uid() {
    let engine = Reconciler::adopt(Memory::new(16, 1, 16)).expect("an empty store");
    let mut engine = Engine::new(node(), engine);
    let (notices, mut waiting) = Notices::channel(Fates::default());
    let mut telling = Telling::new(notices);
    let uid: Option<Uid> = "00000000-0000-4000-8000-0000000000a7".parse().ok();
    let mut say = |service: Service, first: bool| {
        let changes = vec![
            Change::Service(Box::new(Service { uid, ..service })),
            Change::Slice(Box::new(slice(vec![remote("10.1.0.1"), remote("10.1.0.2")]))),
        ];
        let event = SourceEvent { first, changes, ..SourceEvent::default() };
        let report = engine.handle(Event::Source(event)).expect("a report");
        telling.tell(&report, engine.world());
        std::iter::from_fn(|| waiting.try_recv().ok()).collect::<Vec<Notice>>()
    };
    let [notice] = &say(service(), true)[..] else { panic!("one notice") };
    assert_eq!((notice.reason, notice.uid.clone()), (Reason::NotInForce, uid.map(|uid| uid.to_string())));
    assert!(notice.note.contains("map BACKENDS is full"), "{}", notice.note);
    let other = Service { affinity_seconds: Some(60), ..service() };
    assert_eq!(say(other, false), []);
}
