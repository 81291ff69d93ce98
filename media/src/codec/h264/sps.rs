//! The sequence parameter set (ISO/IEC 14496-10 §7.3.2.1.1), as far as a container needs it.

use super::super::CodecError;
use super::super::bits::BitReader;

/// Largest accepted picture side, pixels: twice level 6.2's, and small enough for every box field.
const SIDE_PIXELS_MAX: u32 = 16_384;
/// Bytes of an SPS that are looked at; real ones have a few dozen.
const SPS_BYTES_MAX: usize = 4096;
/// `aspect_ratio_idc` 1 to 16 (Table E-1).
const ASPECT_RATIOS: [(u16, u16); 16] = [
    (1, 1),
    (12, 11),
    (10, 11),
    (16, 11),
    (40, 33),
    (24, 11),
    (20, 11),
    (32, 11),
    (80, 33),
    (18, 11),
    (15, 11),
    (64, 33),
    (160, 99),
    (4, 3),
    (3, 2),
    (2, 1),
];
const ASPECT_RATIO_EXTENDED: u8 = 255;

/// What a container needs of an SPS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sps {
    /// `profile_idc`.
    pub profile_idc: u8,
    /// The byte of constraint flags between profile and level.
    pub constraint_flags: u8,
    /// `level_idc`.
    pub level_idc: u8,
    /// `chroma_format_idc`: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format_idc: u8,
    /// Bits a luma sample.
    pub bit_depth_luma: u8,
    /// Bits a chroma sample.
    pub bit_depth_chroma: u8,
    /// Shown width, pixels (after cropping).
    pub width: u32,
    /// Shown height, pixels (after cropping).
    pub height: u32,
    /// Sample aspect ratio when stated and not degenerate.
    pub sample_aspect_ratio: Option<(u16, u16)>,
}

impl Sps {
    /// Whether the profile carries chroma format and bit depths in its parameter set (and so in
    /// the `avcC` extension).
    pub fn has_chroma_info(&self) -> bool {
        profile_has_chroma_info(self.profile_idc)
    }
}

/// Reads an SPS NAL unit (header byte first, emulation prevention still in).
pub fn parse_sps(nal: &[u8]) -> Result<Sps, CodecError> {
    let rbsp = unescape(nal.get(..SPS_BYTES_MAX).unwrap_or(nal));
    let mut reader = BitReader::new(&rbsp);
    reader.skip(8, "nal_unit_header")?;
    let mut sps = Sps {
        profile_idc: reader.small(8, "profile_idc")?,
        constraint_flags: reader.small(8, "constraint_set_flags")?,
        level_idc: reader.small(8, "level_idc")?,
        chroma_format_idc: 1,
        bit_depth_luma: 8,
        bit_depth_chroma: 8,
        width: 0,
        height: 0,
        sample_aspect_ratio: None,
    };
    reader.ue("seq_parameter_set_id")?;
    let mut separate_planes = false;
    if sps.has_chroma_info() {
        separate_planes = chroma_info(&mut reader, &mut sps)?;
    }
    reader.ue("log2_max_frame_num_minus4")?;
    picture_order_count(&mut reader)?;
    reader.ue("max_num_ref_frames")?;
    reader.flag("gaps_in_frame_num_value_allowed_flag")?;
    picture_size(&mut reader, &mut sps, separate_planes)?;
    sps.sample_aspect_ratio = aspect_ratio(&mut reader);
    Ok(sps)
}

fn profile_has_chroma_info(profile_idc: u8) -> bool {
    matches!(
        profile_idc,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    )
}

/// Takes out the emulation prevention bytes (§7.4.1): `00 00 03` → `00 00`.
fn unescape(nal: &[u8]) -> Vec<u8> {
    let mut rbsp = Vec::with_capacity(nal.len());
    let mut zeros = 0_u8;
    for byte in nal {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 {
            zeros.saturating_add(1)
        } else {
            0
        };
        rbsp.push(*byte);
    }
    rbsp
}

fn ranged(reader: &mut BitReader<'_>, field: &'static str, max: u32) -> Result<u32, CodecError> {
    let offset = reader.offset();
    let value = reader.ue(field)?;
    if value > max {
        let value = u64::from(value);
        return Err(CodecError::Invalid {
            field,
            value,
            offset,
        });
    }
    Ok(value)
}

fn ranged_u8(reader: &mut BitReader<'_>, field: &'static str, max: u8) -> Result<u8, CodecError> {
    Ok(u8::try_from(ranged(reader, field, u32::from(max))?).unwrap_or(max))
}

