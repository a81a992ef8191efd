//! Wires that lose packets and change their order.

use lb_tests::Inside;

use crate::scene::{HERE, Scene, THERE};

#[test]
fn a_download_over_a_bad_wire_comes_whole() {
    const SIZE: u32 = 1_000_000;
    let scene = Scene::serving(&[]);
    let shell = |line: &str| {
        scene.client.place().run("sh", &["-c", line]).unwrap_or_else(|error| panic!("{error:#}"))
    };
    let sum =
        |target: &str| shell(&format!("curl -sSf --max-time 300 http://{target}/bytes/{SIZE} | sha256sum"));
    let whole = sum("192.168.49.11:31001");
    shell("tc qdisc add dev eth0 root netem delay 3ms 2ms loss 2% reorder 10% 50% duplicate 1%");
    scene.shell("tc qdisc add dev eth0 root netem delay 3ms 2ms loss 2% reorder 10% 50% duplicate 1%");
    for ip in ["192.168.49.11", "[fd00:192:168:49::11]"] {
        for port in [HERE, THERE] {
            assert_eq!(sum(&format!("{ip}:{port}")), whole, "{ip}:{port}");
        }
    }
}
