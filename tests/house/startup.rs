//! Starting and stopping: good configurations, bad ones, signals.

use crate::support::encoder::Pattern;
use crate::support::hls::MediaList;
use crate::support::weir::{command, without_settings};
use crate::support::{Encoder, Weir, wait_for};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

fn conf(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("conf")
        .join(name)
}

/// Exit code, stdout and stderr of `weir ARGS`.
fn weir(args: &[&str], env: &[(&str, &str)]) -> (i32, String, String) {
    let out = command()
        .args(args)
        .envs(env.iter().copied())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        out.status.code().unwrap_or(-1),
        text(&out.stdout),
        text(&out.stderr),
    )
}

#[test]
fn shipped_configurations_pass_their_test() {
    for (name, role) in [
        ("weir.properties", None),
        ("origin.properties", Some("origin")),
        ("edge.properties", Some("edge")),
        ("lb.properties", Some("lb")),
        ("cluster/origin.properties", None),
        ("cluster/edge.properties", None),
        ("cluster/lb.properties", None),
    ] {
        let file = conf(name);
        let mut args: Vec<&str> = role.into_iter().collect();
        args.extend(["-t", "-c", file.to_str().unwrap()]);
        let (code, stdout, stderr) = weir(&args, &[]);
        assert_eq!(code, 0, "{name}: {stderr}");
        assert!(
            format!("{stdout}{stderr}").contains("test is successful"),
            "{stdout}{stderr}"
        );
    }
}

#[test]
fn nodes_of_a_cluster_need_its_store() {
    let file = conf("cluster/lb.properties");
    let args = ["-t", "-c", file.to_str().unwrap()];
    let (code, _, stderr) = weir(&args, &[("WEIR_DB_TYPE", "embedded")]);
    assert_eq!(code, 1, "{stderr}");
    for words in ["\"cluster\" needs", "db.type=mongodb", "lb.conf:"] {
        assert!(stderr.contains(words), "{words:?} is not in: {stderr}");
    }
}

#[test]
fn a_bad_file_is_named_with_its_lines_and_ends_with_1() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.properties");
    std::fs::write(
        &file,
        "# a comment\nhls.tme=2\nhttp.port=70000\nhls.time=soon\n",
    )
    .unwrap();
    let (code, _, stderr) = weir(&["-c", file.to_str().unwrap()], &[]);
    assert_eq!(code, 1);
    for words in [
        "bad.properties:2",
        "hls.time",
        "bad.properties:3",
        "bad.properties:4",
    ] {
        assert!(stderr.contains(words), "{words:?} is not in: {stderr}");
    }
    let (code, _, stderr) = weir(&["-c", "/nowhere/weir.properties"], &[]);
    assert_eq!(code, 1);
    assert_eq!(stderr.trim().lines().count(), 1, "{stderr}");
    assert!(stderr.contains("/nowhere/weir.properties"), "{stderr}");
    let (code, _, stderr) = weir(&["-t"], &[("WEIR_HLS_TME", "2")]);
    assert_eq!(code, 1);
    assert!(
        stderr.contains("WEIR_HLS_TME") && stderr.contains("WEIR_HLS_TIME"),
        "{stderr}"
    );
}

#[test]
fn a_bad_balancer_file_is_named_in_nginx_words() {
    let dir = tempfile::tempdir().unwrap();
    let lb = dir.path().join("lb.conf");
    std::fs::write(&lb, "events {}\nhttp {\n  servr {}\n}\n").unwrap();
    let file = dir.path().join("weir.properties");
    std::fs::write(&file, "lb.conf=lb.conf\n").unwrap();
    let (code, _, stderr) = weir(&["-t", "-c", file.to_str().unwrap()], &[]);
    assert_eq!(code, 1);
    assert!(
        stderr.contains("[emerg]") && stderr.contains("servr"),
        "{stderr}"
    );
    assert!(stderr.contains("lb.conf:3"), "{stderr}");
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for key in ["WEIR_HTTP_PORT", "WEIR_RTMP_PORT"] {
        let dir = tempfile::tempdir().unwrap();
        let other = if key == "WEIR_HTTP_PORT" {
            "WEIR_RTMP_PORT"
        } else {
            "WEIR_HTTP_PORT"
        };
        let env = [
            (key, port.as_str()),
            (other, "0"),
            ("WEIR_EDGE_HTTP_LISTEN", "127.0.0.1:0"),
            ("WEIR_ORIGIN_HTTP_LISTEN", "127.0.0.1:0"),
            ("WEIR_ORIGIN_RTMP_LISTEN", "127.0.0.1:0"),
            ("WEIR_DATA_DIR", dir.path().to_str().unwrap()),
        ];
        let (code, _, stderr) = weir(&[], &env);
        assert_eq!(code, 1, "{stderr}");
        let errors: Vec<&str> = stderr.lines().filter(|l| l.starts_with("weir:")).collect();
        assert_eq!(errors.len(), 1, "{stderr}");
        assert!(
            errors[0].contains(&port) && errors[0].contains("in use"),
            "{stderr}"
        );
    }
}

