//! AAC frames that decode to silence, built from the syntax (ISO/IEC 14496-3 §4.4.2) rather than
//! recorded, so that every channel configuration has one.
//!
//! They keep an audio track running when an encoder's microphone falls silent: a player whose
//! audio rendition stops grows no picture either.

use bytes::Bytes;

const ID_SCE: u32 = 0;
const ID_CPE: u32 = 1;
const ID_LFE: u32 = 3;
const ID_END: u32 = 7;

/// One raw AAC frame of silence for a core object type of AAC Main, LC or LTP and a
/// `channelConfiguration` of 1 to 7. `None` for what cannot be built without knowing more.
pub fn silent_frame(object_type: u8, channel_configuration: u8) -> Option<Bytes> {
    // Order of the elements: Table 1.19.
    let elements: &[u32] = match (object_type, channel_configuration) {
        (1 | 2 | 4, 1) => &[ID_SCE],
        (1 | 2 | 4, 2) => &[ID_CPE],
        (1 | 2 | 4, 3) => &[ID_SCE, ID_CPE],
        (1 | 2 | 4, 4) => &[ID_SCE, ID_CPE, ID_SCE],
        (1 | 2 | 4, 5) => &[ID_SCE, ID_CPE, ID_CPE],
        (1 | 2 | 4, 6) => &[ID_SCE, ID_CPE, ID_CPE, ID_LFE],
        (1 | 2 | 4, 7) => &[ID_SCE, ID_CPE, ID_CPE, ID_CPE, ID_LFE],
        _ => return None,
    };
    let mut writer = BitWriter::default();
    let mut tags = [0_u32; 8];
    for id in elements {
        writer.bits(*id, 3);
        // element_instance_tag numbers the elements of a kind.
        if let Some(tag) = tags.get_mut(usize::try_from(*id).ok()?) {
            writer.bits(*tag, 4);
            *tag = tag.saturating_add(1);
        }
        if *id == ID_CPE {
            writer.bits(1, 1); // common_window
            ics_info(&mut writer);
            writer.bits(0, 2); // ms_mask_present
            channel_body(&mut writer);
            channel_body(&mut writer);
        } else {
            writer.bits(0, 8); // global_gain
            ics_info(&mut writer);
            tools_absent(&mut writer);
        }
    }
    writer.bits(ID_END, 3);
    Some(writer.finish())
}

/// A long window of which no band is coded.
fn ics_info(writer: &mut BitWriter) {
    writer.bits(0, 1); // ics_reserved_bit
    writer.bits(0, 2); // window_sequence: ONLY_LONG_SEQUENCE
    writer.bits(0, 1); // window_shape
    writer.bits(0, 6); // max_sfb
    writer.bits(0, 1); // predictor_data_present
}

fn channel_body(writer: &mut BitWriter) {
    writer.bits(0, 8); // global_gain
    tools_absent(writer);
}

fn tools_absent(writer: &mut BitWriter) {
    writer.bits(0, 3); // pulse_data_present, tns_data_present, gain_control_data_present
}

#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    pending: u32,
    pending_bits: u32,
}

impl BitWriter {
    fn bits(&mut self, value: u32, count: u32) {
        for shift in (0..count).rev() {
            self.pending = self.pending << 1 | (value >> shift & 1);
            self.pending_bits = self.pending_bits.saturating_add(1);
            if self.pending_bits == 8 {
                self.bytes
                    .push(u8::try_from(self.pending & 0xff).unwrap_or(0));
                self.pending = 0;
                self.pending_bits = 0;
            }
        }
    }

    fn finish(mut self) -> Bytes {
        while self.pending_bits != 0 {
            self.bits(0, 1);
        }
        Bytes::from(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stereo_is_the_known_frame() {
        // 001 0000 1 | 0 00 0 0000|00 0 00 000|00000 000|00000000|000 111 00
        assert_eq!(
            silent_frame(2, 2).unwrap().as_ref(),
            [0x21, 0x00, 0x00, 0x00, 0x00, 0x1c]
        );
    }

    #[test]
    fn only_what_can_be_built() {
        assert!((1..=7).all(|channels| silent_frame(2, channels).is_some()));
        assert!(silent_frame(2, 0).is_none());
        assert!(silent_frame(23, 2).is_none());
    }
}
