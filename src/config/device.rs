//! The name of a device: `cpu`, `cuda`, `cuda:N`, `metal`.

use std::str::FromStr;

use crate::Error;

/// A device by name, whether or not this machine has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceName {
    /// The CPU.
    Cpu,
    /// The NVIDIA GPU of this index.
    Cuda(usize),
    /// The Apple GPU.
    Metal,
}

impl FromStr for DeviceName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            None if text == "metal" => Ok(Self::Metal),
            Some(("cuda", number)) => number.parse().map(Self::Cuda).map_err(|_| unknown(text)),
            _ => Err(unknown(text)),
        }
    }
}

fn unknown(text: &str) -> Error {
    let near = crate::lookup::closest(text, &["cpu", "cuda", "metal"]);
    Error::config(format!("unknown device `{text}`{near}; known: cpu, cuda, cuda:N (N = 0, 1, ...), metal"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_others_refused() {
        assert_eq!("cpu".parse::<DeviceName>().unwrap(), DeviceName::Cpu);
        assert_eq!("cuda".parse::<DeviceName>().unwrap(), DeviceName::Cuda(0));
        assert_eq!("cuda:3".parse::<DeviceName>().unwrap(), DeviceName::Cuda(3));
        for bad in ["", "cuda:", "cuda:-1", "cuda:x", "metal:0", "gpu", "cuda:99999999999999999999999"] {
            assert!(bad.parse::<DeviceName>().is_err(), "{bad}");
        }
        assert!("cudda".parse::<DeviceName>().unwrap_err().to_string().contains("did you mean `cuda`?"));
    }
}
