//! A run in its own process, so that a crash affects no other run.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, PipeReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread;

use super::{Ending, Event, Job, OUT_OF_MEMORY};
use crate::{Error, Result};

/// Number of a process's last lines of output that are kept in case it dies.
const LAST_WORDS: usize = 4;

/// A message from the process in a slot.
pub(super) enum Message {
    /// It reports an event.
    Event(Event),
    /// It has ended.
    Gone(Ending),
}

/// A running process; dropping this tells it to save and stop.
pub(super) struct Worker {
    _stdin: Option<ChildStdin>,
}

impl Worker {
    /// Starts `command` on `job`: the configuration is its stdin's first line, and the end of stdin tells it to stop, so
    /// that it also does when this process dies. Its messages are sent to `to` with the number of its `slot`.
    ///
    /// # Errors
    /// The process cannot be started.
    pub(super) fn start(mut command: Command, job: &Job, slot: usize, to: Sender<(usize, Message)>) -> Result<Self> {
        let text = serde_json::to_string(&job.config.to_toml()?).map_err(|e| Error::config(e.to_string()))?;
        let (mut child, reader) = spawn(&mut command).map_err(|source| Error::Process { source })?;
        drop(command); // and with it our ends of its pipes
        let mut stdin = child.stdin.take();
        if let Some(stdin) = &mut stdin {
            // A process that died before it read this is noticed when its own pipe ends.
            let _ = stdin.write_all(format!("{text}\n").as_bytes());
        }
        // If this fails, `stdin` is dropped, which stops the process, too.
        thread::Builder::new()
            .spawn(move || listen(child, reader, slot, &to))
            .map_err(|source| Error::Process { source })?;
        Ok(Self { _stdin: stdin })
    }
}

fn spawn(command: &mut Command) -> io::Result<(Child, PipeReader)> {
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::piped()).stdout(writer.try_clone()?).stderr(writer);
    Ok((command.spawn()?, reader))
}

/// Forwards the messages of the process, then how it ended.
fn listen(mut child: Child, reader: PipeReader, slot: usize, to: &Sender<(usize, Message)>) {
    let mut over = None;
    let mut words = VecDeque::new();
    for line in BufReader::new(reader).split(b'\n').map_while(io::Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        match Event::from_line(&line) {
            Some(Event::Over(ending)) => over = Some(ending),
            // The receiver is gone if the sweep has ended with an error.
            Some(event) => drop(to.send((slot, Message::Event(event)))),
            None if line.trim().is_empty() => {}
            None => {
                words.push_back(line.trim().to_string());
                words.drain(..words.len().saturating_sub(LAST_WORDS));
            }
        }
    }
    let status = child.wait();
    let ending = over.or_else(|| out_of_memory(&words)).unwrap_or_else(|| Ending::Died(death(status, words)));
    let _ = to.send((slot, Message::Gone(ending)));
}

/// The failure of a process that ran out of memory, and its hint: it would do so again, so that this is not a death that the
/// next call makes up for.
fn out_of_memory(words: &VecDeque<String>) -> Option<Ending> {
    let is_error = |line: &String| line.strip_prefix("error: ").is_some_and(|why| why.starts_with(OUT_OF_MEMORY));
    let said: Vec<&str> = words.iter().skip_while(|line| !is_error(line)).map(String::as_str).collect();
    let why = said.join("; ");
    why.strip_prefix("error: ").map(|why| Ending::Failed(why.to_string()))
}

/// `its process died (signal: 9 (SIGKILL)); error: out of memory ...`
fn death(status: io::Result<ExitStatus>, words: VecDeque<String>) -> String {
    let how = match status {
        Ok(status) => format!("its process died ({status})"),
        Err(error) => format!("its process is lost ({error})"),
    };
    [vec![how], words.into()].concat().join("; ")
}
