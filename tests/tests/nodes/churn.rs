//! Endpoints that come and go under load.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use lb_tests::check::address;
use lb_tests::manifest::Manifest;
use lb_tests::tcp;
use lb_tests::wire::monotonic;

use crate::scene::{Scene, web};

/// Services, each with endpoints of its own among the same pods.
const SERVICES: usize = 5;
/// In each of them one endpoint of each Service goes, or comes.
const CHANGES: usize = 200;
const CLIENTS: usize = 20;

/// While a pod was certainly no endpoint of a Service: from when that was in force to when its return began.
struct Absence {
    target: SocketAddr,
    pod: String,
    from_ns: u64,
    to_ns: u64,
}

/// Whether a pod is an endpoint of a Service after a change: {0, 1}, {1}, {1, 2}, {2}, {2, 0}, {0}, and so
/// on, each Service one step ahead of the one before. There is always one, and an absence lasts for three
/// changes, so that there is time to dial in it.
fn is_endpoint(change: usize, service: usize, pod: usize) -> bool {
    (change + service + 6 - 2 * pod) % 6 < 3
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
    put_endpoints(&scene, 0);

    let dial = targets[1..].iter().fold(tcp(targets[0]), |dial, target| dial.then(target));
    let log = scene.node.state_file().with_file_name("blows.jsonl");
    let hammer = dial.within(Duration::from_secs(20)).hammer(&scene.client, CLIENTS, log).expect("clients");
    let mut absences: Vec<Absence> = Vec::new();
    for change in 1..=CHANGES {
        let began_ns = monotonic();
        put_endpoints(&scene, change);
        let from_ns = monotonic();
        for (service, target) in targets.iter().enumerate() {
            for (number, pod) in scene.pods.iter().enumerate() {
                let (was, is) =
                    (is_endpoint(change - 1, service, number), is_endpoint(change, service, number));
                let pod = pod.name().to_owned();
                if was && !is {
                    absences.push(Absence { target: *target, pod, from_ns, to_ns: u64::MAX });
                } else if is && !was {
                    let mut of_pod = absences.iter_mut().rev();
                    if let Some(last) = of_pod.find(|last| last.target == *target && last.pod == pod) {
                        last.to_ns = began_ns;
                    }
                }
            }
        }
    }
    let (report, blows) = hammer.stop().expect("a report");

    assert_eq!(report.by_failure, BTreeMap::new());
    let mut while_absent = 0;
    for blow in &blows {
        for absence in absences.iter().filter(|absence| absence.target == blow.target) {
            if blow.started_ns >= absence.from_ns && blow.ended_ns < absence.to_ns {
                while_absent += 1;
                assert_ne!(blow.pod.as_ref(), Some(&absence.pod), "{blow:?}");
            }
        }
    }
    println!("{while_absent} of {} dials show something", report.dials);
    assert!(while_absent >= 100, "{while_absent} of {} dials", report.dials);
}

/// Makes pods endpoints of the Services as they are after a change, all at once.
#[track_caller]
fn put_endpoints(scene: &Scene, change: usize) {
    let pods: Vec<_> = (0..)
        .zip(&scene.pods)
        .map(|(number, pod)| {
            let services = (0..SERVICES).filter(|service| is_endpoint(change, *service, number));
            services.fold(pod.manifest(), |pod, service| pod.label(&format!("churn-{service}"), "yes"))
        })
        .collect();
    let manifests: Vec<&dyn Manifest> = pods.iter().map(|pod| pod as &dyn Manifest).collect();
    scene.apply(&manifests);
}
