//! `sessionAffinity: ClientIP`.

use std::thread;
use std::time::{Duration, Instant};

use lb_tests::check::{self, answered};
use lb_tests::{Shunt, tcp, udp};

use crate::scene::{Scene, labelled, web};

#[test]
fn a_client_keeps_its_pod_on_every_way_in_to_the_service_port() {
    let sticky = web("sticky").port(80).node_port(31000).cluster_ip("10.96.0.10").affinity(60);
    let sticky = sticky.external_ips(&["198.51.100.7"]).load_balancer_ip("203.0.113.9");
    let scene = Scene::serving(&[&sticky]);
    let ways =
        tcp("10.96.0.10:80").then("192.168.49.11:31000").then("198.51.100.7:80").then("203.0.113.9:80");
    let answers = check::answers(&scene.client, &ways.times(20));
    assert_eq!(answers.len(), 80);
    assert_eq!(check::pods(&answers).len(), 1, "{answers:?}");
}

#[test]
fn a_client_by_udp_keeps_its_pod_too() {
    let sticky = web("sticky").port(5000).udp().cluster_ip("10.96.0.50").affinity(60);
    let scene = Scene::serving(&[&sticky]);
    assert_eq!(check::pods(&check::answers(&scene.client, &udp("10.96.0.50:5000").times(40))).len(), 1);
}

#[test]
fn each_client_is_remembered_by_itself() {
    let scene = Scene::serving(&[&web("sticky").port(80).cluster_ip("10.96.0.10").affinity(60)]);
    // Of 16 clients all would have the same pod by luck once in 3¹⁵ runs, 14 million.
    let mut pods = Vec::new();
    for number in 0..16 {
        let client = scene.node.pod(&format!("client-{number}")).expect("a pod");
        let answers = check::answers(&client, &tcp("10.96.0.10:80").times(5));
        assert_eq!(check::pods(&answers).len(), 1, "{answers:?}");
        pods.extend(answers);
    }
    assert!(check::pods(&pods).len() > 1, "all clients have one pod");
}

#[test]
fn a_client_whose_pod_is_gone_gets_another_and_keeps_that() {
    let scene = Scene::serving(&[&web("sticky").port(80).cluster_ip("10.96.0.10").affinity(60)]);
    let dial = tcp("10.96.0.10:80").times(10);
    let first = check::dial(&scene.client, &tcp("10.96.0.10:80")).greeting.pod;
    scene.remove_pods(&[&first]);
    let answers = check::answers(&scene.client, &dial);
    let second = answers[0].greeting.pod.clone();
    assert_ne!(second, first);
    scene.restore_pods(&[&first]);
    assert_eq!(check::pods(&[answers, check::answers(&scene.client, &dial)].concat()), [second]);
}

#[test]
fn affinity_lasts_while_the_client_comes_back_in_time() {
    const TIMEOUT: Duration = Duration::from_secs(3);
    let scene = Scene::serving(&[&web("sticky").port(80).cluster_ip("10.96.0.10").affinity(3)]);
    let dial = || tcp("10.96.0.10:80").from(&scene.client).expect("an attempt").remove(0);
    let began = Instant::now();
    let mut last = dial();
    let mut in_time = 0;
    // Longer than the timeout in all, each pause shorter: only a timeout that slides lasts. A pause that the
    // machine made too long proves nothing, and is not counted.
    while began.elapsed() < TIMEOUT * 2 {
        thread::sleep(Duration::from_millis(300));
        let next = dial();
        let pause = next.started_ns + next.elapsed_us * 1000 - last.started_ns;
        if Duration::from_nanos(pause) < TIMEOUT {
            assert_eq!(answered(next.clone()).greeting.pod, answered(last).greeting.pod);
            in_time += 1;
        }
        last = next;
    }
    assert!(in_time > 0, "the machine was too slow to dial twice within {TIMEOUT:?}");
}

#[test]
fn affinity_ends_when_the_client_stays_away() {
    let scene = Scene::serving(&[&web("sticky").port(80).cluster_ip("10.96.0.10").affinity(1)]);
    let dial = || check::dial(&scene.client, &tcp("10.96.0.10:80")).greeting.pod;
    let first = dial();
    // A free choice is the same pod again once in three times: forty times in a row it is not.
    let changed = (0..40).any(|_| {
        thread::sleep(Duration::from_millis(1100));
        dial() != first
    });
    assert!(changed, "{first} is remembered for longer than its timeout");
}

#[test]
fn affinity_switched_off_lets_the_next_dial_choose() {
    let sticky = web("sticky").port(80).cluster_ip("10.96.0.10");
    let scene = Scene::serving(&[&sticky.clone().affinity(60)]);
    let dial = tcp("10.96.0.10:80").times(60);
    assert_eq!(check::pods(&check::answers(&scene.client, &dial)).len(), 1);
    scene.apply(&[&sticky]);
    assert_eq!(check::pods(&check::answers(&scene.client, &dial)).len(), 3);
    scene.apply(&[&sticky.affinity(60)]);
    assert_eq!(check::pods(&check::answers(&scene.client, &dial)).len(), 1);
}

#[test]
fn a_client_leaves_a_pod_that_ends_for_one_that_is_ready_aff_04() {
    let scene = Scene::serving(&[&web("sticky").port(80).cluster_ip("10.96.0.10").affinity(60)]);
    let dial = tcp("10.96.0.10:80").times(10);
    let first = check::dial(&scene.client, &tcp("10.96.0.10:80")).greeting.pod;
    let pods: Vec<_> = scene.pods.iter().map(|pod| (pod.name(), labelled(pod).terminating())).collect();
    let ending = |name: &str| &pods.iter().find(|(pod, _)| *pod == name).expect("a pod of the scene").1;
    scene.apply(&[ending(&first)]);
    let answers = check::answers(&scene.client, &dial);
    let second = check::pods(&answers)[0].to_owned();
    assert_ne!(second, first);
    assert_eq!(check::pods(&answers).len(), 1, "{answers:?}");
    // Where all of them end, one that ends is better than none, and the client stays with the one it has.
    scene.apply(&pods.iter().map(|(_, pod)| pod as _).collect::<Vec<_>>());
    assert_eq!(check::pods(&check::answers(&scene.client, &dial)), [second]);
}

#[test]
fn clients_keep_their_pods_over_a_restart_aff_06() {
    let scene = Scene::serving(&[&web("sticky").port(80).cluster_ip("10.96.0.10").affinity(600)]);
    // Of 16 clients all would find their pod again by luck once in 3¹⁶ runs.
    let clients: Vec<_> =
        (0..16).map(|number| scene.node.pod(&format!("client-{number}")).expect("a pod")).collect();
    let pods = || {
        let dial = tcp("10.96.0.10:80");
        clients.iter().map(|client| check::dial(client, &dial).greeting.pod).collect::<Vec<_>>()
    };
    let before = pods();
    let scene = scene.restart(Shunt::stop, |_, _| assert_eq!(pods(), before));
    assert_eq!(pods(), before);
    let scene = scene.restart(Shunt::kill, |_, _| assert_eq!(pods(), before));
    assert_eq!(pods(), before);
    drop(scene);
}
