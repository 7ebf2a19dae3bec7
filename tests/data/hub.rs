//! Data sets from the hub, with a mock server on this machine.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use mbn::data::{Source, fetch, load};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::{properties::WriterProperties, writer::SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;
use tempfile::tempdir;

use crate::fixture::*;

/// The commit in every response.
const COMMIT: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";

/// The mock hub: files by path, and the number of requests.
struct Hub {
    address: String,
    requests: Arc<AtomicUsize>,
}

/// Serves `files` (name, bytes) as the parquet conversion of the data set `id`.
fn serve(id: &str, files: Vec<(String, Vec<u8>)>) -> Hub {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let names: Vec<_> = files.iter().map(|(name, _)| format!(r#"{{"rfilename":"{name}"}}"#)).collect();
    let info = format!(r#"{{"id":"{id}","siblings":[{}]}}"#, names.join(","));
    let branch = "refs%2Fconvert%2Fparquet";
    let mut pages = HashMap::from([(format!("/api/datasets/{id}/revision/{branch}"), info.into_bytes())]);
    pages.extend(files.into_iter().map(|(name, bytes)| (format!("/datasets/{id}/resolve/{branch}/{name}"), bytes)));
    let requests = Arc::new(AtomicUsize::new(0));
    let (count, pages) = (requests.clone(), Arc::new(pages));
    thread::spawn(move || {
        for stream in listener.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
            let pages = pages.clone();
            thread::spawn(move || answer(stream.unwrap(), &pages));
        }
    });
    Hub { address, requests }
}

fn answer(mut stream: TcpStream, pages: &HashMap<String, Vec<u8>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let request = lines.next().unwrap().unwrap();
    while lines.next().is_some_and(|l| !l.unwrap().is_empty()) {}
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let (status, body) = pages.get(path).map_or(("404 Not Found", &[][..]), |b| ("200 OK", &b[..]));
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nETag: \"{}\"\r\nX-Repo-Commit: {}\r\nConnection: close\r\n\r\n",
        body.len(),
        blake3::hash(path.as_bytes()).to_hex(),
        COMMIT
    );
    stream.write_all(head.as_bytes()).unwrap();
    if method == "GET" {
        stream.write_all(body).unwrap();
    }
}

fn source_of(root: &Path, address: &str) -> Source {
    Source { hub: true, hub_endpoint: Some(address.into()), hub_cache: Some(root.join("hub")), ..source(root) }
}

/// A PNG made from planes of `width` columns.
fn png(planes: &[u8], width: u32, channels: usize) -> Vec<u8> {
    let area = planes.len() / channels;
    let interleaved: Vec<u8> = (0..planes.len()).map(|i| planes[i % channels * area + i / channels]).collect();
    let colour = if channels == 1 { image::ExtendedColorType::L8 } else { image::ExtendedColorType::Rgb8 };
    let mut out = std::io::Cursor::new(Vec::new());
    let height = area as u32 / width;
    image::write_buffer_with_format(&mut out, &interleaved, width, height, colour, image::ImageFormat::Png).unwrap();
    out.into_inner()
}

/// A parquet file of (encoded image, label), in the layout of the hub's conversion.
fn parquet(image: &str, label: &str, rows: &[(Vec<u8>, i64)]) -> Vec<u8> {
    let schema = format!(
        "message m {{ optional group {image} {{ optional binary bytes; optional binary path (UTF8); }} optional int64 {label}; }}"
    );
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let mut file = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut file, schema, Arc::new(WriterProperties::builder().build())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let encoded: Vec<ByteArray> = rows.iter().map(|(png, _)| png.clone().into()).collect();
    let paths: Vec<ByteArray> = rows.iter().map(|_| "image.png".into()).collect();
    for values in [encoded, paths] {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, Some(&vec![2; values.len()]), None).unwrap();
        column.close().unwrap();
    }
    let labels: Vec<i64> = rows.iter().map(|(_, label)| *label).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&labels, Some(&vec![1; labels.len()]), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    file
}

/// A hub with a CIFAR-10 of these training rows and one test row.
fn cifar_hub(train: &[(Vec<u8>, i64)]) -> Hub {
    let test = [(png(&cifar_image(10), 32, 3), 0), (png(&cifar_image(11), 32, 3), 1)];
    let file = |split: &str, rows: &[_]| (format!("plain_text/{split}/0000.parquet"), parquet("img", "label", rows));
    serve("uoft-cs/cifar10", vec![file("test", &test), file("train", train)])
}

#[test]
fn hub_and_binary_form_of_the_same_images_are_equal() {
    let (root, folder) = (tempdir().unwrap(), tempdir().unwrap());
    for (name, bytes) in cifar10() {
        put(&folder.path().join("data/cifar-10-batches-bin").join(name), &bytes);
    }
    let binary = load("cifar10", &source(folder.path())).unwrap();

    let rows: Vec<_> = (0..10).map(|i| (png(&cifar_image(i), 32, 3), i as i64)).collect();
    let hub = cifar_hub(&rows);
    let here = source_of(root.path(), &hub.address);
    let first = load("cifar10", &here).unwrap();
    assert_eq!((&first.train, &first.test), (&binary.train, &binary.test));
    assert_eq!(first.origin, "hub:uoft-cs/cifar10");

    // Once downloaded, the hub is not needed any more.
    let asked = hub.requests.load(Ordering::SeqCst);
    let again = load("cifar10", &here).unwrap();
    let offline = load("cifar10", &Source { hub: false, ..here }).unwrap();
    assert!(again.train == binary.train && offline.train == binary.train);
    assert_eq!(hub.requests.load(Ordering::SeqCst), asked);
}

