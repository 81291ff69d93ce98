//! Our nodes behind somebody else's balancer: Debian's nginx and HAProxy, with the files that their
//! users have, pass encoders to the origins and viewers to the edges.

use crate::support::encoder::Pattern;
use crate::support::front::{Front, Who};
use crate::support::viewer::{all_content, wait_more};
use crate::support::{Cluster, StubbornEncoder, Viewer, Weir};

/// `PREFIX ADDRESS SUFFIX` for each node, a line each.
fn lines(nodes: &[Weir], protocol: &str, line: impl Fn(usize, &str) -> String) -> String {
    let doors = nodes.iter().map(|node| node.door(protocol).unwrap());
    let lines = doors.enumerate().map(|(n, door)| line(n, &door));
    lines.collect::<Vec<_>>().join("\n")
}

fn nginx(cluster: &Cluster) -> String {
    let servers = |nodes, protocol| lines(nodes, protocol, |_, at| format!("server {at};"));
    let (edges, origins) = (
        servers(&cluster.edges, "http"),
        servers(&cluster.origins, "http"),
    );
    let publishers = servers(&cluster.origins, "rtmp");
    format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;
         {}
         http {{
           access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;
           uwsgi_temp_path t4; scgi_temp_path t5;
           upstream edges {{ least_conn; {edges} keepalive 16; }}
           upstream origins {{ ip_hash; {origins} }}
           server {{ listen HTTP_ADDRESS;
             proxy_http_version 1.1; proxy_set_header Connection '';
             location / {{ proxy_pass http://edges; }}
             location ~ ^/[^/]+/rest/ {{ proxy_pass http://origins; }} }} }}
         stream {{
           upstream publishers {{ least_conn; {publishers} }}
           server {{ listen RTMP_ADDRESS; proxy_pass publishers; proxy_protocol on; }} }}",
        Front::MAIN
    )
}

fn haproxy(cluster: &Cluster) -> String {
    let check = "option httpchk GET /rest/v2/weir/node";
    let servers = |nodes, protocol, extra: &str| {
        lines(nodes, protocol, |n, at| {
            format!("  server n{n} {at} {extra}")
        })
    };
    let edges = servers(&cluster.edges, "http", "check");
    let origins = servers(&cluster.origins, "http", "check");
    let publishers = servers(
        &cluster.origins,
        "rtmp",
        "check send-proxy check-send-proxy",
    );
    format!(
        "global
  maxconn 1000
defaults
  timeout connect 2s
  timeout client 60s
  timeout server 60s
frontend viewers
  mode http
  bind HTTP_ADDRESS
  acl rest path_sub /rest/
  use_backend origins if rest
  default_backend edges
backend edges
  mode http
  balance leastconn
  {check}
{edges}
backend origins
  mode http
  balance source
  {check}
{origins}
frontend encoders
  mode tcp
  bind RTMP_ADDRESS
  default_backend publishers
backend publishers
  mode tcp
  balance leastconn
{publishers}
"
    )
}

fn publishes_and_plays_behind(who: Who) {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let conf = match who {
        Who::HaProxy => haproxy(&cluster),
        _ => nginx(&cluster),
    };
    let front = Front::start(who, "127.0.0.42", &conf, &[]);
    let pattern = Pattern {
        size: Some("160x90"),
        kbps: 100,
        ..Pattern::default()
    };
    let _encoders = ["one", "two"].map(|id| StubbornEncoder::publish(&front.rtmp(id), &pattern));
    let mut crowd = Vec::new();
    for id in ["one", "two"] {
        let path = format!("/LiveApp/streams/{id}/video.m3u8");
        front.wait_there(&path);
        for edge in &cluster.edges {
            edge.wait_live(id);
        }
        crowd.extend(Viewer::crowd(&front.url(&path), 4));
    }
    wait_more(&crowd, 4);
    // The origins know of both, whichever is asked, and who the encoder is.
    for id in ["one", "two"] {
        let record = front.wait_there(&format!("/LiveApp/rest/v2/broadcasts/{id}"));
        assert_eq!(record.json()["status"], "broadcasting", "{id}");
    }
    let served = |edge: &Weir| edge.metric("weir_edge_requests_total", &["kind=\"playlist\""]);
    let all: Vec<f64> = cluster.edges.iter().map(served).collect();
    assert!(all.iter().all(|served| *served > 4.0), "{all:?}");
    let seen = all_content(crowd);
    let requests: usize = seen.iter().map(|it| it.requests).sum();
    println!("behind {who:?}: {requests} requests of 8 viewers, no fault");
}

#[test]
fn streams_are_published_and_played_behind_stock_nginx() {
    publishes_and_plays_behind(Who::Nginx);
}

#[test]
fn streams_are_published_and_played_behind_stock_haproxy() {
    publishes_and_plays_behind(Who::HaProxy);
}
