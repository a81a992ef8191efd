//! How dials spread over the pods.

use std::collections::BTreeMap;

use lb_tests::check;
use lb_tests::{tcp, udp};

use crate::scene::{Scene, web};

#[test]
fn each_pod_is_chosen_as_often_as_another() {
    let web_and_echo = web("web").port(80).named("http").port(80).udp().named("echo").target(5000);
    let scene = Scene::serving(&[&web_and_echo.cluster_ip("10.96.0.10")]);
    const DIALS: u32 = 3000;
    for dial in [tcp("10.96.0.10:80"), udp("10.96.0.10:80")] {
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for answer in check::answers(&scene.client, &dial.times(DIALS)) {
            *counts.entry(answer.greeting.pod).or_default() += 1;
        }
        assert_eq!(counts.len(), 3, "{counts:?}");
        // Each count is binomial with p = 1/3: its deviation is √(n·p·(1-p)) = 25.8, and six of them are
        // passed by luck once in 5·10⁸ runs.
        for (pod, count) in &counts {
            assert!(count.abs_diff(DIALS / 3) <= 155, "{pod}: {counts:?}");
        }
    }
}