#[test]
fn one_channel_and_other_column_names_are_read() {
    let root = tempdir().unwrap();
    let rows: Vec<_> = (0..3).map(|i| (png(&pixels(784, i), 28, 1), i as i64)).collect();
    let files = ["train", "test"].map(|s| (format!("mnist/{s}/0000.parquet"), parquet("image", "label", &rows)));
    let hub = serve("ylecun/mnist", files.to_vec());
    let here = source_of(root.path(), &hub.address);
    assert!(fetch("mnist", &here).unwrap().unwrap().ends_with("mnist/train/0000.parquet"));
    let data = load("mnist", &here).unwrap();
    assert_eq!(data.train.get(2).unwrap(), (&pixels(784, 2)[..], 2));

    let rows: Vec<_> = (0..3).map(|i| (png(&cifar_image(i), 32, 3), 97 + i as i64)).collect();
    let files = ["train", "test"].map(|s| (format!("cifar100/{s}/0000.parquet"), parquet("img", "fine_label", &rows)));
    let hub = serve("uoft-cs/cifar100", files.to_vec());
    assert_eq!(load("cifar100", &source_of(root.path(), &hub.address)).unwrap().test.labels, [97, 98, 99]);
}

#[test]
fn a_bad_row_is_reported_not_dropped() {
    let good = |i: usize| (png(&cifar_image(i), 32, 3), i as i64);
    let flat = (png(&cifar_image(1), 64, 3), 1);
    let bad: [((Vec<u8>, i64), &str); 5] = [
        ((b"no image".to_vec(), 1), "row 1"),
        ((good(1).0[..200].to_vec(), 1), "row 1"),
        (flat, "row 1: an image of 16 x 64"),
        ((good(1).0, -1), "row 1: no label"),
        ((good(1).0, 10), "label 10 of image 1"),
    ];
    for (row, expected) in bad {
        let root = tempdir().unwrap();
        let hub = cifar_hub(&[good(0), row, good(2)]);
        let message = load("cifar10", &source_of(root.path(), &hub.address)).unwrap_err().to_string();
        assert!(message.contains(expected), "{expected} not in: {message}");
    }
}

#[test]
fn a_damaged_download_is_refused_then_and_later() {
    let root = tempdir().unwrap();
    let file = ("plain_text/train/0000.parquet".to_string(), b"PAR1 but not really PAR1".to_vec());
    let hub = serve("uoft-cs/cifar10", vec![file.clone(), ("plain_text/test/0000.parquet".into(), file.1)]);
    let here = source_of(root.path(), &hub.address);
    let first = load("cifar10", &here).unwrap_err().to_string();
    assert!(first.contains("Parquet file too small"), "{first}");
    let name = "datasets--uoft-cs--cifar10";
    put_in_cache(root.path(), b"PAR1 but not really PAR1");
    let later = load("cifar10", &here).unwrap_err().to_string();
    assert!(later.contains(&format!("remove the folder {name}")), "{later}");
}

/// Both files of CIFAR-10 as the hub's cache holds them.
fn put_in_cache(root: &Path, bytes: &[u8]) {
    let folder = root.join("hub/datasets--uoft-cs--cifar10");
    put(&folder.join("refs/refs/convert/parquet"), COMMIT.as_bytes());
    for split in ["train", "test"] {
        let snapshot = folder.join("snapshots").join(COMMIT).join("plain_text").join(split);
        let _ = fs::remove_file(snapshot.join("0000.parquet"));
        put(&snapshot.join("0000.parquet"), bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn a_damaged_file_in_the_hubs_cache_is_no_panic(at in 0.0f64..1.0, value: u8, cut: bool) {
        let root = tempdir().unwrap();
        let rows: Vec<_> = (0..3).map(|i| (png(&[i as u8; 3072], 32, 3), i as i64)).collect();
        let mut bytes = parquet("img", "label", &rows);
        let at = (bytes.len() as f64 * at) as usize;
        if cut { bytes.truncate(at) } else { bytes[at] = value }
        put_in_cache(root.path(), &bytes);
        let read = load("cifar10", &Source { hub: false, ..source_of(root.path(), "http://127.0.0.1:9") });
        prop_assert!(read.is_err() || !cut);
    }
}

#[test]
fn a_hub_that_cannot_help_is_named_with_the_way_out() {
    let root = tempdir().unwrap();
    let empty = serve("someone/else", vec![]);
    // A port that was free a moment ago: no server answers.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [empty.address, format!("http://{closed}")] {
        let message = load("cifar10", &source_of(root.path(), &address)).unwrap_err().to_string();
        for part in ["uoft-cs/cifar10", "--data-dir", "cifar-10-binary.tar.gz"] {
            assert!(message.contains(part), "{part} not in: {message}");
        }
    }
    assert!(!fs::exists(root.path().join("hub/datasets--uoft-cs--cifar10/snapshots")).unwrap());
}
