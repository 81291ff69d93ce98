//! `include`: paths, globs, order, bounds.

use std::fs;
use std::path::Path;

use crate::nginx::parse::{self, Limits};
use crate::nginx::{LoadOptions, load};

fn write(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn includes_are_relative_to_the_main_file_and_globs_are_sorted() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "nginx.conf",
        "events {} http { include sites/*.conf; }",
    );
    write(dir.path(), "sites/b.conf", "server { listen 82; }");
    // Relative to the main file's directory, not to this file's.
    write(dir.path(), "sites/a.conf", "include more/one.conf;");
    write(dir.path(), "sites/.hidden.conf", "nonsense;");
    write(dir.path(), "more/one.conf", "server { listen 81; }");
    let config = load(&dir.path().join("nginx.conf"), &LoadOptions::default()).unwrap();
    let listens: Vec<String> = config
        .http
        .unwrap()
        .servers
        .iter()
        .map(|server| server.listens[0].addr.to_string())
        .collect();
    assert_eq!(listens, ["0.0.0.0:81", "0.0.0.0:82"]);
    let names: Vec<_> = config
        .files
        .iter()
        .map(|path| path.file_name().unwrap())
        .collect();
    assert_eq!(names, ["nginx.conf", "a.conf", "one.conf", "b.conf"]);
}

#[test]
fn a_glob_may_match_nothing_and_a_name_must_exist() {
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("nginx.conf");
    write(
        dir.path(),
        "nginx.conf",
        "events {}\ninclude none/*.conf;\n",
    );
    assert!(load(&main, &LoadOptions::default()).is_ok());
    write(dir.path(), "nginx.conf", "events {}\ninclude none.conf;\n");
    let text = load(&main, &LoadOptions::default())
        .unwrap_err()
        .to_string();
    let wanted = format!(
        "[emerg] open() \"{}\" failed (2: No such file or directory) in {}:2",
        dir.path().join("none.conf").display(),
        main.display()
    );
    assert_eq!(text, wanted);
    let missing = dir.path().join("missing.conf");
    let text = load(&missing, &LoadOptions::default())
        .unwrap_err()
        .to_string();
    let wanted = format!(
        "[emerg] open() \"{}\" failed (2: No such file or directory)",
        missing.display()
    );
    assert_eq!(text, wanted);
}

#[test]
fn faults_in_an_included_file_name_that_file() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "nginx.conf",
        "events {}\nhttp {\ninclude a.conf; }",
    );
    for (text, wanted) in [
        ("\n\nlisten 80;", "\"listen\" directive is not allowed here"),
        ("\n\n}", "unexpected \"}\""),
        ("\n\nserver {", "unexpected end of file, expecting \"}\""),
    ] {
        write(dir.path(), "a.conf", text);
        let main = dir.path().join("nginx.conf");
        let error = load(&main, &LoadOptions::default())
            .unwrap_err()
            .to_string();
        let place = dir.path().join("a.conf");
        assert_eq!(error, format!("[emerg] {wanted} in {}:3", place.display()));
    }
}

#[test]
fn loops_and_floods_end_in_errors() {
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("nginx.conf");
    write(dir.path(), "nginx.conf", "events {}\ninclude nginx.conf;");
    let text = load(&main, &LoadOptions::default())
        .unwrap_err()
        .to_string();
    assert!(text.contains("include is nested too deep"), "{text}");

    write(dir.path(), "nginx.conf", "a b;");
    let small = |limits: Limits| parse::parse_file(&main, &limits, &parse::any).unwrap_err();
    let text = small(Limits {
        file_bytes_max: 3,
        ..Limits::default()
    })
    .to_string();
    assert!(text.contains("larger than 3 bytes"), "{text}");
    let text = small(Limits {
        total_bytes_max: 3,
        ..Limits::default()
    })
    .to_string();
    assert!(
        text.contains("configuration is larger than 3 bytes"),
        "{text}"
    );
    let text = small(Limits {
        files_max: 0,
        ..Limits::default()
    })
    .to_string();
    assert!(text.contains("too many included files"), "{text}");

    write(dir.path(), "nginx.conf", "events {}\ninclude .;");
    let text = load(&main, &LoadOptions::default())
        .unwrap_err()
        .to_string();
    assert!(text.contains("not a regular file"), "{text}");
}
