//! The balancers' files that are shipped: they pass their test where they lie, and run.

use crate::support::encoder::Pattern;
use crate::support::front::{Front, Who};
use crate::support::viewer::{all_content, wait_more};
use crate::support::weir::command;
use crate::support::{Cluster, StubbornEncoder, Viewer, Weir, run, wait_for};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::time::Duration;

/// What a process that root starts in a folder of its own is told.
const PROCESS: &str = "daemon off; user root; pid nginx.pid; error_log error.log info;\n";

fn shipped(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../conf")).join(name)
}

fn pattern() -> Pattern {
    Pattern {
        size: Some("160x90"),
        kbps: 100,
        ..Pattern::default()
    }
}

#[test]
fn the_clusters_file_passes_its_test_where_it_lies() {
    let dir = tempfile::tempdir().unwrap();
    let out = command()
        .args(["nginx", "-t", "-e"])
        .arg(dir.path().join("error.log"))
        .arg("-c")
        .arg(shipped("lb.conf"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
    assert!(said.contains("test is successful"), "{said}");
}

#[test]
fn the_clusters_file_serves_a_cluster() {
    let Some(cluster) = Cluster::start_with(1, 2, 1) else {
        return;
    };
    let text = std::fs::read_to_string(shipped("lb.conf")).unwrap();
    let conf = text
        .replace("\nhttp {\n", "\nhttp {\n access_log off;\n")
        .replace("cluster/lb.properties", "node.properties")
        .replace(
            "listen 80 default_server",
            "listen HTTP_ADDRESS default_server",
        )
        .replace("listen 1935;", "listen RTMP_ADDRESS;");
    assert!(conf.contains("HTTP_ADDRESS") && conf.contains("RTMP_ADDRESS"));
    let properties = format!(
        "server.mode=lb\ndb.type=mongodb\ndb.host={}\ndb.options=replicaSet=rs0\ndata.dir=seen\n",
        cluster.mongods[0].address()
    );
    let beside = [("node.properties", properties.as_str())];
    let front = Front::start(
        Who::Weir,
        "127.0.0.43",
        &format!("{PROCESS}{conf}"),
        &beside,
    );
    let _encoder = StubbornEncoder::publish(&front.rtmp("cam"), &pattern());
    let path = "/LiveApp/streams/cam/video.m3u8";
    front.wait_there(path);
    cluster.edges[0].wait_live("cam");
    let crowd = Viewer::crowd(&front.url(path), 3);
    wait_more(&crowd, 2);
    let record = front.wait_there("/LiveApp/rest/v2/broadcasts/cam").json();
    assert_eq!(record["status"], "broadcasting");
    front.wait_there("/rest/v2/liveness");
    front.wait_there(&format!("{path}?target=origin"));
    all_content(crowd);
}

/// Ant Media's layout with our nodes in it, under whoever runs it.
fn ant_medias_layout_serves(who: Who, ip: &str) {
    let Some(mut cluster) = Cluster::start_with(1, 0, 2) else {
        return;
    };
    for _ in 0..2 {
        // Ant Media's nodes know no PROXY protocol.
        let n = cluster.add_origin_with(|it| it.set("rtmp.proxy_protocol", "false"));
        cluster.wait_used(&cluster.origins[n]);
    }
    let srt = UdpSocket::bind((ip, 0)).unwrap();
    let conf = ant_media(&cluster, ip, &srt);
    let conf = match who {
        Who::Nginx => format!("load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n{conf}"),
        _ => conf,
    };
    let (cert, key) = certificate();
    let beside = [("fullchain.pem", cert.as_str()), ("privkey.pem", &key)];
    let front = Front::start(who, ip, &conf, &beside);

    let _plain = StubbornEncoder::publish(&front.rtmp("plain"), &pattern());
    let rtmps = format!("rtmps://{ip}:11936/LiveApp/secure");
    let _secure = StubbornEncoder::publish(&rtmps, &pattern());
    for edge in &cluster.edges {
        edge.wait_live("plain");
        edge.wait_live("secure");
    }
    let path = "/LiveApp/streams/plain/video.m3u8";
    let url = |port: &str| format!("http://{ip}:{port}{path}");
    let crowd = Viewer::crowd(&url("15080"), 4);
    wait_more(&crowd, 2);

    // Publishers' doors go to origins, viewers' to edges, unless the target says otherwise.
    let (origins, edges) = (&cluster.origins, &cluster.edges);
    let by_origins = |url: &str| counted(origins, "weir_origin_objects_total", url);
    let by_edges = |url: &str| counted(edges, "weir_edge_requests_total", url);
    for door in [front.url(path), format!("https://{ip}:10443{path}")] {
        assert!(by_origins(&door), "{door}");
        assert!(by_edges(&format!("{door}?target=edge")), "{door}");
    }
    for door in [url("15080"), format!("https://{ip}:15443{path}")] {
        assert!(by_edges(&door), "{door}");
        assert!(by_origins(&format!("{door}?target=origin")), "{door}");
    }
    for door in [format!("https://{ip}:14444"), format!("http://{ip}:14445")] {
        fetch(&format!("{door}/rest/v2/liveness"));
    }
    echoes(&srt, &format!("{ip}:14200"));
    all_content(crowd);
}

/// The shipped file with addresses of this machine: ports ten thousand up.
fn ant_media(cluster: &Cluster, ip: &str, srt: &UdpSocket) -> String {
    let mut text = std::fs::read_to_string(shipped("ant-media-lb.conf")).unwrap();
    text = text
        .replace("\nhttp {\n", "\nhttp {\n access_log off;\n")
        .replace("listen 80 ", "listen HTTP_ADDRESS ")
        .replace("listen 1935;", "listen RTMP_ADDRESS;");
    for port in [443, 5080, 5443, 4444, 4445, 1936, 4200] {
        let (from, to) = (
            format!("listen {port} "),
            format!("listen {ip}:{} ", port + 10_000),
        );
        assert!(text.contains(&from), "{from}");
        text = text.replace(&from, &to);
    }
    for (nodes, net, port, protocol) in [
        (&cluster.origins, "172.16.16", 5080, "http"),
        (&cluster.origins, "172.16.16", 1935, "rtmp"),
        (&cluster.edges, "172.16.17", 5080, "http"),
    ] {
        for (n, node) in nodes.iter().enumerate() {
            let from = format!("{net}.{}:{port}", 11 + n);
            assert!(text.contains(&from), "{from}");
            text = text.replace(&from, &node.door(protocol).unwrap());
        }
    }
    let srt = srt.local_addr().unwrap().to_string();
    for n in [11, 12] {
        text = text.replace(&format!("172.16.16.{n}:4200"), &srt);
    }
    text = text.replace("/etc/letsencrypt/live/example.com/", "");
    assert!(
        !text.replace("(172.16.16.*", "").contains("172.16.16.1"),
        "{text}"
    );
    format!("{PROCESS}{text}")
}

/// A certificate that signs itself, and its key.
fn certificate() -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let (cert, key) = (file("cert"), file("key"));
    let words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=example.com -keyout";
    let mut words: Vec<&str> = words.split(' ').collect();
    words.extend([key.as_str(), "-out", &cert]);
    run("openssl", &words);
    let read = |path| std::fs::read_to_string(path).unwrap();
    (read(cert), read(key))
}

/// Whether an answer to this URL counts at one of these nodes.
fn counted(nodes: &[Weir], metric: &str, url: &str) -> bool {
    const TIMES: u32 = 20;
    let sum = || {
        nodes
            .iter()
            .map(|node| node.metric(metric, &["playlist"]))
            .sum::<f64>()
    };
    let before = sum();
    for _ in 0..TIMES {
        fetch(url);
    }
    sum() >= before + f64::from(TIMES)
}

/// A GET that must be answered with 200, whatever the certificate.
fn fetch(url: &str) {
    run("curl", &["-sSfk", "--noproxy", "*", "-o", "/dev/null", url]);
}

/// A datagram gets to the server and its answer back.
fn echoes(server: &UdpSocket, door: &str) {
    server
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let client = UdpSocket::bind((server.local_addr().unwrap().ip(), 0)).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    wait_for("a datagram and its answer", || {
        client.send_to(b"caller", door).unwrap();
        let mut got = [0; 32];
        let (count, from) = server.recv_from(&mut got).ok()?;
        assert_eq!(&got[..count], b"caller");
        server.send_to(b"listener", from).unwrap();
        let count = client.recv(&mut got).ok()?;
        (&got[..count] == b"listener").then_some(())
    });
}

#[test]
fn ant_medias_layout_runs() {
    ant_medias_layout_serves(Who::Weir, "127.0.0.44");
}

/// The same file, so that it is known to be nginx's.
#[test]
fn ant_medias_layout_runs_under_debians_nginx() {
    ant_medias_layout_serves(Who::Nginx, "127.0.0.45");
}
