//! What `shunt run` is started with besides its own flags: a file of kube-proxy's (`--config`), what it says being the
//! default of flags, so that a flag and an environment variable win; and kube-proxy's flags.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::Value;

use crate::config::{self, Document, KubeProxyFlag, Translated};
use crate::source::kubernetes::SERVICE_ACCOUNT;

/// What the file and kube-proxy's flags are for.
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

    /// Write the configuration that is in force to a file of that kind, and end.
    #[arg(long, env = "SHUNT_WRITE_CONFIG_TO", value_name = "FILE")]
    pub(super) write_config_to: Option<PathBuf>,
}

/// What is known of a command line, besides the values of its flags.
#[derive(Debug, Clone, Default)]
pub(super) struct Started {
    /// The file, with the text that was gone by.
    file: Option<(PathBuf, String)>,
    /// What was given and does nothing here, and why.
    ignored: Vec<(String, String)>,
    /// The values of all flags.
    flags: Vec<(String, String)>,
}

impl Started {
    /// Says what does nothing here.
    pub(super) fn tell(&self) {
        for (what, why) in &self.ignored {
            tracing::warn!("{what} is ignored: {why}");
        }
    }

    /// Every flag with its value, by the names of flags; several values have commas between.
    pub(super) fn flags(&self) -> &[(String, String)] {
        &self.flags
    }

    /// kube-proxy's configuration as it is in force.
    pub(super) fn effective(&self) -> Value {
        config::effective(|flag| {
            self.flags.iter().find(|(name, _)| name == flag).map(|(_, value)| value.clone())
        })
    }

    /// Returns when the file is another than the one that was gone by (RST-05); never without a file. One that
    /// can't be read is told, and what was read before stays in force.
    pub(super) async fn changed(&self) -> anyhow::Error {
        let Some((path, text)) = &self.file else { return std::future::pending().await };
        let mut last = Some(text.clone());
        loop {
            // Looked at and not watched: a ConfigMap's file is a link to a link that is replaced.
            let now = std::fs::read_to_string(path).ok();
            if now != last {
                match read(path) {
                    Ok(_) => return anyhow!("{} has changed: start anew to go by it", path.display()),
                    Err(error) => tracing::error!("{error:#}; what it said before stays in force"),
                }
                last = now;
            }
            tokio::time::sleep(LOOK_AFTER).await;
        }
    }
}

/// The command with kube-proxy's flags, which nobody is told of, and with switches that may have a value: what a file
/// turns on is turned off by `--switch=false`.
pub(super) fn complete(command: Command) -> Command {
    let hidden = |flag: &KubeProxyFlag| {
        // kube-proxy takes either for the other. clap keeps names for as long as the process lives.
        let other: &'static str = flag.name.replace('-', "_").leak();
        let arg =
            Arg::new(flag.name).long(flag.name).aliases((other != flag.name).then_some(other)).hide(true);
        let arg = arg.action(ArgAction::Append).allow_hyphen_values(true);
        if flag.is_switch { with_value(arg) } else { arg }
    };
    command.mut_subcommand(SUBCOMMAND, |run| {
        let run = run.mut_args(|arg| match arg.get_action() {
            ArgAction::SetTrue => {
                let arg = with_value(arg).action(ArgAction::Set).value_parser(switch);
                arg.default_value("false").hide_default_value(true).value_name("true|false")
            }
            _ => arg,
        });
        run.args(config::FLAGS.iter().map(hidden))
    })
}

/// True where it stands alone.
fn with_value(arg: Arg) -> Arg {
    arg.num_args(0..=1).require_equals(true).default_missing_value("true")
}

fn switch(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Ok(true),
        "false" | "f" | "no" | "n" | "off" | "0" | "" => Ok(false),
        _ => Err("not true or false".to_owned()),
    }
}

/// What a command line comes to, with what the file that it names says for defaults. One that makes no sense is clap's
/// to tell.
pub(super) fn matches(command: &Command, line: Vec<OsString>) -> anyhow::Result<(ArgMatches, Started)> {
    let first = command.clone().try_get_matches_from(&line)?;
    let Some(run) = first.subcommand_matches(SUBCOMMAND) else { return Ok((first, Started::default())) };
    let file =
        run.get_one::<PathBuf>("config").map(|path| Ok::<_, anyhow::Error>((path.clone(), read(path)?)));
    let file = file.transpose()?;
    let mut document = file.as_ref().map(|(_, (_, document))| document.clone()).unwrap_or_default();
    if let Some((path, _)) = &file {
        document.ignored.iter_mut().for_each(|(field, _)| *field = format!("{}: {field}", path.display()));
    }
    leave_out_kubeconfig(&mut document, run);
    let Translated { flags, ignored } = translate(run, &mut document)?;
    let (command, unknown) = with_defaults(command.clone(), &document);
    let is_given = |flag: &str| source(&command, run, flag) == Some(ValueSource::CommandLine);
    let more =
        flags.iter().filter(|(flag, _)| !is_given(flag)).map(|(flag, value)| format!("--{flag}={value}"));
    let line = line.into_iter().chain(more.map(OsString::from));
    let matches = command.clone().try_get_matches_from(line)?;
    let started = Started {
        file: file.map(|(path, (text, _))| (path, text)),
        ignored: [document.ignored, unknown, ignored].concat(),
        flags: matches.subcommand_matches(SUBCOMMAND).map(|run| values(&command, run)).unwrap_or_default(),
    };
    Ok((matches, started))
}

