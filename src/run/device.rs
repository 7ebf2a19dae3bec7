//! From a device's name to the device.

use candle_core::Device;

use crate::config::DeviceName;
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
        DeviceName::Cuda(number) => probe(move || Device::new_cuda(number)).map_err(unavailable),
        DeviceName::Metal => probe(|| Device::new_metal(0)).map_err(unavailable),
    }
}

/// The device, or the first line of why there is none. The driver's bindings panic where its library is missing, so
/// the attempt is made where a panic can be caught, its message kept off the terminal.
fn probe(open: impl FnOnce() -> candle_core::Result<Device> + Send + 'static) -> std::result::Result<Device, String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let attempt = std::panic::catch_unwind(std::panic::AssertUnwindSafe(open));
    std::panic::set_hook(hook);
    let reason = match attempt {
        Ok(Ok(device)) => return Ok(device),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "the driver is missing".into()),
    };
    let line = reason.lines().next().unwrap_or_default();
    Err(format!("no usable GPU or driver on this machine ({line}); use `--device cpu`"))
}
