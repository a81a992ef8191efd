//! What an executable asks of the machine that runs it, read from its ELF headers.

use std::path::Path;

use anyhow::{Context, Result};
use object::Endianness;
use object::build::elf::{Builder, SectionData};
use object::elf::{DT_NEEDED, FileHeader64, PT_INTERP, SHT_STRTAB};
use object::read::elf::{FileHeader, ProgramHeader};

/// What the dynamic linker would have to do; nothing at all for a static executable.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Whether it asks for a dynamic linker (`PT_INTERP`).
    pub(crate) interpreter: bool,
    /// The shared libraries it names (`DT_NEEDED`).
    pub(crate) libraries: Vec<String>,
}

/// Reads a 64-bit ELF file. Fails when the file can't be read or is none.
pub(crate) fn needs(path: &Path) -> Result<Needs> {
    let data = std::fs::read(path).with_context(|| format!("{}: can't be read", path.display()))?;
    parse(&data).with_context(|| format!("{}: not a 64-bit ELF file", path.display()))
}

/// An ELF object without its debug information: type information for the kernel (BTF) is made from that when it is
/// linked, and nobody reads it after.
pub(crate) fn without_debug_information(data: &[u8]) -> Result<Vec<u8>> {
    let mut object = Builder::read(data)?;
    for section in object.sections.iter_mut() {
        let name = section.name.to_string();
        section.delete = [".debug_", ".rel.debug_"].iter().any(|debug| name.starts_with(debug));
    }
    // bpf-linker has one table of strings for symbols and for sections, and the builder wants one for each.
    let names = object.sections.add();
    names.name = b".shstrtab"[..].into();
    names.sh_type = SHT_STRTAB;
    names.data = SectionData::SectionString;
    object.delete_orphans();
    let mut written = Vec::new();
    object.write(&mut written)?;
    Ok(written)
}

fn parse(data: &[u8]) -> object::Result<Needs> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let interpreter =
        header.program_headers(endian, data)?.iter().any(|segment| segment.p_type(endian) == PT_INTERP);
    let table = header.sections(endian, data)?.dynamic_table(endian, data)?;
    let libraries = table
        .iter()
        .filter(|entry| entry.tag == DT_NEEDED)
        .map(|entry| Ok(String::from_utf8_lossy(table.string(entry)?).into_owned()))
        .collect::<object::Result<_>>()?;
    Ok(Needs { interpreter, libraries })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_executable_names_its_interpreter_and_the_c_library() {
        let found = needs(&std::env::current_exe().unwrap()).unwrap();
        assert!(found.interpreter);
        assert!(found.libraries.contains(&"libc.so.6".to_owned()), "{found:?}");
    }

    #[test]
    fn a_file_that_is_no_executable_is_refused_by_its_path() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let error = needs(&path).unwrap_err();
        assert!(format!("{error:#}").contains("Cargo.toml: not a 64-bit ELF file"), "{error:#}");
    }
}
