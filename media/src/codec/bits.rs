//! A reader of single bits, most significant first (ISO/IEC 14496-10 §7.2, 14496-3 §4.1).

use super::CodecError;

/// Walks a byte slice bit by bit. Reads past the end are errors that name the field asked for.
#[derive(Clone, Debug)]
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    position_bits: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            position_bits: 0,
        }
    }

    /// Offset of the next bit's byte.
    pub(super) fn offset(&self) -> usize {
        self.position_bits / 8
    }

    pub(super) fn remaining_bits(&self) -> usize {
        self.data
            .len()
            .saturating_mul(8)
            .saturating_sub(self.position_bits)
    }

    /// One bit.
    pub(super) fn flag(&mut self, field: &'static str) -> Result<bool, CodecError> {
        let offset = self.offset();
        let byte = self
            .data
            .get(offset)
            .ok_or(CodecError::Truncated { field, offset })?;
        let shift = 7_usize.saturating_sub(self.position_bits % 8);
        self.position_bits = self.position_bits.saturating_add(1);
        Ok(byte >> shift & 1 == 1)
    }

    /// An unsigned number of `count` bits (at most 32; more are ignored from the top).
    pub(super) fn bits(&mut self, count: u32, field: &'static str) -> Result<u32, CodecError> {
        let mut value = 0_u32;
        for _ in 0..count {
            value = value << 1 | u32::from(self.flag(field)?);
        }
        Ok(value)
    }

    /// As [`Self::bits`] for numbers of at most 8 bits.
    pub(super) fn small(&mut self, count: u32, field: &'static str) -> Result<u8, CodecError> {
        Ok(u8::try_from(self.bits(count.min(8), field)?).unwrap_or(u8::MAX))
    }

    /// Steps over `count` bits.
    pub(super) fn skip(&mut self, count: usize, field: &'static str) -> Result<(), CodecError> {
        if count > self.remaining_bits() {
            let offset = self.offset();
            return Err(CodecError::Truncated { field, offset });
        }
        self.position_bits = self.position_bits.saturating_add(count);
        Ok(())
    }

    /// Steps to the next byte boundary.
    pub(super) fn align(&mut self) {
        self.position_bits = self.position_bits.next_multiple_of(8);
    }

    /// `ue(v)`: unsigned Exp-Golomb (ISO/IEC 14496-10 §9.1), up to 2^32 − 2.
    pub(super) fn ue(&mut self, field: &'static str) -> Result<u32, CodecError> {
        let offset = self.offset();
        let mut zeros = 0_u32;
        while !self.flag(field)? {
            zeros = zeros.saturating_add(1);
            if zeros > 31 {
                let value = u64::from(zeros);
                return Err(CodecError::Invalid {
                    field,
                    value,
                    offset,
                });
            }
        }
        let rest = self.bits(zeros, field)?;
        Ok((1_u32 << zeros).wrapping_sub(1).saturating_add(rest))
    }

    /// `se(v)`: signed Exp-Golomb (ISO/IEC 14496-10 §9.1.1).
    pub(super) fn se(&mut self, field: &'static str) -> Result<i64, CodecError> {
        let code = i64::from(self.ue(field)?);
        let half = code.saturating_add(1) / 2;
        Ok(if code % 2 == 1 {
            half
        } else {
            half.saturating_neg()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes() {
        // 1, 010, 011, 00100, 00101 -> 0 1 2 3 4
        let mut reader = BitReader::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let read: Vec<u32> = (0..5).map(|_| reader.ue("x").unwrap()).collect();
        assert_eq!(read, [0, 1, 2, 3, 4]);
        let mut reader = BitReader::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let read: Vec<i64> = (0..5).map(|_| reader.se("x").unwrap()).collect();
        assert_eq!(read, [0, 1, -1, 2, -2]);
    }

    #[test]
    fn the_end_is_named() {
        let mut reader = BitReader::new(&[0xff]);
        assert_eq!(reader.bits(8, "a").unwrap(), 255);
        assert_eq!(
            reader.flag("b"),
            Err(CodecError::Truncated {
                field: "b",
                offset: 1
            })
        );
        assert!(BitReader::new(&[0; 8]).ue("c").is_err());
    }
}
