//! What holds whatever the files are.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;
use crate::model::Change;

/// Small pools, so that numbers collide and run out.
fn config() -> Config {
    super::config(&["10.96.0.0/28", "fd00:10:96::/124"], "30000-30009")
}

/// What a Service is asked for in these tests.
#[derive(Debug, Clone)]
struct Wish {
    kind: &'static str,
    policy: &'static str,
    ip: Option<u8>,
    node_port: Option<u16>,
    ports: usize,
}

fn wish() -> impl Strategy<Value = Wish> {
    (
        prop::sample::select(&["ClusterIP", "NodePort", "LoadBalancer"][..]),
        prop::sample::select(&["SingleStack", "PreferDualStack", "RequireDualStack"][..]),
        prop::option::weighted(0.4, 0_u8..17),
        prop::option::weighted(0.4, 29_999_u16..30_011),
        1_usize..3,
    )
        .prop_map(|(kind, policy, ip, node_port, ports)| Wish { kind, policy, ip, node_port, ports })
}

impl Wish {
    fn manifest(&self, name: &str) -> String {
        let mut lines = vec![format!("type: {}", self.kind), format!("ipFamilyPolicy: {}", self.policy)];
        if self.kind == "LoadBalancer" {
            lines.push("externalTrafficPolicy: Local".to_owned());
        }
        lines.extend(self.ip.map(|ip| format!("clusterIP: 10.96.0.{ip}")));
        lines.push("ports:".to_owned());
        for index in 0..self.ports {
            let node_port = self.node_port.filter(|_| index == 0 && self.kind != "ClusterIP");
            let node_port = node_port.map_or_else(String::new, |number| format!(", nodePort: {number}"));
            lines.push(format!("- {{name: p{index}, port: {}{node_port}}}", 80 + index));
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        service(name, &lines)
    }
}

/// Services by the letter that is their name, each in a file of a name of its own.
fn wishes() -> impl Strategy<Value = BTreeMap<u8, (u8, Wish)>> {
    btree_map(0_u8..12, (any::<u8>(), wish()), 0..12)
}

fn files(wishes: &BTreeMap<u8, (u8, Wish)>) -> Files {
    let file = |(name, (file, wish)): (&u8, &(u8, Wish))| {
        let name = format!("s{name}");
        (format!("{file:03}-{name}.yaml"), Ok(wish.manifest(&name).into_bytes()))
    };
    wishes.iter().map(file).collect()
}

/// Every number of the world has one Service, and is one that there is.
fn assert_no_collisions(world: &World) {
    let config = config();
    let (mut ips, mut ports) = (BTreeSet::new(), BTreeSet::new());
    for service in world.services() {
        assert!(!service.cluster_ips.is_empty(), "{service:?}");
        for ip in &service.cluster_ips {
            assert!(ips.insert(*ip), "{ip} twice");
            assert!(config.service_cidrs().iter().any(|cidr| cidr.contains(ip) && cidr.network() != *ip));
        }
        let node_ports = service.ports.iter().map(|port| port.node_port);
        for port in node_ports.chain([service.health_check_node_port]).flatten() {
            assert!(ports.insert(port), "{port} twice");
            assert!(config.node_ports().contains(port));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 10_000, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn any_bytes_are_taken_without_a_panic(
        contents in vec((prop::sample::select(&["yaml", "json"][..]), vec(any::<u8>(), 0..200)), 1..4),
    ) {
        let mut dir = Directory::new();
        for (index, (extension, bytes)) in contents.into_iter().enumerate() {
            dir.files.insert(format!("{index}.{extension}"), Ok(bytes));
        }
        dir.load();
    }

    #[test]
    fn a_manifest_mangled_anywhere_is_taken_without_a_panic(
        wish in wish(), at in any::<prop::sample::Index>(), text in "[-:\\[\\]{}&*!|>%#'\"a-z0-9 \n\t]{0,8}", cut in 0_usize..8,
    ) {
        let mut manifest = wish.manifest("a").into_bytes();
        let at = at.index(manifest.len());
        let end = (at + cut).min(manifest.len());
        manifest.splice(at..end, text.bytes());
        let mut dir = Directory::with(config(), Ledger::new());
        dir.files.insert("a.yaml".to_owned(), Ok(manifest));
        dir.load();
        assert_no_collisions(&dir.world);
    }

    #[test]
    fn numbers_never_collide_whatever_comes_in_whatever_order(steps in vec(wishes(), 1..5)) {
        let mut dir = Directory::with(config(), Ledger::new());
        for wishes in steps {
            dir.files = files(&wishes);
            dir.load();
            assert_no_collisions(&dir.world);
        }
    }

    #[test]
    fn a_number_is_only_refused_because_of_a_service_that_has_it(steps in vec(wishes(), 1..4)) {
        let mut dir = Directory::with(config(), Ledger::new());
        for wishes in steps {
            dir.files = files(&wishes);
            for problem in dir.load().problems {
                let Some((number, owner)) = problem.message.split_once(" is already Service default/") else {
                    continue;
                };
                let Some(owner) = dir.service(owner.trim_end_matches("'s")) else {
                    return Err(TestCaseError::fail(problem.to_string()));
                };
                let ips = owner.cluster_ips.iter().map(ToString::to_string);
                let ports = owner.ports.iter().filter_map(|port| port.node_port);
                let ports = ports.chain(owner.health_check_node_port).map(|port| port.to_string());
                prop_assert!(ips.chain(ports).any(|has| has == number), "{}: {:?}", problem, owner);
            }
        }
    }

    #[test]
    fn loading_twice_changes_nothing(first in wishes(), then in wishes()) {
        let mut dir = Directory::with(config(), Ledger::new());
        for wishes in [first, then] {
            dir.files = files(&wishes);
            let outcome = dir.load();
            let ledger = dir.state.ledger().clone();
            prop_assert_eq!(dir.load(), Outcome { changes: vec![], moved: vec![], ..outcome.clone() });
            // Another file is there, so that nothing is taken for known.
            let again = dir.write("other.yaml", "# nothing").load();
            prop_assert_eq!(again, Outcome { changes: vec![], moved: vec![], ..outcome });
            prop_assert_eq!(dir.state.ledger(), &ledger);
        }
    }

    #[test]
    fn a_restart_leads_to_the_same_world(first in wishes(), then in wishes()) {
        let mut dir = Directory::with(config(), Ledger::new());
        dir.files = files(&first);
        prop_assume!(dir.load().problems.is_empty());
        let mut restarted = dir.restarted(config());
        for dir in [&mut dir, &mut restarted] {
            dir.files = files(&then);
        }
        prop_assume!(dir.load().problems.is_empty());
        prop_assert_eq!(texts(&restarted.load().problems), Vec::<String>::new());
        prop_assert_eq!(&restarted.world, &dir.world);
        prop_assert_eq!(restarted.state.ledger(), dir.state.ledger());
    }

    #[test]
    fn what_files_are_called_decides_nothing_where_nothing_is_wrong(wishes in wishes(), names in vec(any::<u8>(), 12)) {
        let mut dir = Directory::with(config(), Ledger::new());
        dir.files = files(&wishes);
        prop_assume!(dir.load().problems.is_empty());
        let renamed = wishes.into_iter().map(|(name, (_, wish))| (name, (names[usize::from(name)], wish)));
        let mut other = Directory::with(config(), Ledger::new());
        other.files = files(&renamed.collect());
        other.load();
        prop_assert_eq!(other.world, dir.world);
    }

    #[test]
    fn a_number_once_given_stays_while_its_service_stays(first in wishes(), others in wishes()) {
        let automatic = |wishes: BTreeMap<u8, (u8, Wish)>| -> BTreeMap<u8, (u8, Wish)> {
            let plain = |wish: Wish| Wish { ip: None, node_port: None, ..wish };
            wishes.into_iter().map(|(name, (file, wish))| (name, (file, plain(wish)))).collect()
        };
        let (first, others) = (automatic(first), automatic(others));
        let mut dir = Directory::with(config(), Ledger::new());
        dir.files = files(&first);
        prop_assume!(dir.load().problems.is_empty());
        let mut both = others;
        both.extend(first.clone());
        dir.files = files(&both);
        for change in dir.load().changes {
            if let Change::Service(service) = change {
                let name: u8 = service.name.name[1..].parse().unwrap();
                prop_assert!(!first.contains_key(&name), "{:?}", service);
            }
        }
    }
}