fn chroma_info(reader: &mut BitReader<'_>, sps: &mut Sps) -> Result<bool, CodecError> {
    sps.chroma_format_idc = ranged_u8(reader, "chroma_format_idc", 3)?;
    let separate_planes =
        sps.chroma_format_idc == 3 && reader.flag("separate_colour_plane_flag")?;
    sps.bit_depth_luma = ranged_u8(reader, "bit_depth_luma_minus8", 6)?.saturating_add(8);
    sps.bit_depth_chroma = ranged_u8(reader, "bit_depth_chroma_minus8", 6)?.saturating_add(8);
    reader.flag("qpprime_y_zero_transform_bypass_flag")?;
    if reader.flag("seq_scaling_matrix_present_flag")? {
        let lists = if sps.chroma_format_idc == 3 { 12 } else { 8 };
        for list in 0..lists {
            if reader.flag("seq_scaling_list_present_flag")? {
                skip_scaling_list(reader, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Ok(separate_planes)
}

/// §7.3.2.1.1.1: a list ends early when the next scale becomes zero.
fn skip_scaling_list(reader: &mut BitReader<'_>, size: u32) -> Result<(), CodecError> {
    let mut scale = 8_i64;
    for _ in 0..size {
        let delta = reader.se("delta_scale")?;
        scale = scale.saturating_add(delta).rem_euclid(256);
        if scale == 0 {
            break;
        }
    }
    Ok(())
}

fn picture_order_count(reader: &mut BitReader<'_>) -> Result<(), CodecError> {
    match ranged(reader, "pic_order_cnt_type", 2)? {
        0 => {
            reader.ue("log2_max_pic_order_cnt_lsb_minus4")?;
        }
        1 => {
            reader.flag("delta_pic_order_always_zero_flag")?;
            reader.se("offset_for_non_ref_pic")?;
            reader.se("offset_for_top_to_bottom_field")?;
            let cycle = ranged(reader, "num_ref_frames_in_pic_order_cnt_cycle", 255)?;
            for _ in 0..cycle {
                reader.se("offset_for_ref_frame")?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn picture_size(
    reader: &mut BitReader<'_>,
    sps: &mut Sps,
    separate_planes: bool,
) -> Result<(), CodecError> {
    let mbs_max = SIDE_PIXELS_MAX / 16;
    let width_mbs = ranged(reader, "pic_width_in_mbs_minus1", mbs_max)?.saturating_add(1);
    let height_units = ranged(reader, "pic_height_in_map_units_minus1", mbs_max)?.saturating_add(1);
    let frame_mbs_only = reader.flag("frame_mbs_only_flag")?;
    let fields = if frame_mbs_only { 1 } else { 2 };
    if !frame_mbs_only {
        reader.flag("mb_adaptive_frame_field_flag")?;
    }
    reader.flag("direct_8x8_inference_flag")?;
    // Cropping counts in chroma samples, and in field lines when there are fields (§7.4.2.1.1).
    let chroma = if separate_planes {
        0
    } else {
        sps.chroma_format_idc
    };
    let unit_x = if matches!(chroma, 1 | 2) { 2 } else { 1 };
    let unit_y = if chroma == 1 { 2_u32 } else { 1 }.saturating_mul(fields);
    let (mut crop_x, mut crop_y) = (0_u32, 0_u32);
    let offset = reader.offset();
    if reader.flag("frame_cropping_flag")? {
        let left = reader.ue("frame_crop_left_offset")?;
        let right = reader.ue("frame_crop_right_offset")?;
        let top = reader.ue("frame_crop_top_offset")?;
        let bottom = reader.ue("frame_crop_bottom_offset")?;
        crop_x = left.saturating_add(right).saturating_mul(unit_x);
        crop_y = top.saturating_add(bottom).saturating_mul(unit_y);
    }
    let side = |coded: u32, crop: u32, field| match coded.checked_sub(crop) {
        Some(shown) if shown > 0 && shown <= SIDE_PIXELS_MAX => Ok(shown),
        _ => Err(CodecError::Invalid {
            field,
            value: u64::from(crop),
            offset,
        }),
    };
    sps.width = side(width_mbs.saturating_mul(16), crop_x, "frame_crop width")?;
    let height = height_units.saturating_mul(16).saturating_mul(fields);
    sps.height = side(height, crop_y, "frame_crop height")?;
    Ok(())
}

/// The VUI's first fields. A cut-off VUI costs only the aspect ratio.
fn aspect_ratio(reader: &mut BitReader<'_>) -> Option<(u16, u16)> {
    if !reader.flag("vui_parameters_present_flag").ok()?
        || !reader.flag("aspect_ratio_info_present_flag").ok()?
    {
        return None;
    }
    let ratio = match reader.small(8, "aspect_ratio_idc").ok()? {
        0 => return None,
        ASPECT_RATIO_EXTENDED => (
            u16::try_from(reader.bits(16, "sar_width").ok()?).ok()?,
            u16::try_from(reader.bits(16, "sar_height").ok()?).ok()?,
        ),
        idc => *ASPECT_RATIOS.get(usize::from(idc).checked_sub(1)?)?,
    };
    (ratio.0 > 0 && ratio.1 > 0).then_some(ratio)
}
