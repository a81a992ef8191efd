//! Programs on devices where the kernel has no links for them (before Linux 6.6).

use lb_tests::{check, tcp};

use crate::scene::{HERE, Scene, THERE};

#[test]
fn filters_serve_clients_outside_and_a_restart_loses_nothing() {
    let scene = Scene::serving(&[]);
    let attached = scene.node.programs_on("eth0").unwrap();
    let hook = if has_links(&scene) { "tcx" } else { "clsact" };
    assert_eq!(attached, [format!("{hook}/ingress shunt_ingress"), format!("{hook}/egress shunt_egress")]);
    for ip in ["192.168.49.11", "[fd00:192:168:49::11]"] {
        for (port, pod) in [(HERE, "here"), (THERE, "there")] {
            let answers = check::answers(&scene.client, &tcp(format!("{ip}:{port}")).times(5));
            assert_eq!(check::pods(&answers), [pod], "{ip}:{port}");
        }
    }
    let log = scene.node.state_file().with_file_name("blows.jsonl");
    let hammer = tcp(format!("192.168.49.11:{THERE}")).within(std::time::Duration::from_secs(20));
    let hammer = hammer.hammer(&scene.client, 2, log).unwrap();
    let scene = scene.restart();
    let (report, _) = hammer.stop().unwrap();
    assert_eq!(report.by_failure, std::collections::BTreeMap::new());
    assert!(report.dials > 10, "{} dials show nothing", report.dials);
    assert_eq!(scene.node.programs_on("eth0").unwrap(), attached);
}

/// Whether the kernel has TCX (Linux 6.6).
fn has_links(scene: &Scene) -> bool {
    let release = scene.shell("uname -r");
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(6))
}
