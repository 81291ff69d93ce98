//! Recordings over REST: records that something else wrote, and the files behind them.

use crate::support::{Mongod, Weir, get, request};
use mongodb::bson::{Document, doc};

#[test]
fn recordings_are_told_and_their_files_go_with_them() {
    let Some(mongod) = Mongod::start() else {
        return;
    };
    let weir = Weir::builder()
        .set("db.type", "mongodb")
        .set("db.host", &mongod.address())
        .set("db.options", "replicaSet=rs0")
        .start();
    let app = weir.dir().join("data/webapps/LiveApp");
    let files = [
        "streams/2026/a.mp4",
        "previews/a.png",
        "streams/b.mp4",
        "streams/c.mp4",
    ];
    for file in files {
        let file = app.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, b"media").unwrap();
    }
    let outside = weir.dir().join("data/keep");
    std::fs::write(&outside, b"keep").unwrap();
    let vod = |id: &str, path: &str, preview: Option<&str>| -> Document {
        doc! {
            "vodId": id, "vodName": format!("{id}.mp4"), "streamId": "cam1", "filePath": path,
            "previewFilePath": preview, "type": "streamVod", "fileSize": 5_i64,
        }
    };
    let vods = vec![
        vod("a", "streams/2026/a.mp4", Some("previews/a.png")),
        vod("b", "streams/b.mp4", None),
        vod("gone", "streams/gone.mp4", None),
        vod("evil", "streams/../../../keep", None),
    ];
    let insert = doc! { "insert": "vod", "documents": vods };
    mongod.command_on("liveappVoD", insert).unwrap();

    let url = |path: &str| weir.url(&format!("/LiveApp/rest/v2/vods/{path}"));
    let count = || get(&url("count")).json()["number"].clone();
    assert_eq!(count(), 4);
    assert_eq!(get(&url("a")).json()["filePath"], "streams/2026/a.mp4");
    let list = get(&url("list/0/10?sort_by=name")).json();
    assert_eq!(list.as_array().unwrap().len(), 4);
    assert_eq!(list[0]["vodId"], "a");

    let delete = |path: &str| request("DELETE", &url(path)).unwrap().json();
    for id in ["a", "gone"] {
        let told = delete(id);
        assert_eq!(
            (&told["success"], &told["message"]),
            (&true.into(), &().into()),
            "{told}"
        );
    }
    let told = delete("?ids=b,evil");
    assert_eq!(told["success"], true);
    let words = told["message"].as_str().unwrap();
    assert!(
        words.contains("the file of evil was not removed"),
        "{words}"
    );
    assert!(outside.exists() && app.join("streams/c.mp4").exists());
    for file in &files[..3] {
        assert!(!app.join(file).exists(), "{file}");
    }
    assert_eq!(count(), 0);
    assert_eq!(get(&url("a")).status, 404);
}
