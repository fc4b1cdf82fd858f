//! Text to tokens.

use crate::error::{ParseError, Position};
use crate::temporal::{Date, DateTime, Time};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    /// A name; `true` where it was written in backticks and so is never a keyword.
    Name(String, bool),
    Text(String),
    Integer(String),
    Decimal(String),
    Date(Date),
    DateTime(DateTime),
    Time(Time),
    /// `$this`, `$index`, `$total`.
    Special(String),
    /// `%name`.
    Variable(String),
    Symbol(&'static str),
    End,
}

#[derive(Debug, Clone)]
pub(crate) struct Lexeme {
    pub token: Token,
    pub at: usize,
}

const SYMBOLS: [&str; 24] = [
    "<=", ">=", "!=", "!~", "(", ")", "[", "]", "{", "}", ".", ",", "+", "-", "*", "/", "&", "|", "<", ">", "=", "~",
    "@", ";",
];

pub(crate) fn fail(text: &str, at: usize, message: impl Into<String>, hint: impl Into<String>) -> ParseError {
    ParseError { position: Position::locate(text, at), message: message.into(), hint: hint.into() }
}

pub(crate) fn lex(text: &str) -> Result<Vec<Lexeme>, ParseError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut lexemes = Vec::new();
    loop {
        lexer.skip_blank()?;
        let at = lexer.at;
        let token = lexer.token()?;
        let end = token == Token::End;
        lexemes.push(Lexeme { token, at });
        if end {
            return Ok(lexemes);
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn error(&self, at: usize, message: &str, hint: &str) -> ParseError {
        fail(self.text, at, message, hint)
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn skip_blank(&mut self) -> Result<(), ParseError> {
        loop {
            self.take_while(char::is_whitespace);
            if self.rest().starts_with("//") {
                self.take_while(|c| c != '\n' && c != '\r');
            } else if self.rest().starts_with("/*") {
                let Some(end) = self.rest()[2..].find("*/") else {
                    return Err(self.error(self.at, "the comment has no end", "close it with */"));
                };
                self.at += end + 4;
            } else {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Result<Token, ParseError> {
        let Some(first) = self.peek() else {
            return Ok(Token::End);
        };
        match first {
            '\'' => self.quoted('\'').map(Token::Text),
            '"' => Err(self.error(self.at, "text is written in single quotes", "write 'text'")),
            '`' => self.quoted('`').map(|name| Token::Name(name, true)),
            '0'..='9' => self.number(),
            '@' => self.temporal(),
            '$' => {
                self.at += 1;
                let name = self.take_while(|c| c.is_ascii_alphanumeric()).to_owned();
                if matches!(name.as_str(), "this" | "index" | "total") {
                    Ok(Token::Special(name))
                } else {
                    Err(self.error(self.at, "unknown name after $", "there are $this, $index and $total"))
                }
            }
            '%' => self.variable(),
            c if c.is_ascii_alphabetic() || c == '_' => {
                Ok(Token::Name(self.take_while(|c| c.is_ascii_alphanumeric() || c == '_').to_owned(), false))
            }
            _ => {
                let found = SYMBOLS.iter().copied().find(|symbol| self.rest().starts_with(symbol));
                let Some(symbol) = found else {
                    return Err(self.error(self.at, "unexpected character", "remove it or put it in quotes"));
                };
                self.at += symbol.len();
                Ok(Token::Symbol(symbol))
            }
        }
    }

    fn variable(&mut self) -> Result<Token, ParseError> {
        self.at += 1;
        let name = match self.peek() {
            Some('`') => self.quoted('`')?,
            Some('\'') => self.quoted('\'')?,
            _ => self.take_while(|c| c.is_ascii_alphanumeric() || c == '_').to_owned(),
        };
        if name.is_empty() {
            return Err(self.error(self.at, "a variable has no name", "write %name or %`name-with-dash`"));
        }
        Ok(Token::Variable(name))
    }

    fn quoted(&mut self, quote: char) -> Result<String, ParseError> {
        let start = self.at;
        self.at += 1;
        let mut value = String::new();
        loop {
            let Some(c) = self.peek() else {
                return Err(self.error(start, "the quotation has no end", "close the quote"));
            };
            self.at += c.len_utf8();
            match c {
                '\\' => value.push(self.escape()?),
                c if c == quote => return Ok(value),
                c => value.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, ParseError> {
        let at = self.at - 1;
        let bad =
            |lexer: &Self| lexer.error(at, "unknown escape", "there are \\' \\\" \\` \\\\ \\/ \\n \\r \\t \\f \\uXXXX");
        let c = self.peek().ok_or_else(|| bad(self))?;
        self.at += c.len_utf8();
        Ok(match c {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'f' => '\u{c}',
            '\'' | '"' | '`' | '\\' | '/' => c,
            'u' => {
                let high = self.hex4().ok_or_else(|| bad(self))?;
                let code = if (0xd800..0xdc00).contains(&high) && self.rest().starts_with("\\u") {
                    self.at += 2;
                    let low = self.hex4().ok_or_else(|| bad(self))?;
                    0x10000 + ((high - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff)
                } else {
                    high
                };
                char::from_u32(code).ok_or_else(|| bad(self))?
            }
            _ => return Err(bad(self)),
        })
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4)?;
        let code = digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())??;
        self.at += 4;
        Some(code)
    }

    fn number(&mut self) -> Result<Token, ParseError> {
        let start = self.at;
        self.take_while(|c| c.is_ascii_digit());
        let mut chars = self.rest().chars();
        if chars.next() == Some('.') && chars.next().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
            self.take_while(|c| c.is_ascii_digit());
            return Ok(Token::Decimal(self.text[start..self.at].to_owned()));
        }
        let digits = self.text[start..self.at].to_owned();
        if self.rest().starts_with('L') {
            self.at += 1;
        }
        if self.peek().is_some_and(|c| c.is_alphanumeric() || c == '_') {
            return Err(self.error(self.at, "a name cannot start with a digit", "put a blank after the number"));
        }
        Ok(Token::Integer(digits))
    }

    fn temporal(&mut self) -> Result<Token, ParseError> {
        let start = self.at;
        self.at += 1;
        let hint = "write @2024, @2024-05, @2024-05-31, @2024-05-31T14:30:00+02:00 or @T14:30";
        let clock = |c: char| c.is_ascii_digit() || c == ':' || c == '.';
        if self.rest().starts_with('T') {
            self.at += 1;
            let digits = self.take_clock(clock);
            return Time::parse(digits)
                .map(Token::Time)
                .ok_or_else(|| self.error(start, "this is not a time of day", hint));
        }
        self.take_while(|c| c.is_ascii_digit() || c == '-');
        let date = &self.text[start + 1..self.at];
        if !self.rest().starts_with('T') {
            return Date::parse(date).map(Token::Date).ok_or_else(|| self.error(start, "this is not a date", hint));
        }
        self.at += 1;
        self.take_clock(clock);
        if self.rest().starts_with('Z') {
            self.at += 1;
        } else if self.rest().starts_with(['+', '-']) && is_offset(self.rest()) {
            self.at += 6;
        }
        DateTime::parse(&self.text[start + 1..self.at])
            .map(Token::DateTime)
            .ok_or_else(|| self.error(start, "this is not a date with time", hint))
    }

    /// Digits, colons and a fraction, but not the dot of a function call after it.
    fn take_clock(&mut self, clock: impl Fn(char) -> bool) -> &'t str {
        let start = self.at;
        self.take_while(clock);
        let taken = &self.text[start..self.at];
        if taken.ends_with('.') {
            self.at -= 1;
        }
        &self.text[start..self.at]
    }
}

fn is_offset(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 6
        && bytes[1..3].iter().all(u8::is_ascii_digit)
        && bytes[3] == b':'
        && bytes[4..6].iter().all(u8::is_ascii_digit)
}
