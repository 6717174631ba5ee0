//! QR codes of enrolment bundles: for the terminal, as SVG, as PNG.

use qrcode::render::{svg, unicode};
use qrcode::{Color, EcLevel, QrCode};

use crate::DomainError;

/// Pixels per module in a PNG.
const SCALE: usize = 8;
/// Modules of white around a code (ISO/IEC 18004 asks for four).
const QUIET: usize = 4;

/// A code for a text; lowest error correction, because a screen or a fresh print has no dirt and
/// fewer modules scan better.
pub fn code(text: &str) -> Result<QrCode, DomainError> {
    QrCode::with_error_correction_level(text, EcLevel::L)
        .map_err(|error| DomainError::Qr(error.to_string()))
}

/// Two modules per character cell.
pub fn terminal(code: &QrCode) -> String {
    // Dark and light are swapped: most terminals show light text on dark ground.
    code.render::<unicode::Dense1x2>()
        .dark_color(unicode::Dense1x2::Light)
        .light_color(unicode::Dense1x2::Dark)
        .build()
}

/// An SVG document.
pub fn svg(code: &QrCode) -> String {
    code.render::<svg::Color<'_>>().min_dimensions(600, 600).build()
}

/// A PNG, 8 bits grey.
pub fn png(code: &QrCode) -> Result<Vec<u8>, DomainError> {
    let width = code.width();
    let side = (width + 2 * QUIET) * SCALE;
    let colors = code.to_colors();
    let module = |x: usize, y: usize| match (x.checked_sub(QUIET), y.checked_sub(QUIET)) {
        (Some(x), Some(y)) if x < width && y < width => colors[y * width + x],
        (Some(_) | None, Some(_) | None) => Color::Light,
    };
    let mut pixels = Vec::with_capacity(side * side);
    for y in 0..side {
        pixels.extend((0..side).map(|x| module(x / SCALE, y / SCALE).select(0u8, 255)));
    }
    let fail = |error: png::EncodingError| DomainError::Qr(error.to_string());
    let side = u32::try_from(side).map_err(|error| DomainError::Qr(error.to_string()))?;
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(fail)?;
    writer.write_image_data(&pixels).map_err(fail)?;
    writer.finish().map_err(fail)?;
    Ok(out)
}
