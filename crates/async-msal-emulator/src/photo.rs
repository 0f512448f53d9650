//! Small portraits, drawn by code: a head and shoulders on a coloured ground, as PNG.

const SIDE: u32 = 96;

/// A 96 x 96 portrait in the colours of `ground` (RGB).
pub(crate) fn portrait(ground: [u8; 3]) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::new();
    header.extend(SIDE.to_be_bytes());
    header.extend(SIDE.to_be_bytes());
    header.extend([8, 3, 0, 0, 0]); // 8 bits per pixel, palette
    chunk(&mut png, *b"IHDR", &header);
    let light = ground.map(|c| c + (255 - c) / 4 * 3);
    let palette = [ground, light, [255, 255, 255]].concat();
    chunk(&mut png, *b"PLTE", &palette);
    chunk(&mut png, *b"IDAT", &zlib_stored(&pixels()));
    chunk(&mut png, *b"IEND", &[]);
    png
}

/// One filter byte (none) and one palette index per pixel, row by row.
fn pixels() -> Vec<u8> {
    let mut rows = Vec::new();
    for y in 0..SIDE {
        rows.push(0);
        for x in 0..SIDE {
            rows.push(u8::from(figure(i64::from(x), i64::from(y))));
        }
    }
    rows
}

fn figure(x: i64, y: i64) -> bool {
    let head = (x - 48).pow(2) + (y - 36).pow(2) <= 17_i64.pow(2);
    // An ellipse of half axes 33 and 30 around (48, 92).
    let shoulders = (x - 48).pow(2) * 900 + (y - 92).pow(2) * 1089 <= 900 * 1089;
    head || shoulders
}

/// RFC 1950 and 1951 with stored blocks: no compressor is needed for 9 KB.
fn zlib_stored(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let mut blocks = data.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(u8::from(blocks.peek().is_none()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    let (a, b) = data.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    out.extend(((b << 16) | a).to_be_bytes());
    out
}

fn chunk(png: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    png.extend(u32::try_from(data.len()).unwrap_or(0).to_be_bytes());
    let start = png.len();
    png.extend(kind);
    png.extend(data);
    let crc = png[start..].iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xedb8_8320 } else { c >> 1 })
    });
    png.extend((!crc).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_portrait_is_a_png_of_reasonable_size() {
        let png = portrait([30, 90, 160]);
        assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
        assert!(png.ends_with(b"IEND\xae\x42\x60\x82"));
        assert!(png.len() < 20_000);
    }
}
