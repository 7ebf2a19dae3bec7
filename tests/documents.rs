//! Documentation: links and file names point to existing files, and no entry of a table is left out.

use std::path::{Path, PathBuf};

use mbn::data::DATASETS;
use mbn::norm::NORMS;

const DOCUMENTS: [&str; 10] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "docs/guide.md",
    "docs/methods.md",
    "docs/speed.md",
    "experiments/README.md",
    "results/README.md",
    "results/published.md",
    "scripts/README.md",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(document: &str) -> String {
    std::fs::read_to_string(root().join(document)).unwrap()
}

/// Every text between `open` and `close`.
fn between<'a>(text: &'a str, open: &'a str, close: char) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |rest| rest.split_once(close)).map(|(inside, _)| inside)
}

/// The anchor of a heading, as hosts of Markdown make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
}

#[test]
fn links_and_images_lead_to_files_and_headings() {
    for document in DOCUMENTS {
        let folder = root().join(document).parent().map(PathBuf::from).unwrap();
        for link in between(&text(document), "](", ')').filter(|link| !link.contains("://")) {
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let file = if path.is_empty() { root().join(document) } else { folder.join(path) };
            assert!(file.exists(), "{document}: {link}");
            if !heading.is_empty() {
                let text = std::fs::read_to_string(&file).unwrap();
                let mut headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_matches('#'));
                assert!(headings.any(|line| anchor(line) == heading), "{document}: {link}");
            }
        }
    }
}

#[test]
fn source_files_that_are_named_exist() {
    for document in DOCUMENTS {
        let text = text(document);
        // Between backquotes on one line; capitals are placeholders.
        let named = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
        for path in named.filter(|path| path.starts_with("src/") || path.starts_with("tests/")) {
            let placeholder = path.contains("NAME") || path.contains('*');
            assert!(placeholder || root().join(path).exists(), "{document}: {path}");
        }
    }
}

#[test]
fn every_normalizer_has_its_section_and_every_data_set_is_named() {
    let (methods, readme) = (text("docs/methods.md"), text("README.md"));
    for kind in NORMS {
        assert!(methods.contains(&format!("\n## `{}`: ", kind.name)), "{}", kind.name);
    }
    for kind in DATASETS {
        assert!(readme.contains(&format!("`{}`", kind.name)), "{}", kind.name);
    }
}