/// What kube-proxy's flags come to; what their mode implies is a default, as the file's.
fn translate(run: &ArgMatches, document: &mut Document) -> anyhow::Result<Translated> {
    let given = config::FLAGS.iter().filter_map(|flag| {
        let last = run.get_many::<String>(flag.name)?.next_back()?;
        Some((flag.name, last.clone()))
    });
    let given: Vec<(&str, String)> = given.collect();
    let mode = given.iter().rfind(|(name, _)| *name == "proxy-mode").map(|(_, mode)| mode.clone());
    if let Some(implied) = mode.as_deref().and_then(config::implied)
        && !document.flags.iter().any(|(flag, _)| *flag == implied.0)
    {
        document.flags.push(implied);
    }
    let mode = mode.or_else(|| document.mode.clone());
    let mode = mode.filter(|mode| !mode.is_empty()).unwrap_or_else(|| config::DEFAULT_MODE.to_owned());
    config::translate(&given, &mode).map_err(|why| anyhow!(why))
}

/// The kubeconfig that kube-proxy's file names may be none of this pod's: another way to the API goes without it.
fn leave_out_kubeconfig(document: &mut Document, run: &ArgMatches) {
    let is_named = run.contains_id("api_servers") || run.contains_id("master");
    let is_in_cluster =
        env::var_os("KUBERNETES_SERVICE_HOST").is_some() && Path::new(SERVICE_ACCOUNT).is_dir();
    if !is_named && !is_in_cluster {
        return;
    }
    let is_missing = |(flag, value): &(&str, String)| *flag == "kubeconfig" && !Path::new(value).exists();
    for (_, value) in document.flags.extract_if(.., |flag| is_missing(flag)) {
        let why = format!("there is no file {value} here; the API is reached by what else there is for it");
        document.ignored.push(("clientConnection.kubeconfig".to_owned(), why));
    }
}

fn source(command: &Command, run: &ArgMatches, flag: &str) -> Option<ValueSource> {
    let arguments = command.find_subcommand(SUBCOMMAND)?.get_arguments();
    run.value_source(arguments.into_iter().find(|arg| arg.get_long() == Some(flag))?.get_id().as_str())
}

/// Every flag of Shunt's own that has a value, with it.
fn values(command: &Command, run: &ArgMatches) -> Vec<(String, String)> {
    let arguments = command.find_subcommand(SUBCOMMAND).into_iter().flat_map(Command::get_arguments);
    let value = |arg: &Arg| {
        let values = run.try_get_raw(arg.get_id().as_str()).ok()??;
        let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
        Some((arg.get_long()?.to_owned(), values.join(",")))
    };
    arguments.filter(|arg| !arg.is_hide_set()).filter_map(value).collect()
}

fn read(path: &Path) -> anyhow::Result<(String, Document)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let document = config::parse(&text);
    let document = document.with_context(|| format!("{} is no configuration to go by", path.display()))?;
    Ok((text, document))
}

/// A command whose flags have these defaults, and those that there are not.
fn with_defaults(command: Command, document: &Document) -> (Command, Vec<(String, String)>) {
    let mut unknown = Vec::new();
    let command = command.mut_subcommand(SUBCOMMAND, |mut run| {
        for (flag, value) in &document.flags {
            let arg = run.get_arguments().find(|arg| arg.get_long() == Some(*flag));
            let Some(id) = arg.map(|arg| arg.get_id().clone()) else {
                unknown.push((format!("--{flag} {value}"), "there is no such flag".to_owned()));
                continue;
            };
            // clap keeps defaults for as long as the process lives, and so are these; there is one file.
            let value: &'static str = value.clone().leak();
            run = run.mut_arg(id, |arg| arg.default_value(value));
        }
        run
    });
    (command, unknown)
}

#[cfg(test)]
mod tests;
