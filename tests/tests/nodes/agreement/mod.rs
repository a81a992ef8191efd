//! The model, the maps, the socket hooks and the packet path say the same of any question to any world.
//!
//! Worlds are made by chance and served by an instance; `shunt explain` is asked what becomes of every dial, and
//! then each is made: by sockets of the node and of a pod, and by packets of a pod and of clients outside that
//! the programs are run on, over the same maps.

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use lb_common::Counter;
use lb_tests::manifest::Manifest;
use lb_tests::packet::{Packet, SYN, tcp, udp};
use lb_tests::programs::{Hook, Pinned, Verdict};
use lb_tests::wire::{Probe, Probed, Transport};
use lb_tests::{Inside, Network, Node, Options, Pod, Shunt, probe, shunt_program};
use serde::Deserialize;
use serde_json::{Value, json};

use world::{CLIENTS, Dice, endpoints_on_node_1, targets, world};

const WORLDS: u64 = 24;

/// A choice among four that is made so often without one of them is not made by chance: once in 10^12.
const TRIES: u32 = 100;

/// Who dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum From {
    Node,
    Pod,
    Outside,
}

#[derive(Debug, Clone, Copy)]
struct Question {
    from: From,
    src: IpAddr,
    transport: Transport,
    target: SocketAddr,
}

/// A line of `shunt explain --queries`.
#[derive(Debug, Clone, Deserialize)]
struct Answer {
    verdict: String,
    endpoints: BTreeSet<String>,
    row: String,
    #[serde(default)]
    disagreements: Vec<String>,
}

/// What was seen to become of dials.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Seen {
    verdicts: BTreeSet<&'static str>,
    endpoints: BTreeSet<String>,
}

struct Stage {
    shunt: Shunt,
    pod: Pod,
    node: Node,
    _other: Node,
    _network: Network,
}

impl Stage {
    fn create() -> Result<Self> {
        let network = Network::create()?;
        let (node, other) = (network.node("node-1")?, network.node("node-2")?);
        let pod = node.pod("asker")?;
        // Whatever is sent to nobody has somewhere to go, and vanishes there without a word.
        node.ip(&[
            format!("route add {CLIENTS} via {}", other.v4()),
            format!("route add default via {}", other.v4()),
            format!("route add default via {}", other.v6()),
        ])?;
        other.ip(&["10.244.2.96/27", "10.244.2.128/27", "fd00:10:244:2::100/120"]
            .map(|net| format!("route add blackhole {net}")))?;
        other.ip(&["blackhole 0.0.0.0/0", "blackhole ::/0"].map(|route| format!("route add {route}")))?;
        for address in endpoints_on_node_1() {
            let there =
                |device| [format!("neigh add {address} lladdr 02:00:00:00:01:00 dev {device} nud permanent")];
            node.ip(&there("pods"))?;
            pod.ip(&there("eth0"))?;
        }
        // The packets that programs are run on are for this address.
        node.ip(&["link set eth0 address 02:00:00:00:00:01".to_owned()])?;
        let arguments = ["--cluster-cidr", "10.244.0.0/16,fd00:10:244::/48"].map(Into::into).to_vec();
        let shunt = Shunt::start(&node, &Options { arguments, ..Options::default() }, &[])?;
        Ok(Self { shunt, pod, node, _other: other, _network: network })
    }

