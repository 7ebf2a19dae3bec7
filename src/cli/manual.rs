//! `mbn completions` and `mbn man`: shell completions and manual pages, generated from the definition of the commands.

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use mbn::Error;

use super::exit::End;
use super::output;

/// Arguments of `mbn completions`.
#[derive(Args)]
pub struct CompletionsArgs {
    /// Shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Arguments of `mbn man`.
#[derive(Args)]
pub struct ManArgs {
    /// Command to document, such as train or data check [default: mbn itself]
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

/// Prints the completion script of a shell.
pub fn completions(args: &CompletionsArgs) -> anyhow::Result<End> {
    let mut script = vec![];
    clap_complete::generate(args.shell, &mut super::command(), "mbn", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(End::Done)
}

/// Prints a manual page.
pub fn man(args: &ManArgs) -> anyhow::Result<End> {
    let mut command = super::command();
    command.build();
    let mut page = vec![];
    let found = with_examples(find(&command, &args.command)?);
    Man::new(found).source(concat!("mbn ", env!("CARGO_PKG_VERSION"))).render(&mut page)?;
    output::print(&String::from_utf8_lossy(&page))?;
    Ok(End::Done)
}

/// The subcommand at `path` below `command`.
fn find<'a>(command: &'a Command, path: &[String]) -> Result<&'a Command, Error> {
    let Some((name, rest)) = path.split_first() else { return Ok(command) };
    let visible = || command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help");
    match visible().find(|sub| sub.get_name() == name) {
        Some(found) => find(found, rest),
        None => {
            let known: Vec<&str> = visible().map(Command::get_name).collect();
            let known = if known.is_empty() { "it has none".into() } else { format!("known: {}", known.join(", ")) };
            Err(Error::config(format!("`{}` has no command `{name}`; {known}", command.get_name())))
        }
    }
}

/// The command with its examples where a manual page has them: after the options.
fn with_examples(command: &Command) -> Command {
    let texts = [command.get_before_help(), command.get_after_help()];
    let texts: Vec<String> = texts.into_iter().flatten().map(ToString::to_string).collect();
    command.clone().after_help(texts.join("\n\n"))
}
