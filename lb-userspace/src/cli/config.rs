//! `--config`: what a file says becomes the default of flags, so that a flag and an environment variable win.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::{ArgAction, ArgMatches, Command, CommandFactory};

use crate::config::{self, Document};

/// Where the file is named.
const SUBCOMMAND: &str = "run";
/// How often the file is looked at while it is served by.
const LOOK_AFTER: Duration = Duration::from_secs(2);

/// The file.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigFile {
    /// File with kube-proxy's configuration (KubeProxyConfiguration, kubeproxy.config.k8s.io/v1alpha1): what
    /// has a meaning here is taken for flags that are not given, what has none is named in the log. When the
    /// file changes, and can be read, the process ends with 1, to be started anew; Services go on being served.
    #[arg(long, env = "SHUNT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// Says what of the file does nothing here.
    pub(super) fn tell(&self) -> anyhow::Result<()> {
        let Some(path) = &self.config else { return Ok(()) };
        let (_, ignored) = with_defaults(super::Cli::command(), &read(path)?);
        for (field, why) in ignored {
            tracing::warn!("{}: {field} is ignored: {why}", path.display());
        }
        Ok(())
    }

    /// Returns when the file is another than it was, and one to go by (RST-05); never without a file. One that
    /// can't be read is told, and what was read before stays in force.
    pub(super) async fn changed(&self) -> anyhow::Error {
        let Some(path) = &self.config else { return std::future::pending().await };
        let mut last = std::fs::read_to_string(path).ok();
        loop {
            // Looked at and not watched: a ConfigMap's file is a link to a link that is replaced.
            tokio::time::sleep(LOOK_AFTER).await;
            let now = std::fs::read_to_string(path).ok();
            if now == last {
                continue;
            }
            match read(path) {
                Ok(_) => return anyhow::anyhow!("{} has changed: start anew to go by it", path.display()),
                Err(error) => tracing::error!("{error:#}; what it said before stays in force"),
            }
            last = now;
        }
    }
}

/// The command line once more, with what the file that it names says for defaults; `None` where it names none.
pub(super) fn matches(command: &Command, first: &ArgMatches) -> anyhow::Result<Option<Command>> {
    let named = first.subcommand_matches(SUBCOMMAND).and_then(|run| run.get_one::<PathBuf>("config"));
    let Some(path) = named else { return Ok(None) };
    Ok(Some(with_defaults(command.clone(), &read(path)?).0))
}

fn read(path: &Path) -> anyhow::Result<Document> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    config::parse(&text).with_context(|| format!("{} is no configuration to go by", path.display()))
}

/// A command whose flags have these defaults, and everything that does nothing.
fn with_defaults(command: Command, document: &Document) -> (Command, Vec<(String, String)>) {
    let mut ignored = document.ignored.clone();
    let command =
        command.mut_subcommand(SUBCOMMAND, |mut run| {
            for (flag, value) in &document.flags {
                let arg = run.get_arguments().find(|arg| arg.get_long() == Some(*flag));
                let Some(arg) = arg else {
                    ignored.push((format!("--{flag} {value}"), "there is no such flag".to_owned()));
                    continue;
                };
                let (id, is_switch) = (arg.get_id().clone(), matches!(arg.get_action(), ArgAction::SetTrue));
                // clap keeps defaults for as long as the process lives, and so are these; there is one file.
                let value: &'static str = value.clone().leak();
                run = run.mut_arg(id, |arg| {
                    if is_switch { arg.default_value("true") } else { arg.default_value(value) }
                });
            }
            run
        });
    (command, ignored)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;

    fn file(body: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let head = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";
        std::fs::write(file.path(), format!("{head}{body}")).expect("written");
        file
    }

    fn run(path: &Path, arguments: &[&str]) -> anyhow::Result<ArgMatches> {
        let line = ["shunt", "run", "--manifests", "dir", "--config", path.to_str().expect("a path")];
        let line: Vec<&str> = line.iter().chain(arguments).copied().collect();
        let first = Cli::command().try_get_matches_from(&line)?;
        let command = matches(&Cli::command(), &first)?.expect("a file was named");
        let (_, found) = command.try_get_matches_from(&line)?.remove_subcommand().expect("a subcommand");
        Ok(found)
    }

    fn raw(matches: &ArgMatches, id: &str) -> Vec<String> {
        let values = matches.get_raw(id).into_iter().flatten();
        values.map(|value| value.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let file =
            file("conntrack: {min: 1000, maxPerCore: 7, tcpBeLiberal: true}\nclusterCIDR: 10.244.0.0/16\n");
        let found = run(file.path(), &["--conntrack-min", "5"]).expect("a command line");
        assert_eq!(found.get_one::<u32>("conntrack_min"), Some(&5));
        assert_eq!(found.get_one::<u32>("conntrack_max_per_core"), Some(&7));
        assert!(found.get_flag("conntrack_tcp_be_liberal"));
        assert_eq!(raw(&found, "cluster_cidr"), ["10.244.0.0/16"]);
        assert_eq!(raw(&found, "conntrack_tcp_timeout_close_wait"), ["1h"]);
    }

    #[test]
    fn every_flag_that_a_field_becomes_is_there_or_comes_with_the_cluster() {
        let run = Cli::command();
        let run = run.find_subcommand(SUBCOMMAND).expect("run");
        let missing: Vec<_> = config::FIELDS
            .iter()
            .filter_map(|field| match field.meaning {
                config::Meaning::Flag(flag) | config::Meaning::FlagIf(_, flag, _) => Some(flag),
                _ => None,
            })
            .filter(|flag| !run.get_arguments().any(|arg| arg.get_long() == Some(*flag)))
            .collect();
        let of_cluster = ["kubeconfig", "min-sync-period"];
        assert!(missing.iter().all(|flag| of_cluster.contains(flag)), "{missing:?}");
    }

    #[test]
    fn a_file_that_makes_no_sense_is_refused_by_its_name_and_field() {
        let file = file("conntrack: {min: many}\n");
        let error = format!("{:#}", run(file.path(), &[]).expect_err("nonsense"));
        assert!(error.contains(&file.path().display().to_string()), "{error}");
        assert!(error.contains("conntrack.min: \"many\" is not"), "{error}");
    }
}
