//! Small tensors as f64 values, for formulas that work value by value.

use candle_core::{DType, Device, Result, Shape, Tensor};

use super::own_kernel;
use crate::kernel::{Float, with_values};

/// The values of a tensor. Waits for the device.
pub fn to_host(tensor: &Tensor) -> Result<Vec<f64>> {
    fn read<T: Float>(tensor: &Tensor) -> Result<Vec<f64>> {
        with_values(&tensor.contiguous()?, |values: &[T]| values.iter().map(|v| v.to_f64()).collect())
    }
    match tensor.dtype() {
        DType::F32 if own_kernel(tensor) => read::<f32>(tensor),
        DType::F64 if own_kernel(tensor) => read::<f64>(tensor),
        _ => tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1(),
    }
}

/// A tensor of those values, of the number type and on the device of `like`.
pub fn from_host(values: Vec<f64>, shape: impl Into<Shape>, like: &Tensor) -> Result<Tensor> {
    match like.dtype() {
        DType::F32 if own_kernel(like) => {
            let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
            Tensor::from_vec(values, shape.into(), &Device::Cpu)
        }
        dtype => Tensor::from_vec(values, shape.into(), &Device::Cpu)?.to_dtype(dtype)?.to_device(like.device()),
    }
}

/// The sum of values (N,C) over the images, (C).
pub fn sum_images(values: &Tensor) -> Result<Tensor> {
    if !own_kernel(values) {
        return values.sum(0);
    }
    let mut sums = vec![0.0; values.dim(1)?];
    for image in to_host(values)?.chunks_exact(sums.len()) {
        sums.iter_mut().zip(image).for_each(|(sum, v)| *sum += v);
    }
    let features = sums.len();
    from_host(sums, features, values)
}
