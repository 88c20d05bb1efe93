use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;
use crate::answer::{Body, Field};

const GOODS: &[u8] = include_bytes!("../../tests/coded/goods.json");
const MOST: usize = 1 << 20;

fn coded(coding: Coding, plain: &[u8]) -> Vec<u8> {
    match coding {
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(plain).and_then(|()| encoder.finish()).unwrap()
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(plain).and_then(|()| encoder.finish()).unwrap()
        }
        Coding::Brotli => {
            let mut out = Vec::new();
            let mut encoder = brotli::CompressorWriter::new(&mut out, 4096, 5, 22);
            encoder.write_all(plain).unwrap();
            drop(encoder);
            out
        }
        Coding::Zstd => compress_to_vec(plain, CompressionLevel::Fastest),
    }
}

fn bare_deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).and_then(|()| encoder.finish()).unwrap()
}

const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

#[test]
fn headers_name_the_codings_in_their_order() {
    use Coding::{Brotli, Deflate, Gzip, Zstd};
    let unknown = Err(NotCompared::Encoding);
    for (values, expected) in [
        (&[][..], Ok(vec![])),
        (&[""], Ok(vec![])),
        (&["identity"], Ok(vec![])),
        (&["gzip"], Ok(vec![Gzip])),
        (&["X-GZip"], Ok(vec![Gzip])),
        (&["deflate, gzip"], Ok(vec![Deflate, Gzip])),
        (&["br", "zstd"], Ok(vec![Brotli, Zstd])),
        (&[" identity ,, br "], Ok(vec![Brotli])),
        (&["gzip,gzip,gzip,gzip"], Ok(vec![Gzip; 4])),
        (&["gzip,gzip,gzip,gzip,gzip"], unknown.clone()),
        (&["compress"], unknown.clone()),
        (&["gzip;q=1"], unknown.clone()),
        (&["dcb"], unknown.clone()),
    ] {
        let headers =
            values.iter().map(|value| Field { name: b"Content-Encoding", value: value.as_bytes() }).collect();
        let answer = Answer { status: 200, headers, trailers: Vec::new(), body: Body::Whole(b"") };
        assert_eq!(codings(&answer), expected, "{values:?}");
    }
}

#[test]
fn what_other_tools_have_coded_is_read() {
    for (name, body, coding) in [
        ("gzip -9", &include_bytes!("../../tests/coded/goods.json.gz")[..], Coding::Gzip),
        ("zstd -19 with a checksum", include_bytes!("../../tests/coded/goods.19.zst"), Coding::Zstd),
        ("zstd -1 without", include_bytes!("../../tests/coded/goods.1.zst"), Coding::Zstd),
        ("zstd of a stream, no length", include_bytes!("../../tests/coded/goods.stream.zst"), Coding::Zstd),
    ] {
        assert!(decode(body, &[coding], MOST).as_deref() == Ok(GOODS), "{name}");
        assert_eq!(decode(body, &[coding], GOODS.len()).map(|out| out.len()), Ok(GOODS.len()), "{name}");
        assert_eq!(decode(body, &[coding], GOODS.len() - 1), Err(NotCompared::DecodedSize), "{name}");
    }
}

#[test]
fn every_cut_and_every_tail_is_noticed() {
    let plain = &GOODS[..300];
    let bodies = ALL.map(|coding| (coding, coded(coding, plain)));
    for (coding, body) in bodies.into_iter().chain([(Coding::Deflate, bare_deflate(plain))]) {
        assert_eq!(decode(&body, &[coding], MOST).as_deref(), Ok(plain), "{coding:?}");
        for end in 1..body.len() {
            let cut = decode(&body[..end], &[coding], MOST);
            assert_eq!(cut, Err(NotCompared::Encoding), "{coding:?} cut at {end} of {}", body.len());
        }
        for tail in [&b"x"[..], b"<!-- served by cache -->", b"\r\n"] {
            let longer = [&body[..], tail].concat();
            assert_eq!(decode(&longer, &[coding], MOST), Err(NotCompared::Encoding), "{coding:?} {tail:?}");
        }
    }
}

#[test]
fn a_flipped_bit_in_the_checksum_is_noticed() {
    for (coding, mut body) in [
        (Coding::Gzip, include_bytes!("../../tests/coded/goods.json.gz").to_vec()),
        (Coding::Zstd, include_bytes!("../../tests/coded/goods.19.zst").to_vec()),
        (Coding::Deflate, coded(Coding::Deflate, GOODS)),
    ] {
        // Gzip ends with its length, after the checksum.
        let at = body.len() - if coding == Coding::Gzip { 5 } else { 1 };
        body[at] ^= 1;
        assert_eq!(decode(&body, &[coding], MOST), Err(NotCompared::Encoding), "{coding:?}");
    }
}

