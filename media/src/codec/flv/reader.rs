//! The cursor that both tag readers share, and the parts of the enhanced header that audio and
//! video have in common: ModEx packets and the multitrack wrapping.

use super::FlvError;
use bytes::Bytes;

/// Enhanced packet types shared by audio and video.
pub(super) const MULTITRACK_VIDEO: u8 = 6;
pub(super) const MULTITRACK_AUDIO: u8 = 5;
pub(super) const MOD_EX: u8 = 7;

const ONE_TRACK: u8 = 0;
const MANY_TRACKS: u8 = 1;
const MANY_TRACKS_MANY_CODECS: u8 = 2;

pub(super) struct Reader {
    body: Bytes,
    offset: usize,
}

/// The head of an enhanced message once every wrapper is off.
pub(super) struct Enhanced {
    pub(super) packet_type: u8,
    pub(super) codec: [u8; 4],
    /// Track 0's part, or the number of the track that was there instead.
    pub(super) track: Result<Reader, u8>,
}

impl Reader {
    pub(super) fn new(body: Bytes) -> Self {
        Self { body, offset: 0 }
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], FlvError> {
        let offset = self.offset;
        let end = offset.saturating_add(N);
        let bytes = self
            .body
            .get(offset..end)
            .and_then(|bytes| <[u8; N]>::try_from(bytes).ok())
            .ok_or(FlvError::Truncated { field, offset })?;
        self.offset = end;
        Ok(bytes)
    }

    pub(super) fn byte(&mut self, field: &'static str) -> Result<u8, FlvError> {
        let [byte] = self.array(field)?;
        Ok(byte)
    }

    /// `SI24`, sign-extended.
    pub(super) fn signed_24(&mut self, field: &'static str) -> Result<i32, FlvError> {
        let [a, b, c] = self.array(field)?;
        Ok(i32::from_be_bytes([a, b, c, 0]) >> 8)
    }

    pub(super) fn take(&mut self, count: usize, field: &'static str) -> Result<Bytes, FlvError> {
        let offset = self.offset;
        let end = offset.saturating_add(count);
        if end > self.body.len() {
            return Err(FlvError::Truncated { field, offset });
        }
        self.offset = end;
        Ok(self.body.slice(offset..end))
    }

    /// Everything left.
    pub(super) fn rest(self) -> Bytes {
        self.body.slice(self.offset.min(self.body.len())..)
    }

    /// Steps over ModEx packets (E-RTMP v2 "ModEx"): each changes a detail of the message and is
    /// followed by the real packet type.
    pub(super) fn after_mod_ex(&mut self, mut packet_type: u8) -> Result<u8, FlvError> {
        // Bounded: every turn consumes at least three bytes.
        while packet_type == MOD_EX {
            let mut size = usize::from(self.byte("modExDataSize")?).saturating_add(1);
            if size == 256 {
                size =
                    usize::from(u16::from_be_bytes(self.array("modExDataSize")?)).saturating_add(1);
            }
            self.take(size, "modExData")?;
            packet_type = self.byte("modExType")? & 0x0f;
        }
        Ok(packet_type)
    }

    /// FourCC and, when `packet_type` says so, the multitrack wrapping.
    pub(super) fn enhanced(
        mut self,
        packet_type: u8,
        multitrack: u8,
    ) -> Result<Enhanced, FlvError> {
        if packet_type != multitrack {
            let codec = self.array("FourCC")?;
            let track = Ok(self);
            return Ok(Enhanced {
                packet_type,
                codec,
                track,
            });
        }
        let offset = self.offset;
        let kinds = self.byte("multitrackType")?;
        let (kind, packet_type) = (kinds >> 4, kinds & 0x0f);
        if kind > MANY_TRACKS_MANY_CODECS {
            return Err(FlvError::Unknown {
                field: "multitrackType",
                value: kind,
                offset,
            });
        }
        let mut codec = [0; 4];
        if kind == ONE_TRACK || kind == MANY_TRACKS {
            codec = self.array("FourCC")?;
        }
        let (track, codec) = self.track_zero(kind, codec)?;
        Ok(Enhanced {
            packet_type,
            codec,
            track,
        })
    }

    fn track_zero(
        mut self,
        kind: u8,
        mut codec: [u8; 4],
    ) -> Result<(Result<Self, u8>, [u8; 4]), FlvError> {
        // Bounded: every turn consumes at least four bytes.
        loop {
            if kind == MANY_TRACKS_MANY_CODECS {
                codec = self.array("FourCC")?;
            }
            let track_id = self.byte("trackId")?;
            if kind == ONE_TRACK {
                let track = if track_id == 0 {
                    Ok(self)
                } else {
                    Err(track_id)
                };
                return Ok((track, codec));
            }
            let [a, b, c] = self.array("sizeOfTrack")?;
            let size = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
            let data = self.take(size, "trackData")?;
            if track_id == 0 {
                return Ok((Ok(Self::new(data)), codec));
            }
            if self.offset >= self.body.len() {
                return Ok((Err(track_id), codec));
            }
        }
    }
}
