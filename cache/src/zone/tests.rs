//! What nginx's rules say of headers, and how a zone keeps, varies, locks and bounds.

use super::*;
use bytes::Bytes;
use http::HeaderValue;
use http::header::HeaderName;
use tokio::time::Instant;

const NOW_MS: u64 = 1_700_000_000_000;
const AGE: Duration = Duration::from_secs(5);
const LOCK: Lock = Lock { on: true, age: AGE };

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        let value = HeaderValue::from_str(value).unwrap();
        map.append(HeaderName::from_static(name), value);
    }
    map
}

fn plan(lines: &[(&'static str, &str)]) -> Plan {
    Plan::read(&headers(lines), Ignored::default(), NOW_MS)
}

fn zone(bytes_max: u64, keys_max: u64) -> Arc<Zone<&'static str>> {
    let gauge = || IntGauge::new("a", "a").unwrap();
    let counter = || IntCounter::new("a", "a").unwrap();
    let options = ZoneOptions {
        bytes_max,
        keys_max,
        object_bytes_max: bytes_max / 2,
        inactive_ms: 600_000,
    };
    let metrics = ZoneMetrics {
        objects: gauge(),
        stored_bytes: gauge(),
        evictions: counter(),
        served_bytes: counter(),
    };
    Zone::new(options, metrics)
}

fn meta() -> Meta {
    Meta {
        times: Times {
            fresh_until_ms: NOW_MS + 1000,
            ..Times::default()
        },
        framed: true,
        ..Meta::default()
    }
}

fn ticket(zone: &Arc<Zone<&'static str>>, place: &Place) -> Ticket<&'static str> {
    match zone.board(place, LOCK, None) {
        Boarding::Fetch(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

fn keep(
    zone: &Arc<Zone<&'static str>>,
    key: &str,
    request: &HeaderMap,
    vary: &str,
    head: &'static str,
) {
    let place = zone.look(key, request).place;
    let mut meta = meta();
    if !vary.is_empty() {
        meta.vary = Some(vary.to_owned());
        meta.variant = plan::variant(vary, request);
    }
    let mut filler = ticket(zone, &place).fill(head, meta).unwrap();
    filler.push(Bytes::from_static(b"body")).unwrap();
    filler.done();
}

#[test]
fn times_outrank_one_another_as_in_nginx() {
    let at = |seconds: u64| Some(NOW_MS + seconds * 1000);
    let (control, expires, accel) = ("cache-control", "expires", "x-accel-expires");
    let past = "Thu, 01 Jan 1970 00:00:01 GMT";
    for (lines, wanted) in [
        (&[][..], (true, None)),
        (&[(control, "max-age=60")], (true, at(60))),
        (&[(control, "max-age=60, s-maxage=5")], (true, at(5))),
        (&[(control, "Max-Age=60")], (true, at(60))),
        (&[(control, "max-age=60"), (expires, past)], (true, at(60))),
        (
            &[(control, "no-cache"), (control, "max-age=60")],
            (false, None),
        ),
        (&[(control, "private")], (false, None)),
        (&[(control, "max-age=0")], (false, None)),
        (&[(control, "max-age=x")], (false, None)),
        (&[(expires, past)], (false, None)),
        (&[(expires, "0")], (false, None)),
        (
            &[(accel, "7"), (control, "no-store"), (expires, past)],
            (true, at(7)),
        ),
        (&[(accel, "0"), (control, "max-age=60")], (false, at(60))),
        (&[(expires, "Tue, 14 Nov 2023 22:13:20 GMT")], (true, at(0))),
        (&[(expires, "tue, 14 nov 2023 22:13:21 gmt")], (true, at(1))),
        (&[(expires, "Sun Nov 14 22:13:21 2023")], (true, at(1))),
        (&[(expires, "Tue, 14 Nov 2023 22:13:21 UTC")], (false, None)),
        (&[(accel, "@60")], (true, Some(60_000))),
        (&[(accel, "soon")], (true, None)),
        (
            &[("set-cookie", "a=b"), (control, "max-age=60")],
            (false, at(60)),
        ),
        (&[("vary", "*")], (false, None)),
    ] {
        let plan = plan(lines);
        assert_eq!((plan.may_keep, plan.fresh_until_ms), wanted, "{lines:?}");
    }
    let huge = plan(&[(control, "max-age=9223372036854775808")]);
    assert!(huge.may_keep && huge.fresh_until_ms.unwrap() > NOW_MS * 2);
    let stale = plan(&[(
        control,
        "max-age=1, stale-while-revalidate=2, stale-if-error=3",
    )]);
    assert_eq!((stale.updating_ms, stale.error_ms), (2000, 3000));
}

#[test]
fn what_is_ignored_does_not_count() {
    let ignored = Ignored {
        x_accel_expires: true,
        cache_control: true,
        expires: true,
        set_cookie: true,
        vary: true,
    };
    let lines = [
        ("x-accel-expires", "0"),
        ("cache-control", "no-store"),
        ("expires", "0"),
        ("set-cookie", "a=b"),
        ("vary", "*"),
    ];
    let plan = Plan::read(&headers(&lines), ignored, NOW_MS);
    assert_eq!(
        (plan.may_keep, plan.fresh_until_ms, plan.vary),
        (true, None, None)
    );
}

#[test]
fn an_answer_is_fresh_then_stale() {
    let kept = Kept::new(
        (),
        Meta {
            times: Times {
                fresh_until_ms: NOW_MS,
                updating_ms: 10,
                error_ms: 20,
            },
            ..Meta::default()
        },
    );
    assert_eq!(kept.standing(NOW_MS - 1), Standing::Fresh);
    for (after, updating, error) in [(0, true, true), (11, false, true), (21, false, false)] {
        let wanted = Standing::Expired { updating, error };
        assert_eq!(kept.standing(NOW_MS + after), wanted, "{after}");
    }
    assert!(kept.begin_update(NOW_MS, 100) && !kept.begin_update(NOW_MS + 99, 100));
    assert!(
        kept.begin_update(NOW_MS + 100, 100),
        "who takes too long loses his place"
    );
    kept.end_update();
    assert!(kept.begin_update(NOW_MS + 101, 1));
}

#[tokio::test]
async fn variants_are_told_apart_by_what_the_request_has() {
    let zone = zone(1 << 20, 100);
    let (gzip, plain) = (headers(&[("accept-encoding", "gzip, br")]), headers(&[]));
    keep(&zone, "/a", &gzip, "Accept-Encoding", "zipped");
    let spaced = headers(&[("accept-encoding", "gzip ,,"), ("accept-encoding", " br")]);
    assert_eq!(*zone.look("/a", &spaced).kept.unwrap().head(), "zipped");
    assert!(zone.look("/a", &plain).kept.is_none());
    keep(&zone, "/a", &plain, "Accept-Encoding", "plain");
    assert_eq!(*zone.look("/a", &plain).kept.unwrap().head(), "plain");
    assert_eq!(*zone.look("/a", &gzip).kept.unwrap().head(), "zipped");
    // One that no longer varies takes the place of all.
    keep(&zone, "/a", &plain, "", "one");
    assert_eq!(*zone.look("/a", &gzip).kept.unwrap().head(), "one");
}

#[tokio::test(start_paused = true)]
async fn one_fetches_and_the_others_read_while_it_fills() {
    let zone = zone(1 << 20, 100);
    let place = zone.look("/a", &HeaderMap::new()).place;
    let first = ticket(&zone, &place);
    let Boarding::Wait(mut waiter) = zone.board(&place, LOCK, None) else {
        panic!("must wait");
    };
    let mut filler = first.fill("head", meta()).unwrap();
    filler.push(Bytes::from_static(b"one")).unwrap();
    let later = Instant::now() + AGE;
    let Some(Landed::Kept(kept)) = waiter.wait(later).await else {
        panic!("must have landed");
    };
    let mut reader = zone.reader(&kept, 1, None);
    assert_eq!(reader.next().await.unwrap().unwrap(), "ne");
    assert!(zone.look("/a", &HeaderMap::new()).kept.is_none());
    filler.push(Bytes::from_static(b"two")).unwrap();
    filler.done();
    assert_eq!(reader.next().await.unwrap().unwrap(), "two");
    assert!(reader.next().await.unwrap().is_none());
    assert_eq!(
        zone.look("/a", &HeaderMap::new()).kept.unwrap().len_bytes(),
        Some(6)
    );
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_ages_loses_its_place_and_one_that_ends_tells() {
    let zone = zone(1 << 20, 100);
    let place = zone.look("/a", &HeaderMap::new()).place;
    let hung = ticket(&zone, &place);
    let Boarding::Wait(mut waiter) = zone.board(&place, LOCK, None) else {
        panic!("must wait");
    };
    let far = Instant::now() + AGE * 10;
    assert!(waiter.wait(far).await.is_none(), "aged");
    let second = ticket(&zone, &place);
    drop(hung);
    let Boarding::Wait(mut waiter) = zone.board(&place, LOCK, None) else {
        panic!("the second one holds the place");
    };
    let failure = Failure {
        status: 504,
        kind: FailureKind::Timeout,
    };
    second.fail(failure);
    let landed = waiter.wait(far).await;
    assert!(matches!(landed, Some(Landed::Failed(it)) if it == failure));
    let third = ticket(&zone, &place);
    let Boarding::Wait(mut waiter) = zone.board(&place, LOCK, None) else {
        panic!("must wait");
    };
    drop(third);
    assert!(matches!(waiter.wait(far).await, Some(Landed::Alone)));
}

#[tokio::test]
async fn what_only_the_connection_ends_is_read_when_it_is_whole() {
    let zone = zone(1 << 20, 100);
    let place = zone.look("/a", &HeaderMap::new()).place;
    let first = ticket(&zone, &place);
    let Boarding::Wait(mut waiter) = zone.board(&place, LOCK, None) else {
        panic!("must wait");
    };
    let unframed = Meta {
        framed: false,
        ..meta()
    };
    let filler = first.fill("head", unframed).unwrap();
    assert!(waiter.wait(Instant::now()).await.is_none());
    filler.done();
    assert!(matches!(
        waiter.wait(Instant::now() + AGE).await,
        Some(Landed::Kept(_))
    ));
}

#[tokio::test]
async fn a_zone_is_bounded_in_bytes_and_in_number() {
    let zone = zone(100_000, 10);
    for n in 0..50 {
        keep(&zone, &format!("/{n}"), &HeaderMap::new(), "", "head");
    }
    assert!(zone.metrics.objects.get() <= 10 && zone.metrics.objects.get() > 5);
    assert_eq!(
        zone.metrics.objects.get() + i64::try_from(zone.metrics.evictions.get()).unwrap(),
        50
    );
    let place = zone.look("/big", &HeaderMap::new()).place;
    let large = Meta {
        content_length: Some(50_001),
        ..meta()
    };
    let (ticket, _) = ticket(&zone, &place).fill("head", large).unwrap_err();
    let mut filler = ticket.fill("head", meta()).unwrap();
    filler.push(Bytes::from(vec![0; 50_000])).unwrap();
    assert!(filler.push(Bytes::from_static(b"x")).is_err());
    drop(filler);
    assert_eq!(zone.filling_bytes.load(Ordering::Relaxed), 0);
    assert!(zone.look("/big", &HeaderMap::new()).kept.is_none());
}

#[tokio::test]
async fn uses_are_counted_and_content_is_taken_over() {
    let old = zone(1 << 20, 100);
    let place = old.look("/a", &HeaderMap::new()).place;
    assert!(old.is_wanted(&place, 1) && !old.is_wanted(&place, 2) && old.is_wanted(&place, 2));
    keep(&old, "/a", &HeaderMap::new(), "", "head");
    let new = zone(2 << 20, 100);
    new.adopt(&old);
    assert_eq!(
        new.look("/a", &HeaderMap::new())
            .kept
            .unwrap()
            .whole()
            .unwrap(),
        "body"
    );
}