    /// Puts a world in force in place of all before it.
    fn serve(&self, objects: &[Value], before: &mut Vec<Value>) -> Result<()> {
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let names: Vec<String> = before.iter().map(name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.shunt.remove("Service", &names)?;
        self.shunt.remove("EndpointSlice", &names)?;
        let all: Vec<&dyn Manifest> = objects.iter().map(|object| object as &dyn Manifest).collect();
        self.shunt.apply(&all)?;
        ensure!(!self.shunt.log().contains("ERROR"), "{}", self.shunt.log());
        *before = objects.to_vec();
        Ok(())
    }

    fn questions(&self) -> Vec<Question> {
        let mut questions = Vec::new();
        let [node4, node6] = self.node.addresses();
        let sources: [(From, [IpAddr; 2]); 3] = [
            (From::Node, [node4, node6]),
            (From::Pod, [self.pod.v4().into(), self.pod.v6().into()]),
            (From::Outside, ["192.0.2.77".parse().expect("v4"), "2001:db8::77".parse().expect("v6")]),
        ];
        for target in targets(self.node.addresses()) {
            for (from, [src4, src6]) in sources {
                let src = if target.is_ipv4() { src4 } else { src6 };
                for transport in [Transport::Tcp, Transport::Udp] {
                    questions.push(Question { from, src, transport, target });
                }
            }
        }
        questions
    }

    /// What the running instance says, from its objects and from the maps.
    fn explain(&self, questions: &[Question]) -> Result<Vec<Answer>> {
        let mut command = self.node.place().command(shunt_program()?)?;
        command.args(["explain", "--queries", "-", "--pin-dir"]).arg(self.node.pin_dir());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take().context("its standard input")?;
        let lines: String = questions
            .iter()
            .map(|Question { src, transport, target, .. }| {
                let proto = if *transport == Transport::Tcp { "TCP" } else { "UDP" };
                let (dst, dport) = (target.ip(), target.port());
                format!("{}\n", json!({ "src": src, "proto": proto, "dst": dst, "dport": dport }))
            })
            .collect();
        let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
        let output = child.wait_with_output()?;
        writer.join().ok().context("the writer panicked")??;
        ensure!(output.status.success(), "shunt explain: {}", output.status);
        let text = String::from_utf8(output.stdout)?;
        let answers: Vec<Answer> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        ensure!(answers.len() == questions.len(), "{} answers", answers.len());
        Ok(answers)
    }

    /// What sockets see.
    fn dial(&self, questions: &[(Question, Answer)]) -> Result<Vec<Seen>> {
        let probes: Vec<Probe> = questions
            .iter()
            .map(|(question, answer)| Probe {
                transport: question.transport,
                target: question.target,
                count: if answer.endpoints.len() > 1 { TRIES } else { 1 },
            })
            .collect();
        let from = questions.first().map_or(From::Node, |(question, _)| question.from);
        let probed = match from {
            From::Node => probe(&self.node, &probes)?,
            _ => probe(&self.pod, &probes)?,
        };
        let seen = |(probe, probed): (&Probe, Vec<Probed>)| {
            let mut seen = Seen::default();
            for one in probed {
                let verdict = match one {
                    Probed::SentTo(place) if place == probe.target => "PASS",
                    Probed::SentTo(place) => {
                        seen.endpoints.insert(place.to_string());
                        "DNAT"
                    }
                    Probed::Refused(errno) if errno == "ECONNREFUSED" => "REJECT",
                    Probed::Refused(errno) if errno == "EHOSTUNREACH" => "DROP",
                    Probed::Refused(_) | Probed::Closed => "ODD",
                };
                seen.verdicts.insert(verdict);
            }
            seen
        };
        Ok(probes.iter().zip(probed).map(seen).collect())
    }

    /// What becomes of packets.
    fn send(&self, questions: &[(Question, Answer)], next: &mut u32) -> Result<Vec<Seen>> {
        Pinned::within(&self.node, |programs| {
            questions.iter().map(|(question, answer)| send(programs, question, answer, next)).collect()
        })
    }
}

fn send(programs: &mut Pinned, question: &Question, answer: &Answer, next: &mut u32) -> Result<Seen> {
    let hook = if question.from == From::Outside { Hook::Ingress } else { Hook::PodIn };
    let mut seen = Seen::default();
    let tries = if answer.endpoints.len() > 1 { TRIES } else { 1 };
    for _ in 0..tries {
        // Every packet is a flow of its own.
        *next += 1;
        let src = SocketAddr::new(question.src, 1024 + (*next % 60_000) as u16);
        let packet = match question.transport {
            Transport::Tcp => tcp(src, question.target, SYN),
            _ => udp(src, question.target, b"question"),
        };
        let ran = programs.run(hook, &packet)?;
        ensure!(!ran.counts().contains(&Counter::NoRoute), "no route: {question:?}");
        let verdict = match ran.verdict() {
            Verdict::Drop => "DROP",
            Verdict::Pass if ran.bytes() == packet.bytes() => "PASS",
            Verdict::Pass => reached(&ran.passed(), &packet, &mut seen),
            Verdict::Redirect => reached(&ran.redirected(), &packet, &mut seen),
            Verdict::Other(_) => "ODD",
        };
        seen.verdicts.insert(verdict);
        if seen.endpoints.is_superset(&answer.endpoints) {
            break;
        }
    }
    Ok(seen)
}

/// A packet that was answered, or sent to an endpoint.
fn reached(packet: &Packet, sent: &Packet, seen: &mut Seen) -> &'static str {
    if packet.dst.ip() == sent.src.ip() {
        return "REJECT";
    }
    seen.endpoints.insert(packet.dst.to_string());
    "DNAT"
}

