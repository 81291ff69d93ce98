//! AAC: the AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1) and frames of silence.
//!
//! Spectral band replication and parametric stereo are seen when they are signalled explicitly,
//! either way the specification knows. Signalled implicitly they are invisible here and harmless:
//! the core's rate and frame length then describe the same span of time.

use super::CodecError;
use super::bits::BitReader;
use crate::params::{AudioCodec, AudioParams};
use bytes::Bytes;

mod silence;

pub use silence::silent_frame;

/// `samplingFrequencyIndex` 0 to 12 (Table 1.18).
const SAMPLE_RATES_HZ: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000,
    7350,
];
/// Bounds of an explicitly written rate; what lies outside no player resamples.
const SAMPLE_RATE_HZ_MIN: u32 = 4000;
const SAMPLE_RATE_HZ_MAX: u32 = 192_000;
/// `channelConfiguration` 1 to 14 as counts of channels (Table 1.19); 0 where reserved.
const CHANNELS: [u16; 14] = [1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 0, 8];

const OBJECT_SBR: u8 = 5;
const OBJECT_PS: u8 = 29;
const SYNC_SBR: u32 = 0x2b7;
const SYNC_PS: u32 = 0x548;

/// What an AudioSpecificConfig says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioSpecificConfig {
    /// Object type of the core: 2 is AAC-LC.
    pub object_type: u8,
    /// Samples a second of the core.
    pub core_sample_rate_hz: u32,
    /// `channelConfiguration`; 0 when a program config element describes the channels.
    pub channel_configuration: u8,
    /// Channels of the decoded sound.
    pub channels: u16,
    /// Samples a second of the decoded sound.
    pub sample_rate_hz: u32,
    /// Samples a channel in one decoded frame, at `sample_rate_hz`.
    pub samples_per_frame: u32,
    /// Spectral band replication (HE-AAC), explicitly signalled.
    pub sbr: bool,
    /// Parametric stereo (HE-AAC v2), explicitly signalled.
    pub ps: bool,
}

/// Reads an AudioSpecificConfig of the AAC family.
pub fn parse_asc(asc: &[u8]) -> Result<AudioSpecificConfig, CodecError> {
    let mut reader = BitReader::new(asc);
    let mut object_type = object_type(&mut reader)?;
    let core_sample_rate_hz = sample_rate(&mut reader)?;
    let channel_configuration = reader.small(4, "channelConfiguration")?;
    let ps_outer = object_type == OBJECT_PS;
    let mut extension_rate_hz = None;
    if object_type == OBJECT_SBR || ps_outer {
        extension_rate_hz = Some(sample_rate(&mut reader)?);
        object_type = self::object_type(&mut reader)?;
    }
    let mut config = AudioSpecificConfig {
        object_type,
        core_sample_rate_hz,
        channel_configuration,
        channels: 0,
        sample_rate_hz: core_sample_rate_hz,
        samples_per_frame: 0,
        sbr: extension_rate_hz.is_some(),
        ps: ps_outer,
    };
    general_audio(&mut reader, &mut config)?;
    if !config.sbr {
        extension_rate_hz = trailing_extension(&mut reader, &mut config);
    }
    apply_extension(&mut config, extension_rate_hz);
    Ok(config)
}

/// What the house must know of a track from its AudioSpecificConfig.
pub fn audio_params(asc: &[u8]) -> Result<AudioParams, CodecError> {
    let config = parse_asc(asc)?;
    let object_type = match (config.ps, config.sbr) {
        (true, _) => OBJECT_PS,
        (false, true) => OBJECT_SBR,
        (false, false) => config.object_type,
    };
    Ok(AudioParams {
        codec: AudioCodec::Aac,
        sample_rate_hz: config.sample_rate_hz,
        channels: config.channels,
        codec_string: format!("mp4a.40.{object_type}"),
        config: Bytes::copy_from_slice(asc),
    })
}

fn object_type(reader: &mut BitReader<'_>) -> Result<u8, CodecError> {
    match reader.small(5, "audioObjectType")? {
        31 => Ok(reader.small(6, "audioObjectTypeExt")?.saturating_add(32)),
        object_type => Ok(object_type),
    }
}

fn sample_rate(reader: &mut BitReader<'_>) -> Result<u32, CodecError> {
    let offset = reader.offset();
    let index = reader.small(4, "samplingFrequencyIndex")?;
    let (field, value) = match (index, SAMPLE_RATES_HZ.get(usize::from(index))) {
        (_, Some(rate)) => return Ok(*rate),
        (15, None) => {
            let rate = reader.bits(24, "samplingFrequency")?;
            if (SAMPLE_RATE_HZ_MIN..=SAMPLE_RATE_HZ_MAX).contains(&rate) {
                return Ok(rate);
            }
            ("samplingFrequency", u64::from(rate))
        }
        (_, None) => ("samplingFrequencyIndex", u64::from(index)),
    };
    Err(CodecError::Invalid {
        field,
        value,
        offset,
    })
}

