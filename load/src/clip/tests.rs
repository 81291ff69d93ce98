//! The built-in clip, and files that are none.

use super::*;

fn frames(clip: &Clip, count: usize, kind: u8) -> Vec<Due> {
    let mut looped = clip.looped();
    std::iter::repeat_with(|| looped.take())
        .filter(|due| due.kind == kind)
        .take(count)
        .collect()
}

#[test]
fn the_built_in_clip_loops_without_a_seam() {
    let clip = Clip::built_in().unwrap();
    assert!(BUILT_IN.len() < 200 * 1024);
    assert_eq!(clip.headers.len(), 2);
    let video = frames(&clip, 200 * 3 + 1, VIDEO);
    for (pair, number) in video.windows(2).zip(0..) {
        let step_us = pair[1].at_us - pair[0].at_us;
        assert_eq!(step_us, 40_000, "after picture {number}");
    }
    assert_eq!((video[0].at_us, video[600].at_us), (0, 24_000_000));
    assert_eq!(video[0].body, video[600].body);
    let sound = frames(&clip, 375 * 3 + 1, AUDIO);
    for (pair, number) in sound.windows(2).zip(0..) {
        let step_us = pair[1].at_us - pair[0].at_us;
        assert!(
            (21_000..=22_000).contains(&step_us),
            "{step_us} after {number}"
        );
    }
    assert_eq!(sound[1125].at_us - sound[0].at_us, 24_000_000);
}

#[test]
fn timestamps_never_go_back_and_wrap_at_32_bits() {
    let clip = Clip::built_in().unwrap();
    let mut looped = clip.looped();
    let mut last = 0;
    for _ in 0..2000 {
        let due = looped.take();
        assert!(due.at_us >= last);
        last = due.at_us;
    }
    let due = |at_us| Due {
        at_us,
        kind: VIDEO,
        body: Bytes::new(),
    };
    assert_eq!(due(0xffff_ffff * 1000 + 999).timestamp_ms(), u32::MAX);
    assert_eq!(due(0x1_0000_0000 * 1000).timestamp_ms(), 0);
}

#[test]
fn other_files_are_refused_with_the_place() {
    let parse = |bytes: &[u8]| {
        Clip::parse(&Bytes::copy_from_slice(bytes))
            .unwrap_err()
            .to_string()
    };
    assert!(parse(b"RIFF....AVI LIST").contains("no FLV"));
    assert!(parse(&BUILT_IN[..13]).contains("no picture"));
    let mut broken = BUILT_IN.to_vec();
    let metadata =
        usize::from(broken[14]) << 16 | usize::from(broken[15]) << 8 | usize::from(broken[16]);
    let second = 13 + 11 + metadata + 4;
    // Sorenson instead of H.264.
    broken[second + 11] = 0x12;
    assert!(
        parse(&broken).contains(&format!("byte {second}")),
        "{}",
        parse(&broken)
    );
}

#[test]
fn a_file_that_is_cut_off_anywhere_never_panics() {
    for length in (0..BUILT_IN.len()).step_by(977) {
        let _ = Clip::parse(&Bytes::from_static(&BUILT_IN[..length]));
    }
}