#[test]
fn a_second_process_on_the_same_store_is_refused() {
    let first = Weir::start();
    let data = first.dir().join("data");
    let env = [
        ("WEIR_HTTP_PORT", "0"),
        ("WEIR_RTMP_PORT", "0"),
        ("WEIR_EDGE_HTTP_LISTEN", "127.0.0.1:0"),
        ("WEIR_ORIGIN_HTTP_LISTEN", "127.0.0.1:0"),
        ("WEIR_ORIGIN_RTMP_LISTEN", "127.0.0.1:0"),
        ("WEIR_DATA_DIR", data.to_str().unwrap()),
    ];
    let (code, _, stderr) = weir(&[], &env);
    assert_eq!(code, 1);
    let errors: Vec<&str> = stderr.lines().filter(|l| l.starts_with("weir:")).collect();
    assert_eq!(errors.len(), 1, "{stderr}");
    assert!(errors[0].contains("another"), "{stderr}");
}

#[test]
fn version_and_help() {
    let (code, stdout, _) = weir(&["--version"], &[]);
    assert_eq!(code, 0);
    assert!(
        stdout.starts_with("weir ") && stdout.contains(env!("CARGO_PKG_VERSION")),
        "{stdout}"
    );
    let (code, stdout, _) = weir(&["--help"], &[]);
    assert_eq!(code, 0);
    assert!(stdout.contains("origin") && stdout.contains("edge") && stdout.contains("lb"));
    let (code, _, stderr) = weir(&["orgin"], &[]);
    assert_ne!(code, 0);
    assert!(
        stderr.contains("origin"),
        "the nearest role is named: {stderr}"
    );
}

#[test]
fn a_stop_finishes_what_is_open_and_exits_0() {
    for signal in ["TERM", "INT"] {
        let mut weir = Weir::start();
        let _encoder = Encoder::publish(&weir.rtmp("cam1"), &Pattern::default());
        weir.wait_live("cam1");
        let url = weir.url("/LiveApp/streams/cam1/video.m3u8");
        wait_for("two segments", || {
            MediaList::fetch(&url).filter(|l| l.entries.len() >= 2)
        });
        weir.signal(signal);
        let status = weir.wait_exit(Duration::from_secs(20));
        assert_eq!(status.code(), Some(0), "{signal}");
        weir.wait_log(&["cam1", "ended"]);
    }
}

#[test]
fn one_role_each_with_a_static_origin() {
    let origin = Weir::builder().role("origin").start();
    let edge = Weir::builder()
        .role("edge")
        .set("cluster.origin.nodes", origin.address("origin http"))
        .start();
    let _encoder = Encoder::publish(&origin.rtmp("cam1"), &Pattern::default());
    edge.wait_live("cam1");
    let url = edge.url("/LiveApp/streams/cam1/video.m3u8");
    let list = MediaList::fetch(&url).unwrap();
    let answer = crate::support::get(&list.entries[0].url);
    assert_eq!(answer.status, 200);
    assert!(answer.body.len() > 1000);
}

#[test]
fn an_origin_that_hangs_hides_no_stream_of_another() {
    let hung = Weir::builder().role("origin").start();
    let origin = Weir::builder().role("origin").start();
    let nodes = [&hung, &origin].map(|node| node.address("origin http"));
    let edge = Weir::builder()
        .role("edge")
        .set("cluster.origin.nodes", &nodes.join(","))
        .start();
    let _encoder = Encoder::publish(&origin.rtmp("cam1"), &Pattern::default());
    origin.wait_log(&["cam1", "publisher admitted"]);
    // It takes connections and answers none.
    hung.signal("STOP");
    edge.wait_live("cam1");
}

#[test]
fn a_balancer_alone_stands_before_edges_and_origins_of_its_file() {
    let origin = Weir::builder().role("origin").start();
    let edge = Weir::builder()
        .role("edge")
        .set("cluster.origin.nodes", origin.address("origin http"))
        .start();
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "events {{}}\nhttp {{\n upstream edges {{ least_conn; server {}; }}\n server {{ listen \
         127.0.0.1:0; location / {{ proxy_pass http://edges; }} }}\n}}\nstream {{\n upstream \
         origins {{ least_conn; server {}; }}\n server {{ listen 127.0.0.1:0; proxy_pass origins; \
         }}\n}}\n",
        edge.address("edge http"),
        origin.address("origin rtmp"),
    );
    let path = dir.path().join("lb.conf");
    std::fs::write(&path, text).unwrap();
    let lb = Weir::builder()
        .role("lb")
        .set("lb.conf", path.to_str().unwrap())
        .start();
    let _encoder = Encoder::publish(&lb.rtmp("cam1"), &Pattern::default());
    lb.wait_live("cam1");
}

#[test]
fn the_soft_limit_on_open_files_is_raised() {
    let dir = tempfile::tempdir().unwrap();
    let weir = command();
    let mut shell = Command::new("sh");
    without_settings(&mut shell);
    let mut child = shell
        .args(["-c", "ulimit -Sn 256 && exec \"$0\" origin"])
        .arg(weir.get_program())
        .envs([("WEIR_HTTP_PORT", "0"), ("WEIR_RTMP_PORT", "0")])
        .env("WEIR_DATA_DIR", dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = lines.map_while(Result::ok).any(|l| l.starts_with("Ready"));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ready);
    let files = limits.lines().find(|l| l.starts_with("Max open files"));
    let words: Vec<_> = files.unwrap().split_whitespace().collect();
    assert_ne!(words[3], "256");
    assert_eq!(words[3], words[4], "soft and hard: {words:?}");
}
