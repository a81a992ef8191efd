//! What becomes of a panic.

use std::{panic, process};

/// From now on a panic ends the process once it was told, whichever thread or task it is of.
///
/// One that ended its task alone would leave an instance that looks whole and no longer follows Services, say, or
/// no longer collects flows. What is in the kernel goes on serving, and whoever supervises the process starts it
/// anew.
pub(super) fn end_the_process() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        tell(panic);
        process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    #[test]
    #[ignore = "it ends the process: the next test runs it in one of its own"]
    fn a_task_that_panics() {
        end_the_process();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let task = tokio::spawn(async { panic!("what nobody waits for") });
            while !task.is_finished() {
                tokio::task::yield_now().await;
            }
        });
    }

    #[test]
    fn a_panic_of_a_task_that_nobody_waits_for_ends_the_process_and_is_told() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--ignored", "--exact", "--nocapture", "cli::panic::tests::a_task_that_panics"]);
        let output = child.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{said}");
        assert!(said.contains("what nobody waits for"), "{said}");
    }
}
