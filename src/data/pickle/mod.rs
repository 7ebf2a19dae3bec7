//! CIFAR's Python version: a pickled dictionary with an array of pixels and a list of labels.
//!
//! A pickle is a program. Only the instructions that such a file uses are supported, and nothing in it is ever called:
//! this reads its data alone.

mod machine;

use std::rc::Rc;

use machine::Machine;

/// The instruction with which a pickle of protocol 2 or later begins; the protocol follows.
const PROTOCOL: u8 = 0x80;

/// Whether a file starts as a pickle does.
pub(super) fn is_pickle(bytes: &[u8]) -> bool {
    matches!(bytes, [PROTOCOL, 2..=5, ..])
}

/// Pixels image by image, and labels.
pub(super) struct File {
    pub(super) pixels: Vec<u8>,
    pub(super) labels: Vec<u8>,
}

type Outcome<T> = Result<T, String>;

/// Reads a dictionary with the key `data` (an array of bytes) and `label_key` (a list of numbers).
///
/// # Errors
/// What is missing or not supported.
pub(super) fn read(bytes: &[u8], label_key: &str) -> Outcome<File> {
    let Value::Dict(entries) = Machine::new(bytes).run()? else {
        return Err("it holds no dictionary".into());
    };
    let find = |key: &str| {
        let found = entries.iter().rev().find(|(name, _)| name.bytes().is_some_and(|name| name == key.as_bytes()));
        found.map(|(_, value)| value).ok_or_else(|| format!("it has no entry `{key}`"))
    };
    let pixels = match find("data")? {
        Value::Array { bytes: Some(bytes), of_bytes: true } => bytes.to_vec(),
        _ => return Err("its entry `data` is no array of bytes".into()),
    };
    let Value::List(labels) = find(label_key)? else { return Err(format!("its entry `{label_key}` is no list")) };
    let label = |value: &Value| match value {
        Value::Int(label) => u8::try_from(*label).map_err(|_| format!("label {label} is not in 0..=255")),
        _ => Err("a label is not a number".into()),
    };
    Ok(File { pixels, labels: labels.iter().map(label).collect::<Outcome<_>>()? })
}

#[derive(Clone)]
enum Value {
    Int(i64),
    Bool(bool),
    /// A text or bytes.
    Bytes(Rc<[u8]>),
    /// Module and name.
    Global(String),
    Tuple(Rc<[Value]>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    /// An element type: whether it is the byte.
    Type(bool),
    /// An array, filled as soon as its contents are known.
    Array {
        bytes: Option<Rc<[u8]>>,
        of_bytes: bool,
    },
    /// Anything else.
    Other,
}

impl Value {
    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The value as a part of another. Deeper nesting than two levels, which such a file does not need, is dropped, so that
    /// recursion stays shallow.
    fn part(self) -> Self {
        let holds = |value: &Self| matches!(value, Self::Tuple(_) | Self::List(_) | Self::Dict(_));
        let deep = match &self {
            Self::Tuple(parts) => parts.iter().any(holds),
            Self::List(parts) => parts.iter().any(holds),
            Self::Dict(entries) => entries.iter().any(|(key, value)| holds(key) || holds(value)),
            _ => false,
        };
        if deep { Self::Other } else { self }
    }
}

/// The results of the calls in such a file: bytes that Python 3 wrote as text, an element type, an array.
fn construct(callee: Value, arguments: Value) -> Value {
    let (Value::Global(callee), Value::Tuple(arguments)) = (callee, arguments) else { return Value::Other };
    match (callee.as_str(), &arguments[..]) {
        ("_codecs encode", [Value::Bytes(text), ..]) => {
            let text = String::from_utf8_lossy(text);
            let latin: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
            latin.map_or(Value::Other, |bytes| Value::Bytes(bytes.into()))
        }
        ("numpy dtype", [Value::Bytes(name), ..]) => Value::Type(matches!(&name[..], b"u1" | b"|u1" | b"uint8")),
        (name, _) if name.starts_with("numpy") && name.ends_with(" _reconstruct") => {
            Value::Array { bytes: None, of_bytes: false }
        }
        (name, [Value::Bytes(bytes), Value::Type(of_bytes), _, Value::Bytes(order)])
            if **order == *b"C" && name.starts_with("numpy") && name.ends_with(" _frombuffer") =>
        {
            Value::Array { bytes: Some(bytes.clone()), of_bytes: *of_bytes }
        }
        _ => Value::Other,
    }
}

/// The bytes in an array's state (version, shape, type, whether in Fortran order, bytes), and whether they are its elements.
fn contents(state: &Value) -> (Option<Rc<[u8]>>, bool) {
    match state {
        Value::Tuple(parts) => match &parts[..] {
            [_, _, Value::Type(of_bytes), Value::Bool(false), Value::Bytes(bytes)] => (Some(bytes.clone()), *of_bytes),
            _ => (None, false),
        },
        _ => (None, false),
    }
}