#[test]
fn members_frames_and_padding_follow_each_other() {
    let (gzip, zstd) = (coded(Coding::Gzip, b"one"), coded(Coding::Zstd, b"one"));
    let skippable = [&0x184d_2a53_u32.to_le_bytes()[..], &4_u32.to_le_bytes(), b"note"].concat();
    for (name, coding, body, plain) in [
        ("two members", Coding::Gzip, [&gzip[..], &gzip].concat(), "oneone"),
        ("zeros behind", Coding::Gzip, [&gzip[..], &[0; 512]].concat(), "one"),
        ("two frames", Coding::Zstd, [&zstd[..], &zstd].concat(), "oneone"),
        ("a frame to skip", Coding::Zstd, [&zstd[..], &skippable, &zstd].concat(), "oneone"),
    ] {
        assert_eq!(decode(&body, &[coding], MOST).as_deref(), Ok(plain.as_bytes()), "{name}");
    }
    let endless = [&zstd[..], &skippable[..4], &u32::MAX.to_le_bytes()].concat();
    assert_eq!(decode(&endless, &[Coding::Zstd], MOST), Err(NotCompared::Encoding));
}

#[test]
fn windows_beyond_the_content_codings_are_refused() {
    // RFC 8878 section 3.1.1.1.2: an exponent above 10 in the upper five bits. One raw block of three bytes.
    let frame = |exponent: u8| {
        [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, exponent << 3][..], &[0x19, 0x00, 0x00], b"abc"].concat()
    };
    assert_eq!(decode(&frame(13), &[Coding::Zstd], MOST).as_deref(), Ok(&b"abc"[..]));
    assert_eq!(decode(&frame(14), &[Coding::Zstd], MOST), Err(NotCompared::Encoding));
    // A large window of brotli, which is no part of `br`.
    assert_eq!(decode(&[0x11, 0x3f, 0x00, 0x00], &[Coding::Brotli], MOST), Err(NotCompared::Encoding));
}

#[test]
fn bombs_stop_at_the_limit() {
    let zeros = vec![0; 4 << 20];
    for coding in ALL {
        let bomb = coded(coding, &zeros);
        assert!(bomb.len() < 1 << 14, "{coding:?}: {}", bomb.len());
        assert_eq!(decode(&bomb, &[coding], MOST), Err(NotCompared::DecodedSize), "{coding:?}");
    }
    let twice = coded(Coding::Gzip, &coded(Coding::Gzip, &zeros));
    assert!(twice.len() < 1_000);
    assert_eq!(decode(&twice, &[Coding::Gzip; 2], MOST), Err(NotCompared::DecodedSize));
    assert_eq!(decode(&zeros[..9], &[], 8), Err(NotCompared::DecodedSize));
}

#[test]
fn nothing_decodes_to_nothing() {
    for coding in ALL {
        assert_eq!(decode(b"", &[coding], 0).as_deref(), Ok(&b""[..]));
        assert_eq!(decode(&coded(coding, b""), &[coding], MOST).as_deref(), Ok(&b""[..]), "{coding:?}");
    }
}

fn any_coding() -> impl Strategy<Value = Coding> {
    prop::sample::select(ALL.to_vec())
}

proptest! {
    #[test]
    fn what_was_coded_comes_back(
        plain in prop::collection::vec(any::<u8>(), 0..5_000),
        codings in prop::collection::vec(any_coding(), 0..4),
    ) {
        let body = codings.iter().fold(plain.clone(), |body, coding| coded(*coding, &body));
        let decoded = decode(&body, &codings, MOST);
        prop_assert_eq!(decoded.as_deref(), Ok(&plain[..]));
    }

    #[test]
    fn a_bare_stream_is_a_deflate_body_too(plain in prop::collection::vec(any::<u8>(), 0..5_000)) {
        let body = bare_deflate(&plain);
        let decoded = decode(&body, &[Coding::Deflate], MOST);
        prop_assert_eq!(decoded.as_deref(), Ok(&plain[..]));
    }

    #[test]
    fn no_bytes_make_it_panic_or_pass_the_limit(
        noise in prop::collection::vec(any::<u8>(), 0..400),
        coding in any_coding(),
        change in any::<prop::sample::Index>(),
        most in 0_usize..600,
    ) {
        let mut body = coded(coding, &GOODS[..2_000]);
        let at = change.index(body.len());
        let end = (at + noise.len()).min(body.len());
        body.splice(at..end, noise.iter().copied());
        for body in [&body, &noise] {
            if let Ok(decoded) = decode(body, &[coding], most) {
                prop_assert!(decoded.len() <= most);
            }
        }
    }
}
