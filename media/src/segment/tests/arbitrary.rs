//! Any sequence of frames is answered: no panic, numbers without gaps, durations above zero,
//! tracks that run on, bytes bounded.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Frame {
        video: bool,
        ms: i64,
        composition_ms: i64,
        keyframe: bool,
        bytes: usize,
    },
    Video(u8),
    Audio(Vec<u8>),
}

/// Mostly plausible: time goes on from frame to frame, now and then it does not.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let moved = prop_oneof![
        20 => 0i64..50,
        2 => -150i64..0,
        2 => 0i64..4000,
        1 => -1_000_000_000i64..1_000_000_000,
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(i64::MAX / 1000)],
    ];
    let frame = (any::<bool>(), moved, -200i64..400, 0u8..10, 0usize..200).prop_map(
        |(video, ms, composition_ms, key, bytes)| Step::Frame {
            video,
            ms,
            composition_ms,
            keyframe: key == 0,
            bytes,
        },
    );
    let asc = prop::sample::select(vec![
        vec![0x11, 0x90],
        vec![0x12, 0x10],
        vec![0x2b, 0x11, 0x88, 0x00],
        vec![0x11, 0x80, 0x04, 0xc4, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00],
    ]);
    let step = prop_oneof![
        60 => frame,
        1 => (10u8..13).prop_map(Step::Video),
        1 => asc.prop_map(Step::Audio),
    ];
    let announced = (any::<bool>(), any::<bool>());
    (announced, proptest::collection::vec(step, 0..600)).prop_map(|((video, audio), steps)| {
        let mut all = Vec::new();
        all.extend(video.then_some(Step::Video(12)));
        all.extend(audio.then_some(Step::Audio(vec![0x11, 0x90])));
        all.extend(steps);
        all
    })
}

/// What must hold of any story.
fn check(events: &[SegmentEvent]) -> Result<(), TestCaseError> {
    let mut number = 0;
    let mut ends: [Option<(u32, Timestamp)>; 2] = [None; 2];
    let mut announced = [0_u32; 2];
    for event in events {
        let segment = match event {
            SegmentEvent::Init(init) => {
                let slot = usize::from(init.track == TrackKind::Audio);
                prop_assert_eq!(init.index, announced[slot]);
                announced[slot] += 1;
                continue;
            }
            SegmentEvent::Segment(segment) => segment,
        };
        prop_assert_eq!(segment.sequence_number, number);
        number += 1;
        prop_assert!(segment.duration.ticks() > 0 && segment.start.ticks() >= 0);
        prop_assert!(segment.video.is_some() || segment.audio.is_some());
        for (slot, track) in [&segment.video, &segment.audio].into_iter().enumerate() {
            let Some(track) = track else { continue };
            prop_assert!(track.init_index < announced[slot]);
            prop_assert!(track.duration.ticks() > 0 && track.frames > 0);
            let end = track.start.checked_add(track.duration).unwrap();
            if let Some((init, last)) = ends[slot] {
                // Never back; and another parameter set may begin inside the old one's last frame.
                let slack = Timestamp::from_ms(if init == track.init_index { 0 } else { 50 });
                prop_assert!(track.start.checked_add(slack).unwrap() >= last);
            }
            ends[slot] = Some((track.init_index, end));
        }
    }
    Ok(())
}

/// Plays steps and checks what comes out.
fn play(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut bench = Bench::new(SegmenterOptions {
        segment_bytes_max: 60_000,
        ..Default::default()
    });
    let mut now = 5000_i64;
    for step in steps {
        match step {
            Step::Video(level) => bench.params(video_params(level)),
            Step::Audio(asc) => bench.params(audio_params(&asc)),
            Step::Frame {
                video,
                ms,
                composition_ms,
                keyframe,
                bytes,
            } => {
                let at = now.checked_add(ms).unwrap_or(ms);
                if at.unsigned_abs() < 1 << 40 {
                    now = at;
                }
                let frame = Frame {
                    track: if video {
                        TrackKind::Video
                    } else {
                        TrackKind::Audio
                    },
                    dts: Timestamp::from_ms(at),
                    pts: Timestamp::from_ms(at.saturating_add(composition_ms)),
                    keyframe,
                    data: Bytes::from(vec![0; bytes]),
                };
                match bench.segmenter.push(frame) {
                    Ok(events) => bench.events.extend(events),
                    Err(_) => break,
                }
            }
        }
    }
    bench.finish();
    check(&bench.events)
}

/// Found by the test below: pictures given up for gone, whose next key frame jumped back to before
/// where the last one was taken to end.
#[test]
fn pictures_given_up_do_not_come_back_earlier() {
    let frame = |video, ms, composition_ms, keyframe| Step::Frame {
        video,
        ms,
        composition_ms,
        keyframe,
        bytes: 1,
    };
    let steps = vec![
        Step::Audio(vec![
            0x11, 0x80, 0x04, 0xc4, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00,
        ]),
        Step::Video(10),
        frame(false, 0, 0, true),
        frame(true, 0, 0, true),
        frame(true, 510, -62, true),
        frame(true, 3406, 0, false),
        frame(false, 33, 0, true),
        frame(true, 36, 119, true),
    ];
    play(steps).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_frames_are_answered(steps in steps()) {
        play(steps)?;
    }
}
