//! Recognizing a file by its first bytes, for errors about files that are not what their names say.

/// First bytes of a file, what the file is, and what to do with it.
const KINDS: &[(&[u8], &str, &str)] = &[
    (b"\x1f\x8b", "compressed more than twice by gzip", "decompress it with gunzip"),
    (b"PK\x03\x04", "a zip archive", "unpack it with unzip"),
    (b"BZh", "compressed by bzip2", "decompress it with bunzip2"),
    (b"\xfd7zXZ\0", "compressed by xz", "decompress it with unxz"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "decompress it with unzstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it with 7z x"),
    (b"Rar!", "a RAR archive", "unpack it with unrar x"),
    (b"version https://git-lfs", "a Git LFS pointer in place of the file", "get the file itself with git lfs pull"),
    (b"\x80\x02", "a Python pickle", "get the published file"),
    (b"\x80\x03", "a Python pickle", "get the published file"),
    (b"\x80\x04", "a Python pickle", "get the published file"),
    (b"\x80\x05", "a Python pickle", "get the published file"),
    (b"PAR1", "a Parquet file", "get the published file"),
    (b"MATLAB", "a MATLAB file", "get the binary version"),
    (b"\x89HDF", "an HDF5 file", "get the published file"),
    (b"\x89PNG", "a PNG image", "get the published file"),
    (b"\x93NUMPY", "a NumPy array", "get the published file"),
];

/// Element types of IDX files by their code.
const IDX_TYPES: [(u8, &str); 6] = [
    (0x08, "bytes"),
    (0x09, "signed bytes"),
    (0x0b, "16-bit integers"),
    (0x0c, "32-bit integers"),
    (0x0d, "32-bit floats"),
    (0x0e, "64-bit floats"),
];

/// What a file is by its first bytes: `is a zip archive: unpack it with unzip`, or else the bytes themselves.
pub(super) fn describe(head: &[u8]) -> String {
    if let Some((_, what, remedy)) = KINDS.iter().find(|(magic, ..)| head.starts_with(magic)) {
        return format!("is {what}: {remedy}");
    }
    let text: String = head.iter().map(|byte| char::from(*byte).to_ascii_lowercase()).collect();
    if ["<!doctype", "<html", "<?xml", "<head"].iter().any(|start| text.trim_start().starts_with(start)) {
        return "is a web page, most likely in place of a download that failed: download the file again".into();
    }
    let idx = |code: u8| IDX_TYPES.iter().find(|(known, _)| *known == code).map(|(_, name)| *name);
    match head {
        [0, 0, code, dims @ 1..=9, ..] if idx(*code).is_some() => {
            let (s, name) = (if *dims == 1 { "" } else { "s" }, idx(*code).unwrap_or_default());
            format!("is an IDX file of {dims} dimension{s} of {name}")
        }
        [1..=9, code, 0, 0, ..] if idx(*code).is_some() => {
            "is an IDX file with its header in the wrong byte order (it must be big-endian): write it again".into()
        }
        [] => "is empty".into(),
        _ => {
            let shown: String = head.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            format!("begins with 0x{shown}")
        }
    }
}
