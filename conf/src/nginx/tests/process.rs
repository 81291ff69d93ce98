//! A process that is nginx: what the main context and `-g` say of it.

use crate::nginx::process::LogLevel;
use crate::nginx::{LoadOptions, load};

/// What the main context says of the process is obeyed as nginx and without effect elsewhere;
/// what `-g` says goes before the file.
#[test]
fn the_process_is_nginxs_to_set_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nginx.conf");
    let text = "pid a.pid; daemon off; user u g; error_log e warn; error_log stderr; events {}";
    std::fs::write(&path, text).unwrap();
    let mut options = LoadOptions {
        as_nginx: true,
        globals: Some("error_log g.log debug_http;".to_owned()),
        ..LoadOptions::default()
    };
    let config = load(&path, &options).unwrap();
    assert_eq!(config.noops(), []);
    let process = config.main.process;
    assert_eq!(process.pid.as_deref(), Some("a.pid"));
    assert!(!process.daemon);
    assert_eq!(process.user, Some(("u".to_owned(), Some("g".to_owned()))));
    let logs: Vec<_> = process.error_logs.iter().map(|it| it.level).collect();
    assert_eq!(logs, [LogLevel::Debug, LogLevel::Warn, LogLevel::Error]);
    options.globals = Some("pid b.pid;".to_owned());
    let error = load(&path, &options).unwrap_err().to_string();
    let wanted = format!(
        "[emerg] \"pid\" directive is duplicate in {}:1",
        path.display()
    );
    assert_eq!(error, wanted);
    for (globals, wanted) in [
        ("foo;", "[emerg] unknown directive \"foo\" in command line"),
        (
            "daemon on",
            "[emerg] unexpected end of parameter, expecting \";\" in command line",
        ),
    ] {
        options.globals = Some(globals.to_owned());
        assert_eq!(load(&path, &options).unwrap_err().to_string(), wanted);
    }
    let config = load(&path, &LoadOptions::default()).unwrap();
    let names: Vec<_> = config.noops().iter().map(|it| it.what.as_str()).collect();
    assert_eq!(names, ["pid", "daemon", "user", "error_log", "error_log"]);
}
