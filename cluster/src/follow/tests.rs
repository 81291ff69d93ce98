//! A follower on channels that lag, close and fall silent; the clock stands still.

use super::*;
use std::sync::{Arc, Mutex};
use tokio::sync::broadcast::{Sender, channel};
use tokio::time::timeout;

const PERIOD: Duration = Duration::from_secs(1);
const NOTHING: Duration = Duration::from_millis(50);

type Source = (Mutex<Option<Sender<u32>>>, Mutex<Duration>);

fn follow(source: &Arc<Source>) -> Follower<u32> {
    let (changes, health) = (Arc::clone(source), Arc::clone(source));
    Follower::new(
        move || changes.0.lock().unwrap().as_ref().map(Sender::subscribe),
        move || ChangesHealth {
            age: *health.1.lock().unwrap(),
            ..ChangesHealth::default()
        },
        PERIOD,
    )
}

fn reload(told: bool) -> News<u32> {
    News::Reload { told, missed: 0 }
}

#[tokio::test(start_paused = true)]
async fn changes_come_after_a_first_reload() {
    let source = Arc::new(Source::default());
    let sender = channel(2).0;
    *source.0.lock().unwrap() = Some(sender.clone());
    let mut follower = follow(&source);
    assert_eq!(follower.next().await, reload(true));
    sender.send(7).unwrap();
    assert_eq!(follower.next().await, News::Changed(7));
    assert!(timeout(10 * PERIOD, follower.next()).await.is_err());
    for change in 0..5 {
        sender.send(change).unwrap();
    }
    let lagged = News::Reload {
        told: true,
        missed: 3,
    };
    assert_eq!(follower.next().await, lagged);
    assert_eq!(follower.next().await, News::Changed(3));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_told_is_read_each_period_however_often_next_is_dropped() {
    let source = Arc::new(Source::default());
    let mut follower = follow(&source);
    let start = Instant::now();
    let mut reloads = 0;
    while start.elapsed() < 10 * PERIOD {
        if timeout(NOTHING, follower.next()).await == Ok(reload(false)) {
            reloads += 1;
        }
    }
    assert!((9..=10).contains(&reloads), "{reloads}");
    *source.0.lock().unwrap() = Some(channel(2).0);
    let before = Instant::now();
    assert_eq!(follower.next().await, reload(true));
    assert!(before.elapsed() <= PERIOD / STEPS);
}

#[tokio::test(start_paused = true)]
async fn a_closed_channel_is_taken_anew_and_the_copy_is_old() {
    let source = Arc::new(Source::default());
    *source.0.lock().unwrap() = Some(channel(2).0);
    let mut follower = follow(&source);
    assert_eq!(follower.next().await, reload(true));
    let sender = channel(2).0;
    *source.0.lock().unwrap() = Some(sender.clone());
    assert_eq!(follower.next().await, reload(true));
    sender.send(1).unwrap();
    assert_eq!(follower.next().await, News::Changed(1));
    *source.0.lock().unwrap() = None;
    drop(sender);
    assert_eq!(follower.next().await, reload(false));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_falls_silent_is_read_until_it_speaks_and_once_more() {
    let source = Arc::new(Source::default());
    let sender = channel(2).0;
    *source.0.lock().unwrap() = Some(sender.clone());
    let mut follower = follow(&source);
    assert_eq!(follower.next().await, reload(true));
    *source.1.lock().unwrap() = SILENCE_MAX + Duration::from_millis(1);
    assert_eq!(follower.next().await, reload(false));
    assert_eq!(follower.next().await, reload(false));
    *source.1.lock().unwrap() = Duration::ZERO;
    sender.send(3).unwrap();
    assert_eq!(
        follower.next().await,
        News::Changed(3),
        "what was told late"
    );
    assert_eq!(follower.next().await, reload(true));
}
