//! `mbn completions` and `mbn man`: shell completions and manual pages, generated from the definition of the commands.

use clap::builder::{PossibleValuesParser, Resettable};
use clap::{Arg, Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use mbn::data::DATASETS;
use mbn::norm::NORMS;
use mbn::train::OPTIMIZERS;
use mbn::{Error, model};

use super::exit::{self, End};
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
    clap_complete::generate(args.shell, &mut with_names(super::command()), "mbn", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(End::Done)
}

/// The command with the names that its arguments complete to. Elsewhere they are looked up in their tables, whose errors
/// are better.
fn with_names(command: Command) -> Command {
    let named = |arg: Arg| match names(arg.get_id().as_str()) {
        // Leaked, since clap takes names that live as long as the program, which ends when it has printed them.
        Some(names) => arg.value_parser(PossibleValuesParser::new(names.into_iter().map(|name| &*name.leak()))),
        None => arg,
    };
    command.mut_subcommands(with_names).mut_args(named)
}

/// The names that an argument takes; none where these are not known.
fn names(argument: &str) -> Option<Vec<String>> {
    let refreshed = NORMS.iter().filter(|kind| kind.refreshes).map(|kind| format!("{}-df", kind.name));
    Some(match argument {
        "dataset" | "name" => DATASETS.iter().map(|kind| kind.name.to_string()).collect(),
        "model" | "models" => model::names(),
        "norm" => NORMS.iter().map(|kind| kind.name.to_string()).collect(),
        "norms" => names("norm")?.into_iter().chain(refreshed).chain(["all".to_string()]).collect(),
        "optimizer" => OPTIMIZERS.iter().map(|kind| kind.name.to_string()).collect(),
        "device" => ["cpu", "cuda", "metal"].map(str::to_string).to_vec(),
        _ => return None,
    })
}

/// Prints a manual page.
pub fn man(args: &ManArgs) -> anyhow::Result<End> {
    let mut command = super::command().disable_help_subcommand(true);
    command.build();
    let found = find(&command, &args.command)?;
    let mut page = vec![];
    let man = Man::new(found.clone().after_help(Resettable::Reset)).source(concat!("mbn ", env!("CARGO_PKG_VERSION")));
    man.render(&mut page)?;
    let examples = found.get_before_help().map(|text| examples(&text.to_string())).unwrap_or_default();
    output::print(&format!("{}{examples}{}", String::from_utf8_lossy(&page), exit_status()))?;
    Ok(End::Done)
}

/// The subcommand at `path` below `command`.
fn find<'a>(command: &'a Command, path: &[String]) -> Result<&'a Command, Error> {
    let Some((name, rest)) = path.split_first() else { return Ok(command) };
    let visible = || command.get_subcommands().filter(|sub| !sub.is_hide_set());
    match visible().find(|sub| sub.get_name() == name) {
        Some(found) => find(found, rest),
        None => {
            let known: Vec<&str> = visible().map(Command::get_name).collect();
            let known = if known.is_empty() { "it has none".into() } else { format!("known: {}", known.join(", ")) };
            Err(Error::config(format!("`{}` has no command `{name}`; {known}", command.get_name())))
        }
    }
}

/// The section of examples, line by line as in `--help`, and the paragraphs that follow them there.
fn examples(help: &str) -> String {
    let (lines, notes) = help.split_once("\n\n").unwrap_or((help, ""));
    let lines: String = lines.lines().skip(1).map(|line| format!("{}\n", plain(line.trim_start()))).collect();
    let notes: String = notes.lines().map(|line| format!("{}\n", plain(line))).collect();
    format!(".SH EXAMPLES\n.nf\n{lines}.fi\n.PP\n{notes}")
}

/// The section of exit codes.
fn exit_status() -> String {
    let code = |(code, meaning): &(&str, &str)| format!(".TP\n\\fB{code}\\fR\n{}\n", plain(meaning));
    format!(".SH \"EXIT STATUS\"\n{}", exit::CODES.iter().map(code).collect::<String>())
}

/// Text that has no commands to the typesetter in it.
fn plain(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}
