//! `docs/configuration.md` says what is true: every flag of `shunt run` with its environment variable and its
//! default, and what each field of kube-proxy's configuration and each further flag of its means here.
#![expect(clippy::unwrap_used, reason = "a page that can't be read fails the test")]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, Command, CommandFactory};
use lb_userspace::cli::Cli;
use lb_userspace::config::{FIELDS, FLAGS, FlagMeaning, Meaning};

/// What follows is written from the command line and the table of fields.
const GENERATED: &str = "<!-- generated -->\n";
/// How it is written.
const REMEDY: &str = "SHUNT_WRITE_DOCS=1 cargo test -p lb-userspace --test configuration";
/// The commands that a node's configuration is for.
const COMMANDS: [&str; 2] = ["run", "takeover"];

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/configuration.md")
}

fn command(name: &str) -> Command {
    Cli::command().find_subcommand(name).unwrap_or_else(|| panic!("there is no `shunt {name}`")).clone()
}

/// Those that are more than `--help`.
fn flags(command: &Command) -> Vec<&Arg> {
    command.get_arguments().filter(|arg| arg.get_long().is_some_and(|long| long != "help")).collect()
}

fn generated() -> String {
    let mut text = String::new();
    for name in COMMANDS {
        let command = command(name);
        writeln!(text, "\n## `shunt {name}`\n\n| flag | environment | default | |\n|---|---|---|---|")
            .unwrap();
        for arg in flags(&command) {
            let line = [flag(arg), environment(arg), default(arg), help(arg)].join(" | ");
            writeln!(text, "| {line} |").unwrap();
        }
    }
    writeln!(text, "\n## Further flags of kube-proxy\n\n| flag | here |\n|---|---|").unwrap();
    for flag in FLAGS {
        let meaning = match flag.meaning {
            FlagMeaning::Same(flag) => format!("`--{flag}`"),
            FlagMeaning::InMode(mode, flag) => format!("`--{flag}`, in the mode {mode}"),
            FlagMeaning::IfTrue(flag, value) => format!("`--{flag} {value}`"),
            FlagMeaning::Port(flag) => format!("the port of `--{flag}`; 0 is none"),
            FlagMeaning::Nothing(why) => format!("ignored: {why}"),
            FlagMeaning::Refused(why) => format!("refused: {why}"),
        };
        writeln!(text, "| `--{}` | {meaning} |", flag.name).unwrap();
    }
    writeln!(text, "\n## Fields of `KubeProxyConfiguration`\n\n| field | here |\n|---|---|").unwrap();
    for field in FIELDS {
        let meaning = match field.meaning {
            Meaning::Flag(flag) => format!("`--{flag}`"),
            Meaning::FlagIf(value, flag, flag_value) => format!("{value}: `--{flag} {flag_value}`"),
            Meaning::Nothing(why) => format!("ignored: {why}"),
            Meaning::NothingUnless(value, why) => format!("{value}: as it is; else ignored: {why}"),
        };
        writeln!(text, "| `{}` | {meaning} |", field.path).unwrap();
    }
    text
}

fn flag(arg: &Arg) -> String {
    let value = arg.get_value_names().filter(|_| arg.get_action().takes_values());
    let value = value.map(|names| format!(" {}", names.join(" "))).unwrap_or_default();
    let aliases = arg.get_visible_aliases().unwrap_or_default();
    let aliases = aliases.iter().map(|alias| format!(", `--{alias}`")).collect::<String>();
    format!("`--{}{value}`{aliases}", arg.get_long().unwrap())
}

fn environment(arg: &Arg) -> String {
    arg.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default()
}

fn default(arg: &Arg) -> String {
    let values: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if values.is_empty() || !arg.get_action().takes_values() {
        return String::new();
    }
    format!("`{}`", values.join(","))
}

/// The whole help, on one line.
fn help(arg: &Arg) -> String {
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
    help.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|").replace('*', "\\*")
}

#[test]
fn the_page_says_what_the_command_line_understands() {
    let path = page();
    let written = fs::read_to_string(&path).unwrap();
    let (by_hand, _) = written.split_once(GENERATED).unwrap();
    let expected = format!("{by_hand}{GENERATED}{}", generated());
    if std::env::var_os("SHUNT_WRITE_DOCS").is_some() {
        fs::write(&path, &expected).unwrap();
        return;
    }
    assert!(written == expected, "{} is out of date: {REMEDY}", path.display());
}

#[test]
fn every_flag_has_an_environment_variable_of_its_name() {
    for arg in flags(&command("run")) {
        let long = arg.get_long().unwrap();
        let expected = format!("SHUNT_{}", long.to_uppercase().replace('-', "_"));
        let env = arg.get_env().map(|env| env.to_string_lossy().into_owned());
        assert_eq!(env, Some(expected), "--{long}");
    }
}
