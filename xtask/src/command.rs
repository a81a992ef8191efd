//! Running commands: announced, timed, and printed whole when they fail.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Runs one step with its output shown. `remedy` is what a person can do when it fails.
pub(crate) fn step(what: &str, command: &mut Command, remedy: &str) -> Result<()> {
    let line = render(command);
    eprintln!("==> {what}\n    {line}");
    let start = Instant::now();
    let status = command.status().with_context(|| format!("{line}: did not start\n  remedy: {remedy}"))?;
    if !status.success() {
        bail!("{line}: {status}\n  remedy: {remedy}");
    }
    eprintln!("    {what}: {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Says in one line what is there already, was chosen or is left out.
pub(crate) fn note(what: &str, why: &str) {
    eprintln!("==> {what}: {why}");
}

/// What a command prints: for questions, whose commands are not worth a line of their own.
pub(crate) fn answer(command: &mut Command) -> Result<String> {
    let line = render(command);
    let output = command.output().with_context(|| format!("{line}: did not start"))?;
    if !output.status.success() {
        bail!("{line}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Becomes the command: signals and the exit status are its own. Returns only when that fails.
pub(crate) fn become_command(what: &str, command: &mut Command) -> anyhow::Error {
    let line = render(command);
    eprintln!("==> {what}\n    {line}");
    anyhow::Error::new(command.exec()).context(format!("{line}: did not start"))
}

/// A program by its name, also where root's PATH lacks the folders of root's programs.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|program| is_executable(program))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// The command as a person would type it.
pub(crate) fn render(command: &Command) -> String {
    let folder = command.get_current_dir().map(|folder| format!("cd {} &&", quote(folder.as_os_str())));
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_string_lossy(), quote(value?))));
    let words = std::iter::once(command.get_program()).chain(command.get_args()).map(quote);
    folder.into_iter().chain(variables).chain(words).collect::<Vec<_>>().join(" ")
}

fn quote(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    shlex::try_quote(&word).map_or_else(|_| word.clone().into_owned(), |quoted| quoted.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_printed_as_a_person_would_type_it() {
        let mut command = Command::new("cargo");
        command.args(["test", "a name"]).env("RUSTC_BOOTSTRAP", "1").env_remove("RUSTC").current_dir("/tmp");
        assert_eq!(render(&command), "cd /tmp && RUSTC_BOOTSTRAP=1 cargo test 'a name'");
    }

    #[test]
    fn a_failed_step_names_its_command_its_status_and_the_remedy() {
        let error = step("failing", Command::new("sh").args(["-c", "exit 3"]), "try again").unwrap_err();
        assert_eq!(error.to_string(), "sh -c 'exit 3': exit status: 3\n  remedy: try again");
    }

    #[test]
    fn an_answer_that_fails_carries_what_the_command_said() {
        let error = answer(Command::new("sh").args(["-c", "echo no such thing >&2; exit 1"])).unwrap_err();
        assert!(error.to_string().contains("no such thing"), "{error}");
    }

    #[test]
    fn a_program_is_found_by_its_name_and_a_missing_one_is_not() {
        assert!(find_program("sh").is_some());
        assert_eq!(find_program("shunt-has-no-such-program"), None);
    }
}
