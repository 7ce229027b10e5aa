//! The trend of sessions and revenue as a picture. It holds no words: its legend is text beside it, in the mail's language.

use std::sync::Once;

use anyhow::{Context, anyhow};
use chrono::NaiveDate;
use plotters::prelude::*;
use plotters::style::text_anchor::Pos;
use plotters::style::{FontStyle, register_font};
use rust_decimal::prelude::ToPrimitive;

use crate::reports::figure::Figure;

/// Size on the page, in CSS pixels.
pub const SIZE: (u32, u32) = (536, 200);
/// The picture has so many pixels a CSS pixel in each direction, for dense screens …
const DENSITY: u32 = 2;
/// … and is drawn this much larger and made smaller, so that slanted lines are smooth.
const SMOOTHING: u32 = 2;
const FONT: &str = "digits";

/// Colour of sessions, `#3b6fd4`.
pub const SESSIONS: (u8, u8, u8) = (59, 111, 212);
/// Colour of revenue, `#0f9d6c`.
pub const REVENUE: (u8, u8, u8) = (15, 157, 108);

/// One bucket of time.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// First local day.
    pub day: NaiveDate,
    /// Sessions.
    pub sessions: Figure,
    /// Net revenue.
    pub revenue: Figure,
}

/// Draws the points as a PNG: sessions as an area by the left scale, revenue as a line by the right one.
///
/// # Errors
/// None that data could cause: memory, or a bug.
pub fn png(points: &[Point]) -> anyhow::Result<Vec<u8>> {
    static FONTS: Once = Once::new();
    FONTS.call_once(|| {
        if register_font(
            FONT,
            FontStyle::Normal,
            include_bytes!("../../assets/fonts/chart-digits.ttf"),
        )
        .is_err()
        {
            tracing::error!("the chart's font cannot be read");
        }
    });
    let scale = DENSITY * SMOOTHING;
    let (width, height) = (SIZE.0 * scale, SIZE.1 * scale);
    let mut pixels = vec![255; (width * height * 3) as usize];
    draw(points, &mut pixels, (width, height), scale).map_err(|error| anyhow!("drawing the chart: {error}"))?;
    encode(
        &halved(&pixels, width as usize, height as usize),
        width / SMOOTHING,
        height / SMOOTHING,
    )
}

/// A picture is no place for exact money: the nearest binary number decides about a pixel at most.
fn pixel_value(figure: Figure) -> f64 {
    figure.0.and_then(|value| value.to_f64()).unwrap_or(0.0)
}

fn draw(points: &[Point], pixels: &mut [u8], size: (u32, u32), scale: u32) -> Result<(), Box<dyn std::error::Error>> {
    let root = BitMapBackend::with_buffer(pixels, size).into_drawing_area();
    root.fill(&WHITE)?;
    let sessions: Vec<f64> = points.iter().map(|point| pixel_value(point.sessions)).collect();
    let revenue: Vec<f64> = points.iter().map(|point| pixel_value(point.revenue)).collect();
    let top = |values: &[f64]| ceiling(values.iter().copied().fold(0.0, f64::max));
    let bottom = revenue.iter().copied().fold(0.0, f64::min);
    let bottom = if bottom < 0.0 { -ceiling(-bottom) } else { 0.0 };
    // A single bucket is a flat line over the whole width.
    let last = (points.len().max(2) - 1) as f64;
    let (blue, green) = (rgb(SESSIONS), rgb(REVENUE));
    let px = |n: u32| n * scale;
    let text = |color: RGBColor| TextStyle {
        font: (FONT, f64::from(px(14))).into_font(),
        color: color.to_backend_color(),
        pos: Pos::default(),
    };

    let mut chart = ChartBuilder::on(&root)
        // Half of the uppermost label's height stands above the axis.
        .margin_top(px(12))
        .margin_left(px(2))
        .margin_right(px(2))
        .x_label_area_size(px(26))
        .y_label_area_size(px(52))
        .right_y_label_area_size(px(56))
        .build_cartesian_2d(0.0..last, 0.0..top(&sessions))?
        .set_secondary_coord(0.0..last, bottom..top(&revenue));
    let day = |at: &f64| {
        let index = at.round();
        let point = points.get(index.max(0.0) as usize);
        // Labels stand at round numbers of the axis, which need not be buckets.
        point
            .filter(|_| (at - index).abs() < 1e-6)
            .map_or_else(String::new, |point| point.day.format("%d.%m").to_string())
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(ShapeStyle {
            color: RGBColor(226, 230, 236).into(),
            filled: false,
            stroke_width: px(1),
        })
        .axis_style(TRANSPARENT)
        .x_labels(points.len().clamp(2, 6))
        .set_tick_mark_size(LabelAreaPosition::Bottom, px(9))
        .y_labels(4)
        .x_label_formatter(&day)
        .y_label_formatter(&|value| short(*value))
        .x_label_style(text(RGBColor(91, 100, 114)))
        .y_label_style(text(blue))
        .draw()?;
    chart
        .configure_secondary_axes()
        .axis_style(TRANSPARENT)
        .y_labels(4)
        .y_label_formatter(&|value| short(*value))
        .label_style(text(green))
        .draw()?;
    let along = |values: &[f64]| -> Vec<(f64, f64)> {
        match values {
            [] => Vec::new(),
            [only] => vec![(0.0, *only), (last, *only)],
            _ => values
                .iter()
                .enumerate()
                .map(|(at, value)| (at as f64, *value))
                .collect(),
        }
    };
    let line = |color: RGBColor| ShapeStyle {
        color: color.into(),
        filled: false,
        stroke_width: px(2),
    };
    chart.draw_series(AreaSeries::new(along(&sessions), 0.0, blue.mix(0.16)).border_style(line(blue)))?;
    chart.draw_secondary_series(LineSeries::new(along(&revenue), line(green)))?;
    root.present()?;
    Ok(())
}

const fn rgb((red, green, blue): (u8, u8, u8)) -> RGBColor {
    RGBColor(red, green, blue)
}

/// The next of 1, 2, 2.5, 4, 5, 8 times a power of ten, so that a scale ends with a round number; 4 for nothing at all.
fn ceiling(value: f64) -> f64 {
    if value <= 0.0 {
        return 4.0;
    }
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 2.5, 4.0, 5.0, 8.0, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|step| *step >= value)
        .unwrap_or(value)
}

