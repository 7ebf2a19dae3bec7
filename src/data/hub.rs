//! Data sets from the Hugging Face hub, as the parquet files that it converts them to.
//!
//! Downloads go through `candle-datasets` into the hub's usual cache. The rows are decoded here: candle's own CIFAR loader
//! transposes the images and drops rows of the table that it cannot read.

use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use candle_datasets::hub::{FileReader, from_hub};
use hf_hub::{HFClientBuilder, HFClientSync};
use image::{ImageFormat, ImageReader};
use parquet::file::reader::SerializedFileReader;
use parquet::record::{Field, Row};

use crate::data::{HubSet, Images, Kind, Source};
use crate::guarded::guarded;
use crate::{Error, Result};

const REVISION: &str = "refs/convert/parquet";

/// Time limit for the hub to confirm that it has the data set.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The training and test file in the hub's cache, downloaded if they are not there; the error is the reason, in words.
pub(super) fn download(set: &HubSet, source: &Source) -> std::result::Result<[PathBuf; 2], String> {
    let client = client(source).map_err(|e| format!("cannot start the hub client: {e}"))?;
    if let Some(found) = cached(&client, set) {
        return Ok(found);
    }
    if !source.hub {
        return Err("the hub's cache does not hold it and hub access is disabled".into());
    }
    let unreachable = |reason: String| format!("the hub was asked for {}: {reason}", set.id);
    reach(&client, set).map_err(unreachable)?;
    from_hub(&client, set.id.into()).map_err(|e| unreachable(root_cause(&e)))?;
    cached(&client, set).ok_or_else(|| unreachable(format!("it has no {}/{{train,test}}/0000.parquet", set.config)))
}

fn client(source: &Source) -> hf_hub::HFResult<HFClientSync> {
    let mut builder = HFClientBuilder::new().retry_max_attempts(2);
    if let Some(endpoint) = &source.hub_endpoint {
        builder = builder.endpoint(endpoint);
    }
    if let Some(folder) = &source.hub_cache {
        builder = builder.cache_dir(folder);
    }
    builder.build_sync()
}

/// The two files, if the cache has both.
fn cached(client: &HFClientSync, set: &HubSet) -> Option<[PathBuf; 2]> {
    let (owner, name) = hf_hub::split_id(set.id);
    let repo = client.dataset(owner, name);
    let file = |split: &str| {
        let name = format!("{}/{split}/0000.parquet", set.config);
        repo.download_file().filename(name).revision(REVISION).local_files_only(true).send().ok()
    };
    Some([file("train")?, file("test")?])
}

/// Asks the hub for the data set's description on a thread of its own: the client has no time limit.
fn reach(client: &HFClientSync, set: &HubSet) -> std::result::Result<(), String> {
    let (send, receive) = mpsc::channel();
    let (owner, name) = hf_hub::split_id(set.id);
    let repo = client.dataset(owner, name);
    let asking = std::thread::Builder::new().spawn(move || {
        let answer = repo.info().revision(REVISION).send();
        // The receiver is gone after the time limit.
        let _ = send.send(answer.map(drop).map_err(|e| root_cause(&e)));
    });
    asking.map_err(|error| format!("cannot start a thread: {error}"))?;
    receive.recv_timeout(TIMEOUT).unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs())))
}

/// The innermost cause of an error, mostly from the operating system; the causes in between only repeat the address.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string().lines().next().unwrap_or_default().to_string()
}

/// Decodes the training and the test file.
pub(super) fn read(kind: &Kind, set: &HubSet, files: &[PathBuf; 2]) -> Result<[Images; 2]> {
    Ok([read_file(kind, set, &files[0])?, read_file(kind, set, &files[1])?])
}

fn read_file(kind: &Kind, set: &HubSet, path: &Path) -> Result<Images> {
    let file = File::open(path).map_err(Error::io(path))?;
    let broken = |why: String| {
        let folder = format!("datasets--{}", set.id.replace('/', "--"));
        Error::data(
            path,
            format!("not a readable parquet file: {why}; remove the folder {folder} to download it again"),
        )
    };
    // The reader panics on some kinds of damage.
    guarded(|| {
        let reader = SerializedFileReader::new(file).map_err(|e| broken(e.to_string()))?;
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for (i, row) in reader.get_row_iter(None).map_err(|e| broken(e.to_string()))?.enumerate() {
            let row = row.map_err(|e| broken(e.to_string()))?;
            let at = |reason: String| Error::data(path, format!("row {i}: {reason}"));
            let (png, label) = columns(&row, set).map_err(at)?;
            labels.push(label);
            append_planes(&mut pixels, png, kind.shape).map_err(at)?;
        }
        Images::new(path, kind.shape, kind.classes, pixels, labels)
    })
    .unwrap_or_else(|panic| Err(broken(panic)))
}

/// The encoded image and the label of a row.
fn columns<'a>(row: &'a Row, set: &HubSet) -> std::result::Result<(&'a [u8], u8), String> {
    let field = |name: &str| row.get_column_iter().find(|(column, _)| *column == name).map(|(_, field)| field);
    let png = match field(set.image) {
        Some(Field::Group(parts)) => parts.get_column_iter().find_map(|(name, part)| match part {
            Field::Bytes(bytes) if name == "bytes" => Some(bytes.data()),
            _ => None,
        }),
        _ => None,
    };
    let label = match field(set.label) {
        Some(Field::Long(label)) => u8::try_from(*label).ok(),
        _ => None,
    };
    let png = png.ok_or_else(|| format!("no image in column {}.bytes", set.image))?;
    Ok((png, label.ok_or_else(|| format!("no label in 0..=255 in column {}", set.label))?))
}

/// Decodes a PNG and appends its planes, one channel after the other, each row by row.
fn append_planes(pixels: &mut Vec<u8>, png: &[u8], shape: [usize; 3]) -> std::result::Result<(), String> {
    let open = || ImageReader::with_format(Cursor::new(png), ImageFormat::Png);
    let (width, height) = open().into_dimensions().map_err(|e| e.to_string())?;
    let [channels, rows, columns] = shape;
    if (height as usize, width as usize) != (rows, columns) {
        return Err(format!("an image of {height} x {width}, not {rows} x {columns}"));
    }
    let decoded = open().decode().map_err(|e| e.to_string())?;
    let interleaved = if channels == 1 { decoded.into_luma8().into_raw() } else { decoded.into_rgb8().into_raw() };
    for channel in 0..channels {
        pixels.extend(interleaved.iter().skip(channel).step_by(channels));
    }
    Ok(())
}
