//! SCTP, between sockets.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use lb_tests::{Inside, Pod};
use socket2::{Domain, Protocol, Socket, Type};

use crate::scene::{Scene, of};

/// `IPPROTO_SCTP`
const SCTP: i32 = 132;

fn socket() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::from(SCTP))).expect("an SCTP socket");
    let timeout = Some(Duration::from_secs(20));
    socket.set_read_timeout(timeout).expect("a time-out");
    socket.set_write_timeout(timeout).expect("a time-out");
    socket
}

/// Serves associations of a pod: what comes is said back, after the pod's name and who asked.
fn serve(pod: &Pod) {
    let listener = pod.place().within(socket).expect("the pod's namespace");
    listener.bind(&SocketAddr::from((pod.v4(), 9000)).into()).expect("an address of the pod");
    listener.listen(16).expect("a listener");
    let name = pod.name().to_owned();
    // Until the test's process ends; accept has the time-out of reading.
    thread::spawn(move || {
        while let Ok((mut association, peer)) = listener.accept() {
            let mut word = [0; 64];
            let len = association.read(&mut word).unwrap_or_default();
            let peer = peer.as_socket().expect("an address and port");
            let said = format!("{name} {} {}", peer.ip(), String::from_utf8_lossy(&word[..len]));
            association.write_all(said.as_bytes()).unwrap_or_default();
        }
    });
}

#[test]
fn sctp_sockets_outside_reach_pods_here_and_elsewhere() {
    let here = of("associations-here", "here").port(9000).sctp().node_port(31_101);
    let there = of("associations-there", "there").port(9000).sctp().node_port(31_102);
    let scene = Scene::serving(&[&here, &there]);
    serve(&scene.here);
    serve(&scene.there);
    let dial = |port: u16| {
        let mut client = scene.client.place().within(socket).unwrap();
        client.connect(&SocketAddr::from((scene.node.v4(), port)).into()).unwrap();
        client.write_all(b"hello").unwrap();
        let mut answer = [0; 128];
        let len = client.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..len]).into_owned()
    };
    assert_eq!(dial(31_101), format!("here {} hello", scene.client.v4()));
    assert_eq!(dial(31_102), format!("there {} hello", scene.node.v4()));
}
