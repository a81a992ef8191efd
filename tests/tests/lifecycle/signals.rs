//! An instance is told to end while it is busy.

use lb_tests::manifest::{Manifest, Service, service};
use lb_tests::{Options, Shunt, check, tcp};

use crate::scene::{Scene, options};

/// Enough for the first picture to take a while.
const SERVICES: u16 = 3000;

/// Services, each with the three pods behind it.
pub(crate) fn many() -> Vec<Service> {
    let address = |number: u16| format!("10.97.{}.{}", number / 250, 1 + number % 250);
    let many = (0..SERVICES).map(|number| {
        service(&format!("web-{number}")).selecting("app", "web").port(80).cluster_ip(&address(number))
    });
    many.collect()
}

/// A node with these manifests, and an instance that has just begun to put them in force.
#[track_caller]
fn busy(scene: &Scene) -> Shunt {
    let pods: Vec<_> =
        scene.pods.iter().map(|pod| pod.manifest().label("app", "web").container_port("http", 80)).collect();
    let many = many();
    let mut manifests: Vec<&dyn Manifest> = pods.iter().map(|pod| pod as &dyn Manifest).collect();
    manifests.extend(many.iter().map(|service| service as &dyn Manifest));
    Shunt::write_manifests(&scene.node, &manifests).expect("manifests");
    let shunt = Shunt::begin(&scene.node, &options(&["--log", "info,lb_userspace=debug"]));
    let shunt = shunt.unwrap_or_else(|error| panic!("{error:#}"));
    shunt
        .wait_for_line(0, |line| line.contains("programs attached"))
        .unwrap_or_else(|error| panic!("{error:#}"));
    // The first Service is in force: the others are being put there.
    while scene.command(&["services", "-o", "json"]).is_ok_and(|said| !said.contains("web-")) {}
    shunt
}

/// How many of the Services are in force, all of them complete.
#[track_caller]
fn served(scene: &Scene) -> usize {
    let said = scene.command(&["services", "-o", "json"]).unwrap_or_else(|error| panic!("{error:#}"));
    said.matches("\"web-").count()
}

#[test]
fn told_to_end_in_the_midst_of_the_first_picture_it_finishes_it_and_serves_on() {
    let scene = Scene::without_instance();
    let shunt = busy(&scene);
    shunt.stop().unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(served(&scene), usize::from(SERVICES));
    check::answers(&scene.client, &tcp("10.97.0.1:80").then("10.97.11.250:80"));
}

#[test]
fn a_second_signal_ends_it_at_once_and_the_next_start_puts_right_what_is_missing() {
    let scene = Scene::without_instance();
    let shunt = busy(&scene);
    shunt.signal("TERM").expect("a signal");
    shunt.signal("INT").expect("a signal");
    let status = shunt.wait_for_end().unwrap_or_else(|error| panic!("{error:#}"));
    assert!([130, 143].contains(&status.code().expect("a code")), "{status}");
    let shunt = Shunt::resume(&scene.node, &Options::default());
    shunt.unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(served(&scene), usize::from(SERVICES));
    check::answers(&scene.client, &tcp("10.97.0.1:80").then("10.97.11.250:80"));
}
