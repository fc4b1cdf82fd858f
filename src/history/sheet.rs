//! Tables for spreadsheets. A cell that a spreadsheet would take for a formula is made text: what patients write lands
//! here.

/// A table could not be written.
pub type SheetError = csv::Error;

pub struct Sheet(csv::Writer<Vec<u8>>);

impl Sheet {
    pub fn new(head: &[&str]) -> Result<Self, SheetError> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(head)?;
        Ok(Self(writer))
    }

    /// Rows alone, to go on with a table whose head was written before.
    pub fn headless() -> Self {
        Self(csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new()))
    }

    pub fn row(&mut self, cells: &[String]) -> Result<(), SheetError> {
        self.0.write_record(cells.iter().map(|cell| harmless(cell).into_owned()))
    }

    pub fn finish(self) -> Result<Vec<u8>, SheetError> {
        self.0.into_inner().map_err(|error| SheetError::from(error.into_error()))
    }
}

fn harmless(cell: &str) -> std::borrow::Cow<'_, str> {
    // A plus before digits alone is a phone number, and no spreadsheet calculates anything from it.
    let phone = cell.strip_prefix('+').is_some_and(|rest| rest.bytes().all(|it| it.is_ascii_digit()));
    if !phone && cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        return format!("'{cell}").into();
    }
    cell.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_patient_writes_is_no_formula() {
        let mut sheet = Sheet::new(&["words"]).unwrap();
        for words in ["=HYPERLINK(\"http://evil\")", "+13125550123", "+1+cmd|calc", "-2", "@x", "I, \"Ada\"\nwill come"]
        {
            sheet.row(&[words.to_owned()]).unwrap();
        }
        let text = String::from_utf8(sheet.finish().unwrap()).unwrap();
        assert_eq!(
            text,
            "words\n\"'=HYPERLINK(\"\"http://evil\"\")\"\n+13125550123\n'+1+cmd|calc\n'-2\n'@x\n\"I, \"\"Ada\"\"\nwill come\"\n"
        );
    }
}
