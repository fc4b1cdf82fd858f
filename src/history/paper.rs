//! Text on paper: headings, paragraphs and rows of words, drawn as PDF with a font of our own in the file, so that it
//! looks the same everywhere.

use krilla::Document;
use krilla::color::rgb;
use krilla::geom::Point;
use krilla::metadata::Metadata;
use krilla::page::PageSettings;
use krilla::paint::Fill;
use krilla::text::{Font, TextDirection};
use ttf_parser::Face;

static FONT: &[u8] = include_bytes!("../../fonts/DejaVuSans.ttf");

/// A4, in points.
const WIDTH: f32 = 595.0;
const HEIGHT: f32 = 842.0;
const MARGIN: f32 = 48.0;
/// Distance of lines, in parts of the size.
const LEADING: f32 = 1.45;

#[derive(Debug, thiserror::Error)]
pub enum PaperError {
    #[error("the font in the program cannot be read")]
    Font,
    #[error("the PDF cannot be written")]
    Write,
}

#[derive(Clone)]
struct Line {
    text: String,
    size: f32,
    indent: f32,
    grey: bool,
    /// Room above it.
    above: f32,
    /// A heading is never the last line of a page.
    heading: bool,
}

/// A paper that is written from top to bottom.
pub struct Paper {
    title: String,
    face: Face<'static>,
    font: Font,
    lines: Vec<Line>,
    /// Characters that the font cannot draw.
    undrawable: bool,
}

impl Paper {
    pub fn new(title: &str) -> Result<Self, PaperError> {
        let face = Face::parse(FONT, 0).map_err(|_| PaperError::Font)?;
        let font = Font::new(FONT.into(), 0).ok_or(PaperError::Font)?;
        let mut paper = Self { title: title.to_owned(), face, font, lines: Vec::new(), undrawable: false };
        paper.put(title, 18.0, 0.0, false, 0.0, true);
        Ok(paper)
    }

    pub fn heading(&mut self, text: &str) {
        self.put(text, 12.5, 0.0, false, 14.0, true);
    }

    pub fn text(&mut self, text: &str) {
        self.put(text, 9.5, 0.0, false, 3.0, false);
    }

    /// What belongs to the line above.
    pub fn detail(&mut self, text: &str) {
        self.put(text, 8.5, 14.0, true, 0.0, false);
    }

    /// Words as somebody else wrote them.
    pub fn quote(&mut self, text: &str) {
        self.put(text, 9.5, 14.0, false, 2.0, false);
    }

    fn put(&mut self, text: &str, size: f32, indent: f32, grey: bool, above: f32, heading: bool) {
        let room = WIDTH - 2.0 * MARGIN - indent;
        let mut above = above;
        for paragraph in text.lines() {
            for text in self.broken(paragraph, size, room) {
                self.lines.push(Line { text, size, indent, grey, above, heading });
                above = 0.0;
            }
        }
    }

    /// Lines that fit, broken between words; what is longer than a line is broken anywhere.
    fn broken(&mut self, text: &str, size: f32, room: f32) -> Vec<String> {
        let (mut lines, mut line, mut used) = (Vec::new(), String::new(), 0.0);
        for word in text.split_inclusive(' ') {
            let wide = self.width(word, size);
            if used + wide > room && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
                used = 0.0;
            }
            if wide <= room {
                line.push_str(word);
                used += wide;
                continue;
            }
            for character in word.chars() {
                let wide = self.width(character.encode_utf8(&mut [0; 4]), size);
                if used + wide > room {
                    lines.push(std::mem::take(&mut line));
                    used = 0.0;
                }
                line.push(character);
                used += wide;
            }
        }
        lines.push(line);
        lines
    }

    fn width(&mut self, text: &str, size: f32) -> f32 {
        let advance = |character: char| match self.face.glyph_index(character) {
            Some(glyph) => self.face.glyph_hor_advance(glyph).unwrap_or_default(),
            None => {
                self.undrawable = self.undrawable || !character.is_control();
                self.face.units_per_em()
            }
        };
        let units: u32 = text.chars().map(advance).map(u32::from).sum();
        units as f32 * size / f32::from(self.face.units_per_em())
    }

    /// The PDF.
    pub fn finish(mut self) -> Result<Vec<u8>, PaperError> {
        if self.undrawable {
            self.text("Characters shown as boxes are not in this paper's font; the data files have them as they are.");
        }
        let pages = paged(&self.lines);
        let mut document = Document::new();
        document.set_metadata(Metadata::new().title(self.title.clone()).creator("Beckon".to_owned()));
        let count = pages.len();
        for (number, lines) in (1..).zip(pages) {
            let settings = PageSettings::from_wh(WIDTH, HEIGHT).ok_or(PaperError::Write)?;
            let mut page = document.start_page_with(settings);
            let mut surface = page.surface();
            let mut draw = |x: f32, y: f32, size: f32, text: &str, grey: bool| {
                let shade = if grey { 96 } else { 20 };
                let paint = rgb::Color::new(shade, shade, shade).into();
                surface.set_fill(Some(Fill { paint, ..Fill::default() }));
                let at = Point::from_xy(x, y);
                surface.draw_text(at, self.font.clone(), size, text, false, TextDirection::Auto);
            };
            let mut y = MARGIN;
            for line in lines {
                y += line.above + line.size * LEADING;
                draw(MARGIN + line.indent, y, line.size, &line.text, line.grey);
            }
            let foot = format!("{} — {number} of {count}", self.title);
            draw(MARGIN, HEIGHT - 26.0, 7.5, &foot, true);
            surface.finish();
            page.finish();
        }
        document.finish().map_err(|_| PaperError::Write)
    }
}

/// Lines by page; a heading goes on with what it is the heading of.
fn paged(lines: &[Line]) -> Vec<Vec<Line>> {
    let room = HEIGHT - 2.0 * MARGIN;
    let (mut pages, mut page, mut used) = (Vec::new(), Vec::new(), 0.0);
    for line in lines {
        let high = line.above + line.size * LEADING;
        let needed = if line.heading { high + 40.0 } else { high };
        if used + needed > room && !page.is_empty() {
            pages.push(std::mem::take(&mut page));
            used = 0.0;
        }
        page.push(line.clone());
        used += high;
    }
    pages.push(page);
    pages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_broken_and_go_over_many_pages() {
        let mut paper = Paper::new("A title").unwrap();
        for n in 0..400 {
            paper.heading(&format!("Heading {n}"));
            paper.text(&"words and more words ".repeat(20));
            paper.quote(&"x".repeat(300));
        }
        let room = WIDTH - 2.0 * MARGIN;
        let lines: Vec<(String, f32)> = paper.lines.iter().map(|line| (line.text.clone(), line.size)).collect();
        for (text, size) in lines {
            assert!(paper.width(text.trim_end(), size) <= room + 0.5, "{text}");
        }
        let pages = paged(&paper.lines);
        assert!(pages.len() > 40);
        assert!(pages.iter().all(|page| !page.last().unwrap().heading), "no page ends with a heading");
        let pdf = paper.finish().unwrap();
        assert!(pdf.starts_with(b"%PDF-") && pdf.len() > 10_000);
    }

    #[test]
    fn a_name_that_the_font_cannot_draw_is_said_to_be_so() {
        let mut paper = Paper::new("Лавлейс, Łukasz, Ωμέγα").unwrap();
        assert!(!paper.undrawable, "Cyrillic, Polish, Greek");
        paper.text("王小明");
        assert!(paper.undrawable);
        paper.finish().unwrap();
    }
}