/// GASpecificConfig (§4.4.1), the part of the AAC family that goes over the wire today.
fn general_audio(
    reader: &mut BitReader<'_>,
    config: &mut AudioSpecificConfig,
) -> Result<(), CodecError> {
    // Main, LC, SSR, LTP and the error-resilient LC and LD. Scalable, CELP, ELD and USAC are not
    // played by any browser from fMP4.
    if !matches!(config.object_type, 1..=4 | 17 | 23) {
        return Err(CodecError::Unsupported {
            what: "MPEG-4 audio object type",
            value: u64::from(config.object_type),
        });
    }
    let low_delay = config.object_type == 23;
    config.samples_per_frame = match (low_delay, reader.flag("frameLengthFlag")?) {
        (false, false) => 1024,
        (false, true) => 960,
        (true, false) => 512,
        (true, true) => 480,
    };
    if reader.flag("dependsOnCoreCoder")? {
        reader.skip(14, "coreCoderDelay")?;
    }
    let extension = reader.flag("extensionFlag")?;
    let offset = reader.offset();
    config.channels = if config.channel_configuration == 0 {
        program_config_channels(reader)?
    } else {
        let index = usize::from(config.channel_configuration).saturating_sub(1);
        CHANNELS.get(index).copied().unwrap_or(0)
    };
    if config.channels == 0 {
        return Err(CodecError::Invalid {
            field: "channelConfiguration",
            value: u64::from(config.channel_configuration),
            offset,
        });
    }
    if extension {
        if matches!(config.object_type, 17 | 23) {
            reader.skip(3, "aacResilienceFlags")?;
        }
        reader.skip(1, "extensionFlag3")?;
    }
    if matches!(config.object_type, 17 | 23) {
        reader.skip(2, "epConfig")?;
    }
    Ok(())
}

/// program_config_element (§4.4.1.1): counts the channels and steps over the rest.
fn program_config_channels(reader: &mut BitReader<'_>) -> Result<u16, CodecError> {
    const FIELD: &str = "program_config_element";
    reader.skip(10, FIELD)?;
    let front = reader.bits(4, FIELD)?;
    let side = reader.bits(4, FIELD)?;
    let back = reader.bits(4, FIELD)?;
    let lfe = reader.bits(2, FIELD)?;
    let associated_data = reader.bits(3, FIELD)?;
    let coupling = reader.bits(4, FIELD)?;
    for mixdown_bits in [4, 4, 3] {
        if reader.flag(FIELD)? {
            reader.skip(mixdown_bits, FIELD)?;
        }
    }
    let mut channels = 0_u16;
    for _ in 0..front.saturating_add(side).saturating_add(back) {
        let pair = reader.flag(FIELD)?;
        reader.skip(4, FIELD)?;
        channels = channels.saturating_add(if pair { 2 } else { 1 });
    }
    for _ in 0..lfe {
        reader.skip(4, FIELD)?;
        channels = channels.saturating_add(1);
    }
    for _ in 0..associated_data {
        reader.skip(4, FIELD)?;
    }
    for _ in 0..coupling {
        reader.skip(5, FIELD)?;
    }
    reader.align();
    let comment_bytes = reader.bits(8, FIELD)?;
    for _ in 0..comment_bytes {
        reader.skip(8, FIELD)?;
    }
    Ok(channels)
}

/// The backward compatible way of saying SBR and PS: sync words after everything else (§1.6.6.1).
/// Whatever follows the config and is not that is padding.
fn trailing_extension(reader: &mut BitReader<'_>, config: &mut AudioSpecificConfig) -> Option<u32> {
    const FIELD: &str = "syncExtensionType";
    if reader.remaining_bits() < 16
        || reader.bits(11, FIELD).ok()? != SYNC_SBR
        || object_type(reader).ok()? != OBJECT_SBR
        || !reader.flag(FIELD).ok()?
    {
        return None;
    }
    let rate = sample_rate(reader).ok()?;
    config.sbr = true;
    if reader.remaining_bits() >= 12 && reader.bits(11, FIELD).ok()? == SYNC_PS {
        config.ps = reader.flag(FIELD).ok()?;
    }
    Some(rate)
}

