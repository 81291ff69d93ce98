//! The media segment: `styp`, one `moof`, one `mdat`.

use super::{CmafError, TRACK_ID};
use crate::frame::TrackKind;
use bytes::Bytes;
use mp4_atom::{Encode, FourCC, Mfhd, Moof, Styp, Tfdt, Tfhd, Traf, Trun, TrunEntry};

/// `sample_depends_on = 2`: needs no other; decoding may start here.
const FLAGS_SYNC: u32 = 0x0200_0000;
/// `sample_depends_on = 1`, `sample_is_non_sync_sample`.
const FLAGS_NON_SYNC: u32 = 0x0101_0000;
/// styp, and every box of the moof but the run's entries; measured 152, rounded up.
const FIXED_BYTES: usize = 192;
/// duration, size, flags, composition offset: 32 bits each.
const ENTRY_BYTES: usize = 16;
const MDAT_HEADER_BYTES: usize = 8;

/// One access unit with its place in the track, in ticks of the track's timescale.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Until the next sample's decode time.
    pub duration: u32,
    /// Presentation minus decode time; may be negative.
    pub composition_offset: i32,
    /// Whether decoding can start here.
    pub keyframe: bool,
    /// The coded bytes.
    pub data: Bytes,
}

/// A media segment whose first sample decodes at `base_decode_time` ticks. `sequence_number` is
/// the `mfhd`'s, of which players ask only that it grows.
///
/// One allocation of the whole segment and one copy of each sample.
pub fn media_segment(
    track: TrackKind,
    sequence_number: u32,
    base_decode_time: u64,
    samples: &[Sample],
) -> Result<Bytes, CmafError> {
    if samples.is_empty() {
        return Err(CmafError::Empty);
    }
    let payload_bytes = samples
        .iter()
        .fold(0_usize, |sum, sample| sum.saturating_add(sample.data.len()));
    let mdat_bytes = u32::try_from(payload_bytes.saturating_add(MDAT_HEADER_BYTES))
        .map_err(|_| CmafError::TooLarge("mdat"))?;
    let capacity = samples
        .len()
        .saturating_mul(ENTRY_BYTES)
        .saturating_add(payload_bytes)
        .saturating_add(FIXED_BYTES);
    let mut out = Vec::with_capacity(capacity);
    styp().encode(&mut out)?;
    let moof_start = out.len();
    let (moof, entry_bytes) = moof(track, sequence_number, base_decode_time, samples)?;
    moof.encode(&mut out)?;
    patch_data_offset(&mut out, moof_start, entry_bytes)?;
    out.extend_from_slice(&mdat_bytes.to_be_bytes());
    out.extend_from_slice(b"mdat");
    for sample in samples {
        out.extend_from_slice(&sample.data);
    }
    Ok(Bytes::from(out))
}

fn styp() -> Styp {
    Styp {
        major_brand: FourCC::new(b"msdh"),
        minor_version: 0,
        compatible_brands: [b"msdh", b"cmfs"].map(FourCC::new).to_vec(),
    }
}

/// The box and the bytes that its run's entries take.
fn moof(
    track: TrackKind,
    sequence_number: u32,
    base_decode_time: u64,
    samples: &[Sample],
) -> Result<(Moof, usize), CmafError> {
    let video = track == TrackKind::Video;
    let mut entries = Vec::with_capacity(samples.len());
    for sample in samples {
        let size =
            u32::try_from(sample.data.len()).map_err(|_| CmafError::TooLarge("sample size"))?;
        entries.push(TrunEntry {
            duration: Some(sample.duration),
            size: Some(size),
            flags: video.then_some(if sample.keyframe {
                FLAGS_SYNC
            } else {
                FLAGS_NON_SYNC
            }),
            cts: video.then_some(i64::from(sample.composition_offset)),
        });
    }
    // The same four words for a lone picture: its flags stand before its entry instead of in it.
    let words: usize = if video { 4 } else { 2 };
    let entry_bytes = samples.len().saturating_mul(words.saturating_mul(4));
    let moof = Moof {
        mfhd: Mfhd { sequence_number },
        traf: vec![Traf {
            tfhd: Tfhd {
                track_id: TRACK_ID,
                default_base_is_moof: true,
                default_sample_flags: Some(if video { FLAGS_NON_SYNC } else { FLAGS_SYNC }),
                ..Default::default()
            },
            tfdt: Some(Tfdt {
                base_media_decode_time: base_decode_time,
            }),
            trun: vec![Trun {
                data_offset: Some(0),
                samples: entries.into(),
            }],
            ..Default::default()
        }],
    };
    Ok((moof, entry_bytes))
}

/// Says where the run's data starts, now that the moof's size is known. The run is the moof's last
/// box, so the field lies just before its entries.
fn patch_data_offset(
    out: &mut [u8],
    moof_start: usize,
    entry_bytes: usize,
) -> Result<(), CmafError> {
    let moof_bytes = out.len().saturating_sub(moof_start);
    let data_offset = i32::try_from(moof_bytes.saturating_add(MDAT_HEADER_BYTES))
        .map_err(|_| CmafError::TooLarge("moof"))?;
    let end = out.len().saturating_sub(entry_bytes);
    let field = out
        .get_mut(end.saturating_sub(4)..end)
        .ok_or(CmafError::TooLarge("moof"))?;
    field.copy_from_slice(&data_offset.to_be_bytes());
    Ok(())
}
