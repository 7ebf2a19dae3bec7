//! The stack machine that interprets a pickle, without calling anything.

use super::{Outcome, PROTOCOL, Value, construct, contents};

/// The state of the machine.
#[derive(Default)]
pub(super) struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: Vec<Value>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(program: &'a [u8]) -> Self {
        Self { rest: program, ..Self::default() }
    }

    /// The value that the program ends with.
    pub(super) fn run(mut self) -> Outcome<Value> {
        loop {
            match self.byte()? {
                b'.' => return self.pop(),
                PROTOCOL => drop(self.byte()?),
                0x95 => drop(self.take(8)?), // a frame's length
                code => self.step(code)?,
            }
        }
    }

    fn step(&mut self, code: u8) -> Outcome<()> {
        let value = match code {
            b'K' => Value::Int(self.number(1)? as i64),
            b'M' => Value::Int(self.number(2)? as i64),
            b'J' => Value::Int((self.number(4)? as u32 as i32).into()),
            b'I' => Value::Int(self.line()?.parse().map_err(|_| "a number cannot be read")?),
            0x88 | 0x89 => Value::Bool(code == 0x88),
            b'N' => Value::Other,
            b'U' | b'C' | 0x8c => self.text(1)?,
            b'T' | b'B' | b'X' => self.text(4)?,
            0x8d | 0x8e | 0x96 => self.text(8)?,
            b'c' => Value::Global(format!("{} {}", self.line()?, self.line()?)),
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let word = |value: Value| String::from_utf8_lossy(value.bytes().unwrap_or_default()).into_owned();
                Value::Global(format!("{} {}", word(module), word(name)))
            }
            b'}' => Value::Dict(vec![]),
            b']' => Value::List(vec![]),
            b')' => Value::Tuple([].into()),
            b't' => Value::Tuple(self.marked()?.into()),
            0x85..=0x87 => Value::Tuple(self.last(usize::from(code - 0x84))?.into()),
            b'R' => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                construct(callee, arguments)
            }
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            _ => return self.change(code),
        };
        self.stack.push(value);
        Ok(())
    }

    /// Instructions that push no new value.
    fn change(&mut self, code: u8) -> Outcome<()> {
        match code {
            b'(' => self.marks.push(self.stack.len()),
            b'q' => self.remember(1)?,
            b'r' => self.remember(4)?,
            0x94 => self.memo.push(self.top()?),
            b'0' => drop(self.pop()?),
            b's' | b'u' => {
                let items = if code == b's' { self.last(2)? } else { self.marked()? };
                let Some(Value::Dict(entries)) = self.stack.last_mut() else {
                    return Err("dictionary entries without a dictionary".into());
                };
                entries.extend(items.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())));
            }
            b'a' | b'e' => {
                let items = if code == b'a' { self.last(1)? } else { self.marked()? };
                let Some(Value::List(list)) = self.stack.last_mut() else {
                    return Err("list elements without a list".into());
                };
                list.extend(items);
            }
            b'b' => {
                let state = self.pop()?;
                if let Some(Value::Array { bytes, of_bytes }) = self.stack.last_mut() {
                    (*bytes, *of_bytes) = contents(&state);
                }
            }
            _ => return Err(format!("its instruction {code:#04x} is not supported")),
        }
        Ok(())
    }

    fn take(&mut self, count: usize) -> Outcome<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or("it is truncated")?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Outcome<u8> {
        Ok(self.take(1)?[0])
    }

    /// A little-endian number of `bytes` bytes.
    fn number(&mut self, bytes: usize) -> Outcome<u64> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Bytes prefixed with their length, which takes `length_bytes` bytes.
    fn text(&mut self, length_bytes: usize) -> Outcome<Value> {
        let length = usize::try_from(self.number(length_bytes)?).map_err(|_| "it is truncated")?;
        Ok(Value::Bytes(self.take(length)?.into()))
    }

    fn line(&mut self) -> Outcome<String> {
        let end = self.rest.iter().position(|byte| *byte == b'\n').ok_or("it is truncated")?;
        Ok(String::from_utf8_lossy(self.take(end + 1)?).trim_end().to_string())
    }

    fn pop(&mut self) -> Outcome<Value> {
        self.stack.pop().ok_or_else(|| "its stack is empty".into())
    }

    fn last(&mut self, count: usize) -> Outcome<Vec<Value>> {
        let from = self.stack.len().checked_sub(count).ok_or("its stack is empty")?;
        Ok(self.stack.split_off(from).into_iter().map(Value::part).collect())
    }

    fn marked(&mut self) -> Outcome<Vec<Value>> {
        let from = self.marks.pop().filter(|from| *from <= self.stack.len()).ok_or("a mark is missing")?;
        Ok(self.stack.split_off(from).into_iter().map(Value::part).collect())
    }

    /// The top of the stack, for the memo. Lists and dictionaries are not stored: their later changes would have to be
    /// shared, and such a file never refers back to them.
    fn top(&self) -> Outcome<Value> {
        match self.stack.last().ok_or("its stack is empty")? {
            Value::List(_) | Value::Dict(_) => Ok(Value::Other),
            value => Ok(value.clone()),
        }
    }

    fn remember(&mut self, bytes: usize) -> Outcome<()> {
        let (place, value) = (self.number(bytes)? as usize, self.top()?);
        // Memo slots are numbered consecutively; a far one would only waste memory.
        if place > self.memo.len() + 64 {
            return Err("its memo has gaps".into());
        }
        self.memo.resize(self.memo.len().max(place + 1), Value::Other);
        self.memo[place] = value;
        Ok(())
    }

    fn recall(&mut self, bytes: usize) -> Outcome<Value> {
        let place = self.number(bytes)? as usize;
        self.memo.get(place).cloned().ok_or_else(|| "it refers to a memo entry that it does not have".into())
    }
}
