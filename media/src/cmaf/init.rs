//! The initialization segment: `ftyp` and a `moov` without samples.

use super::{CmafError, TRACK_ID};
use crate::codec::{aac, h264};
use crate::params::{AudioParams, TrackParams, VideoParams};
use bytes::Bytes;
use mp4_atom::esds::{DecoderConfig, DecoderSpecific, EsDescriptor, SLConfig};
use mp4_atom::{
    Audio, Avc1, Avcc, AvccExt, Codec, Dinf, Dref, DrefEntry, Encode, Esds, FixedPoint, FourCC,
    Ftyp, Hdlr, Mdhd, Mdia, Minf, Moov, Mp4a, Mvex, Mvhd, Pasp, Smhd, Stbl, Stco, Stsd, Tkhd, Trak,
    Trex, Url, Visual, Vmhd,
};
use std::num::NonZeroU32;

/// ISO/IEC 14496-1 object type and stream type of AAC in an `esds`.
const OBJECT_TYPE_AAC: u8 = 0x40;
const STREAM_TYPE_AUDIO: u8 = 5;

/// The initialization segment of one track. `timescale` is the tick rate of its media segments.
pub fn init_segment(params: &TrackParams, timescale: NonZeroU32) -> Result<Bytes, CmafError> {
    let media = match params {
        TrackParams::Video(video) => video_media(video)?,
        TrackParams::Audio(audio) => audio_media(audio)?,
    };
    let ftyp = Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 0,
        compatible_brands: [b"iso6", b"cmfc", b"cmf2", b"mp41"]
            .map(FourCC::new)
            .to_vec(),
    };
    let moov = Moov {
        mvhd: Mvhd {
            creation_time: 0,
            modification_time: 0,
            timescale: timescale.get(),
            duration: 0,
            rate: 1.into(),
            volume: 1.into(),
            matrix: Default::default(),
            next_track_id: TRACK_ID.saturating_add(1),
        },
        mvex: Some(Mvex {
            mehd: None,
            trex: vec![Trex {
                track_id: TRACK_ID,
                default_sample_description_index: 1,
                ..Default::default()
            }],
        }),
        trak: vec![trak(media, timescale)],
        ..Default::default()
    };
    let mut out = Vec::with_capacity(1024);
    ftyp.encode(&mut out)?;
    moov.encode(&mut out)?;
    Ok(Bytes::from(out))
}

/// What differs between the tracks.
struct Media {
    handler: &'static [u8; 4],
    name: &'static str,
    volume: u8,
    size: (u16, u16),
    vmhd: Option<Vmhd>,
    smhd: Option<Smhd>,
    codec: Codec,
}

fn trak(media: Media, timescale: NonZeroU32) -> Trak {
    Trak {
        tkhd: Tkhd {
            track_id: TRACK_ID,
            enabled: true,
            in_movie: true,
            volume: media.volume.into(),
            width: media.size.0.into(),
            height: media.size.1.into(),
            ..Default::default()
        },
        mdia: Mdia {
            mdhd: Mdhd {
                timescale: timescale.get(),
                language: "und".into(),
                ..Default::default()
            },
            hdlr: Hdlr {
                handler: FourCC::new(media.handler),
                name: media.name.into(),
            },
            minf: Minf {
                vmhd: media.vmhd,
                smhd: media.smhd,
                dinf: Dinf {
                    dref: Dref {
                        entries: vec![DrefEntry::Url(Url::default())],
                    },
                },
                stbl: Stbl {
                    stsd: Stsd {
                        codecs: vec![media.codec],
                    },
                    stco: Some(Stco::default()),
                    ..Default::default()
                },
                ..Default::default()
            },
        },
        ..Default::default()
    }
}

fn video_media(params: &VideoParams) -> Result<Media, CmafError> {
    let config = h264::parse_avcc(&params.config)?;
    let sps = h264::parse_sps(config.sps.first().copied().unwrap_or_default())?;
    let side = |pixels: u32| u16::try_from(pixels).map_err(|_| CmafError::TooLarge("picture size"));
    let (width, height) = (side(params.width)?, side(params.height)?);
    let pasp = sps
        .sample_aspect_ratio
        .filter(|(x, y)| x != y)
        .map(|(x, y)| Pasp {
            h_spacing: u32::from(x),
            v_spacing: u32::from(y),
        });
    // tkhd says the shown size, with square pixels (ISO/IEC 14496-12 §8.3.2.3).
    let shown_width = match sps.sample_aspect_ratio {
        Some((x, y)) => u64::from(width)
            .saturating_mul(u64::from(x))
            .checked_div(u64::from(y))
            .and_then(|shown| u16::try_from(shown).ok())
            .unwrap_or(width),
        None => width,
    };
    let owned = |sets: &[&[u8]]| sets.iter().map(|set| set.to_vec()).collect();
    let avcc = Avcc {
        configuration_version: 1,
        avc_profile_indication: sps.profile_idc,
        profile_compatibility: sps.constraint_flags,
        avc_level_indication: sps.level_idc,
        length_size: config.nal_length_size,
        sequence_parameter_sets: owned(&config.sps),
        picture_parameter_sets: owned(&config.pps),
        // Rewritten from the SPS: encoders often leave it out or get it wrong.
        ext: sps.has_chroma_info().then(|| AvccExt {
            chroma_format: sps.chroma_format_idc,
            bit_depth_luma: sps.bit_depth_luma,
            bit_depth_chroma: sps.bit_depth_chroma,
            sequence_parameter_sets_ext: Vec::new(),
        }),
    };
    let visual = Visual {
        data_reference_index: 1,
        width,
        height,
        ..Default::default()
    };
    Ok(Media {
        handler: b"vide",
        name: "video",
        volume: 0,
        size: (shown_width, height),
        vmhd: Some(Vmhd::default()),
        smhd: None,
        codec: Codec::Avc1(Avc1 {
            visual,
            avcc,
            pasp,
            ..Default::default()
        }),
    })
}

fn audio_media(params: &AudioParams) -> Result<Media, CmafError> {
    // Refuse here what no player could open later.
    aac::parse_asc(&params.config)?;
    let audio = Audio {
        data_reference_index: 1,
        channel_count: params.channels,
        sample_size: 16,
        // 16.16 fixed point: faster rates are written as 0 and read from the esds.
        sample_rate: FixedPoint::new(u16::try_from(params.sample_rate_hz).unwrap_or(0), 0),
    };
    let esds = Esds {
        es_desc: EsDescriptor {
            es_id: 1,
            dec_config: DecoderConfig {
                object_type_indication: OBJECT_TYPE_AAC,
                stream_type: STREAM_TYPE_AUDIO,
                dec_specific: Some(DecoderSpecific {
                    raw: params.config.to_vec(),
                    ..Default::default()
                }),
                ..Default::default()
            },
            sl_config: SLConfig {},
            ..Default::default()
        },
    };
    Ok(Media {
        handler: b"soun",
        name: "audio",
        volume: 1,
        size: (0, 0),
        vmhd: None,
        smhd: Some(Smhd::default()),
        codec: Codec::Mp4a(Mp4a {
            audio,
            esds,
            btrt: None,
            taic: None,
        }),
    })
}
