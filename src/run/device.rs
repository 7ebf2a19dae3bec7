//! Opening a device by name.

use candle_core::Device;

use crate::config::DeviceName;
use crate::guarded::guarded;
use crate::{Error, Result};

/// Opens the device called `name`.
///
/// # Errors
/// An unknown name; a device this build or machine does not have: the message says which of the two.
pub fn open_device(name: &str) -> Result<Device> {
    let unavailable = |why: String| Error::Device { name: name.to_string(), reason: why };
    match name.parse::<DeviceName>()? {
        DeviceName::Cpu => Ok(Device::Cpu),
        DeviceName::Cuda(_) if !cfg!(feature = "cuda") => {
            Err(unavailable("this mbn was built without CUDA; build it with `--features cuda`".into()))
        }
        DeviceName::Metal if !cfg!(feature = "metal") => {
            Err(unavailable("this mbn was built without Metal; build it with `--features metal`".into()))
        }
        DeviceName::Cuda(number) => probe(|| Device::new_cuda(number)).map_err(unavailable),
        DeviceName::Metal => probe(|| Device::new_metal(0)).map_err(unavailable),
    }
}

/// The device, or why there is none; the driver's bindings panic where its library is missing.
fn probe(open: impl FnOnce() -> candle_core::Result<Device>) -> std::result::Result<Device, String> {
    let reason = match guarded(open) {
        Ok(Ok(device)) => return Ok(device),
        Ok(Err(error)) => Error::from(error).to_string(),
        Err(panic) => panic,
    };
    Err(format!("no usable GPU or driver on this machine ({reason}); use `--device cpu`"))
}
