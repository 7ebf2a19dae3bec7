//! Statistics of groups: the CPU implementation against the plain one and against the definition.

use candle_core::{DType, Tensor};
use mbn::ops::{self, Granularity, Groups, Moments, Sums, plain};

use crate::support::{assert_close, random};

/// Batch, images of a group, channels of a group; 6 channels in all.
const CASES: [[usize; 3]; 7] = [[4, 1, 2], [4, 1, 6], [4, 4, 1], [5, 2, 3], [7, 4, 2], [1, 2, 3], [3, 1, 1]];

fn positive(name: &str, shape: &[usize]) -> Tensor {
    (random(name, shape).sqr().unwrap() + 0.1).unwrap()
}

#[test]
fn both_forms_agree() {
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-5)] {
        for [batch, images, channels] in CASES {
            let (groups, shape) = (Groups::new(batch, images, channels), [batch, 6]);
            let of = |t: Tensor| t.to_dtype(dtype).unwrap();
            let own = Moments { mean: of(random("mean", &shape)), var: of(positive("var", &shape)) };
            let what = format!("{batch} {images} {channels} {dtype:?}");
            let (got, want) =
                (ops::group_moments(&own, &groups).unwrap(), plain::group_moments(&own, &groups).unwrap());
            assert_close(&what, &got.mean, &want.mean, tolerance);
            assert_close(&what, &got.var, &want.var, tolerance);
            let sums = Sums { g: of(random("g", &shape)), gx: of(random("gx", &shape)) };
            let (slope, scale) = (of(random("slope", &shape)), of(positive("scale", &shape)));
            let got = ops::group_projection(&groups, &sums, &slope, &scale, 9).unwrap();
            let want = plain::group_projection(&groups, &sums, &slope, &scale, 9).unwrap();
            assert_close(&what, &got.0, &want.0, tolerance);
            assert_close(&what, &got.1, &want.1, tolerance);
        }
    }
}

#[test]
fn moments_of_a_group_are_those_of_its_values() {
    let x = random("x", &[5, 6, 3, 2]);
    let own = ops::moments(&x, Granularity::Image).unwrap();
    let got = ops::group_moments(&own, &Groups::new(5, 2, 3)).unwrap();
    for (first, images) in [(0, 2), (2, 3)] {
        for channel in [0, 3] {
            let values = x.narrow(0, first, images).unwrap().narrow(1, channel, 3).unwrap().flatten_all().unwrap();
            let mean = values.mean_all().unwrap();
            let var = values.broadcast_sub(&mean).unwrap().sqr().unwrap().mean_all().unwrap();
            let at =
                |t: &Tensor| t.narrow(0, first, images).unwrap().narrow(1, channel, 3).unwrap().contiguous().unwrap();
            for (got, want) in [(&got.mean, mean), (&got.var, var)] {
                let want = want.broadcast_as((images, 3)).unwrap().contiguous().unwrap();
                assert_close("a group", &at(got), &want, 1e-12);
            }
        }
    }
}

#[test]
fn groups_that_do_not_make_up_the_values_are_refused() {
    let own = Moments { mean: random("mean", &[4, 6]), var: positive("var", &[4, 6]) };
    for groups in [Groups::new(5, 1, 2), Groups::new(4, 1, 4), Groups::new(4, 2, 0)] {
        assert!(ops::group_moments(&own, &groups).unwrap_err().to_string().contains("groups"));
    }
}
