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

/// Bytes of what is asked; the last are more than a packet takes.
const SIZES: [u32; 4] = [100, 1_400, 3_000, 20_000];

/// Serves associations of a pod: says the pod's name, who asked and how much came, of as much as its first word says.
fn serve(pod: &Pod) {
    let listener = pod.place().within(socket).expect("the pod's namespace");
    listener.bind(&SocketAddr::from((pod.v4(), 9000)).into()).expect("an address of the pod");
    listener.listen(16).expect("a listener");
    let name = pod.name().to_owned();
    // Until the test's process ends; accept has the time-out of reading.
    thread::spawn(move || {
        while let Ok((association, peer)) = listener.accept() {
            let peer = peer.as_socket().expect("an address and port").ip();
            answer(association, &format!("{name} {peer}")).unwrap_or_default();
        }
    });
}

fn answer(mut association: Socket, who: &str) -> std::io::Result<()> {
    let mut buffer = vec![0; 65_536];
    let mut len = association.read(&mut buffer)?;
    let wanted = buffer.first_chunk().map_or(0, |word| u32::from_be_bytes(*word)) as usize;
    while len < wanted {
        len += association.read(&mut buffer)?;
    }
    association.write_all(format!("{who} {len}").as_bytes())
}

/// Associates with an address and asks in so many bytes; what is answered.
fn ask(scene: &Scene, target: SocketAddr, size: u32) -> String {
    let mut client = scene.client.place().within(socket).expect("the client's namespace");
    client.connect(&target.into()).unwrap_or_else(|error| panic!("{target}: {error}"));
    let mut question = vec![0; size as usize];
    question[..4].copy_from_slice(&size.to_be_bytes());
    client.write_all(&question).unwrap_or_else(|error| panic!("{target}: {error}"));
    let mut answer = [0; 128];
    let len = client.read(&mut answer).unwrap_or_else(|error| panic!("{size} bytes to {target}: {error}"));
    String::from_utf8_lossy(&answer[..len]).into_owned()
}

#[test]
fn sctp_sockets_outside_reach_pods_here_and_elsewhere_with_messages_of_any_size() {
    let here = of("associations-here", "here").port(9000).sctp().node_port(31_101);
    let there = of("associations-there", "there").port(9000).sctp().node_port(31_102);
    let scene = Scene::serving(&[&here, &there]);
    serve(&scene.here);
    serve(&scene.there);
    let (client, node) = (scene.client.v4(), scene.node.v4());
    for size in SIZES {
        assert_eq!(ask(&scene, (node, 31_101).into(), size), format!("here {client} {size}"));
        assert_eq!(ask(&scene, (node, 31_102).into(), size), format!("there {node} {size}"));
    }
}

/// To pull headers out of a list of packets would make the kernel's cut a BUG, of any association.
#[test]
fn associations_that_are_no_services_pass_where_devices_do_not_cut_them() {
    let scene = Scene::serving(&[]);
    serve(&scene.here);
    let (client, pod) = (scene.client.v4(), scene.here.v4());
    scene.client.ip(&[format!("route add {pod}/32 via {}", scene.node.v4())]).expect("a route");
    for line in ["ethtool -K eth0 tx-sctp-segmentation off", "ethtool -K here tx-sctp-segmentation off"] {
        scene.shell(line);
    }
    for size in SIZES {
        assert_eq!(ask(&scene, (pod, 9000).into(), size), format!("here {client} {size}"));
    }
}
