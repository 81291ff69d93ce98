use super::*;
use crate::frame::TrackKind;
use crate::params::{AudioCodec, AudioParams, VideoCodec, VideoParams};
use crate::time::Timestamp;
use bytes::Bytes;
use std::task::{Context, Poll, Waker};

fn video_params(width: u32) -> TrackParams {
    TrackParams::Video(VideoParams {
        codec: VideoCodec::H264,
        width,
        height: 180,
        codec_string: "avc1.42c01e".into(),
        config: Bytes::new(),
    })
}

fn audio_params() -> TrackParams {
    TrackParams::Audio(AudioParams {
        codec: AudioCodec::Aac,
        sample_rate_hz: 48_000,
        channels: 2,
        codec_string: "mp4a.40.2".into(),
        config: Bytes::new(),
    })
}

fn frame(track: TrackKind, ms: i64, keyframe: bool) -> Frame {
    Frame {
        track,
        dts: Timestamp::from_ms(ms),
        pts: Timestamp::from_ms(ms),
        keyframe,
        data: Bytes::from_static(&[0; 10]),
    }
}

fn picture(ms: i64, keyframe: bool) -> Frame {
    frame(TrackKind::Video, ms, keyframe)
}

fn bus(frames_max: usize) -> (Producer, Bus) {
    let bytes_max = 1 << 20;
    Bus::new(BusOptions {
        frames_max,
        bytes_max,
    })
}

/// Everything that can be read without waiting, in short: `v320`, `a`, `-3` for lost, a time for
/// a frame, `end`.
fn drain(consumer: &mut Consumer) -> String {
    let mut said = Vec::new();
    loop {
        let mut recv = std::pin::pin!(consumer.recv());
        let mut context = Context::from_waker(Waker::noop());
        said.push(match recv.as_mut().poll(&mut context) {
            Poll::Pending => break,
            Poll::Ready(None) => {
                said.push("end".into());
                break;
            }
            Poll::Ready(Some(BusEvent::Params(params))) => match &*params {
                TrackParams::Video(video) => format!("v{}", video.width),
                TrackParams::Audio(_) => "a".into(),
            },
            Poll::Ready(Some(BusEvent::Lost { frames })) => format!("-{frames}"),
            Poll::Ready(Some(BusEvent::Frame(frame))) => frame.dts.to_ms().to_string(),
        });
    }
    said.join(" ")
}

#[test]
fn joins_at_the_group_start() {
    let (producer, bus) = bus(100);
    let mut early = bus.subscribe();
    producer.set_params(video_params(320));
    producer.set_params(audio_params());
    for ms in 0..8 {
        producer.push(picture(ms, ms % 4 == 0));
    }
    assert_eq!(drain(&mut early), "v320 a 0 1 2 3 4 5 6 7");
    let mut late = bus.subscribe();
    assert_eq!(drain(&mut late), "v320 a 4 5 6 7");
    producer.set_params(video_params(320));
    producer.push(picture(8, true));
    assert_eq!(drain(&mut late), "8");
    producer.set_params(video_params(640));
    producer.push(picture(9, true));
    drop(producer);
    assert_eq!(drain(&mut late), "v640 9 end");
    assert_eq!(drain(&mut early), "8 v640 9 end");
    assert_eq!(drain(&mut bus.subscribe()), "v640 a 9 end");
    assert_eq!(early.lost_frames() + late.lost_frames(), 0);
    let stats = bus.stats();
    assert_eq!(
        (stats.frames, stats.lost_frames, stats.consumers),
        (10, 0, 2)
    );
}

#[test]
fn a_reader_that_never_waits_sees_what_is_there() {
    let (producer, bus) = bus(100);
    let mut consumer = bus.subscribe();
    assert!(consumer.try_recv().is_none());
    producer.set_params(video_params(320));
    producer.push(picture(0, true));
    assert!(matches!(consumer.try_recv(), Some(BusEvent::Params(_))));
    assert!(matches!(consumer.try_recv(), Some(BusEvent::Frame(_))));
    assert!(consumer.try_recv().is_none());
    producer.push(picture(1, false));
    drop(producer);
    assert!(matches!(consumer.try_recv(), Some(BusEvent::Frame(_))));
    assert!(consumer.try_recv().is_none());
}

#[test]
fn the_slow_lose_frames_and_it_is_counted() {
    let (producer, bus) = bus(6);
    producer.set_params(video_params(320));
    let mut slow = bus.subscribe();
    let mut quick = bus.subscribe();
    for ms in 0..10 {
        producer.push(picture(ms, ms % 4 == 0));
        drain(&mut quick);
    }
    // The ring holds 4 to 9; the newest key frame is 8.
    assert_eq!(drain(&mut slow), "-8 v320 8 9");
    assert_eq!((slow.lost_frames(), quick.lost_frames()), (8, 0));
    assert_eq!(bus.stats().lost_frames, 8);
}

#[test]
fn without_a_key_frame_in_the_ring_the_next_is_waited_for() {
    let (producer, bus) = bus(3);
    producer.set_params(video_params(320));
    let mut slow = bus.subscribe();
    producer.push(picture(0, true));
    assert_eq!(drain(&mut slow), "v320 0");
    for ms in 1..8 {
        producer.push(picture(ms, false));
    }
    let mut late = bus.subscribe();
    assert_eq!(drain(&mut slow), "");
    producer.push(picture(8, false));
    producer.set_params(video_params(640));
    producer.push(picture(9, true));
    assert_eq!(drain(&mut slow), "-8 v640 9");
    assert_eq!(drain(&mut late), "v640 9");
    assert_eq!((slow.lost_frames(), late.lost_frames()), (8, 0));
}

#[test]
fn bytes_bound_the_ring_too() {
    let (producer, bus) = Bus::new(BusOptions {
        frames_max: 1000,
        bytes_max: 35,
    });
    producer.set_params(audio_params());
    let mut slow = bus.subscribe();
    for ms in 0..10 {
        producer.push(frame(TrackKind::Audio, ms, true));
    }
    assert!(bus.shared.lock().bytes <= 35);
    // Sound alone joins at its newest frame.
    assert_eq!(drain(&mut slow), "-9 a 9");
    let mut huge = picture(99, true);
    huge.data = Bytes::from(vec![0; 100]);
    producer.push(huge);
    assert_eq!(bus.shared.lock().entries.len(), 1);
    assert_eq!(drain(&mut slow), "99");
}

#[tokio::test]
async fn waiters_wake_and_the_end_is_seen() {
    let (producer, bus) = bus(16);
    let mut consumer = bus.subscribe();
    let reader = tokio::spawn(async move {
        let mut frames = 0;
        while let Some(event) = consumer.recv().await {
            frames += u64::from(matches!(event, BusEvent::Frame(_)));
        }
        frames + consumer.lost_frames()
    });
    producer.set_params(video_params(320));
    for ms in 0..1000 {
        producer.push(picture(ms, ms % 10 == 0));
        if ms % 7 == 0 {
            tokio::task::yield_now().await;
        }
    }
    drop(producer);
    assert_eq!(reader.await.unwrap(), 1000);
}
