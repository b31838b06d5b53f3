//! That the documentation leads somewhere: links, anchors, the table of contents, names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The pages for users and contributors, by their paths from the root of the repository.
fn pages() -> BTreeMap<PathBuf, String> {
    let root = Path::new(ROOT);
    let mut pages =
        ["README.md", "CONTRIBUTING.md", "benches/README.md"].map(PathBuf::from).to_vec();
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let path = folder.join(entry.file_name());
            match entry.file_type().expect("a type").is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|extension| extension == "md") => {
                    pages.push(path);
                }
                false => {}
            }
        }
    }
    let read = |path: PathBuf| {
        let text = fs::read_to_string(root.join(&path)).expect("a page in UTF-8");
        (path, text)
    };
    pages.into_iter().map(read).collect()
}

/// A page without its code: what stands indented by four spaces, and what stands between backticks.
fn prose(page: &str) -> String {
    let is_code = |line: &&str| line.starts_with("    ");
    let text: Vec<&str> = page.lines().filter(|line| !is_code(line)).collect();
    text.join("\n").split('`').step_by(2).collect()
}

/// The targets of a page's links and pictures.
fn links(page: &str) -> Vec<String> {
    let prose = prose(page);
    let after = prose.split("](").skip(1);
    after.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let mut anchors = BTreeSet::new();
    for heading in headings {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        assert!(anchors.insert(anchor), "two headings have one anchor: {heading}");
    }
    anchors
}

/// A path without `..`.
fn resolved(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => assert!(resolved.pop(), "{} leaves the root", path.display()),
            part => resolved.push(part),
        }
    }
    resolved
}

#[test]
fn every_relative_link_and_anchor_leads_somewhere() {
    let pages = pages();
    let mut followed = 0;
    for (path, page) in &pages {
        for link in links(page).iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = path.parent().unwrap_or(Path::new(""));
            let to = if file.is_empty() { path.clone() } else { resolved(&folder.join(file)) };
            assert!(Path::new(ROOT).join(&to).exists(), "{}: {link}", path.display());
            if !anchor.is_empty() {
                let page = pages.get(&to);
                let page = page.unwrap_or_else(|| panic!("{}: {link}", path.display()));
                assert!(anchors(page).contains(anchor), "{}: {link}", path.display());
            }
            followed += 1;
        }
    }
    assert!(followed > 100, "only {followed} links");
}

#[test]
fn the_table_of_contents_names_each_page_once() {
    let pages = pages();
    let listed = links(&pages[Path::new("docs/SUMMARY.md")]);
    let mut listed: Vec<PathBuf> = listed.iter().map(|link| Path::new("docs").join(link)).collect();
    listed.push("docs/SUMMARY.md".into());
    listed.sort();
    let there: Vec<PathBuf> = pages.into_keys().filter(|path| path.starts_with("docs")).collect();
    assert_eq!(listed, there);
}

#[test]
fn every_page_begins_with_what_its_reader_can_do_after_it() {
    let pages = pages();
    for (path, page) in pages.iter().filter(|(path, _)| path.starts_with("docs")) {
        let mut lines = page.lines();
        let is_heading = lines.next().is_some_and(|line| line.starts_with("# "));
        let first = lines.find(|line| !line.is_empty()).unwrap_or_default();
        let is_contents = path.ends_with("SUMMARY.md");
        let says = first.starts_with("After this page ") || path.ends_with("index.md");
        assert!(is_heading && (says || is_contents), "{}: {first}", path.display());
    }
}

#[test]
fn the_readme_can_be_read_in_one_go() {
    let lines = pages()[Path::new("README.md")].lines().count();
    assert!(lines <= 250, "README.md has {lines} lines: what is long belongs into docs/");
}

#[test]
fn every_metric_that_a_page_names_exists() {
    for (path, page) in pages() {
        let words = page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in words.filter(|word| word.starts_with("kreplay_")) {
            let is_group = ["kreplay_TOPIC", "kreplay_pg"].contains(&word);
            // `kreplay_…_total` stands for all of them.
            let is_known = word == "kreplay_"
                || kreplay::metrics::ALL.iter().any(|metric| metric.name == word);
            assert!(is_group || is_known, "{}: {word}", path.display());
        }
    }
}
