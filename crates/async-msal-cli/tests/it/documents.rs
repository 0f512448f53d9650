//! The documents at the top tell the truth about the tree: settings, modules, error codes, tests by name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use async_msal_axum::async_msal_session::settings::VARIABLES;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace")
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every file below the folder with the ending, sorted.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            found.extend(files(&entry, ending));
        } else if entry.to_string_lossy().ends_with(ending) {
            found.push(entry);
        }
    }
    found.sort();
    found
}

fn crates() -> Vec<String> {
    let entries = fs::read_dir(root().join("crates")).expect("the crates");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn the_readme_lists_every_setting_with_its_default() {
    let expected: String = VARIABLES
        .iter()
        .map(|variable| {
            let default = match (variable.required, variable.default) {
                (true, _) => "**required**",
                (false, "") => "not set",
                (false, default) => default,
            };
            format!("| `{}` | {default} | {} |\n", variable.name, variable.help).replace('<', "&lt;")
        })
        .collect();
    assert!(read("README.md").contains(&expected), "README.md: the table of settings should be\n{expected}");
}

#[test]
fn the_architecture_names_no_file_that_is_gone() {
    for name in
        quoted(&read("ARCHITECTURE.md")).filter(|name| name.ends_with(".rs") || name.starts_with("crates/"))
    {
        assert!(root().join(name).exists(), "ARCHITECTURE.md names {name}, which does not exist");
    }
}

#[test]
fn the_architecture_names_every_crate_and_each_of_its_modules() {
    let text = read("ARCHITECTURE.md");
    let named: BTreeSet<&str> = quoted(&text).collect();
    for package in crates() {
        assert!(named.contains(package.as_str()), "ARCHITECTURE.md does not name {package}");
        let source = root().join("crates").join(&package).join("src");
        for entry in fs::read_dir(&source).expect("sources").map(|entry| entry.expect("an entry").path()) {
            let path = entry.strip_prefix(root()).expect("inside").to_string_lossy().into_owned();
            let path = if entry.is_dir() { format!("{path}/") } else { path };
            assert!(named.contains(path.as_str()), "ARCHITECTURE.md does not name {path}");
        }
    }
}

/// The string literals inside the functions that answer an error's code.
fn error_codes() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    let crates = ["async-msal", "async-msal-session", "async-msal-axum"].into_iter();
    for path in crates.flat_map(|name| files(&root().join("crates").join(name).join("src"), ".rs")) {
        let text = fs::read_to_string(&path).expect("a source file");
        let functions = ["fn code(&self)", "fn code(self)", "fn label(&self)"]
            .into_iter()
            .flat_map(|name| text.split(name).skip(1));
        for function in functions {
            let body = function.split("\n    }\n").next().unwrap_or(function);
            codes.extend(body.split('"').skip(1).step_by(2).map(str::to_owned));
        }
    }
    codes.retain(|code| code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
    codes
}

#[test]
fn every_error_code_has_a_heading_in_the_troubleshooting_guide() {
    let text = read("docs/troubleshooting.md");
    let headings: BTreeSet<String> =
        text.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect();
    let codes = error_codes();
    assert!(codes.len() > 20 && codes.contains("unreachable"), "the codes were found: {codes:?}");
    assert_eq!(headings, codes, "headings on the left, codes on the right");
}

#[test]
fn every_test_that_the_threats_name_exists() {
    let sources: Vec<String> = files(&root().join("crates"), ".rs")
        .iter()
        .chain(&files(&root().join("examples"), ".rs"))
        .map(|path| fs::read_to_string(path).expect("a source file"))
        .collect();
    let text = read("docs/threats.md");
    // Every entry ends with its tests; an entry without any is a promise nobody keeps.
    let entries: Vec<&str> = text.split("\n- **").skip(1).collect();
    let mut named = Vec::new();
    for entry in &entries {
        let (_, tests) =
            entry.rsplit_once("test: ").unwrap_or_else(|| panic!("no test is named in: {entry}"));
        named.extend(quoted(tests));
    }
    assert!(named.len() > 20, "docs/threats.md names only {} tests", named.len());
    for name in named {
        let definition = format!("fn {name}(");
        assert!(
            sources.iter().any(|source| source.contains(&definition)),
            "docs/threats.md names {name}, no test of ours"
        );
    }
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"] {
        let text = read(document);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let file = link.split('#').next().unwrap_or(link);
            assert!(root().join(file).exists(), "{document} links to {file}, which does not exist");
        }
    }
}
