//! The file of Ant Media's cluster page in front of two origins and two edges: live HLS plays on
//! through its cache, whose 60 s a playlist's own Cache-Control outranks, also for a viewer whom
//! `ip_hash` sends to the wrong origin.

use crate::support::encoder::Pattern;
use crate::support::front::{Front, Who};
use crate::support::viewer::{all_content, wait_more};
use crate::support::{Cluster, StubbornEncoder, Viewer, get};

/// Media that one segment holds, seconds.
const SEGMENT_S: usize = 2;
/// Segments waited for at once: less than the helpers' patience.
const STEP: usize = 5;

#[test]
fn live_streams_play_through_the_file_of_ant_medias_page() {
    plays_for(3 * STEP * SEGMENT_S);
}

/// As long as the issue asks for.
#[test]
#[ignore = "takes five minutes: make soak"]
fn live_streams_play_five_minutes_through_the_file_of_ant_medias_page() {
    plays_for(300);
}

/// The page's file, in the blocks that it leaves to the reader.
fn conf(cluster: &Cluster) -> String {
    let servers = |nodes: &[crate::support::Weir]| {
        let doors = nodes.iter().map(|node| node.door("http").unwrap());
        let lines = doors.map(|door| format!("server {door};"));
        lines.collect::<Vec<_>>().join("\n")
    };
    format!(
        "{}http {{
access_log off;
upstream ams_origin {{
    ip_hash;
    {}
    keepalive 32;
}}
upstream ams_edge {{
    least_conn;
    {}
}}
proxy_cache_path cache levels=1:2 keys_zone=ams_cache:10m;
server {{
    listen HTTP_ADDRESS;
    location /LiveApp/streams {{
        proxy_pass http://ams_origin;
        proxy_cache ams_cache;
        proxy_cache_valid 200 60s;
        add_header X-Cache $upstream_cache_status;
        add_header X-Origin $upstream_addr;
    }}
    location /LiveApp/play {{
        proxy_pass http://ams_edge;
    }}
}}
}}
",
        Front::MAIN,
        servers(&cluster.origins),
        servers(&cluster.edges)
    )
}

fn plays_for(seconds: usize) {
    let Some(mut cluster) = Cluster::start_with(1, 0, 2) else {
        return;
    };
    for _ in 0..2 {
        // Encoders come to them without a balancer.
        cluster.add_origin_with(|it| it.set("rtmp.proxy_protocol", "false"));
    }
    let front = Front::start(Who::Weir, "127.0.0.46", &conf(&cluster), &[]);
    let pattern = Pattern {
        size: Some("160x90"),
        kbps: 100,
        ..Pattern::default()
    };
    // One stream at each origin: all viewers have one address, so that for one of the streams
    // `ip_hash` sends them to the wrong one.
    let _encoders: Vec<StubbornEncoder> = cluster
        .origins
        .iter()
        .enumerate()
        .map(|(n, origin)| StubbornEncoder::publish(&origin.rtmp(&format!("cam-{n}")), &pattern))
        .collect();
    let mut crowd = Vec::new();
    for n in 0..cluster.origins.len() {
        let path = format!("/LiveApp/streams/cam-{n}/video.m3u8");
        front.wait_there(&path);
        crowd.extend(Viewer::crowd(&front.url(&path), 4));
    }
    let wrong = cluster.origins.iter().enumerate().filter(|(n, origin)| {
        let list = get(&front.url(&format!("/LiveApp/streams/cam-{n}.m3u8?miss={n}")));
        list.header("x-origin") != origin.door("http").unwrap()
    });
    assert_eq!(wrong.count(), 1, "one stream is asked of the wrong origin");
    for _ in 0..seconds.div_ceil(STEP * SEGMENT_S) {
        wait_more(&crowd, STEP);
    }
    assert_eq!(front.wait_there("/LiveApp/play.html").status, 200);
    let segment = crowd[0].seen().segments.last().unwrap().url.clone();
    let again = get(&segment);
    assert_eq!((again.status, again.header("x-cache")), (200, "HIT"));
    let seen = all_content(crowd);
    let requests: usize = seen.iter().map(|it| it.requests).sum();
    println!("{seconds} s of media: {requests} requests of 8 viewers, no fault");
}