/// A number in few characters: 950, 1.5k, 2M.
fn short(value: f64) -> String {
    let (number, unit) = match value.abs() {
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{number:.1}");
    format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
}

/// Each square of [`SMOOTHING`] pixels as one, their mean.
fn halved(pixels: &[u8], width: usize, height: usize) -> Vec<u8> {
    let side = SMOOTHING as usize;
    let (narrow, low) = (width / side, height / side);
    let mut small = Vec::with_capacity(narrow * low * 3);
    for y in 0..low {
        for x in 0..narrow {
            for channel in 0..3 {
                let sum: usize = (0..side * side)
                    .map(|n| usize::from(pixels[((y * side + n / side) * width + x * side + n % side) * 3 + channel]))
                    .sum();
                small.push((sum / (side * side)) as u8);
            }
        }
    }
    small
}

fn encode(pixels: &[u8], width: u32, height: u32) -> anyhow::Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().context("writing the chart")?;
    writer.write_image_data(pixels).context("writing the chart")?;
    writer.finish().context("writing the chart")?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[(i64, i64)]) -> Vec<Point> {
        let first = NaiveDate::from_ymd_opt(2026, 11, 9).unwrap();
        let day = |n: usize| first + chrono::Days::new(n as u64);
        values
            .iter()
            .enumerate()
            .map(|(n, (sessions, revenue))| Point {
                day: day(n),
                sessions: (*sessions).into(),
                revenue: (*revenue).into(),
            })
            .collect()
    }

    fn decoded(file: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.width, info.height, pixels)
    }

    #[test]
    fn the_picture_shows_both_lines_at_twice_the_size_and_stays_small() {
        let file = png(&points(&[
            (120, 30_000),
            (90, 12_000),
            (200, 55_000),
            (180, 0),
            (160, 41_000),
            (220, 60_500),
            (140, 20_000),
        ]))
        .unwrap();
        let (width, height, pixels) = decoded(&file);
        assert_eq!((width, height), (SIZE.0 * 2, SIZE.1 * 2));
        assert!(file.len() < 60_000, "{} bytes", file.len());
        let has = |(r, g, b): (u8, u8, u8)| pixels.chunks(3).filter(|p| **p == [r, g, b]).count();
        assert!(
            has(SESSIONS) > 500 && has(REVENUE) > 500,
            "{} {}",
            has(SESSIONS),
            has(REVENUE)
        );
    }

    #[test]
    fn nothing_one_day_losses_and_huge_sums_are_drawn_too() {
        for values in [
            &[][..],
            &[(0, 0)],
            &[(5, -200), (7, 100)],
            &[(i64::MAX, i64::MAX), (0, i64::MIN)],
        ] {
            assert!(png(&points(values)).unwrap().starts_with(b"\x89PNG"));
        }
        let unknown = [Point {
            revenue: Figure(None),
            ..points(&[(1, 1)])[0]
        }];
        assert!(png(&unknown).is_ok());
    }

    #[test]
    fn a_scale_ends_with_a_round_number_and_is_written_short() {
        for (value, top) in [
            (0.0, 4.0),
            (1.0, 1.0),
            (3.0, 4.0),
            (87.0, 100.0),
            (101.0, 200.0),
            (210.0, 250.0),
            (60_500.0, 80_000.0),
        ] {
            assert!((ceiling(value) - top).abs() < 1e-9, "{value}");
        }
        for (value, text) in [
            (0.0, "0"),
            (2.5, "2.5"),
            (1500.0, "1500"),
            (15_000.0, "15k"),
            (2_500_000.0, "2.5M"),
            (-20_000.0, "-20k"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