fn apply_extension(config: &mut AudioSpecificConfig, extension_rate_hz: Option<u32>) {
    let Some(rate) = extension_rate_hz else {
        return;
    };
    // SBR doubles the rate, or keeps it when run downsampled; any other ratio is a lie.
    if rate == config.core_sample_rate_hz.saturating_mul(2) {
        config.sample_rate_hz = rate;
        config.samples_per_frame = config.samples_per_frame.saturating_mul(2);
    }
    if config.ps && config.channels == 1 {
        config.channels = 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn short(asc: &[u8]) -> (String, u32, u16, u32) {
        let params = audio_params(asc).unwrap();
        let config = parse_asc(asc).unwrap();
        (
            params.codec_string,
            params.sample_rate_hz,
            params.channels,
            config.samples_per_frame,
        )
    }

    #[test]
    fn plain_low_complexity() {
        assert_eq!(short(&[0x12, 0x10]), ("mp4a.40.2".into(), 44_100, 2, 1024));
        assert_eq!(short(&[0x11, 0x88]), ("mp4a.40.2".into(), 48_000, 1, 1024));
        // 5.1 is configuration 6, 7.1 is configuration 7.
        assert_eq!(short(&[0x11, 0xb0]).2, 6);
        assert_eq!(short(&[0x11, 0xb8]).2, 8);
        // frameLengthFlag
        assert_eq!(short(&[0x11, 0x94]).3, 960);
    }

    #[test]
    fn band_replication_both_ways_of_saying_it() {
        // Hierarchical: 5, 24000, stereo, 48000, 2.
        assert_eq!(
            short(&[0x2b, 0x11, 0x88, 0x00]),
            ("mp4a.40.5".into(), 48_000, 2, 2048)
        );
        // Parametric stereo on a mono core: 29, 24000, mono, 48000, 2.
        assert_eq!(
            short(&[0xeb, 0x09, 0x88, 0x00]),
            ("mp4a.40.29".into(), 48_000, 2, 2048)
        );
        // Backward compatible: 2, 24000, mono, then 0x2b7, 5, 1, 48000, 0x548, 1.
        assert_eq!(
            short(&[0x13, 0x08, 0x56, 0xe5, 0x9d, 0x48, 0x80]),
            ("mp4a.40.29".into(), 48_000, 2, 2048)
        );
        // The same sync word saying "no SBR".
        assert_eq!(
            short(&[0x13, 0x08, 0x56, 0xe5, 0x00]),
            ("mp4a.40.2".into(), 24_000, 1, 1024)
        );
    }

    #[test]
    fn explicit_frequency_and_escaped_object_type() {
        // 2, index 15, 44056 Hz, stereo.
        let rate = 44_056_u32;
        let bits: u64 = 0b00010 << 35 | 0b1111 << 31 | u64::from(rate) << 7 | 0b0010 << 3;
        assert_eq!(
            short(&bits.to_be_bytes()[3..]),
            ("mp4a.40.2".into(), rate, 2, 1024)
        );
        // 31 then 42 - 32: USAC.
        let error = parse_asc(&[0b1111_1001, 0b0100_0110, 0b0100_0000]).unwrap_err();
        assert_eq!(
            error,
            CodecError::Unsupported {
                what: "MPEG-4 audio object type",
                value: 42
            }
        );
    }

    #[test]
    fn what_is_refused() {
        assert!(matches!(parse_asc(&[]), Err(CodecError::Truncated { .. })));
        assert!(matches!(
            parse_asc(&[0x12]),
            Err(CodecError::Truncated { .. })
        ));
        // Reserved frequency index 13; reserved channel configuration 9.
        assert!(matches!(
            parse_asc(&[0x16, 0x90]),
            Err(CodecError::Invalid { .. })
        ));
        assert!(matches!(
            parse_asc(&[0x11, 0xc8]),
            Err(CodecError::Invalid { .. })
        ));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(config) = parse_asc(&bytes) {
                prop_assert!(config.samples_per_frame >= 480 && config.samples_per_frame <= 2048);
                prop_assert!(config.sample_rate_hz >= SAMPLE_RATE_HZ_MIN && config.channels > 0);
            }
        }

        #[test]
        fn near_valid_bytes_are_answered(flips in proptest::collection::vec((0usize..56, any::<bool>()), 0..8)) {
            let mut asc = [0x13, 0x08, 0x56, 0xe5, 0x9d, 0x48, 0x80];
            for (bit, set) in flips {
                if set { asc[bit / 8] ^= 0x80 >> (bit % 8); }
            }
            let _ = audio_params(&asc);
        }
    }
}
