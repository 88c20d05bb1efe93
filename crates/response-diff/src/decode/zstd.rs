//! Zstandard: frames one after the other.

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::pull;
use crate::outcome::NotCompared;

/// RFC 9659 section 3: a sender of the content coding must not ask for a larger window.
const MOST_WINDOW_BYTES: u64 = 8 << 20;

pub(super) fn undo(mut rest: &[u8], most: usize) -> Result<Vec<u8>, NotCompared> {
    let mut out = Vec::new();
    let mut decoder = FrameDecoder::new();
    // A frame of a single segment has its whole content as its window. What that is above has no place in the limit.
    decoder.set_max_window_size(MOST_WINDOW_BYTES.max(most as u64));
    while !rest.is_empty() {
        match decoder.init(&mut rest) {
            Ok(()) => frame(&mut decoder, &mut rest, &mut out, most)?,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                rest = rest.get(length..).ok_or(NotCompared::Encoding)?;
            }
            Err(_) => return Err(NotCompared::Encoding),
        }
    }
    Ok(out)
}

fn frame(
    decoder: &mut FrameDecoder,
    rest: &mut &[u8],
    out: &mut Vec<u8>,
    most: usize,
) -> Result<(), NotCompared> {
    let before = out.len();
    loop {
        // A block is at most 128 KiB (RFC 8878 section 3.1.1.2.4), and what lies before the window is taken at once.
        let step = decoder.decode_blocks(&mut *rest, BlockDecodingStrategy::UptoBlocks(1));
        let is_done = step.map_err(|_| NotCompared::Encoding)?;
        pull(decoder, out, most)?;
        if decoder.can_collect() == 0 && is_done {
            break;
        }
    }
    let length = (out.len() - before) as u64;
    let checksum = decoder.get_checksum_from_data();
    let is_sound = checksum.is_none() || checksum == decoder.get_calculated_checksum();
    // Where the head does not say, the library answers 0.
    let is_whole = decoder.content_size() == 0 || decoder.content_size() == length;
    if is_sound && is_whole { Ok(()) } else { Err(NotCompared::Encoding) }
}
