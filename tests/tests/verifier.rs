//! Tier `verifier`: this kernel takes every program.

use lb_userspace::datapath;

/// Most that the verifier may have to walk for one program: it gives up at a million, and a program that
/// grows tenfold unseen is a program that nobody has looked at.
const MOST_INSTRUCTIONS: u32 = 4_000;

#[test]
fn every_program_loads_with_its_type_information_and_within_its_budget() {
    let verified = datapath::verify().unwrap_or_else(|error| panic!("{:#}", anyhow::Error::from(error)));
    assert_eq!(verified.len(), datapath::program_names().count());
    for program in verified {
        println!("{program:?}");
        assert!(program.has_btf, "{} has no BTF", program.program);
        assert!(program.verified_instructions < MOST_INSTRUCTIONS, "{program:?}");
    }
}