/// What must be seen of a dial of which `answer` is said; `None` where a socket may see another thing.
fn expected(question: &Question, answer: &Answer, by_socket: bool, node: &[IpAddr]) -> Option<Seen> {
    // A socket has no address yet when it dials, and is refused in doubt (LSR-01): explain says so as «take care».
    if by_socket && answer.row.starts_with("LSR") {
        return None;
    }
    let verdict = match answer.verdict.as_str() {
        "DNAT" => "DNAT",
        "REJECT" => "REJECT",
        "DROP" => "DROP",
        "PASS" => "PASS",
        _ => "ODD",
    };
    // The stack of the node itself, where nobody listens, refuses before one could look where it was sent.
    if by_socket
        && verdict == "PASS"
        && question.transport == Transport::Tcp
        && node.contains(&question.target.ip())
    {
        return None;
    }
    Some(Seen { verdicts: BTreeSet::from([verdict]), endpoints: answer.endpoints.clone() })
}

#[track_caller]
fn check(
    world: u64,
    by: &str,
    questions: &[(Question, Answer)],
    seen: &[Seen],
    ranged: &BTreeSet<IpAddr>,
    node: [IpAddr; 2],
) -> usize {
    let mut compared = 0;
    for ((question, answer), seen) in questions.iter().zip(seen) {
        let by_socket = by == "socket";
        // Where a load balancer has source ranges, a socket's refusal may be stricter.
        if by_socket && ranged.contains(&question.target.ip()) {
            continue;
        }
        let Some(expected) = expected(question, answer, by_socket, &node) else { continue };
        assert_eq!(*seen, expected, "world {world}, by {by}: {question:?} {answer:?}");
        compared += 1;
    }
    compared
}

/// The load balancers' addresses that have source ranges.
fn ranged(objects: &[Value]) -> BTreeSet<IpAddr> {
    objects
        .iter()
        .filter(|object| object["spec"]["loadBalancerSourceRanges"].is_array())
        .filter_map(|object| object["status"]["loadBalancer"]["ingress"][0]["ip"].as_str()?.parse().ok())
        .collect()
}

#[test]
fn model_maps_sockets_and_packets_agree_on_every_question_to_any_world() {
    let stage = Stage::create().unwrap_or_else(|error| panic!("{error:#}"));
    let (mut before, mut next) = (Vec::new(), 0);
    let mut compared: BTreeMap<String, usize> = BTreeMap::new();
    for number in 0..WORLDS {
        let objects = world(&mut Dice::new(number + 1));
        stage.serve(&objects, &mut before).unwrap_or_else(|error| panic!("world {number}: {error:#}"));
        let questions = stage.questions();
        let answers = stage.explain(&questions).expect("answers");
        let asked: Vec<(Question, Answer)> = questions.into_iter().zip(answers).collect();
        for (question, answer) in &asked {
            assert_eq!(answer.disagreements, [""; 0], "world {number}: {question:?} {answer:?}");
            *compared.entry(format!("explain {}", answer.verdict)).or_default() += 1;
        }
        let ranged = ranged(&objects);
        for from in [From::Node, From::Pod, From::Outside] {
            let of_source: Vec<_> =
                asked.iter().filter(|(question, _)| question.from == from).cloned().collect();
            if from != From::Outside {
                let seen = stage.dial(&of_source).expect("dials");
                *compared.entry("socket".into()).or_default() +=
                    check(number, "socket", &of_source, &seen, &ranged, stage.node.addresses());
            }
            if from != From::Node {
                let seen = stage.send(&of_source, &mut next).expect("packets");
                *compared.entry("packet".into()).or_default() +=
                    check(number, "packet", &of_source, &seen, &ranged, stage.node.addresses());
            }
        }
    }
    println!("{compared:?}");
    for verdict in ["DNAT", "REJECT", "DROP", "PASS"] {
        assert!(
            compared.get(&format!("explain {verdict}")).is_some_and(|count| *count > 200),
            "{compared:?}"
        );
    }
}
