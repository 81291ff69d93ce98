//! H.264: the decoder configuration record (ISO/IEC 14496-15 §5.3.3.1), the sequence parameter
//! set (ISO/IEC 14496-10 §7.3.2.1.1) and length-prefixed access units.
//!
//! The SPS reader is our own: the published ones refuse streams whose picture is larger than their
//! level allows, as cheap encoders send and every browser plays. Only what a container needs is
//! kept; reading stops after the sample aspect ratio, the first thing in the VUI.

mod sps;

pub use sps::{Sps, parse_sps};

use super::CodecError;
use crate::params::{VideoCodec, VideoParams};
use bytes::Bytes;

const NAL_TYPE_IDR: u8 = 5;
const NAL_TYPE_SPS: u8 = 7;
const NAL_TYPE_PPS: u8 = 8;

/// An `AVCDecoderConfigurationRecord`, borrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvcConfig<'a> {
    /// Bytes of the length before each NAL unit, 1 to 4.
    pub nal_length_size: u8,
    /// Sequence parameter sets, whole NAL units; at least one.
    pub sps: Vec<&'a [u8]>,
    /// Picture parameter sets, whole NAL units; at least one.
    pub pps: Vec<&'a [u8]>,
}

/// Reads an `avcC` payload. Bytes after the parameter sets (the high-profile extension, which
/// repeats what the SPS says) are not read.
pub fn parse_avcc(avcc: &[u8]) -> Result<AvcConfig<'_>, CodecError> {
    let mut cursor = Cursor {
        data: avcc,
        offset: 0,
    };
    let version = cursor.byte("configurationVersion")?;
    if version != 1 {
        return Err(invalid("configurationVersion", version, 0));
    }
    cursor.take(3, "AVCProfileIndication")?;
    let nal_length_size = (cursor.byte("lengthSizeMinusOne")? & 3).saturating_add(1);
    let count = cursor.byte("numOfSequenceParameterSets")? & 0x1f;
    let sps = cursor.parameter_sets(count, NAL_TYPE_SPS, "sequenceParameterSetNALUnit")?;
    let count = cursor.byte("numOfPictureParameterSets")?;
    let pps = cursor.parameter_sets(count, NAL_TYPE_PPS, "pictureParameterSetNALUnit")?;
    Ok(AvcConfig {
        nal_length_size,
        sps,
        pps,
    })
}

/// What the house must know of a track from its `avcC` payload: shown size and codec string
/// (RFC 6381 §3.3, from the first SPS).
pub fn video_params(avcc: &[u8]) -> Result<VideoParams, CodecError> {
    let config = parse_avcc(avcc)?;
    let first = config.sps.first().copied().unwrap_or_default();
    let sps = parse_sps(first)?;
    Ok(VideoParams {
        codec: VideoCodec::H264,
        width: sps.width,
        height: sps.height,
        codec_string: format!(
            "avc1.{:02x}{:02x}{:02x}",
            sps.profile_idc, sps.constraint_flags, sps.level_idc
        ),
        config: Bytes::copy_from_slice(avcc),
    })
}

/// The NAL units of a length-prefixed access unit. Empty units are skipped; the iterator ends
/// after its first error.
pub fn nal_units(access_unit: &[u8], nal_length_size: u8) -> NalUnits<'_> {
    NalUnits {
        cursor: Cursor {
            data: access_unit,
            offset: 0,
        },
        nal_length_size: usize::from(nal_length_size.clamp(1, 4)),
    }
}

/// Whether a length-prefixed access unit holds an IDR slice, so that decoding can start at it.
pub fn is_idr(access_unit: &[u8], nal_length_size: u8) -> Result<bool, CodecError> {
    for nal in nal_units(access_unit, nal_length_size) {
        if nal?.first().is_some_and(|b| b & 0x1f == NAL_TYPE_IDR) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Iterator of [`nal_units`].
#[derive(Clone, Debug)]
pub struct NalUnits<'a> {
    cursor: Cursor<'a>,
    nal_length_size: usize,
}

impl<'a> NalUnits<'a> {
    fn read(&mut self) -> Result<&'a [u8], CodecError> {
        let prefix = self.cursor.take(self.nal_length_size, "NALUnitLength")?;
        let length = prefix
            .iter()
            .fold(0_usize, |sum, b| sum << 8 | usize::from(*b));
        self.cursor.take(length, "NALUnit")
    }
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = Result<&'a [u8], CodecError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.cursor.offset < self.cursor.data.len() {
            match self.read() {
                Ok([]) => {}
                Ok(nal) => return Some(Ok(nal)),
                Err(error) => {
                    self.cursor.offset = self.cursor.data.len();
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

#[derive(Clone, Debug)]
struct Cursor<'a> {
    data: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], CodecError> {
        let offset = self.offset;
        let end = offset.saturating_add(count);
        let taken = self
            .data
            .get(offset..end)
            .ok_or(CodecError::Truncated { field, offset })?;
        self.offset = end;
        Ok(taken)
    }

    fn byte(&mut self, field: &'static str) -> Result<u8, CodecError> {
        Ok(self.take(1, field)?.first().copied().unwrap_or_default())
    }

    fn parameter_sets(
        &mut self,
        count: u8,
        nal_type: u8,
        field: &'static str,
    ) -> Result<Vec<&'a [u8]>, CodecError> {
        if count == 0 {
            return Err(invalid(field, 0, self.offset));
        }
        let mut sets = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let offset = self.offset;
            let high = self.byte(field)?;
            let low = self.byte(field)?;
            let nal = self.take(usize::from(u16::from_be_bytes([high, low])), field)?;
            match nal.first() {
                Some(header) if header & 0x1f == nal_type => sets.push(nal),
                header => return Err(invalid(field, header.copied().unwrap_or(0), offset)),
            }
        }
        Ok(sets)
    }
}

fn invalid(field: &'static str, value: u8, offset: usize) -> CodecError {
    CodecError::Invalid {
        field,
        value: u64::from(value),
        offset,
    }
}

#[cfg(test)]
mod tests;
