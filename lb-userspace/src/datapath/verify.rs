//! Would this kernel take the programs? Loads them, attaches nothing, keeps nothing.

use aya::Ebpf;
use aya::programs::ProgramInfo;

use super::{DatapathError, OBJECT, attach, program_names};

/// What the verifier made of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Its name.
    pub program: &'static str,
    /// Instructions that the verifier walked; 0 where the kernel does not tell (before Linux 5.16).
    pub verified_instructions: u32,
    /// Bytes of machine code.
    pub machine_code: u32,
    /// Whether it has its type information, without which callbacks and socket storage don't load.
    pub has_btf: bool,
}

/// Loads every program into the kernel and out again.
///
/// # Errors
///
/// The first program that the kernel refuses, with the verifier's log.
pub fn verify() -> Result<Vec<Verified>, DatapathError> {
    if OBJECT.is_empty() {
        return Err(DatapathError::NoObject);
    }
    let mut ebpf = Ebpf::load(OBJECT).map_err(DatapathError::Load)?;
    program_names()
        .map(|name| {
            let failed = |source| DatapathError::Program { program: name.to_owned(), source };
            let program = ebpf
                .program_mut(name)
                .ok_or_else(|| DatapathError::Missing { what: "program", name: name.to_owned() })?;
            attach::load(program).map_err(failed)?;
            let info: ProgramInfo = program.info().map_err(failed)?;
            Ok(Verified {
                program: name,
                verified_instructions: info.verified_instruction_count().unwrap_or(0),
                machine_code: info.size_jitted(),
                has_btf: info.btf_id().is_some(),
            })
        })
        .collect()
}
