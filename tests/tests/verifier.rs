//! Tier `verifier`: this kernel takes every program.

use lb_userspace::datapath;

/// Most that the verifier may have to walk for one program of a socket, and for one of packets: it gives up at
/// a million, and a program that grows tenfold unseen is a program that nobody has looked at.
const MOST_INSTRUCTIONS: u32 = 4_000;
const MOST_INSTRUCTIONS_FOR_PACKETS: u32 = 100_000;
/// Those of packets.
const OF_PACKETS: [&str; 3] = ["shunt_ingress", "shunt_pod_in", "shunt_egress"];

#[test]
fn every_program_loads_with_its_type_information_and_within_its_budget() {
    let verified = datapath::verify().unwrap_or_else(|error| panic!("{:#}", anyhow::Error::from(error)));
    assert_eq!(verified.len(), datapath::program_names().count());
    for program in verified {
        println!("{program:?}");
        assert!(program.has_btf, "{} has no BTF", program.program);
        let is_of_packets = OF_PACKETS.contains(&program.program);
        let most = if is_of_packets { MOST_INSTRUCTIONS_FOR_PACKETS } else { MOST_INSTRUCTIONS };
        assert!(program.verified_instructions < most, "{program:?}");
    }
}
