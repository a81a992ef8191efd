//! Endpoints that come and go under load.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use lb_tests::check::address;
use lb_tests::manifest::Manifest;
use lb_tests::tcp;
use lb_tests::wire::monotonic;

use crate::scene::{Scene, web};

/// Services, each with endpoints of its own among the same pods.
const SERVICES: usize = 5;
/// In each of them one endpoint of each Service goes or comes.
const CHANGES: usize = 200;
const CLIENTS: usize = 20;

/// While a pod was certainly not an endpoint: from when its removal was in force to when its return began.
struct Absence {
    pod: String,
    from_ns: u64,
    to_ns: u64,
}

#[test]
fn no_dial_fails_or_goes_where_an_endpoint_was_while_a_thousand_come_and_go() {
    let targets: Vec<SocketAddr> =
        (0..SERVICES).map(|number| address(&format!("10.96.0.{}:80", 10 + number))).collect();
    let services: Vec<_> = (0..SERVICES)
        .map(|number| {
            let name = format!("churn-{number}");
            web(&name).selecting(&name, "yes").port(80).cluster_ip(&format!("10.96.0.{}", 10 + number))
        })
        .collect();
    let scene = Scene::serving(&[]);
    let manifests: Vec<&dyn Manifest> = services.iter().map(|service| service as &dyn Manifest).collect();
    scene.apply(&manifests);
    put_endpoints(&scene, |_, _| true);

    let dial = targets[1..].iter().fold(tcp(targets[0]), |dial, target| dial.then(target));
    let log = scene.node.state_file().with_file_name("blows.jsonl");
    let hammer = dial.hammer(&scene.client, CLIENTS, log).expect("clients");
    let mut absences: BTreeMap<SocketAddr, Vec<Absence>> = BTreeMap::new();
    for round in 0..CHANGES / 2 {
        // Another pod for each Service, so that all lists are different.
        let absent = |service: usize| (round + service) % 3;
        put_endpoints(&scene, |service, pod| pod != absent(service));
        let from_ns = monotonic();
        for (service, target) in targets.iter().enumerate() {
            let pod = scene.pods[absent(service)].name().to_owned();
            absences.entry(*target).or_default().push(Absence { pod, from_ns, to_ns: u64::MAX });
        }
        let to_ns = monotonic();
        for absence in absences.values_mut().filter_map(|absences| absences.last_mut()) {
            absence.to_ns = to_ns;
        }
        put_endpoints(&scene, |_, _| true);
    }
    let (report, blows) = hammer.stop().expect("a report");

    assert_eq!(report.by_failure, BTreeMap::new());
    assert!(report.dials > 1000, "{report:?}");
    let mut while_absent = 0;
    for blow in &blows {
        for absence in &absences[&blow.target] {
            if blow.started_ns >= absence.from_ns && blow.ended_ns < absence.to_ns {
                while_absent += 1;
                assert_ne!(blow.pod.as_ref(), Some(&absence.pod), "{blow:?}");
            }
        }
    }
    assert!(while_absent > 0, "no dial was made while an endpoint was absent: nothing was shown");
}

/// Makes pods endpoints of Services, in one change.
#[track_caller]
fn put_endpoints(scene: &Scene, is_endpoint: impl Fn(usize, usize) -> bool) {
    let pods: Vec<_> = (0..)
        .zip(&scene.pods)
        .map(|(number, pod)| {
            let services = (0..SERVICES).filter(|service| is_endpoint(*service, number));
            services.fold(pod.manifest(), |pod, service| {
                pod.label("app", "web").label(&format!("churn-{service}"), "yes")
            })
        })
        .collect();
    let manifests: Vec<&dyn Manifest> = pods.iter().map(|pod| pod as &dyn Manifest).collect();
    scene.apply(&manifests);
}
