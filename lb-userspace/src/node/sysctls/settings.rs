//! All settings of an instance: made when it begins, and those that come later as soon as they are there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::record::{self, Changed};
use super::{Outcome, Setting, State};
use crate::private;

/// The settings that should be so.
#[derive(Debug)]
pub struct Settings {
    /// / but for tests.
    root: PathBuf,
    record: PathBuf,
    report: PathBuf,
    all: Vec<One>,
}

#[derive(Debug)]
struct One {
    setting: Setting,
    /// Whether it is to be written.
    write: bool,
    /// What became of it; none before it was looked at.
    state: Option<State>,
}

impl One {
    fn outcome(&self) -> Option<Outcome> {
        Some(self.setting.with(self.state.clone()?))
    }
}

impl Settings {
    /// Nothing is looked at yet. A setting with `false` is looked at and left alone. What settings were is kept in
    /// the file `record`, what became of them in the file `report`.
    pub fn new(root: &Path, record: PathBuf, report: PathBuf, wanted: Vec<(Setting, bool)>) -> Self {
        let all = wanted.into_iter().map(|(setting, write)| One { setting, write, state: None });
        Self { root: root.to_owned(), record, report, all: all.collect() }
    }

    /// Makes settings as they should be: at first all of them, later those that were not there. Returned is what
    /// is new.
    ///
    /// # Errors
    ///
    /// What settings were could not be put on record, or what became of them: they are made all the same.
    pub fn settle(&mut self) -> (Vec<Outcome>, io::Result<()>) {
        let mut open: Vec<&mut One> =
            self.all.iter_mut().filter(|one| matches!(one.state, None | Some(State::Missing))).collect();
        let mut changes = Vec::new();
        open.retain_mut(|one| {
            let seen = Some(one.setting.look(&self.root));
            let is_news = one.state != seen;
            one.state = seen;
            is_news
        });
        for one in open.iter().filter(|one| one.write) {
            if let Some(State::Different { now }) = one.state {
                let changed = Changed { before: now, set: one.setting.wanted.value() };
                changes.push((one.setting.file.to_owned(), changed));
            }
        }
        let remembered = record::remember(&self.record, changes);
        for one in open.iter_mut().filter(|one| one.write) {
            if let Some(State::Different { now }) = one.state {
                one.state = Some(one.setting.write(&self.root, now));
            }
        }
        let news: Vec<Outcome> = open.iter().filter_map(|one| one.outcome()).collect();
        let reported = if news.is_empty() { Ok(()) } else { self.write_report() };
        (news, remembered.and(reported))
    }

    fn write_report(&self) -> io::Result<()> {
        let outcomes: Vec<Outcome> = self.all.iter().filter_map(One::outcome).collect();
        private::write(&self.report, &outcomes)
    }
}

/// The file of the instance that has its pins in `pin_dir`.
pub fn report_path(pin_dir: &Path) -> PathBuf {
    crate::control::socket_path(pin_dir).with_extension("settings.json")
}

/// The same, and what an instance that was killed may have left of its next version.
pub fn report_files(pin_dir: &Path) -> [PathBuf; 2] {
    let path = report_path(pin_dir);
    [private::draft(&path), path]
}

/// What became of settings; nothing where no instance has said so since the machine began.
///
/// # Errors
///
/// Where the file can't be read or understood.
pub fn report(path: &Path) -> io::Result<Vec<Outcome>> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FORWARDING, Wanted};
    use super::*;

    const FORWARD: Setting = FORWARDING[0];

    /// A machine with one setting, or none yet.
    struct Machine(tempfile::TempDir);

    impl Machine {
        fn with(value: Option<&str>) -> Self {
            let machine = Self(tempfile::tempdir().expect("a directory"));
            fs::create_dir_all(machine.path().parent().expect("a parent")).expect("directories");
            if let Some(value) = value {
                machine.put(value);
            }
            machine
        }

        fn path(&self) -> PathBuf {
            self.0.path().join(FORWARD.file)
        }

        fn record(&self) -> PathBuf {
            self.0.path().join("run/record.json")
        }

        fn put(&self, value: &str) {
            fs::write(self.path(), value).expect("a setting");
        }

        fn now(&self) -> String {
            fs::read_to_string(self.path()).expect("a setting")
        }

        fn settings(&self, wanted: Wanted, write: bool) -> Settings {
            let report = self.0.path().join("run/report.json");
            let setting = Setting { wanted, ..FORWARD };
            Settings::new(self.0.path(), self.record(), report, vec![(setting, write)])
        }

        fn settle(&self, wanted: Wanted, write: bool) -> State {
            let (mut news, kept) = self.settings(wanted, write).settle();
            kept.expect("kept");
            news.remove(0).state
        }
    }

    #[test]
    fn a_setting_is_written_only_where_it_differs() {
        let machine = Machine::with(Some("0\n"));
        let wanted = Wanted::AtLeast(1);
        assert_eq!(machine.settle(wanted, false), State::Different { now: 0 });
        assert_eq!(machine.now(), "0\n");
        assert_eq!(machine.settle(wanted, true), State::Set { before: 0 });
        assert_eq!(machine.settle(wanted, true), State::Right);
        assert_eq!(machine.now(), "1");
    }

    #[test]
    fn a_larger_value_satisfies_a_least_one_but_no_exact_one() {
        let machine = Machine::with(Some("3"));
        assert_eq!(machine.settle(Wanted::AtLeast(1), true), State::Right);
        assert_eq!(machine.settle(Wanted::Exactly(1), true), State::Set { before: 3 });
    }

    #[test]
    fn a_setting_that_is_no_number_is_told_and_left_alone() {
        let machine = Machine::with(Some("much"));
        let (news, _) = machine.settings(Wanted::Exactly(1), true).settle();
        assert!(news[0].to_string().ends_with("\"much\" is no number"), "{news:?}");
        assert_eq!(machine.now(), "much");
    }

    #[test]
    fn a_setting_that_comes_later_is_made_then_and_told_once_sys_01() {
        let machine = Machine::with(None);
        let mut settings = machine.settings(Wanted::Exactly(3600), true);
        let (news, kept) = settings.settle();
        assert!(kept.is_ok() && news[0].state == State::Missing, "{news:?}");
        assert_eq!(settings.settle().0, []);
        machine.put("60\n");
        let (news, _) = settings.settle();
        assert_eq!(news[0].state, State::Set { before: 60 });
        assert_eq!(machine.now(), "3600");
        machine.put("77");
        assert_eq!(settings.settle().0, [], "somebody else's change stays");
        assert_eq!(machine.now(), "77");
        assert_eq!(report(&settings.report).expect("a report"), news);
    }

    #[test]
    fn what_a_setting_was_is_on_record_before_it_is_written_and_needs_no_restoring_where_it_never_was() {
        let machine = Machine::with(None);
        // A number that not even root can write, as if the instance were killed between the record and the setting.
        let fixed = "/proc/sys/kernel/ngroups_max";
        std::os::unix::fs::symlink(fixed, machine.path()).expect("a link");
        let before = machine.now().trim().parse().expect("a number");
        let state = machine.settle(Wanted::Exactly(1), true);
        assert!(matches!(state, State::Failed { .. }), "{state:?}");
        let known = record::recall(&machine.record()).expect("a record");
        assert_eq!(known[FORWARD.file], Changed { before, set: 1 });
        let back = record::put_back(machine.0.path(), FORWARD.file, known[FORWARD.file]);
        assert_eq!(back, record::Back::Restored);
    }
}
